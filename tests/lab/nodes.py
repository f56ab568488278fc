# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines with a network and processes of their own, joined by a bridge.

    with Site() as site:
        node = site.machine()  # node.address is 10.99.0.2
        subprocess.Popen([*node.entering, "sshd", ...])
        subprocess.run([*site.entering, "ssh", node.address])  # from the machine with the bridge
        node.cut()  # as if its power went off

They are namespaces of the kernel. Files are those of this machine, so the path of a unix socket
leads to it from everywhere; a TCP port does not.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .kill import kill_tree
from .missing import Missing, need_program
from .watchdog import guard_process, release_process

_NETWORK = "10.99.0"
_ENVIRONMENT = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
_ROOT = os.getuid() == 0
# Others are root in a user namespace, where programs run as the user again.
_AS_ROOT = [] if _ROOT else ["--user", "--preserve-credentials"]
_AS_USER = [] if _ROOT else ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]


class _Namespaces:
    """New namespaces with a first process, which runs a script and then ends with the tests.

    Raises Missing if this user may not make them.
    """

    def __init__(self, command: list[str], script: str) -> None:
        self._process = subprocess.Popen(
            [*command, "sh", "-ec", f"{script}; echo ready; exec sleep infinity"],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        guard_process(self._process.pid)
        assert self._process.stdout and self._process.stderr
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise Missing(f"network namespaces cannot be made here: {self._process.stderr.read().strip()}")

    @property
    def pid(self) -> int:
        """The first process in the namespaces."""
        below = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(below[0]) if below else self._process.pid

    def stop(self) -> None:
        kill_tree(self._process.pid)
        self._process.wait(10)
        release_process(self._process.pid)


class Site:
    """A bridge, and the machine that has it. A context manager. Raises Missing."""

    def __init__(self) -> None:
        for program in ("unshare", "nsenter", "ip"):
            need_program(program)
        self._namespaces = _Namespaces(
            ["unshare", "--net", *([] if _ROOT else ["--user", "--map-root-user"])],
            f"ip link set lo up; ip link add br0 type bridge; ip address add {_NETWORK}.1/24 dev br0; ip link set br0 up",
        )
        self._machines: list[Machine] = []

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for machine in self._machines:
            machine.stop()
        self._namespaces.stop()

    def machine(self) -> Machine:
        """Join one more machine to the bridge."""
        self._machines.append(Machine(self, len(self._machines) + 2))
        return self._machines[-1]

    @property
    def entering(self) -> tuple[str, ...]:
        """The command line behind which a program runs in it, as the user of the tests."""
        return (*self.entering_as_root, *_AS_USER)

    @property
    def entering_as_root(self) -> tuple[str, ...]:
        """As ``entering``, for what sets up its network."""
        return ("nsenter", f"--target={self._namespaces.pid}", *_AS_ROOT, "--net")

    def run(self, script: str) -> None:
        """Set up its network."""
        subprocess.run([*self.entering_as_root, "sh", "-ec", script], env=_ENVIRONMENT, check=True, timeout=30)


class Machine:
    """One machine of a site."""

    def __init__(self, site: Site, number: int) -> None:
        self.address = f"{_NETWORK}.{number}"
        self._site, self._port = site, f"port{number}"
        self._namespaces = _Namespaces(
            [
                *site.entering_as_root,
                "unshare",
                *["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
            ],
            "ip link set lo up",
        )
        peer = f"peer name eth0 netns {self._namespaces.pid}"
        site.run(f"ip link add {self._port} type veth {peer}; ip link set {self._port} master br0 up")
        address = f"ip address add {self.address}/24 dev eth0; ip link set eth0 up"
        subprocess.run([*self._entering_as_root, "sh", "-ec", address], env=_ENVIRONMENT, check=True, timeout=30)

    @property
    def entering(self) -> tuple[str, ...]:
        """The command line behind which a program runs in it, as the user of the tests."""
        return (*self._entering_as_root, *_AS_USER)

    @property
    def _entering_as_root(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self._namespaces.pid}", *_AS_ROOT, "--net", "--mount", "--pid")

    def cut(self) -> None:
        """End it as a power cut does: first no packet leaves it, then its processes are killed."""
        self._site.run(f"ip link set {self._port} down")
        self.stop()

    def stop(self) -> None:
        """Kill its processes, all of them at once."""
        self._namespaces.stop()
