# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxmox VE's REST interface in front of lab routers, as qemu-server 6.2 to 9.2.6 and pve-http-server behave.

Every request is checked against the API schema of the simulated version, where that reference data is at hand.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import re
import secrets
import shlex
import socket
import ssl
import struct
import threading
import time
import typing as t
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from . import reference
from .certificate import make_certificate
from .proxmox_storage import Storages, receive
from .proxmox_tasks import Died, Task
from .qga import HangUp
from .routeros import Router
from .serve import LabRouter
from .switches import Switches

_VM_PATH = re.compile(r"/nodes/([^/]+)/qemu/(\d+)/agent/([a-z-]+)$")
_MACHINE_PATH = re.compile(
    r"/nodes/([^/]+)/qemu/(\d+)(?:/(config|pending|status/(?:current|start|stop)|snapshot|snapshot/([^/]+)))?$"
)
_UPLOAD_PATH = re.compile(r"/nodes/([^/]+)/storage/([^/]+)/upload$")
_TASK_PATH = re.compile(r"/nodes/([^/]+)/tasks/([^/]+)/(status|log)$")
_SIMPLE = {
    "ping": ("POST", "guest-ping"),
    "info": ("GET", "guest-info"),
    "get-time": ("GET", "guest-get-time"),
    "get-timezone": ("GET", "guest-get-timezone"),
    "get-osinfo": ("GET", "guest-get-osinfo"),
    "get-host-name": ("GET", "guest-get-host-name"),
    "network-get-interfaces": ("GET", "guest-network-get-interfaces"),
    "get-users": ("GET", "guest-get-users"),
    "fsfreeze-status": ("POST", "guest-fsfreeze-status"),
    "fsfreeze-freeze": ("POST", "guest-fsfreeze-freeze"),
    "fsfreeze-thaw": ("POST", "guest-fsfreeze-thaw"),
    "shutdown": ("POST", "guest-shutdown"),
}
_AUDIT = {
    "ping",
    "info",
    "get-time",
    "get-timezone",
    "get-osinfo",
    "get-host-name",
    "network-get-interfaces",
    "get-users",
}
SCHEMAS = "pve_schema_by_version.json"
EVERYTHING = frozenset(
    {
        *("VM.Audit", "VM.Monitor", "VM.PowerMgmt", "VM.GuestAgent.Unrestricted"),
        *(
            "VM.Snapshot",
            "VM.Config.Options",
            "VM.Config.CPU",
            "VM.Config.Disk",
            "VM.Config.HWType",
            "VM.Config.Memory",
        ),
        *("VM.Config.Network", "VM.Allocate", "SDN.Use"),
        *("Datastore.Audit", "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"),
    }
)


@functools.cache
def _schemas() -> dict[str, t.Any]:
    found = reference.find(SCHEMAS)
    return json.loads(found.read_text()) if found else {}


@functools.cache
def _schema(version: str) -> dict[str, t.Any]:
    return next((one["paths"] for key, one in _schemas().items() if key.startswith(f"{version} ")), {})


@functools.cache
def _templates(version: str) -> list[tuple[re.Pattern[str], str]]:
    """The paths of the schema, those with the fewest placeholders first."""
    found = sorted(_schema(version), key=lambda path: path.count("{"))
    names = {"volume": ".+"}
    return [
        (re.compile(re.sub(r"\{(\w+)\}", lambda one: f"(?P<{one[1]}>{names.get(one[1], '[^/]+')})", path)), path)
        for path in found
    ]


def _wrong(rule: dict[str, t.Any], value: t.Any) -> str | None:
    """What PVE's schema has against a value."""
    kind = rule.get("type")
    if kind == "array":
        return None if isinstance(value, list) else "type check ('array') failed"
    if kind == "integer" and not str(value).lstrip("-").isdigit():
        return f"type check ('integer') failed - got '{value}'"
    if kind == "integer" and int(value) < rule.get("minimum", int(value)):
        return f"value must have a minimum value of {rule['minimum']}"
    if kind == "boolean":
        return None if str(value) in ("0", "1", "True", "False") else f"type check ('boolean') failed - got '{value}'"
    if kind == "string" and not isinstance(value, str):
        return "type check ('string') failed"
    if kind == "string" and len(value) > rule.get("maxLength", 1 << 40):
        return f"value may only be {rule['maxLength']} characters long"
    if "enum" in rule and value not in rule["enum"]:
        return f"value '{value}' does not have a value in the enumeration '{', '.join(rule['enum'])}'"
    if "pattern" in rule and not re.fullmatch(rule["pattern"], str(value)):
        return f"value does not match the regex pattern '{rule['pattern']}'"
    if rule.get("format") == "pve-configid" and not re.fullmatch(r"(?i)[a-z][a-z0-9_-]+", value):
        return f"invalid format - invalid configuration ID '{value}'"
    if isinstance(rule.get("format"), dict):
        return _wrong_parts(rule["format"], value)
    return None


def _wrong_parts(rules: dict[str, dict[str, t.Any]], value: str) -> str | None:
    """The same for the parts of ``a=1,b=2``, one of which can go without its name."""
    default = next((name for name, rule in rules.items() if rule.get("default_key")), None)
    for part in value.split(","):
        name, given, content = part.partition("=")
        if not given:
            name, content = default or part, part
        rule = rules.get(name)
        if rule is None:
            return f"invalid format - format error {name}: property is not defined in schema"
        if not {"alias", "keyAlias"} & rule.keys() and (error := _wrong(rule, content)):
            return f"invalid format - format error {name}: {error}"
    return None


class LabVm:
    """One VM: its agent (of a lab router) and its place."""

    def __init__(self, vmid: int, name: str, node: str, router: LabRouter) -> None:
        self.vmid, self.name, self.node, self.lab = vmid, name, node, router
        self.kind = "qemu"
        self.template = False
        self.config = {
            "agent": "1",
            "name": name,
            "net0": f"virtio=BC:24:11:{secrets.token_bytes(3).hex(':').upper()},bridge=vmbr0",
            "virtio0": f"local-lvm:vm-{vmid}-disk-0,size=128M",
        }
        self.made = float("-inf")
        """When, in monotonic time."""
        self.pending: dict[str, str | None] = {}
        """Changes that a cold start brings; None: the option goes."""
        self.snapshots: dict[str, dict[str, t.Any]] = {}
        self.thaws_refused = 0
        """So many of Proxmox VE's own thaws fail."""
        self.lock = threading.Lock()
        self.wire: list[dict[str, t.Any]] = []
        """What reached the agent, in order."""

    @property
    def agent_enabled(self) -> bool:
        return self.config["agent"].split(",")[0] in ("1", "enabled=1")

    @agent_enabled.setter
    def agent_enabled(self, value: bool) -> None:
        self.config["agent"] = "1" if value else "0"

    @property
    def digest(self) -> str:
        return hashlib.sha1(json.dumps([self.config, self.pending]).encode(), usedforsecurity=False).hexdigest()

    def with_pending(self) -> dict[str, str]:
        merged = {**self.config, **self.pending}
        return {key: value for key, value in merged.items() if value is not None}

    def cold_start(self) -> None:
        """Off and on again."""
        self.lab.stop()
        self.config, self.pending = self.with_pending(), {}
        self.lab.start()

    @property
    def router(self) -> Router:
        return self.lab.router

    @property
    def running(self) -> bool:
        return self.lab._listener is not None


class LabProxmox(Storages):
    """A cluster of that *version* with the nodes pve1 and pve2, and an HTTPS server; a context manager.

    *folder* gets the certificate and the agents' sockets (``<vmid>.qga``). *agent_timeout*, in seconds, stands for the 5 (ping:
    3) of a real node.
    """

    def __init__(self, folder: Path, version: str = "9.1", agent_timeout: float = 0.3) -> None:
        self.folder, self.version, self.agent_timeout = folder, version, agent_timeout
        self.number = tuple(map(int, version.split(".")))
        self.nodes: tuple[str, ...] = ("pve1", "pve2")
        self.vms: dict[int, LabVm] = {}
        self.passwords = {"root@pam": "pass-w0rd"}
        self.tokens = {"root@pam!chr": "t0ken-secret"}
        self.privileges: dict[str, frozenset[str]] = {}
        """Of a login; everything where it is not listed."""
        self.offline: set[str] = set()
        self.faults: dict[str, str] = {}
        """A part of a path -> ``hang``, ``reset``, ``cut`` or ``<status> <reason>``."""
        self.lost: list[tuple[str, str]] = []
        """Methods and ends of paths whose next answer is lost, after the work is done."""
        self.log: list[tuple[str, str, dict[str, t.Any]]] = []
        self.invalid: list[str] = []
        """Requests that the schema refuses."""
        self.tasks: dict[str, Task] = {}
        self.task_seconds = 0.0
        """How long each task takes."""
        self.task_faults: dict[str, str] = {}
        """The type of a task (``qmsnapshot``) -> the error with which it ends."""
        self.warning_prefix = ""
        """Before the warnings of a task: with ``WARN: `` they are also counted in its exit status. Versions differ."""
        self.logins = 0
        self.refused_logins = 0
        self._tickets: dict[str, str] = {}
        self._prepare()
        self.certificate = folder / "pve.pem"
        make_certificate(self.certificate, "DNS:localhost")

    def add(self, vmid: int, name: str, node: str = "pve1", **switches: t.Any) -> LabVm:
        behaviour = Switches(**switches)
        router = Router(identity=name, output_newline=behaviour.output_newline)
        lab = LabRouter(router, f"unix:{self.folder / str(vmid)}.qga", behaviour).start()
        self.vms[vmid] = LabVm(vmid, name, node, lab)
        return self.vms[vmid]

    def _new(self, vmid: int, node: str, **switches: t.Any) -> LabVm:
        """A VM that is off, and has nothing yet."""
        behaviour = Switches(**switches)
        router = Router(output_newline=behaviour.output_newline)
        lab = LabRouter(router, f"unix:{self.folder / str(vmid)}.qga", behaviour)
        vm = self.vms[vmid] = LabVm(vmid, "", node, lab)
        vm.config, vm.made = {"agent": "0"}, time.monotonic()
        return vm

    def expire_tickets(self) -> None:
        self._tickets.clear()

    def __enter__(self) -> LabProxmox:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        lab = self

        class Handler(_Handler):
            proxmox = lab

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                """Clients go away; that is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        # for the node's own qm, which is another process
        about = {"port": self.port, "ca": str(self.certificate), "password": self.passwords["root@pam"]}
        (self.folder / "pve.json").write_text(json.dumps(about))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for vm in self.vms.values():
            vm.lab.stop()

    # -- one request -------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, values: dict[str, t.Any], headers: t.Mapping[str, str]) -> t.Any:
        """The ``data``. Raises Died."""
        self.log.append((method, path, values))
        if path == "/access/ticket":
            return self._log_in(values)
        login = self._login(method, headers)
        self._check(method, path, values)
        if path == "/version":
            return {"version": f"{self.version}.1" if self.number >= (8, 0) else f"{self.version}-3"}
        if path == "/cluster/resources":
            if "VM.Audit" not in self._privileges(login):
                return []
            return [
                {
                    "type": vm.kind,
                    "vmid": vm.vmid,
                    "node": vm.node,
                    "id": f"{vm.kind}/{vm.vmid}",
                    **({"name": vm.name, "template": int(vm.template)} if self.known_to_the_cluster(vm) else {}),
                }
                for vm in list(self.vms.values())
            ]
        if found := _VM_PATH.match(path):
            return self._agent_call(method, found[1], int(found[2]), found[3], values, login)
        if found := _MACHINE_PATH.match(path):
            vm = self._find(found[1], int(found[2]))
            if found[4]:
                return self._remove_snapshot(vm, login, found[4])
            what = (found[3] or "vm").replace("/", "_")
            return getattr(self, f"_{method.lower()}_{what}")(vm, login, values)
        if found := _TASK_PATH.match(path):
            return self._task_answer(found[2], found[3], values)
        data = self._storage_call(method, path, values, login)
        if data is NotImplemented:
            raise Died(501, f"Method '{method} {path}' not implemented")
        return data

    def _privileges(self, login: str) -> frozenset[str]:
        return self.privileges.get(login, EVERYTHING)

    def _log_in(self, values: dict[str, t.Any]) -> t.Any:
        self._check("POST", "/access/ticket", values)
        if self.passwords.get(values["username"]) != values["password"]:
            self.refused_logins += 1
            raise Died(401, "authentication failure")
        self.logins += 1
        ticket = f"PVE:{values['username']}:{secrets.token_hex(8)}"
        self._tickets[ticket] = values["username"]
        return {"ticket": ticket, "CSRFPreventionToken": f"csrf-{ticket}", "username": values["username"]}

    def _login(self, method: str, headers: t.Mapping[str, str]) -> str:
        given = headers.get("Authorization", "")
        if given.startswith("PVEAPIToken="):
            login, _unused, secret = given.removeprefix("PVEAPIToken=").partition("=")
            if login not in self.tokens:
                raise Died(401, "no such token")
            if self.tokens[login] != secret:
                raise Died(401, "invalid token value!")
            return login
        ticket = headers.get("Cookie", "").removeprefix("PVEAuthCookie=")
        if ticket not in self._tickets:
            raise Died(401, "permission denied - invalid PVE ticket" if ticket else "No ticket")
        if method != "GET" and headers.get("CSRFPreventionToken") != f"csrf-{ticket}":
            raise Died(401, "Permission denied - invalid csrf token")
        return self._tickets[ticket]

    def _check(self, method: str, path: str, values: dict[str, t.Any]) -> None:
        """Against the schema of this version, where we have it."""
        template, known = path, dict(values)
        for pattern, name in _templates(self.version):
            if place := pattern.fullmatch(path):
                template, known = name, known | place.groupdict()
                break
        schema = _schema(self.version).get(template)
        if schema is None:
            return
        if method not in schema:
            raise Died(501, f"Method '{method} {path}' not implemented")
        properties = schema[method].get("parameters", {}).get("properties", {})
        errors = {}
        for name, rule in properties.items():
            if name not in known and not name.endswith("[n]") and not rule.get("optional"):
                errors[name] = "property is missing and it is not optional"
        for name, value in known.items():
            rule = properties.get(name) or properties.get(re.sub(r"\d+$", "[n]", name))
            if rule is None:
                errors[name] = "property is not defined in schema and the schema does not allow additional properties"
            elif error := _wrong(rule, value):
                errors[name] = error
        if errors:
            self.invalid.append(f"{method} {path}: {errors}")
            raise Died(400, "Parameter verification failed.", errors)

    # -- the machine's part ------------------------------------------------------------------------------------------

    def _find(self, node: str, vmid: int) -> LabVm:
        if node in self.offline:
            raise Died(595, "No route to host")
        vm = self.vms.get(vmid)
        if vm is None or vm.node != node:
            raise Died(500, f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return vm

    def _need(self, login: str, vm: LabVm, privilege: str) -> None:
        if privilege not in self._privileges(login):
            raise Died(403, f"Permission check failed (/vms/{vm.vmid}, {privilege})")

    def _get_status_current(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> t.Any:
        self._need(login, vm, "VM.Audit")
        return {"vmid": vm.vmid, "name": vm.name, "status": "running" if vm.running else "stopped"}

    def _get_config(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> t.Any:
        self._need(login, vm, "VM.Audit")
        config = vm.config if str(values.get("current", 0)) == "1" else vm.with_pending()
        return {**config, "digest": vm.digest}

    def _get_pending(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> t.Any:
        self._need(login, vm, "VM.Audit")
        listed = []
        for key in sorted({*vm.config, *vm.pending}):
            entry: dict[str, t.Any] = {"key": key}
            if key in vm.config:
                entry["value"] = vm.config[key]
            if key in vm.pending:
                entry |= {"delete": 1} if vm.pending[key] is None else {"pending": vm.pending[key]}
            listed.append(entry)
        return listed

    def _put_config(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> None:
        self._need(login, vm, "VM.Config.Options")
        digest = values.pop("digest", vm.digest)
        changes: dict[str, str | None] = dict(values)
        changes |= dict.fromkeys(str(changes.pop("delete", "")).split(",") if "delete" in changes else (), None)
        if set(changes) <= {"description"}:
            vm.config |= {key: str(value) for key, value in changes.items()}
            return
        if set(changes) - {"args"}:
            raise Died(501, "the lab changes args and the description only")
        if login != "root@pam":  # nor a token of root@pam
            raise Died(500, "only root can set 'args' config")
        if digest != vm.digest:
            raise Died(500, "detected modified configuration - file changed by other user? Try again.")
        for key, value in changes.items():
            if value is not None:
                shlex.split(value)  # as at the start of the VM
            vm.pending.pop(key, None)
            if value != vm.config.get(key):
                vm.pending[key] = value
        if not vm.running:
            vm.config, vm.pending = vm.with_pending(), {}

    def _get_snapshot(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> t.Any:
        self._need(login, vm, "VM.Audit")
        listed = [{"name": name, **one} for name, one in vm.snapshots.items()]
        return [*listed, {"name": "current", "description": "You are here!", "running": int(vm.running)}]

    def _post_snapshot(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> str:
        self._need(login, vm, "VM.Snapshot")
        name = values["snapname"]
        if name == "current":
            raise Died(400, "unable to use snapshot name 'current' (reserved name)")

        def work(log: list[str]) -> None:
            if name in vm.snapshots:
                raise Died(500, f"snapshot name '{name}' already used")
            frozen = self._freezes(vm, values)
            if frozen:
                self._warn(log, vm, "guest-fsfreeze-freeze", self._tell(vm, "guest-fsfreeze-freeze"))
            log.append(f"snapshotting 'drive-virtio0' ({vm.config['virtio0'].partition(',')[0]})")
            log.append(f'  Logical volume "snap_vm-{vm.vmid}-disk-0_{name}" created.')
            at_rest = not vm.running or vm.lab.agent._frozen
            if frozen:
                vm.thaws_refused -= 1
                refused = {"error": {"desc": "failed to thaw"}} if vm.thaws_refused >= 0 else None
                self._warn(log, vm, "guest-fsfreeze-thaw", refused or self._tell(vm, "guest-fsfreeze-thaw"))
            described = {"description": f"{values['description']}\n"} if values.get("description") else {}
            vm.snapshots[name] = {"snaptime": int(time.time()), "vmstate": 0, "at_rest": at_rest, **described}

        return self._start(vm, login, "qmsnapshot", work)

    def _freezes(self, vm: LabVm, values: dict[str, t.Any]) -> bool:
        """Whether Proxmox VE freezes; where it does not, it does not say so."""
        options = vm.config["agent"].split(",")
        switches = ["freeze-fs=0", "guest-fsfreeze=0"] + (["freeze-fs-on-backup=0"] if self.number >= (9, 1) else [])
        if not vm.running or not vm.agent_enabled or str(values.get("vmstate", 0)) == "1":
            return False
        if any(switch in options for switch in switches) or self._tell(vm, "guest-ping") is None:
            return False
        return (self._tell(vm, "guest-fsfreeze-status") or {}).get("return") != "frozen"

    def _warn(self, log: list[str], vm: LabVm, command: str, reply: dict[str, t.Any] | None) -> None:
        if reply is None:
            log.append(f"{self.warning_prefix}{command} problems - {self._timeout(vm, command).reason}")
        elif "error" in reply:
            said = f"VM {vm.vmid} qga command '{command}' failed - {reply['error']['desc']}"
            log.append(f"{self.warning_prefix}{command} problems - {said}")

    def _remove_snapshot(self, vm: LabVm, login: str, name: str) -> str:
        self._need(login, vm, "VM.Snapshot")

        def work(log: list[str]) -> None:
            if vm.snapshots.pop(name, None) is None:
                raise Died(500, f"snapshot '{name}' does not exist")
            log.append(f'  Logical volume "snap_vm-{vm.vmid}-disk-0_{name}" successfully removed.')

        return self._start(vm, login, "qmdelsnapshot", work)

    def _start(self, vm: LabVm, login: str, kind: str, work: t.Callable[[list[str]], None]) -> str:
        return self._begin(vm.node, vm.vmid, login, kind, work)

    def _begin(self, node: str, about: int | str, login: str, kind: str, work: t.Callable[[list[str]], None]) -> str:
        upid = f"UPID:{node}:{secrets.token_hex(4).upper()}:0A1B2C3D:{int(time.time()):08X}:{kind}:{about}:{login}:"

        def fail(log: list[str]) -> None:
            raise Died(500, self.task_faults[kind])

        spoilt = kind in self.task_faults and kind not in ("qmcreate", "qmconfig")  # which clear up first
        self.tasks[upid] = Task(upid, fail if spoilt else work, self.task_seconds)
        return upid

    def _task_answer(self, upid: str, what: str, values: dict[str, t.Any]) -> t.Any:
        task = self.tasks.get(upid)
        if task is None:
            raise Died(500, "no such task")
        if what == "status":
            ended = {"exitstatus": task.exitstatus} if task.exitstatus else {}
            return {"upid": upid, "status": "stopped" if ended else "running", **ended}
        start, limit = int(values.get("start", 0)), int(values.get("limit", 50))
        return [{"n": n, "t": line} for n, line in list(enumerate(task.log, 1))[start : start + limit]]

    # -- the agent's part --------------------------------------------------------------------------------------------

    def _agent_call(
        self, method: str, node: str, vmid: int, command: str, values: dict[str, t.Any], login: str
    ) -> t.Any:
        self._permit(login, vmid, command)
        vm = self._find(node, vmid)
        if not vm.agent_enabled:
            raise Died(500, "No QEMU guest agent configured")
        if not vm.running:
            raise Died(500, f"VM {vmid} is not running")
        if self._tell(vm, "guest-ping") is None:
            raise Died(500, "QEMU guest agent is not running")
        if command in _SIMPLE:
            reply = self._tell(vm, _SIMPLE[command][1])
            if reply is None and command == "shutdown":
                return {"result": {}}
            if reply is None:
                raise self._timeout(vm, _SIMPLE[command][1])
            if "error" in reply:
                return {"result": {"error": reply["error"]}}
            return {"result": reply["return"]}
        handler = getattr(self, "_" + command.replace("-", "_"), None)
        if handler is None:
            raise Died(501, f"Method '{method} .../{command}' not implemented")
        return handler(vm, values)

    def _permit(self, login: str, vmid: int, command: str) -> None:
        if command == "shutdown":
            needed = "VM.PowerMgmt"
        elif self.number < (9, 0):
            needed = "VM.Monitor"
        else:
            needed = "VM.GuestAgent.Audit" if command in _AUDIT else "VM.GuestAgent.Unrestricted"
        if not self._privileges(login) & {needed, "VM.GuestAgent.Unrestricted" if self.number >= (9, 0) else needed}:
            raise Died(403, f"Permission check failed (/vms/{vmid}, {needed})")

    def _tell(self, vm: LabVm, command: str, arguments: dict[str, t.Any] | None = None) -> dict[str, t.Any] | None:
        """The agent's reply; None when it stayed silent for its time."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        with vm.lock:
            vm.wire.append(request)
            try:
                away = time.monotonic() < vm.lab._away_until
                reply = b"" if away else vm.lab.agent.answer(json.dumps(request).encode())
            except HangUp:
                reply = b""
        if not reply:
            time.sleep(self.agent_timeout)
            return None
        decoded: dict[str, t.Any] = json.loads(reply.lstrip(b"\xff"))
        return decoded

    def _agent(self, vm: LabVm, command: str, arguments: dict[str, t.Any] | None = None) -> t.Any:
        reply = self._tell(vm, command, arguments)
        if reply is None:
            raise self._timeout(vm, command)
        if "error" in reply:
            raise Died(500, f"Agent error: {reply['error']['desc']}")
        return reply["return"]

    def _timeout(self, vm: LabVm, command: str) -> Died:
        kind = "qga" if self.number >= (9, 1) else "qmp"
        return Died(500, f"VM {vm.vmid} {kind} command '{command}' failed - got timeout")

    def _exec(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        command = values.get("command")
        if self.number >= (8, 0):
            if command is None:
                errors = {"command": "property is missing and it is not optional"}
                raise Died(400, "Parameter verification failed.", errors)
        elif command is not None:
            command = command.split("\0") if "\0" in command else command.split()
        arguments: dict[str, t.Any] = {"capture-output": True}
        if command is not None:
            arguments |= {"path": command[0] if command else None, "arg": command[1:]}
        if "input-data" in values:
            arguments["input-data"] = base64.b64encode(_octets(values["input-data"])).decode()
        return {"pid": self._agent(vm, "guest-exec", arguments)["pid"]}

    def _exec_status(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        status = self._agent(vm, "guest-exec-status", {"pid": int(values["pid"])})
        shown = {**status, "exited": int(str(status["exited"]) in ("True", "1"))}
        if "out-data" in status:
            shown["out-data"] = base64.b64decode(status["out-data"]).decode("latin-1")
        return shown

    def _file_write(self, vm: LabVm, values: dict[str, t.Any]) -> None:
        if "encode" in values and self.number < (7, 2):
            raise Died(400, "Parameter verification failed.", {"encode": "property is not defined in schema"})
        content = values["content"]
        if str(values.get("encode", 1)) in ("1", "True"):
            content = base64.b64encode(_octets(content)).decode()
        handle = self._agent(vm, "guest-file-open", {"path": values["file"], "mode": "wb"})
        self._agent(vm, "guest-file-write", {"handle": handle, "buf-b64": content})
        self._agent(vm, "guest-file-close", {"handle": handle})

    def _file_read(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        handle = self._agent(vm, "guest-file-open", {"path": values["file"]})
        reply = self._agent(vm, "guest-file-read", {"handle": handle, "count": 1024 * 1024})
        self._agent(vm, "guest-file-close", {"handle": handle})
        data = base64.b64decode(reply["buf-b64"])
        return {"content": data.decode("latin-1"), "bytes-read": len(data)}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxmox: LabProxmox

    def log_message(self, format: str, *args: t.Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._serve("GET", url.path, dict(parse_qsl(url.query, keep_blank_values=True)))

    def do_DELETE(self) -> None:
        if int(self.headers.get("Content-Length", 0)):
            self._send(501, "Unexpected content for method 'DELETE'", {"data": None})
            return
        url = urlsplit(self.path)
        self._serve("DELETE", url.path, dict(parse_qsl(url.query, keep_blank_values=True)))

    def do_PUT(self) -> None:
        self.do_POST("PUT")

    def do_POST(self, method: str = "POST") -> None:
        length = int(self.headers.get("Content-Length", 0))
        path = unquote(urlsplit(self.path).path).removeprefix("/api2/json")
        if method == "POST" and (place := _UPLOAD_PATH.match(path)):
            self._upload(place[1], place[2], length)
            return
        if length > (64 if self.proxmox.number < (8, 4) else 512) * 1024:
            self.rfile.read(length)
            self._send(501, "for data too large", {"data": None})
            return
        body = self.rfile.read(length)
        try:
            if "json" in self.headers.get("Content-Type", ""):
                values = json.loads(body)
            else:
                values = {}
                for key, value in parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=99):
                    values[key] = f"{values[key]}\0{value}" if key in values else value
        except ValueError:
            self._send(400, "bad body", {"data": None})
            return
        self._serve(method, urlsplit(self.path).path, values)

    def _upload(self, node: str, storage: str, length: int) -> None:
        """A form with a file; the connection ends with it."""
        pve, self.close_connection = self.proxmox, True
        spool = pve.folder / f"pveupload-{secrets.token_hex(8)}"

        def take() -> t.Any:
            login = pve._login("POST", self.headers)
            if pve.spool_full:
                raise Died(501, "write to temporary file failed - No space left on device")
            kind = self.headers.get("Content-Type", "")
            return pve.start_upload(node, storage, receive(self.rfile, length, kind, spool, pve.uploading), login)

        try:
            self._answer(f"/nodes/{node}/storage/{storage}/upload", take)
        except OSError:
            spool.unlink(missing_ok=True)

    def _serve(self, method: str, path: str, values: dict[str, t.Any]) -> None:
        path = unquote(path).removeprefix("/api2/json")
        self._answer(path, lambda: self.proxmox.answer(method, path, values, self.headers))

    def _answer(self, path: str, answer: t.Callable[[], t.Any]) -> None:
        for part, fault in self.proxmox.faults.items():
            if part in path and self._fail(fault):
                return
        try:
            data = answer()
        except Died as error:
            body: dict[str, t.Any] = {"data": None}
            if error.errors:
                body["errors"] = error.errors
            if self.proxmox.number >= (8, 4):
                body["message"] = f"{error.reason}\n"
            self._send(error.status, error.reason, body)
        else:
            for lost in self.proxmox.lost:
                if lost[0] == self.command and path.endswith(lost[1]):
                    self.proxmox.lost.remove(lost)
                    self._fail("reset")
                    return
            self._send(200, "OK", {"data": data})

    def _fail(self, fault: str) -> bool:
        if fault == "hang":
            time.sleep(60)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        elif fault != "hang":
            status, _unused, reason = fault.partition(" ")
            self._send(int(status), reason, {"data": None})
            return True
        self.close_connection = True
        self.connection.close()
        return True

    def _send(self, status: int, reason: str, body: dict[str, t.Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status, reason)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _octets(text: str) -> bytes:
    """As Perl does it: characters below 256 are bytes."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Died(500, "Wide character in subroutine entry at /usr/share/perl5/PVE/QemuServer/Agent.pm") from None
