#!/usr/bin/env python3
"""Every MPI library that the build found carries what ranks tell each other, and a lost rank is named.

Ranks share this machine. MPI_LARGE=1 sends more than 2^31 bytes at once as well, which takes 8 GB and half a minute.
"""

import os
import subprocess
import sys

from mpi_launchers import AS_ROOT, BUILD, LAUNCHERS, found_libraries, module_of

DRIVER = BUILD / "tests" / "mpi_driver"

failures = 0


def check(holds, what):
    global failures
    print(("ok      " if holds else "FAILED  ") + what, flush=True)
    failures += not holds


def launch(library, ranks, *mode):
    command = [*LAUNCHERS[library], "-n", str(ranks), str(DRIVER), str(module_of(library)), *mode]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **AS_ROOT), timeout=120, stdin=subprocess.DEVNULL)


def main():
    for library in found_libraries():
        for ranks in (1, 2, 3, 4, 8):
            result = launch(library, ranks)
            line = f"{ranks} ranks, {ranks} on this host, "
            check(result.returncode == 0 and line in result.stdout and "PROBLEM" not in result.stdout,
                  f"{library}, {ranks} ranks" + ("" if result.returncode == 0 else f": {result.stdout}{result.stderr}"))
        result = launch(library, 3, "lost")
        # MPICH's launcher kills the others when the first rank ends, and then gives the code of one or of the other.
        check(result.returncode in ((7,) if library == "openmpi" else (7, 9)), f"{library}: a lost rank ends the job with code {result.returncode}")
        check("no answer for 1 s in the start: meeting; waited for: other ranks" in result.stderr, f"{library}: it is told: {result.stderr.splitlines()[:1]}")
        if os.environ.get("MPI_LARGE"):
            result = launch(library, 2, "large")
            check(result.returncode == 0, f"{library}: more than 2^31 bytes {result.stdout}{result.stderr}")
    sys.exit(1 if failures else 0)


main()
