# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest agent of a simulated CHR: the commands, without any transport.

Written from the vendor manual and from published observations of RouterOS 7.22, not from the
collection's client, so that the two check each other.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import json
import threading
import time
import typing as t

from ..routeros import Outcome, Router
from ..switches import Switches

VERSION = "2.10.50"
ABSENT = object()

COMMANDS = (
    "guest-exec",
    "guest-exec-status",
    "guest-file-close",
    "guest-file-flush",
    "guest-file-open",
    "guest-file-read",
    "guest-file-write",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-get-time",
    "guest-get-timezone",
    "guest-info",
    "guest-network-get-interfaces",
    "guest-ping",
    "guest-set-time",
    "guest-shutdown",
    "guest-sync",
    "guest-sync-delimited",
)


class Refused(Exception):
    """The agent answers with an error object."""


class Silence(Exception):
    """The agent carries out the command and does not answer."""


class HangUp(Exception):
    """The agent's side of the channel closes."""


class Agent:
    """Answers requests for one router.

    Safe to call from one thread at a time, ``forget`` from any; jobs run in threads of their own.
    """

    def __init__(self, router: Router, switches: Switches | None = None) -> None:
        self.router = router
        self.switches = switches or Switches()
        self.dialect = "qga"
        """What its scripts are recorded under."""
        self.log: list[str] = []
        """Names of the commands that came, in order."""
        self._jobs: dict[int, _Job] = {}
        self._starting = threading.Lock()
        self._handles: dict[int, _Handle] = {}
        self._next = 100
        self._frozen = False

    def forget(self) -> None:
        """The agent was restarted: jobs stop, handles and job ids are gone."""
        with self._starting:  # a job may run already that is not among them yet
            for job in self._jobs.values():
                job.stop.set()
            self._jobs.clear()
        self._handles.clear()
        self._next += 1000
        self._frozen = False

    def answer(self, request: bytes) -> bytes:
        """The bytes to send for one request; empty when the agent stays silent. Raises HangUp."""
        try:
            message = json.loads(request)
            command, arguments = message["execute"], message.get("arguments", {})
        except (ValueError, KeyError, TypeError, AttributeError):
            command, arguments, message = None, None, {}
        if not isinstance(command, str) or not isinstance(arguments, dict) or set(message) - {"execute", "arguments"}:
            return self._line({"error": {"class": "GenericError", "desc": "JSON parse error, invalid request"}})
        self.log.append(command)
        if command in self.switches.hang_up_on:
            raise HangUp(command)
        try:
            value = self._dispatch(command, arguments)
        except Refused as error:
            return self._line({"error": {"class": "GenericError", "desc": str(error)}})
        except Silence:
            return b""
        if command in self.switches.mute:
            return b""
        delimiter = b"\xff" if command == "guest-sync-delimited" and self.switches.delimiter else b""
        return delimiter + self._line({"return": self._numbers(value) if self.switches.numbers_as_strings else value})

    def _line(self, reply: dict[str, t.Any]) -> bytes:
        return json.dumps(reply).encode() + (b"\n" if self.switches.newline else b"")

    def _numbers(self, value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: self._numbers(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._numbers(item) for item in value]
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _dispatch(self, command: str, arguments: dict[str, t.Any]) -> t.Any:
        if command in self.switches.commands_off:
            raise Refused("Command not supported")
        if command == "guest-file-seek":
            raise Silence
        if command not in COMMANDS:
            raise Refused(f"The command '{command}' was not found")
        method = getattr(self, "_" + command.replace("-", "_"))
        named = {key.replace("-", "_"): value for key, value in arguments.items()}
        try:
            inspect.signature(method).bind(**named)
        except TypeError as error:
            raise Refused(f"Parameter error: {error}") from None
        return method(**named)

    # -- questions ---------------------------------------------------------------------------------

    def _guest_ping(self) -> dict[str, t.Any]:
        return {}

    def _guest_sync(self, id: int) -> int:
        return id

    _guest_sync_delimited = _guest_sync

    def _guest_info(self) -> dict[str, t.Any]:
        return {
            "version": VERSION,
            "supported_commands": [
                {"name": name, "enabled": True, "success-response": name != "guest-sync-delimited"} for name in COMMANDS
            ],
        }

    def _guest_get_osinfo(self) -> dict[str, t.Any]:
        return {
            "id": "routeros",
            "kernel-release": "5.6.3-64",
            "machine": "x86_64",
            "name": "RouterOS",
            "pretty-name": f"RouterOS {self.router.version}",
        }

    def _guest_get_host_name(self) -> dict[str, t.Any]:
        return {"host-name": self.router.identity}

    def _guest_get_time(self) -> int:
        return int(self.router.clock.now().timestamp() * 1e9)

    def _guest_set_time(self, time: int | None = None) -> dict[str, t.Any]:
        if time is not None:
            self.router.clock.shift(time / 1e9 - self.router.clock.now().timestamp())
        return {}

    def _guest_get_timezone(self) -> dict[str, t.Any]:
        return {"offset": 0}

    def _guest_network_get_interfaces(self) -> list[dict[str, t.Any]]:
        return self.router.interfaces_report()

    def _guest_fsfreeze_status(self) -> str:
        return "frozen" if self._frozen else "thawed"

    def _guest_fsfreeze_freeze(self) -> int:
        self._frozen = True
        return 1

    def _guest_fsfreeze_thaw(self) -> int:
        thawed, self._frozen = int(self._frozen), False
        return thawed

    def _guest_shutdown(self, mode: str = "powerdown") -> dict[str, t.Any]:
        if mode not in ("powerdown", "halt", "reboot"):
            raise Refused(f"Invalid parameter value for 'mode': {mode}")
        self.router.device_mode_update = None
        self.router.on_power("reboot" if mode == "reboot" and self.switches.shutdown_honours_reboot else "shutdown")
        if not self.switches.shutdown_answers:
            raise Silence
        return {}

    # -- scripts -----------------------------------------------------------------------------------

    def _guest_exec(
        self,
        path: t.Any = ABSENT,
        input_data: str | None = None,
        capture_output: bool = False,
        arg: list[str] | None = None,
        env: list[str] | None = None,
    ) -> dict[str, t.Any]:
        del env  # "not used", says the manual
        if path is None:
            if not self.switches.accepts_null_path:
                raise Refused("Invalid parameter type for 'path', expected: string")
            path = ABSENT
        if path is not ABSENT:
            if self.switches.path_mode != "works" or (arg is not None and not self.switches.accepts_path_with_arg):
                raise Refused("Invalid parameter 'path'")
            if path not in self.router.files:
                raise Refused(f"file not found: {path}")
            source = self.router.files[path].data
        elif input_data is not None:
            source = _decode(input_data)
        else:
            raise Refused("Parameter 'path' is missing")
        if self.switches.max_input and len(source) > self.switches.max_input:
            raise Refused("input-data is too long")
        self._next += 1
        with self._starting:
            self._jobs[self._next] = _Job(self, source, bool(capture_output))
        return {"pid": self._next}

    def _guest_exec_status(self, pid: int) -> dict[str, t.Any]:
        job = self._jobs.get(int(pid))
        if job is None:
            raise Refused("Invalid parameter 'pid'")
        outcome = job.outcome
        if outcome is None:
            return {"exited": False}
        if self.switches.status_once:
            del self._jobs[int(pid)]
        status: dict[str, t.Any] = {"exited": True, "exitcode": outcome.exitcode}
        if job.capture and outcome.output:
            status["out-data"] = base64.b64encode(outcome.output).decode("ascii")
        return status

    # -- files -------------------------------------------------------------------------------------

    def _guest_file_open(self, path: str, mode: str = "r") -> int:
        if not path or path.startswith("/") or "/" in path.removeprefix("./"):
            raise Refused(f"failed to open file '{path}' (mode: '{mode}'): Operation not permitted")
        name = path.removeprefix("./")
        if len(self._handles) >= self.switches.handles:
            raise Refused("too many open files")
        if mode in self.switches.write_modes:
            handle = _Handle(name, bytearray(), writing=True)
        elif mode in self.switches.read_modes:
            if name not in self.router.files:
                raise Refused(f"failed to open file '{path}' (mode: '{mode}'): No such file or directory")
            handle = _Handle(name, bytearray(self.router.files[name].data), writing=False)
        else:
            raise Refused(f"invalid file open mode '{mode}'")
        self._next += 1
        self._handles[self._next] = handle
        return self._next

    def _handle(self, handle: int, *, writing: bool | None = None) -> _Handle:
        found = self._handles.get(int(handle))
        if found is None or (writing is not None and found.writing != writing):
            raise Refused(f"handle '{handle}' has not been found")
        return found

    def _guest_file_write(self, handle: int, buf_b64: str, count: int | None = None) -> dict[str, t.Any]:
        found = self._handle(handle, writing=True)
        data = _decode(buf_b64)
        if self.router.disk_full:
            raise Refused("failed to write to file: No space left on device")
        if count is not None:
            if count > len(data):
                raise Refused(f"value '{count}' is invalid for argument count")
            data = data[:count]
        if self.switches.max_write:
            data = data[: self.switches.max_write]
        found.data += data
        return {"count": len(data), "eof": False}

    def _guest_file_read(self, handle: int, count: int = 4096) -> dict[str, t.Any]:
        found = self._handle(handle, writing=False)
        data = bytes(found.data[found.position : found.position + count])
        found.position += len(data)
        eof = len(data) < count
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode("ascii"), "eof": eof}

    def _guest_file_flush(self, handle: int) -> dict[str, t.Any]:
        self._handle(handle)
        if not self.switches.close_answers:
            raise Silence
        return {}

    def _guest_file_close(self, handle: int) -> dict[str, t.Any]:
        found = self._handle(handle)
        if found.writing:
            self.router.write_file(found.name, bytes(found.data))
        del self._handles[int(handle)]
        if not self.switches.close_answers:
            raise Silence
        return {}


class _Handle:
    def __init__(self, name: str, data: bytearray, *, writing: bool) -> None:
        self.name = name
        self.data = data
        self.writing = writing
        self.position = 0


class _Job:
    """A script that runs in a thread."""

    def __init__(self, agent: Agent, source: bytes, capture: bool) -> None:
        limit = agent.switches.job_limit
        self.capture = capture
        self.stop = threading.Event()
        self.outcome: Outcome | None = None
        self.ended = 0.0
        """time.monotonic() of the end, for tests that measure how late a client looks."""
        threading.Thread(target=self._run, args=(agent.router, agent.dialect, source), daemon=True).start()
        if limit:
            timer = threading.Timer(limit, self.stop.set)
            timer.daemon = True
            timer.start()

    def _run(self, router: Router, dialect: str, source: bytes) -> None:
        outcome = router.run(source, stop=self.stop, dialect=dialect)
        self.ended = time.monotonic()
        self.outcome = outcome


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Refused("Base64 decode error") from None
