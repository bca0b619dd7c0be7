"""The library that makes a disk fail (tests/support/disk_faults.c), tried on Python: tests that rest on it must not pass because it
does nothing."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

LIBRARY = os.environ["DISK_FAULTS"]
SCRIPT = """
import mmap, os, sys
def write():
    file = os.open("here/file", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    print("write", os.write(file, b"0123456789"), "pwrite", os.pwrite(file, b"0123456789", 10), "writev", os.writev(file, [b"abcd", b"e"]))
    return file
def direct():
    file = os.open("here/direct", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    block = mmap.mmap(-1, 3 << 14)  # of whole pages
    print("direct", os.pwrite(file, block, 0))
def read():
    file = os.open("here/read", os.O_RDONLY)
    print("read", len(os.read(file, 8)), "pread", len(os.pread(file, 8, 0)))
    mmap.mmap(file, 8, prot=mmap.PROT_READ).close()
def change():
    file = write()
    os.fsync(file), os.fdatasync(file), os.ftruncate(file, 3)
    os.rename("here/file", "here/other"), os.mkdir("here/folder"), os.rmdir("here/folder"), os.unlink("here/other")
{"write": write, "direct": direct, "read": read, "change": change}[sys.argv[1]]()
print("done")
"""


def run(folder, action, **faults):
    shutil.rmtree(folder / "here", ignore_errors=True)
    (folder / "here").mkdir()
    (folder / "here/read").write_bytes(bytes(8))
    settings = {f"FAULT_{name.upper()}": str(value) for name, value in faults.items()}
    return subprocess.run([sys.executable, "-c", SCRIPT, action], cwd=folder, capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "LD_PRELOAD": LIBRARY, **settings})


def expect(result, code, *words):
    text = result.stdout + result.stderr
    assert result.returncode == code and all(word in text for word in words), (words, result)


def main():
    with tempfile.TemporaryDirectory(dir=pathlib.Path(LIBRARY).parent) as name:  # on a real disk, for direct I/O
        folder = pathlib.Path(name)
        here = f"{folder}/here/"
        whole = "write 10 pwrite 10 writev 5"

        expect(run(folder, "change"), 0, whole, "done")
        expect(run(folder, "change", path="/elsewhere/", call="change", errno="EIO", sticky=1), 0, whole, "done")
        for number, call in ((1, "create"), (1, "write"), (2, "write"), (3, "write"), (1, "fsync"), (2, "fsync"), (1, "ftruncate"),
                             (1, "rename"), (1, "mkdir"), (1, "unlink"), (2, "unlink")):
            for error in ("ENOSPC", "EIO", "EROFS", "EACCES"):
                expect(run(folder, "change", path=here, call=call, at=number, errno=error), 1,
                       f"[Errno {getattr(errno, error)}]")
            expect(run(folder, "change", path=here, call=call, at=number, kill=1), -9)
        for call in ("open", "read", "mmap"):
            expect(run(folder, "read", path=here, call=call, errno="EIO"), 1, f"[Errno {errno.EIO}]")
        expect(run(folder, "direct", path=here, call="write", errno="ENOSPC"), 1, f"[Errno {errno.ENOSPC}]")

        expect(run(folder, "write", path=here, call="write", short=1, at=2), 0, "write 10 pwrite 5 writev 5")
        expect(run(folder, "write", path=here, call="write", short=1, sticky=1), 0, "write 5 pwrite 5 writev 2")
        expect(run(folder, "direct", path=here, call="write", short=1), 0, f"direct {3 << 13}")
        expect(run(folder, "read", path=here, call="read", short=1), 0, "read 4 pread 8")
        expect(run(folder, "write", path=here, call="write", short=1, kill=1), -9)
        assert (folder / "here/file").read_bytes() == b"01234"

        log = folder / "log"
        expect(run(folder, "change", path=here, call="change", log=log), 0, "done")
        calls = [line.split(" ", 2)[1:] for line in log.read_text().splitlines()]
        assert [call for call, _ in calls] == ["create", "write", "write", "write", "fsync", "fsync", "ftruncate", "rename", "mkdir",
                                               "unlink", "unlink"], calls
        assert all(path.startswith(here) for _, path in calls), calls
        expect(run(folder, "change", path=here, call="write"), 125, "something to do")
        expect(run(folder, "change", path=here, errno="EIO"), 125, "needs FAULT_CALL")


main()
