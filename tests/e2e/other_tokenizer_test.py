"""A tokenizer that is not the model's: everywhere it could be taken for it, though the padded vocabulary is the same. And
what the commands of data and checkpoints do with names that are taken, or cannot be."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

BOREALIS = os.path.abspath(os.environ["BOREALIS"])
USAGE, CONFIG, FILE, DATA = 1, 2, 3, 4
SYLLABLES = ("ka", "lo", "mi", "ne", "the", "un", "ra", "s", "ted", "ning")
WORDS = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in ("", "s", "er", "ly")]
SHAPE = {"NLAYERS": "1", "HIDDEN": "64", "HEADS": "2", "NUM_KV_HEAD": "1", "FFN_HIDDEN_SIZE": "128", "SEQ": "64", "MICRO_BATCH": "2"}


class Lab:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "text.txt").write_text("\n\n".join(" ".join(WORDS[(7 * i + j * j) % len(WORDS)] for j in range(40)) for i in range(300)))
        for name, size in (("own", 300), ("other", 310), ("large", 500)):
            self.run("tokenizer", "train", "--input", "text.txt", "--vocab-size", size, "--output", name)
            self.run("data", "tokenize", "--input", "text.txt", "--document-per", "paragraph", "--tokenizer", name, "--output-prefix", f"data/{name}")
        self.train("own", iters=4)

    def environment(self, **more):
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "OMP_NUM_THREADS": "1", **SHAPE, **more}

    def run(self, *arguments, code=0, **variables):
        result = subprocess.run([BOREALIS, *map(str, arguments)], cwd=self.folder, env=self.environment(**variables), capture_output=True, text=True, errors="replace", timeout=300)
        assert result.returncode == code, f"{arguments}: exit code {result.returncode}, not {code}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
        return result

    def train(self, tokenizer, *options, iters, save="ckpt", code=0):
        return self.run("train", "--train-iters", iters, "--eval-interval", 0, "--no-progress", "--save", save, *options, code=code,
                        TOKENIZER_MODEL=tokenizer, DATA_PATH=f"data/{tokenizer}")

    # What follows are the tests, in order.

    def test_a_run_does_not_go_on_with_another(self):
        refused = self.train("other", iters=8, code=CONFIG).stderr
        assert "cannot go on from ckpt/global_step4" in refused and "the tokenizer" in refused and refused.count("\n") == 1, refused
        assert "resumed from ckpt/global_step4" in self.train("own", iters=6).stdout

    def test_weights_are_taken_with_a_warning(self):
        told = self.train("other", "--load", "ckpt", "--finetune", iters=2, save="tuned").stdout
        assert "is another than the one in ckpt/global_step6" in told, told
        told = self.train("own", "--load", "ckpt", "--finetune", iters=2, save="tuned-own").stdout
        assert "is another than" not in told, told

    def test_eval_and_generate_warn(self):
        for command in (("eval", "--model", "ckpt", "--text", "text.txt", "--max-tokens", 200), ("generate", "--model", "ckpt", "--prompt", "kalo", "--max-new-tokens", 4)):
            own, other = self.run(*command), self.run(*command, "--tokenizer", "other")
            assert "is not the model's own" not in own.stdout + own.stderr, own
            assert "is not the model's own" in other.stdout + other.stderr, other
            assert "NullTokenizer needs --vocab-size" in self.run(*command, "--tokenizer-type", "NullTokenizer", code=USAGE).stderr

    def test_a_tokenizer_that_does_not_fit_is_no_part_of_a_checkpoint(self):
        self.run("checkpoint", "export", "--from", "ckpt", "--output", "hf", "--vocab-size", 300)
        for name, make in (("large", lambda to: shutil.copy(self.folder / "large/tokenizer.json", to)), ("cut", lambda to: to.write_text(to.read_text()[:2000]))):
            shutil.copytree(self.folder / "hf", self.folder / f"hf-{name}")
            make(self.folder / f"hf-{name}" / "tokenizer.json")
            self.run("checkpoint", "import", "--from", f"hf-{name}", "--output", f"in-{name}", code=DATA)
            assert not list((self.folder / f"in-{name}").glob("*")), name
            self.run("checkpoint", "export", "--from", f"hf-{name}", "--output", f"out-{name}", code=DATA)
            (self.folder / f"hf-{name}" / "checksums.xxh128").unlink(missing_ok=True)
            assert "tokenizer" in self.run("checkpoint", "verify", f"hf-{name}", code=DATA).stdout
        self.run("checkpoint", "verify", "hf")

    def test_what_is_there_stays(self):
        command = ["data", "tokenize", "--input", "text.txt", "--tokenizer", "own", "--output-prefix"]
        mine = self.folder / "kept.tokenizing/sub/mine.txt"
        mine.parent.mkdir(parents=True)
        mine.write_text("precious")
        assert "which no unfinished run left" in self.run(*command, "kept", code=FILE).stderr and mine.read_text() == "precious"
        for suffix in (".bin", ".idx", ".meta.json"):
            (self.folder / f"folder{suffix}").mkdir()
            assert f"folder{suffix} is a folder" in self.run(*command, "folder", "--overwrite", code=FILE).stderr
            assert f"folder{suffix} is a folder" in self.run("data", "merge", "data/own", "--output-prefix", "folder", "--overwrite", code=FILE).stderr
            assert [path.name for path in self.folder.glob("folder*")] == [f"folder{suffix}"]
            (self.folder / f"folder{suffix}").rmdir()
        for prefix in ("x.bin", "y/x.idx", "x/", "."):
            assert "is no name to which" in self.run(*command, prefix, code=USAGE).stderr, prefix
        assert not list(self.folder.glob("x*")) and not list(self.folder.glob(".bin")), list(self.folder.glob("*"))

    def test_a_label_that_is_not_utf8_is_the_same_after_a_resume(self):
        (self.folder / "latin.txt").write_bytes(b"1.0 data/own c\xe9\n")
        command = ["train", "--train-iters", 6, "--eval-interval", 0, "--no-progress", "--save", "latin"]
        self.run(*command, "--exit-interval", 2, TOKENIZER_MODEL="own", DATA_FILE_LIST="latin.txt")
        told = self.run(*command, TOKENIZER_MODEL="own", DATA_FILE_LIST="latin.txt").stdout
        assert "resumed from latin/global_step2" in told and "the data differs" not in told, told

    def test_memory_that_the_program_alone_exceeds_is_the_plans(self):
        told = self.run("eval", "--model", "ckpt", "--text", "text.txt", "--memory-limit", "5MiB", code=5).stderr
        assert "the tokens of the text" not in told and "5.0 MiB" in told, told

    def test_a_signal_is_answered_at_once(self):
        """Long before the step that it waits for ends."""
        process = subprocess.Popen([BOREALIS, "train", "--mock-data", "--vocab-size", "300", "--seq-length", "30000", "--train-iters", "2", "--no-save", "--eval-interval", "0", "--no-progress"],
                                   cwd=self.folder, env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "before the start of training step" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        for line in process.stdout:
            lines.append(line)
            if "SIGTERM: the run ends after the step in progress" in line:
                break
        else:
            raise AssertionError("".join(lines))
        assert process.poll() is None, "".join(lines)
        process.kill()
        process.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="borealis-test-") as folder:
        lab = Lab(folder)
        for test in [name for name in vars(Lab) if name.startswith("test_")]:
            getattr(lab, test)()
            print(f"ok: {test}", flush=True)


if __name__ == "__main__":
    main()
