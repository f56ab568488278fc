# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH's server, on loopback or in a machine with a network of its own."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path

from .kill import kill_tree
from .missing import need_program


class Sshd:
    """A server of this user's own on a free port.

    Its client configuration knows it as *name*. *entering*: the command line behind which it runs,
    for a server at the *address* of another network namespace.
    """

    def __init__(
        self, folder: Path, name: str = "hypervisor", address: str = "127.0.0.1", entering: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.name, self.address, self._entering = name, address, entering
        self._program = need_program("sshd")
        need_program("ssh")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        self.options = f"-F {folder}/config"
        (folder / "config").write_text(
            f"Host {name}\n HostName {address}\n Port {self.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {folder}/user\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {folder}/known\n StrictHostKeyChecking accept-new\n"
        )
        self.log = folder / "sshd.log"

    def start(self, *more: str) -> None:
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {self.folder}/host\nPidFile {self.folder}/pid\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nUsePAM no\nMaxSessions 2\n" + "\n".join(more)
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # made by the service, which does not run everywhere
        command = [*self._entering, self._program, "-D", "-f", self.folder / "sshd_config", "-E", self.log]
        before = self._listening()
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 60.0
        while self.process.poll() is None and time.monotonic() < deadline:
            if self._listening() > before:
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"sshd does not listen on port {self.port}")

    def _listening(self) -> int:
        """How often a server of this folder began to listen."""
        return self.log.read_text().count("Server listening on") if self.log.exists() else 0

    def stop(self) -> None:
        """End it, with the sessions that it serves."""
        if self.process.poll() is None:
            kill_tree(self.process.pid)
            self.process.wait(10)

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a host that is reached through this server."""
        return {"chr_ssh_host": self.name, "chr_ssh_args": self.options}

    @property
    def logins(self) -> int:
        return self.log.read_text().count("Accepted publickey")
