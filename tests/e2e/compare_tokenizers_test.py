"""bench/tokenizer/compare_tokenizers.py on little text: that it runs, that both make the same ids, and what it writes. Nothing is
asserted of time. Skipped where the Python package tokenizers is not installed, or benchmarks are not built."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["BOREALIS"]).parent
SCRIPT = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"]) / "bench/tokenizer/compare_tokenizers.py"


def compare(*options):
    command = [sys.executable, SCRIPT, "--build", BUILD, "--python", sys.executable, *options]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def main():
    if not (BUILD / "bench/encode_texts").exists():
        print("skipped: bench/encode_texts is not built")
        sys.exit(77)
    try:
        import tokenizers
    except ImportError:
        print("skipped: the Python package 'tokenizers' is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        output = pathlib.Path(name) / "out"
        result = compare("--tokenizers", "--train", "400", "--threads", "1,2", "--rounds", "2", "--megabytes", "0.1", "--output", output)
        assert result.returncode == 0, result.stderr
        report = json.loads(output.with_name("out.json").read_text())
        assert report["version"] == tokenizers.__version__ and report["bytes"] >= 100_000, report
        assert [row["threads"] for row in report["rows"]] == [1, 2], report["rows"]
        for row in report["rows"]:
            assert row["tokens"] > 20_000, row
            assert all(row[key]["median"] > 0 for key in ("ratio", "borealis_mb_per_s", "tokenizers_mb_per_s", "borealis_load_s")), row
        assert output.with_name("out.md").read_text().count("| trained |") == 2
    result = compare("--tokenizers", "/nowhere")
    assert result.returncode == 2 and "there is no /nowhere/tokenizer.json" in result.stderr, result.stderr
    print("compare_tokenizers.py: the same ids, a report of two measurements")


main()
