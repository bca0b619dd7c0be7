"""Two hosts on this machine: network namespaces with host names of their own, joined by a virtual cable.

Their processes see this machine's files and processes, as hosts of a cluster see a shared file system. Needs root, `ip` (iproute2) and a kernel that permits it.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# What a launcher calls as `ssh HOST COMMAND...`, with options of its own before the host.
REMOTE_SHELL = """#!/bin/bash
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec "$host" unshare --uts bash -c 'hostname "$0" && exec bash -c "$*"' "$host" "$@"
"""


class TwoHosts:
    """`with TwoHosts() as hosts:`; hosts.names are (a, b), and what start() runs is on a."""

    def __init__(self):
        mark = f"bt{os.getpid() % 100000}"
        self.names = (f"{mark}a", f"{mark}b")
        self.cables = (f"{mark}x", f"{mark}y")
        self.addresses = ("10.77.31.1", "10.77.31.2")

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="borealis-hosts-"))
        try:
            for name in self.names:
                self._ip("netns", "add", name)
            self._ip("link", "add", self.cables[0], "netns", self.names[0], "type", "veth", "peer", "name", self.cables[1], "netns", self.names[1])
            for name, cable, address in zip(self.names, self.cables, self.addresses):
                self._ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
                self._ip("-n", name, "link", "set", cable, "up")
                self._ip("-n", name, "link", "set", "lo", "up")
                # `ip netns exec` lays these files over /etc's.
                etc = pathlib.Path("/etc/netns") / name
                etc.mkdir(parents=True)
                lines = "".join(f"{a} {n}\n" for a, n in zip(self.addresses, self.names))
                (etc / "hosts").write_text("127.0.0.1 localhost\n" + lines)
            self.shell = self.folder / "remote-shell"
            self.shell.write_text(REMOTE_SHELL)
            self.shell.chmod(0o755)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            for pid in self.processes(name):
                try:
                    os.kill(pid, 9)
                except OSError:
                    pass
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(pathlib.Path("/etc/netns") / name, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ip(self, *words):
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    def on(self, index, command):
        """The command as it runs on one of the hosts."""
        name = self.names[index]
        return ["ip", "netns", "exec", name, "unshare", "--uts", "bash", "-c", 'hostname "$0" && exec "$@"', name, *map(str, command)]

    def launcher(self, library):
        """The library's launcher, told how to reach the hosts."""
        if library == "openmpi":
            network = f"{self.addresses[0].rsplit('.', 1)[0]}.0/24"
            return ["mpirun.openmpi", "--mca", "plm_rsh_agent", str(self.shell), "--mca", "btl", "self,vader,tcp", "--mca", "btl_tcp_if_include", network,
                    "--mca", "oob_tcp_if_include", network]
        return ["mpiexec.mpich", "-launcher", "ssh", "-launcher-exec", str(self.shell)]

    def disconnect(self):
        self._ip("-n", self.names[1], "link", "set", self.cables[1], "down")

    def connect(self):
        self._ip("-n", self.names[1], "link", "set", self.cables[1], "up")

    def processes(self, name):
        """Of a host: all that is in its network namespace."""
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]


def missing():
    """What two hosts need and is not here; "" if nothing is."""
    if os.geteuid() != 0:
        return "root"
    for program in ("ip", "unshare", "hostname"):
        if not shutil.which(program):
            return program
    try:
        with TwoHosts():
            return ""
    except (subprocess.CalledProcessError, OSError) as fault:
        return f"a kernel that permits network namespaces ({getattr(fault, 'stderr', fault)})"


def skip_without():
    if lacks := missing():
        print(f"SKIPPED two hosts: needs {lacks}")
        sys.exit(77)
