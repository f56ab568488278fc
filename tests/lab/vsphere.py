# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest side of VMware's jobs: routers behind a unix socket that the vCenter simulator hands scripts to.

One connection is one request, a line of JSON; the first line of the reply says whether the guest login is right, and for a start
the second, when the job has ended, its exit code and what the router does to its power.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
import typing as t
from pathlib import Path

from .routeros import Router
from .routeros.files import File

NAME = re.compile(r"[^\w.-]")


class VsphereRouters:
    """Routers by the id of their VM, made when they are first asked for; a context manager.

    *limit* and *backup_limit*, in seconds, are for scripts started through the API and for backup scripts.
    """

    def __init__(self, socket: Path, limit: float = 120.0, backup_limit: float = 60.0) -> None:
        self.limit = limit
        self.backup_limit = backup_limit
        self.backups: list[tuple[str, str]] = []
        """(id of the VM, backup script) in order, also those that the router does not have."""
        self.routers: dict[str, Router] = {}
        self.log: list[tuple[str, str, str]] = []
        """(id of the VM, program, arguments) of every start."""
        self._lock = threading.Lock()
        routers = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                routers._answer(json.loads(self.rfile.readline()), self._say)

            def _say(self, reply: dict[str, t.Any]) -> None:
                try:
                    self.wfile.write(json.dumps(reply).encode() + b"\n")
                    self.wfile.flush()
                except OSError:
                    pass  # the simulator has gone

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(str(socket), Handler)

    def __enter__(self) -> VsphereRouters:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def router(self, vm: str, name: str = "MikroTik") -> Router:
        with self._lock:
            if vm not in self.routers:
                self.routers[vm] = Router(identity=name)
            return self.routers[vm]

    def _answer(self, request: dict[str, t.Any], say: t.Callable[[dict[str, t.Any]], None]) -> None:
        router = self.router(request["vm"], request["name"])
        if request["op"] == "reboot":
            router.reboot()
            return
        if request["op"] == "backup":
            say({"ok": self._backup(router, request["vm"], request["script"])})
            return
        login = router.check_login(request["user"], request["password"])
        say({"login": login})
        if login and request["op"] == "start" and not request["check_only"]:
            say(self._run(router, request))

    def _backup(self, router: Router, vm: str, script: str) -> bool:
        """Run the script ``freeze``, ``freeze-fail`` or ``thaw``, if the router has it."""
        self.backups.append((vm, script))
        stop = threading.Event()
        timer = threading.Timer(self.backup_limit, stop.set)
        timer.start()
        there = f'[:len [/system script find name="{script}"]] > 0'
        outcome = router.run(f":if ({there}) do={{ /system script run {script} }}", stop=stop)
        timer.cancel()
        if outcome.exitcode != 0:
            router.files[f"{script}-script.log"] = File(outcome.output)
        return outcome.exitcode == 0

    def _run(self, router: Router, request: dict[str, t.Any]) -> dict[str, t.Any]:
        program, arguments = request["program"], request["arguments"]
        self.log.append((request["vm"], program, arguments))
        if program == "import":
            arguments = f'/import file-name="{NAME.sub(lambda odd: f"{chr(92)}{ord(odd[0]):02X}", arguments)}"'
        power: list[str] = []
        router.on_power = power.append
        stop = threading.Event()
        timer = threading.Timer(self.limit, stop.set)
        timer.start()
        outcome = router.run(arguments.encode(), stop=stop)
        timer.cancel()
        if outcome.exitcode != 0 and not stop.is_set():
            router.files[f"vix_job_{request['pid']} .txt"] = File(outcome.output)
        if power and power[0] == "reboot":
            router.reboot()
        return {"exit": -1 if outcome.exitcode else 0, "power": power[0] if power else ""}
