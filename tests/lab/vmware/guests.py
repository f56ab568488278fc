# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest side of VMware's tools.

Routers are behind a unix socket, through which the vCenter simulator sends scripts and orders.

One connection is one request, a line of JSON; the first line of the reply says whether the guest
login is right, and for a start the second, when the job has ended, its exit code and what the
router does to its power. Times are those of the router's clock.
"""

from __future__ import annotations

import fnmatch
import json
import re
import socketserver
import threading
import time
import typing as t
from pathlib import Path

from ..routeros import Router
from ..routeros.files import File

NAME = re.compile(r"[^\w.-]")
AHEAD = 5.0
"""Seconds that a router may be ahead of its host and still get the host's time."""


class VsphereRouters:
    """Routers by the id of their VM, made when they are first asked for; a context manager.

    The limits, in seconds, are for scripts started through the API, for power scripts, and for
    backup scripts.
    """

    def __init__(
        self, socket: Path, limit: float = 120.0, power_limit: float = 30.0, backup_limit: float = 60.0
    ) -> None:
        self.limit = limit
        self.power_limit = power_limit
        self.backup_limit = backup_limit
        self.backups: list[tuple[str, str]] = []
        """(id of the VM, backup script) in order, also those that the router does not have."""
        self.routers: dict[str, Router] = {}
        self.log: list[tuple[str, str, str]] = []
        """(id of the VM, program, arguments) of every start."""
        self.ignored: list[t.Any] = []
        """Working directories and environments that came with a start."""
        self.on_start: t.Callable[[str], None] = lambda vm: None
        """Called with the id of the VM when a script was taken and nobody has been told so."""
        self.interfaces: dict[str, tuple[str, ...]] = {}
        """The hardware of the routers that have more than one interface, by name of the VM."""
        self.job_file = "vix_job_{} .txt"
        """The file that a failed job leaves. The blank is in the manual, and may be a misprint."""
        self._failed: set[tuple[str, str]] = set()
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
                self.routers[vm] = Router(identity=name, interfaces=self.interfaces.get(name, ("ether1",)))
            return self.routers[vm]

    def _answer(self, request: dict[str, t.Any], say: t.Callable[[dict[str, t.Any]], None]) -> None:
        router = self.router(request["vm"], request["name"])
        if request["op"] == "reboot":
            router.reboot()
        elif request["op"] == "backup":
            self.backups.append((request["vm"], request["script"]))
            say({"ok": tools_script(router, request["script"], self.backup_limit)})
        elif request["op"] == "script":
            say({"done": self._power_script(router, request["vm"], request["script"])})
        elif request["op"] == "report":
            say(report(router, request["keys"]))
            if request["sync"]:
                synchronize(router)
        else:
            login = router.check_login(request["user"], request["password"])
            starts = login and request["op"] == "start" and not request["check_only"]
            if starts:
                self.log.append((request["vm"], request["program"], request["arguments"]))
                self.ignored += filter(None, (request["directory"], request["environment"]))
                self.on_start(request["vm"])
            say({"login": login, "now": router.clock.now().timestamp()})
            if starts:
                say(self._run(router, request))

    def _power_script(self, router: Router, vm: str, name: str) -> bool:
        """Whether the power operation may continue.

        It may if its script succeeded, or if it failed the time before.
        """
        if tools_script(router, name, self.power_limit) or (vm, name) in self._failed:
            self._failed.discard((vm, name))
            return True
        self._failed.add((vm, name))
        return False

    def _run(self, router: Router, request: dict[str, t.Any]) -> dict[str, t.Any]:
        program, arguments = request["program"], request["arguments"]
        if program == "import":
            arguments = f'/import file-name="{NAME.sub(lambda odd: f"{chr(92)}{ord(odd[0]):02X}", arguments)}"'
        power: list[str] = []
        router.on_power = power.append
        stop = threading.Event()
        timer = threading.Timer(self.limit, stop.set)
        timer.start()
        outcome = router.run(arguments.encode(), stop=stop, dialect="vmware")
        timer.cancel()
        if outcome.exitcode != 0 and not stop.is_set():
            router.files[self.job_file.format(request["pid"])] = File(outcome.output)
        if power and power[0] == "reboot":
            router.reboot()
        return {
            "exit": -1 if outcome.exitcode else 0,
            "power": power[0] if power else "",
            "now": router.clock.now().timestamp(),
        }


def tools_script(router: Router, name: str, limit: float) -> bool:
    """Run the script that RouterOS's tools run at an event, if the router has it.

    Returns False if it failed.
    """
    stop = threading.Event()
    timer = threading.Timer(limit, stop.set)
    timer.start()
    there = f'[:len [/system script find name="{name}"]] > 0'
    outcome = router.run(f":if ({there}) do={{ /system script run {name} }}", stop=stop)
    timer.cancel()
    if outcome.exitcode != 0:
        router.files[f"{name}-script.log"] = File(outcome.output)
    return outcome.exitcode == 0


def report(router: Router, keys: dict[str, str]) -> dict[str, t.Any]:
    """Return what the tools report to the hypervisor.

    The interfaces are those that the VM's *keys* (its configuration) ask for, in their order.
    """

    def chosen(name: str, key: str) -> bool:
        patterns = str(keys.get(f"guestinfo.{key}", "")).split(",")
        return any(fnmatch.fnmatchcase(name, pattern.strip()) for pattern in patterns)

    found = [
        one for one in router.interfaces_report() if one["name"] != "lo" and not chosen(one["name"], "exclude-nics")
    ]
    found.sort(key=lambda one: chosen(one["name"], "low-priority-nics") - 2 * chosen(one["name"], "primary-nics"))
    interfaces = [
        {
            "name": one["name"],
            "mac": one["hardware-address"],
            "addresses": [{"address": each["ip-address"], "prefix": each["prefix"]} for each in one["ip-addresses"]],
        }
        for one in found
    ]
    addresses = [each["address"] for one in interfaces for each in one["addresses"]]
    return {"host": router.identity, "address": (addresses or [""])[0], "interfaces": interfaces}


def synchronize(router: Router) -> None:
    """Give *router* the host's time, unless that would take it back by more than AHEAD."""
    ahead = router.clock.now().timestamp() - time.time()
    if ahead <= AHEAD:
        router.clock.shift(-ahead)
