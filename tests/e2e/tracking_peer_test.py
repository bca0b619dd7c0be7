"""What a run leaves for TensorBoard and Weights & Biases, read by the packages `tensorboard` and `wandb` themselves: every number
is that of metrics.jsonl, of a whole run, of one that was killed, and of one that goes on. `wandb` also sends a run, to a server
in this process that takes whatever it is sent. Nothing else is connected to."""

import gzip
import http.server
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

from small_training import ITERATIONS, Training

try:
    from tensorboard.backend.event_processing import event_accumulator
except ImportError:
    event_accumulator = None
try:
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal import datastore
except ImportError:  # wandb has no reader in Python from 0.28 on
    datastore = None

WANDB = {"WB_PROJECT": "a project", "WANDB_TAGS": "one,two", "WANDB_RUN_GROUP": "group", "WANDB_NOTES": "θ, notes", "WANDB_ENTITY": "team"}
# Column of metrics.jsonl: (name in the trackers, factor); the counts are whole numbers, which TensorBoard does not get.
COUNTS = {"iteration": ["throughput/iteration", "training/iteration", "loss/iteration", "lm-loss-training/iteration", "learning-rate/iteration",
                        "optimizer/iteration"],
          "consumed_samples": ["training/consumed_samples"],
          "consumed_tokens": ["training/consumed_tokens", "lm-loss-training/consumed_train_tokens", "optimizer/consumed_train_tokens"],
          "global_batch_size": ["training/global_batch_size"], "skipped_iterations": ["training/skiped_iterations"]}
SCALARS = {"lm_loss": ["loss/lm loss", "lm-loss-training/lm loss"], "grad_norm": ["loss/grad_norm", "training/grad-norm"],
           "learning_rate": ["learning-rate/learning-rate", "optimizer/learning_rate"], "tflops": ["throughput/tflops-lm"],
           "samples_per_second": ["throughput/samples_per_sec", "throughput/samples_per_sec_per_replica"],
           "tokens_per_gpu_per_second": ["throughput/tokens_per_gpu_per_sec", "throughput/tokens_per_sec",
                                         "throughput/tokens_per_sec_per_replica", "throughput/tokens_per_gpu_per_sec_per_replica"],
           "gemm_share": ["throughput/gemm_share"], "forward_ms": ["timers/forward_ms"], "backward_ms": ["timers/backward_ms"],
           "optimizer_ms": ["timers/optimizer_ms"], "communication_ms": ["timers/communication_ms"], "data_ms": ["timers/data_ms"],
           "elapsed_ms": ["throughput/iteration-time", "throughput/elapsed_ms_per_iteration", "training/iteration_time"]}


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def expected_rows(run_dir):
    """{name: value} of every step by our own metrics, whole numbers apart."""
    rows = []
    for step in lines_of(run_dir / "metrics.jsonl"):
        scalars = {name: step[column] / 1000 if column == "elapsed_ms" else step[column]
                   for column, names in SCALARS.items() for name in names if step[column] is not None}
        rows.append(({name: step[column] for column, names in COUNTS.items() for name in names}, scalars))
    return rows


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


# --- Weights & Biases -------------------------------------------------------------------------------------------------------


class WandbRun:
    """The records of one log, by wandb's own reader. A last record that was cut off is left out."""

    def __init__(self, run_dir):
        self.log, = pathlib.Path(run_dir).glob("wandb/offline-run-*/run-*.wandb")
        assert re.fullmatch(r"offline-run-\d{8}_\d{6}-(\w{8})", self.log.parent.name)[1] == self.log.stem.removeprefix("run-")
        store = datastore.DataStore()
        store.open_for_scan(str(self.log))
        self.records = []
        while True:
            try:
                data = store.scan_data()
            except AssertionError:
                assert store.in_last_block()
                break
            if data is None:
                break
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            self.records.append(record)
        assert [record.num for record in self.records] == list(range(1, len(self.records) + 1))
        self.kinds = [record.WhichOneof("record_type") for record in self.records]
        assert self.kinds[:2] == ["header", "run"] and None not in self.kinds, self.kinds[:3]
        self.run = self.records[1].run

    def of(self, kind):
        return [getattr(record, kind) for record in self.records if record.WhichOneof("record_type") == kind]

    def rows(self):
        rows = [{item.key: json.loads(item.value_json) for item in history.item} for history in self.of("history")]
        assert [row["_step"] for row in rows] == [history.step.num for history in self.of("history")]
        return rows


def check_rows(rows, run_dir, first=1, at_most_missing=0):
    """The rows are those of metrics.jsonl from the step `first` on, to the last digit."""
    expected = expected_rows(run_dir)[first - 1:]
    steps = [row for row in rows if "loss/iteration" in row]
    assert len(expected) - at_most_missing <= len(steps) <= len(expected), (len(steps), len(expected))
    for row, (counts, scalars) in zip(steps, expected):
        assert row["_step"] == counts["training/iteration"]
        shown = {name: value for name, value in row.items() if not name.startswith(("_", "val/", "test/"))}
        derived = {name: shown.pop(name) for name in ("throughput/tflops", "throughput/tflops-new", "throughput/approx_params_in_billions")}
        assert abs(derived["throughput/tflops-new"] / 1e12 - scalars["throughput/tflops-lm"]) < 1e-9
        assert shown == counts | scalars, (shown, counts | scalars)
    times = [row["_timestamp"] for row in rows]
    assert times == sorted(times) and all(0 <= row["_runtime"] < 600 for row in rows)
    return steps


def check_validations(rows, run_dir):
    for name, file, prefix in (("validation", "validation.jsonl", "val"), ("test", "test.jsonl", "test")):
        expected = [(line["iteration"], line[f"{name}_loss"], line[f"{name}_perplexity"]) for line in lines_of(run_dir / file)]
        got = [(row[f"{prefix}/iteration"], row[f"{prefix}/lm loss"], row[f"{prefix}/ppl_lm loss"]) for row in rows if f"{prefix}/iteration" in row]
        # Of two in one row, that of the last step and the one behind it, the later counts.
        assert got and [line for line in got if line not in expected] == [] and got[-1] == expected[-1], (name, got, expected)


def check_whole_wandb(run_dir):
    run = WandbRun(run_dir)
    assert run.kinds[-3:] == ["exit", "final", "footer"] and run.of("exit")[0].exit_code == 0
    record = run.run
    assert (record.project, record.entity, record.run_group, record.notes, list(record.tags)) == ("a project", "team", "group", "θ, notes", ["one", "two"])
    assert record.host and record.start_time.seconds > 0 and not record.resumed and record.display_name
    config = {item.key: json.loads(item.value_json) for item in record.config.update}
    assert config["args"] == json.loads((run_dir / "config.json").read_text())
    summary = json.loads((run_dir / "summary.json").read_text())
    assert {name: str(value) for name, value in config["env"].items()}.keys() == summary["configuration"].keys()
    for name, value in summary["configuration"].items():
        assert str(config["env"][name]) == value or float(config["env"][name]) == float(value), (name, config["env"][name], value)
    assert config["num_params"] == summary["parameters"] and config["env"]["NLAYERS"] == 2 and config["env"]["DTYPE"] == "bf16"
    rows = run.rows()
    steps = check_rows(rows, run_dir)
    assert len(steps) == ITERATIONS
    check_validations(rows, run_dir)
    assert len({row["_step"] for row in rows}) == len(rows)
    last = {item.key: json.loads(item.value_json) for item in run.of("summary")[-1].update}
    assert last["loss/lm loss"] == steps[-1]["loss/lm loss"] and last["stopped_by"] == "train_iters" and last["_wandb"]["runtime"] >= 0
    assert last["tokens_per_gpu_per_second"] == summary["tokens_per_gpu_per_second"] and last["_step"] == rows[-1]["_step"]
    stats = {item.key: json.loads(item.value_json) for item in run.of("stats")[-1].item}
    assert 0 < stats["memory_percent"] < 100 and stats["proc.memory.rssMB"] > 1 and stats["cpu"] >= 0, stats
    console = "".join(line.line for line in run.of("output_raw"))
    assert console == (run_dir / "output.log").read_text()


# --- TensorBoard ------------------------------------------------------------------------------------------------------------


def check_tensorboard(folder, run_dir, at_most_missing=0):
    """Every scalar is the one of metrics.jsonl, rounded to f32, once a step."""
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    expected = expected_rows(run_dir)
    seen = 0
    for name in sorted({name for names in SCALARS.values() for name in names}):
        want = [(counts["training/iteration"], f32(scalars[name])) for counts, scalars in expected if name in scalars]
        got = [(point.step, point.value) for point in events.Scalars(name)]
        assert len(want) - at_most_missing <= len(got) and got == want[:len(got)], (name, got, want)
        times = [point.wall_time for point in events.Scalars(name)]
        assert times == sorted(times)
        seen += len(got)
    tag = "lm-loss-validation/lm loss validation"
    validations = [(line["iteration"], f32(line["validation_loss"])) for line in lines_of(run_dir / "validation.jsonl")]
    if validations and not at_most_missing:
        got = [(point.step, point.value) for point in events.Scalars(tag)]
        assert got == validations, (got, validations)
        by_iteration = {step["iteration"]: step for step in lines_of(run_dir / "metrics.jsonl")}
        for against, column in (("samples", "consumed_samples"), ("tokens", "consumed_tokens")):
            want = [(by_iteration[iteration][column], loss) for iteration, loss in validations]
            assert [(point.step, point.value) for point in events.Scalars(f"{tag} vs {against}")] == want
            assert f"{tag} ppl vs {against}" in tags
    text = events.Tensors("configuration/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "    NLAYERS = 2\n" in text and "    DTYPE = " in text
    return seen


# --- the uploader ---------------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Takes what the uploader sends: {file: lines} of the streamed files, the exit code, the configuration."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.exit_code, self.config = {}, None, None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = json.loads(body)
        if self.path != "/graphql":
            self.take_files(request)
            return self.answer({})
        variables = request.get("variables") or {}
        if variables.get("config"):
            self.server.config = json.loads(variables["config"])
        run = {"id": "1", "name": "the-run", "displayName": "name", "description": "", "config": "{}", "sweepName": None, "historyLineCount": 0,
               "project": {"id": "2", "name": "project", "entity": {"id": "3", "name": "team"}}}
        return self.answer({"data": {"serverInfo": {"features": []}, "upsertBucket": {"bucket": run, "inserted": True},
                                     "createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []}}})

    def take_files(self, request):
        for name, part in request.get("files", {}).items():
            lines = self.server.files.setdefault(name, [])
            del lines[part["offset"]:]
            lines.extend(part["content"])
        if request.get("complete"):
            self.server.exit_code = request["exitcode"]

    def answer(self, content):
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def wandb_command(folder, server, *arguments):
    """The client, which knows no server but ours; the key is none."""
    environment = os.environ | {"HOME": str(folder), "WANDB_API_KEY": 40 * "x", "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}",
                                "WANDB_ERROR_REPORTING": "false"}
    return subprocess.run([sys.executable, "-m", "wandb", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def check_sync(folder, run_dir):
    server = Server()
    log = WandbRun(run_dir).log
    shown = wandb_command(folder, server, "sync", "--view", str(log.parent))
    if shown.returncode == 0:  # an option of old versions
        assert shown.stdout.count("Record: history") == len(WandbRun(run_dir).of("history")), shown.stdout
    result = wandb_command(folder, server, "beta", "sync", str(log.parent))
    if "No such command" in result.stderr:
        return print("skipped: this version of 'wandb' has no `wandb beta sync`")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [json.loads(line) for line in server.files["wandb-history.jsonl"]]
    assert len(check_rows(rows, run_dir)) == ITERATIONS
    assert json.loads(server.files["wandb-summary.json"][-1])["stopped_by"] == "train_iters"
    assert any("cpu" in name for name in json.loads(server.files["wandb-events.jsonl"][-1]))
    assert "iteration=" in "".join(server.files["output.log"])
    assert server.exit_code == 0 and server.config["num_params"]["value"] > 0
    server.shutdown()
    return None


# --- runs -----------------------------------------------------------------------------------------------------------------------


def killed_run(training, least_steps):
    process = training.start()
    threading.Thread(target=process.stdout.read, daemon=True).start()
    deadline = time.monotonic() + 60
    metrics = None
    while time.monotonic() < deadline:
        metrics = metrics or next(training.folder.glob("logs/*/*/metrics.jsonl"), None) or next(training.folder.glob("run/metrics.jsonl"), None)
        if metrics and metrics.read_text().count("\n") >= least_steps:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    return metrics.parent


def check_killed_and_resumed(folder, run_dir_option, kill_after):
    """Killed in the middle; the same command goes on, in another folder or in the same one."""
    training = Training(folder, "bf16", True, run_dir_option, options=("--train-iters", "3000", "--save-interval", "20", "--keep-last", "1"), variables=WANDB)
    first = killed_run(training, kill_after)
    before = WandbRun(first) if datastore else None
    if before:
        assert check_rows(before.rows(), first, at_most_missing=1) and "exit" not in before.kinds
    if event_accumulator:
        assert check_tensorboard(first / "tensorboard", first, at_most_missing=1)
    lost = len(lines_of(first / "metrics.jsonl"))
    saved = training.saved_iteration()
    assert 0 < saved <= lost
    training.command[training.command.index("3000")] = str(lost + 30)
    if run_dir_option:  # its log would be found twice
        (first / "wandb").rename(training.folder / "wandb-before")
    result = training.run()
    assert result.returncode == 0, result.stdout + result.stderr
    second = training.last_run_dir()
    assert len(lines_of(second / "metrics.jsonl")) == lost + 30
    if event_accumulator:
        check_tensorboard(second / "tensorboard", second)
        assert len(list((second / "tensorboard").iterdir())) == (2 if run_dir_option else 1)
    if before:
        after = WandbRun(second)
        assert after.run.run_id == before.run.run_id and after.run.resumed and after.run.starting_step == saved
        assert after.run.display_name == before.run.display_name
        assert len(check_rows(after.rows(), second, saved + 1)) == lost + 30 - saved
        assert {item.key: item.value_json for item in after.run.config.update}["resumed_at_iteration"] == str(saved)


def main():
    for name, module in (("tensorboard", event_accumulator), ("wandb (before 0.28)", datastore)):
        if module is None:
            print(f"skipped: the Python package '{name}' is not installed")
    if event_accumulator is None and datastore is None:
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        training = Training(folder / "whole", "bf16", False, variables=WANDB)
        result = training.run()
        assert result.returncode == 0, result.stdout + result.stderr
        run_dir = training.last_run_dir()
        if event_accumulator:
            print(check_tensorboard(run_dir / "tensorboard", run_dir), "points in TensorBoard")
        if datastore:
            check_whole_wandb(run_dir)
            check_sync(folder, run_dir)
        check_killed_and_resumed(folder / "killed", None, 50)
        check_killed_and_resumed(folder / "same folder", "run", 70)
    print("a whole run, killed runs, resumed runs: all numbers are those of metrics.jsonl")


if __name__ == "__main__":
    main()
