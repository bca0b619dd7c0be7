"""The MPI libraries that the build found and whose launchers are here."""

import os
import pathlib
import shutil
import sys

BUILD = pathlib.Path(os.environ["BOREALIS"]).resolve().parent
LAUNCHERS = {"openmpi": ["mpirun.openmpi", "--oversubscribe", "--bind-to", "none"], "mpich": ["mpiexec.mpich"]}
RANK = {"openmpi": "OMPI_COMM_WORLD_RANK", "mpich": "PMI_RANK"}
# Open MPI refuses root without these; it cannot know that a test is not a cluster.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def module_of(library):
    return BUILD / f"borealis_mpi_{library}.so"


def found_libraries():
    """Ends the test as skipped where there is none; names each that is not there."""
    found = [name for name in LAUNCHERS if module_of(name).exists() and shutil.which(LAUNCHERS[name][0])]
    for name in LAUNCHERS:
        if name not in found:
            print(f"SKIPPED {name}: it is not installed, or was not when the program was built")
    if not found:
        sys.exit(77)
    return found
