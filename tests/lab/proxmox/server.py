# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxmox VE's REST interface in front of lab routers.

It behaves as qemu-server 6.2 to 9.2.6 and pve-http-server do.

Every request is checked against the API schema of the simulated version, where that reference data
is at hand.
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
import ssl
import threading
import time
import typing as t
from pathlib import Path

from .. import reference
from ..certificate import make_certificate
from ..qga.agent import HangUp
from ..routeros import Router
from ..serve import LabRouter
from ..switches import Switches
from .front import Handler, Listing
from .resources import Resources
from .storage import Storages
from .tasks import Died, Task
from .workers import Workers

_VM_PATH = re.compile(r"/nodes/([^/]+)/qemu/(\d+)/agent/([a-z-]+)$")
_MACHINE_PATH = re.compile(
    r"/nodes/([^/]+)/qemu/(\d+)(?:/(config|pending|status/(?:current|start|stop|reset)|snapshot|snapshot/([^/]+?)(/rollback)?))?$"
)
_TASKS_PATH = re.compile(r"/nodes/([^/]+)/tasks$")
_TASK_PATH = re.compile(r"/nodes/([^/]+)/tasks/([^/]+)/(status|log)$")
_UPID = re.compile(r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:")
# What pveproxy answers by itself. The rest goes to the workers of a node's pvedaemon.
_BY_PROXY = re.compile(
    r"/version|/cluster/(resources|nextid|status)|/pools(/[^/]+)?|/access/permissions|/nodes(/[^/]+/(network|qemu/\d+/(config|pending)))?"
)
_SIMPLE = {
    "ping": ("POST", "guest-ping"),
    "info": ("GET", "guest-info"),
    "get-time": ("GET", "guest-get-time"),
    "get-timezone": ("GET", "guest-get-timezone"),
    "get-osinfo": ("GET", "guest-get-osinfo"),
    "get-host-name": ("GET", "guest-get-host-name"),
    "network-get-interfaces": ("GET", "guest-network-get-interfaces"),
    "get-users": ("GET", "guest-get-users"),
    "get-vcpus": ("GET", "guest-get-vcpus"),
    "get-fsinfo": ("GET", "guest-get-fsinfo"),
    "get-memory-blocks": ("GET", "guest-get-memory-blocks"),
    "get-memory-block-info": ("GET", "guest-get-memory-block-info"),
    "fstrim": ("POST", "guest-fstrim"),
    "suspend-disk": ("POST", "guest-suspend-disk"),
    "suspend-hybrid": ("POST", "guest-suspend-hybrid"),
    "suspend-ram": ("POST", "guest-suspend-ram"),
    "fsfreeze-status": ("POST", "guest-fsfreeze-status"),
    "fsfreeze-freeze": ("POST", "guest-fsfreeze-freeze"),
    "fsfreeze-thaw": ("POST", "guest-fsfreeze-thaw"),
    "shutdown": ("POST", "guest-shutdown"),
}
# The privilege of Proxmox VE 9 for a command of the agent, beside VM.GuestAgent.Unrestricted.
_PRIVILEGES = {
    **dict.fromkeys(("exec", "exec-status"), ""),
    **dict.fromkeys(("fsfreeze-freeze", "fsfreeze-thaw", "fstrim"), "VM.GuestAgent.FileSystemMgmt"),
    **dict.fromkeys(("shutdown", "suspend-disk", "suspend-hybrid", "suspend-ram"), "VM.PowerMgmt"),
    "fsfreeze-status": "VM.GuestAgent.Audit|VM.GuestAgent.FileSystemMgmt",
    "file-read": "VM.GuestAgent.FileRead",
    "file-write": "VM.GuestAgent.FileWrite",
}
_SLEEPS = ("disk", "hybrid", "ram")
SCHEMAS = "pve_schema_by_version.json"
_QEMU_SERVER = {"6.2": (6, 2, 0), "7.4": (7, 4, 3), "8.0": (8, 0, 6), "8.4": (8, 4, 10), "9.0": (9, 0, 22)}
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
        *("VM.Config.Network", "VM.Allocate", "SDN.Use", "Sys.Audit"),
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
    if kind == "array" and isinstance(value, list):
        return next((wrong for one in value if (wrong := _wrong(rule.get("items", {}), one))), None)
    if kind == "array":
        return "type check ('array') failed"
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
        self.vmid, self.node, self.lab = vmid, node, router
        self.kind = "qemu"
        self.qmpstatus: str | None = None
        """What QEMU says of itself, in place of ``running`` or ``stopped``."""
        self.pool: str | None = None
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
        self.disks: dict[str, dict[str, t.Any]] = {}
        """The router's disk in each snapshot."""
        self.thaws_refused = 0
        """So many of Proxmox VE's own thaws fail."""
        self.late: list[str] = []
        """Commands whose next answer comes so late that it reaches the connection after that."""
        self.crossing = False
        self.wire: list[dict[str, t.Any]] = []
        """What reached the agent, in order."""

    @property
    def name(self) -> str:
        return self.config.get("name", "")

    @name.setter
    def name(self, value: str) -> None:
        self.config["name"] = value

    @property
    def template(self) -> bool:
        return self.config.get("template") == "1"

    @template.setter
    def template(self, value: bool) -> None:
        self.config["template"] = "1" if value else "0"

    @property
    def agent_enabled(self) -> bool:
        return self.config.get("agent", "0").split(",")[0] in ("1", "enabled=1")

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


class LabProxmox(Resources, Storages):
    """A context manager: a cluster of *version* with the nodes pve1 and pve2, and an HTTPS server.

    *folder* gets the certificate and the agents' sockets (``<vmid>.qga``). *agent_timeout*, in
    seconds, stands for the 5 (ping: 3) of a real node. Each node has a pvedaemon with three
    workers, which an agent's silence blocks as it blocks the real ones.
    """

    def __init__(self, folder: Path, version: str = "9.1", agent_timeout: float = 0.3) -> None:
        self.folder, self.version, self.agent_timeout = folder, version, agent_timeout
        self.qemu_server: tuple[int, ...] = _QEMU_SERVER.get(version, (9, 2, 6))
        """The version of the package that takes snapshots; its words for a freeze changed often."""
        self.proxy_timeout = 30.0
        """Seconds after which pveproxy gives up waiting for a daemon, with the status 596."""
        self.number = tuple(map(int, version.split(".")))
        self.nodes: tuple[str, ...] = ("pve1", "pve2")
        self.cluster_name: str | None = "lab"
        """None: a single node that is in no cluster."""
        self.vms: dict[int, LabVm] = {}
        self.passwords = {"root@pam": "pass-w0rd"}
        self.tokens = {"root@pam!chr": "t0ken-secret"}
        self.privileges: dict[str, frozenset[str]] = {}
        """The privileges of each login; a login that is not listed has all of them."""
        self.offline: set[str] = set()
        self.offline_error = (595, "Network is unreachable")
        """How a node that is offline is refused. A certificate that is not trusted is a 596."""
        self.refusal_seconds = 0.03
        """How late a login is refused. On a real node: 3 s."""
        self.idle_seconds = 4.6
        """How long a connection without a request stays open."""
        self.connection_seconds = 5.0
        """The timer of a connection that pvedaemon has accepted and not read."""
        self.largest_body = (64 if self.number < (8, 4) else 512) * 1024
        """The bytes of the largest body of a request. pve-http-server 5.2.1 raised them."""
        self.connections = 0
        """How many connections there were."""
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
        """Before the warnings of a task: with ``WARN: `` they are also counted in its exit status.

        Versions differ.
        """
        self.logins = 0
        self.refused_logins = 0
        self._tickets: dict[str, str] = {}
        self._workers: dict[str, Workers] = {}
        self._starting = threading.Lock()
        self._prepare()
        self.certificate = folder / "pve.pem"
        make_certificate(self.certificate, "DNS:localhost")

    def add(self, vmid: int, name: str, node: str = "pve1", *, running: bool = True, **switches: t.Any) -> LabVm:
        behaviour = Switches(**switches)
        router = Router(identity=name, output_newline=behaviour.output_newline)
        lab = LabRouter(router, f"unix:{self.folder / str(vmid)}.qga", behaviour)
        if running:
            lab.start()
        lab.agent.dialect = "proxmox"
        self.vms[vmid] = LabVm(vmid, name, node, lab)
        return self.vms[vmid]

    def _new(self, vmid: int, node: str, cards: int, **switches: t.Any) -> LabVm:
        """A VM that is off, and has nothing yet."""
        behaviour = Switches(**switches)
        names = tuple(f"ether{number}" for number in range(1, cards + 1))
        router = Router(interfaces=names, output_newline=behaviour.output_newline, cards_after=self.cards_after)
        lab = LabRouter(router, f"unix:{self.folder / str(vmid)}.qga", behaviour)
        lab.agent.dialect = "proxmox"
        vm = self.vms[vmid] = LabVm(vmid, "", node, lab)
        vm.config, vm.made = {}, time.monotonic()
        return vm

    def variables(self, *, root: bool = False, **more: t.Any) -> dict[str, t.Any]:
        """Return the variables of a host to reach a VM here.

        They have an API token, or with *root* the password of root@pam.
        """
        login = {"chr_api_token_id": "root@pam!chr", "chr_api_token_secret": "t0ken-secret"}
        if root:
            login = {"chr_api_user": "root@pam", "chr_api_password": "pass-w0rd"}
        return {
            "chr_backend": "proxmox",
            "chr_api_host": "localhost",
            "chr_api_port": self.port,
            "chr_ca_path": str(self.certificate),
            **login,
            **more,
        }

    def expire_tickets(self) -> None:
        self._tickets.clear()

    def __enter__(self) -> LabProxmox:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        lab = self

        class Front(Handler):
            proxmox = lab

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

            def process_request(self, request: t.Any, client_address: t.Any) -> None:
                lab.connections += 1
                super().process_request(request, client_address)

            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                """Clients go away; that is no news."""

        self._server = Server(("127.0.0.1", 0), Front)
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
        for workers in self._workers.values():
            workers.end()
        for vm in self.vms.values():
            vm.lab.stop()

    # -- one request -------------------------------------------------------------------------------

    def by_daemon(self, method: str, path: str) -> bool:
        """Whether the call goes on from pveproxy to pvedaemon."""
        return not (method == "GET" and _BY_PROXY.fullmatch(path))

    def answer(self, method: str, path: str, values: dict[str, t.Any], headers: t.Mapping[str, str]) -> t.Any:
        """The ``data``. Raises Died."""
        self.log.append((method, path, values))
        if path == "/access/ticket":
            return self._daemon(self.nodes[0]).do(lambda: self._log_in(values))
        login = self.login(method, headers)
        named = path.split("/")[2] if path.startswith("/nodes/") else None
        node = named or self.nodes[0]
        if node not in self.nodes:
            text = (
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            )
            raise Died(500, text)
        if named in self.offline:
            raise Died(*self.offline_error)
        if not self.by_daemon(method, path):
            return self._carry_out(method, path, values, login)
        return self._daemon(node).do(lambda: self._carry_out(method, path, values, login))

    def _daemon(self, node: str) -> Workers:
        with self._starting:
            if node not in self._workers:
                self._workers[node] = Workers(lambda: self.connection_seconds, lambda: self.proxy_timeout)
            return self._workers[node]

    def _carry_out(self, method: str, path: str, values: dict[str, t.Any], login: str) -> t.Any:
        self._check(method, path, values)
        if path == "/version":
            full = f"{self.version}.11" if self.number >= (8, 0) else f"{self.version}-7"
            return {"version": full, "release": self.version, "repoid": "19c15e8c4a7b2d36"}
        if path == "/cluster/resources":
            return self.resources(values.get("type"), login)
        if path in ("/cluster/status", "/pools") or path.startswith("/pools/"):
            return self.places(path, login)
        if found := _VM_PATH.match(path):
            return self._agent_call(method, found[1], int(found[2]), found[3], values, login)
        if found := _MACHINE_PATH.match(path):
            vm = self._find(found[1], int(found[2]))
            if found[4]:
                change = self._roll_back if found[5] else self._remove_snapshot
                return change(vm, login, found[4])
            what = (found[3] or "vm").replace("/", "_")
            return getattr(self, f"_{method.lower()}_{what}")(vm, login, values)
        if found := _TASKS_PATH.match(path):
            return self._running_tasks(found[1], values)
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

    def login(self, method: str, headers: t.Mapping[str, str]) -> str:
        """The user or the token of a request. Raises Died."""
        try:
            return self._known_login(method, headers)
        except Died as error:
            # All reasons are one since 8.4. Before, an exception of Perl told which it was.
            raise Died(401, "Authentication failed!" if self.number >= (8, 4) else error.reason) from None

    def _known_login(self, method: str, headers: t.Mapping[str, str]) -> str:
        given = headers.get("Authorization", "")
        if given.startswith("PVEAPIToken="):
            login, _unused, secret = given.removeprefix("PVEAPIToken=").partition("=")
            user, marked, name = login.partition("!")
            if not marked:
                raise Died(401, "no tokenid specified")
            if login not in self.tokens:
                raise Died(401, f"no such token '{name}' for user '{user}'")
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
        """Against the schema of this version, where we have it.

        What stands for an array in a form becomes one.
        """
        template, known = path, {name: value for name, value in values.items() if value is not None}
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
                continue
            if rule.get("type") == "array" and isinstance(value, str) and value:
                values[name] = value = value.split("\0")
            if error := _wrong(rule, value):
                errors[name] = error
        if errors:
            self.invalid.append(f"{method} {path}: {errors}")
            raise Died(400, "Parameter verification failed.", errors)

    # -- the machine's part ------------------------------------------------------------------------

    def _find(self, node: str, vmid: int) -> LabVm:
        vm = self.vms.get(vmid)
        if vm is None or vm.node != node:
            raise Died(500, f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return vm

    def _need(self, login: str, vm: LabVm, privilege: str) -> None:
        if privilege not in self._privileges(login):
            raise Died(403, f"Permission check failed (/vms/{vm.vmid}, {privilege})")

    def _get_status_current(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> t.Any:
        self._need(login, vm, "VM.Audit")
        (row,) = [one for one in self.vm_rows(vm.node, vm.kind, login) if one["vmid"] == vm.vmid]
        enabled = {"agent": 1} if vm.agent_enabled else {}
        locked = {"lock": vm.config["lock"]} if "lock" in vm.config else {}
        return {**row, "qmpstatus": vm.qmpstatus or row["status"], "ha": {"managed": 0}, **enabled, **locked}

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
        return [*listed, {"key": "digest", "value": vm.digest}]

    def _put_config(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> None:
        self._need(login, vm, "VM.Config.Options")
        digest = values.pop("digest", vm.digest)
        changes: dict[str, str | None] = dict(values)
        changes |= dict.fromkeys(str(changes.pop("delete", "")).split(",") if "delete" in changes else (), None)
        if digest != vm.digest:
            word = "mismatch" if self.number >= (8, 4) else "missmatch"
            raise Died(500, f"checksum {word} (file change by other user?)")
        if set(changes) <= {"description"}:
            vm.config |= {key: str(value) for key, value in changes.items()}
            return
        if set(changes) - {"args"}:
            raise Died(501, "the lab changes args and the description only")
        if login != "root@pam":  # nor a token of root@pam
            raise Died(500, "only root can set 'args' config")
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
        listed: list[dict[str, t.Any]] = []
        for name, one in vm.snapshots.items():
            parent = {"parent": listed[-1]["name"]} if listed else {}
            listed.append({"name": name, "description": "", **one, **parent})
        here = {"name": "current", "description": "You are here!", "digest": vm.digest, "running": int(vm.running)}
        return [*listed, here | ({"parent": listed[-1]["name"]} if listed else {})]

    def _post_snapshot(self, vm: LabVm, login: str, values: dict[str, t.Any]) -> str:
        self._need(login, vm, "VM.Snapshot")
        name = values["snapname"]
        if name == "current":
            raise Died(500, "unable to use snapshot name 'current' (reserved name)")

        def work(log: list[str]) -> None:
            if name in vm.snapshots:
                raise Died(500, f"snapshot name '{name}' already used")
            frozen = self._freezes(vm, values, log)
            if frozen:
                self._freeze(log, vm, self._tell(vm, "guest-fsfreeze-freeze"))
            log.append(f"snapshotting 'drive-virtio0' ({vm.config['virtio0'].partition(',')[0]})")
            log.append(f'  Logical volume "snap_vm-{vm.vmid}-disk-0_{name}" created.')
            at_rest = not vm.running or vm.lab.agent._frozen
            if frozen:
                vm.thaws_refused -= 1
                refused = {"error": {"desc": "failed to thaw"}} if vm.thaws_refused >= 0 else None
                self._thaw(log, vm, refused or self._tell(vm, "guest-fsfreeze-thaw"))
            described = {"description": values["description"]} if values.get("description") else {}
            vm.snapshots[name] = {"snaptime": int(time.time()), "vmstate": 0, "at_rest": at_rest, **described}
            vm.disks[name] = vm.router.disk()

        return self._start(vm, login, "qmsnapshot", work)

    def _freezes(self, vm: LabVm, values: dict[str, t.Any], log: list[str]) -> bool:
        """Whether Proxmox VE freezes. From qemu-server 9.1.10 on it says why it does not."""
        if not vm.running or str(values.get("vmstate", 0)) == "1":
            return False
        new = self.qemu_server >= (9, 1, 10)
        skipping = "skipping guest filesystem freeze - "
        options = vm.config.get("agent", "0").split(",")
        switches = ["freeze-fs=0", "guest-fsfreeze=0"] + (["freeze-fs-on-backup=0"] if self.number >= (9, 1) else [])
        if not vm.agent_enabled or any(switch in options for switch in switches):
            log += [f"{skipping}disabled in VM options"] if new else []
            return False
        if self._tell(vm, "guest-ping") is None:
            said = f"QEMU Guest Agent is not running - {self._timeout(vm, 'guest-ping').reason}"
            log.append(f"{skipping}agent configured but not running?" if new else said)
            return False
        if new and (self._tell(vm, "guest-fsfreeze-status") or {}).get("return") == "frozen":
            log.append(f"{skipping}already frozen")
            return False
        return True

    def _freeze(self, log: list[str], vm: LabVm, reply: dict[str, t.Any] | None) -> None:
        """What Proxmox VE says of the answer; before qemu-server 9.0.23 nothing of a refusal."""
        if self.qemu_server < (9, 0, 23):
            if reply is None:
                self._warn(log, f"guest-fsfreeze-freeze problems - {self._timeout(vm, 'guest-fsfreeze-freeze').reason}")
        elif reply is None:
            log.append("still waiting on guest fs freeze - timeout in 50 minutes")
            status = (self._tell(vm, "guest-fsfreeze-status") or {}).get("return")
            if status != "frozen":
                self._warn(log, f"unable to freeze guest fs - unexpected status '{status}'")
        elif "error" in reply:
            self._warn(log, f"unable to freeze guest fs - {reply['error']['desc']}")

    def _thaw(self, log: list[str], vm: LabVm, reply: dict[str, t.Any] | None) -> None:
        if reply is None:
            self._warn(log, f"guest-fsfreeze-thaw problems - {self._timeout(vm, 'guest-fsfreeze-thaw').reason}")
        elif "error" in reply and self.qemu_server >= (9, 0, 23):
            self._warn(log, f"guest-fsfreeze-thaw problems - Agent error: {reply['error']['desc']}")

    def _warn(self, log: list[str], text: str) -> None:
        log.append(f"{self.warning_prefix}{text}")

    def _remove_snapshot(self, vm: LabVm, login: str, name: str) -> str:
        self._need(login, vm, "VM.Snapshot")

        def work(log: list[str]) -> None:
            if "snapstate" in vm.snapshots.get(name, {}):
                raise Died(500, "VM is locked (snapshot)")
            if vm.snapshots.pop(name, None) is None:
                raise Died(500, f"snapshot '{name}' does not exist")
            log.append(f'  Logical volume "snap_vm-{vm.vmid}-disk-0_{name}" successfully removed.')

        return self._start(vm, login, "qmdelsnapshot", work)

    def _roll_back(self, vm: LabVm, login: str, name: str) -> str:
        """Go back to a snapshot without memory: the VM is off then."""
        self._need(login, vm, "VM.Snapshot")

        def work(log: list[str]) -> None:
            if name not in vm.snapshots:
                raise Died(500, f"snapshot '{name}' does not exist")
            vm.lab.stop()
            vm.router.put_back(vm.disks[name])
            log.append(f'  Logical volume "vm-{vm.vmid}-disk-0" created.')

        return self._start(vm, login, "qmrollback", work)

    def _start(self, vm: LabVm, login: str, kind: str, work: t.Callable[[list[str]], None]) -> str:
        return self._begin(vm.node, vm.vmid, login, kind, work)

    def _begin(self, node: str, about: int | str, login: str, kind: str, work: t.Callable[[list[str]], None]) -> str:
        upid = f"UPID:{node}:{secrets.token_hex(4).upper()}:0A1B2C3D:{int(time.time()):08X}:{kind}:{about}:{login}:"

        def fail(log: list[str]) -> None:
            raise Died(500, self.task_faults[kind])

        spoilt = kind in self.task_faults and kind not in ("qmcreate", "qmconfig")  # which clear up first
        self.tasks[upid] = Task(upid, fail if spoilt else work, self.task_seconds)
        return upid

    def _running_tasks(self, node: str, values: dict[str, t.Any]) -> t.Any:
        """``/nodes/{node}/tasks`` with ``source=active``, of one VM."""
        if values.get("source") != "active" or "vmid" not in values:
            raise Died(501, "the lab lists the running tasks of one VM only")
        parts = [(upid.split(":"), task) for upid, task in self.tasks.items()]
        return [
            {"upid": task.upid, "type": part[5], "id": part[6], "user": part[7], "node": part[1]}
            for part, task in parts
            if part[1] == node and part[6] == str(values["vmid"]) and task.exitstatus is None
        ]

    def _task_answer(self, upid: str, what: str, values: dict[str, t.Any]) -> t.Any:
        task = self.tasks.get(upid)
        if task is None:
            wrong = "no such task" if _UPID.fullmatch(upid) else "unable to parse worker upid"
            raise Died(400, "Parameter verification failed.", {"upid": wrong})
        if what == "status":
            ended = {"exitstatus": task.exitstatus} if task.exitstatus else {}
            return {"upid": upid, "status": "stopped" if ended else "running", **ended}
        start, limit = int(values.get("start", 0)), int(values.get("limit", 50))
        lines = [{"n": n, "t": line} for n, line in enumerate(task.log, 1)]
        return Listing(lines[start : start + limit], len(lines))

    # -- the agent's part --------------------------------------------------------------------------

    def _agent_call(
        self, method: str, node: str, vmid: int, command: str, values: dict[str, t.Any], login: str
    ) -> t.Any:
        self._permit(login, vmid, command)
        vm = self._find(node, vmid)
        if "agent" not in vm.config:
            raise Died(500, "No QEMU guest agent configured")
        if not vm.running:
            raise Died(500, f"VM {vmid} is not running")
        if not self._pings(vm):
            raise Died(500, "QEMU guest agent is not running")
        if _SIMPLE.get(command, ("",))[0] == method:
            reply = self._tell(vm, _SIMPLE[command][1])
            if reply is None and command == "shutdown" and not vm.running:
                return {"result": None}
            if reply is None:
                raise self._timeout(vm, _SIMPLE[command][1])
            if "error" in reply:
                return {"result": {"error": reply["error"]}}
            return {"result": reply["return"]}
        handler = getattr(self, f"_{method.lower()}_{command.replace('-', '_')}", None)
        if handler is None:
            raise Died(501, f"Method '{method} /nodes/{node}/qemu/{vmid}/agent/{command}' not implemented")
        return handler(vm, values)

    def _pings(self, vm: LabVm) -> bool:
        """Whether the agent is there. With ``agent: 0`` QEMU has no socket, and nobody waits."""
        try:
            return vm.agent_enabled and self._tell(vm, "guest-ping") is not None
        except Died:
            return False

    def _permit(self, login: str, vmid: int, command: str) -> None:
        """Raise Died for a login without the privilege, in the words of the version."""
        if self.number >= (9, 0):
            own = _PRIVILEGES.get(command, "VM.GuestAgent.Audit")
            needed = f"{own}|VM.GuestAgent.Unrestricted" if own else "VM.GuestAgent.Unrestricted"
        else:
            needed = "VM.PowerMgmt" if command in ("shutdown", *(f"suspend-{to}" for to in _SLEEPS)) else "VM.Monitor"
        self._allow(login, f"/vms/{vmid}", *needed.split("|"))

    def _tell(self, vm: LabVm, command: str, arguments: dict[str, t.Any] | None = None) -> dict[str, t.Any] | None:
        """The agent's reply; None when it stayed silent for its time. Raises Died.

        QEMU serves one client at a time. What the agent answers too late reaches the next one.
        Proxmox VE sends a sync before each command, and takes no reply without its 0xFF.
        """
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        if not vm.lab.channel.acquire(timeout=self.agent_timeout):
            raise self._failed(vm, command, f"unable to connect to VM {vm.vmid} qga socket - timeout after 31 retries")
        try:
            vm.wire.append(request)
            crossed, vm.crossing = vm.crossing, False
            try:
                away = time.monotonic() < vm.lab._away_until
                reply = (
                    b"" if away or not vm.lab.switches.delimiter else vm.lab.agent.answer(json.dumps(request).encode())
                )
            except HangUp:
                reply = b""
            if command in vm.late:
                vm.late.remove(command)
                reply, vm.crossing = b"", True
            end = time.monotonic() + (600.0 if command == "guest-shutdown" else self.agent_timeout)
            while not reply and time.monotonic() < end and (vm.running or command != "guest-shutdown"):
                time.sleep(min(0.01, self.agent_timeout))
        finally:
            vm.lab.channel.release()
        if crossed:
            raise self._failed(vm, command, "got wrong command id '1240301' (expected 1239907)")
        if not reply:
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
        return self._failed(vm, command, "got timeout")

    def _failed(self, vm: LabVm, command: str, why: str) -> Died:
        kind = "qga" if self.number >= (9, 1) else "qmp"
        return Died(500, f"VM {vm.vmid} {kind} command '{command}' failed - {why}")

    def _post_exec(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        command = values.get("command")
        if self.number >= (8, 0):
            if command is None:
                errors = {"command": "property is missing and it is not optional"}
                raise Died(400, "Parameter verification failed.", errors)
            if isinstance(command, str):
                command = command.split("\0")
        elif command is not None:
            command = command.split("\0") if "\0" in command else command.split()
        arguments: dict[str, t.Any] = {"capture-output": True}
        if command is not None:
            arguments |= {"path": command[0] if command else None, "arg": command[1:]}
        if "input-data" in values:
            arguments["input-data"] = base64.b64encode(_octets(values["input-data"])).decode()
        return {"pid": self._agent(vm, "guest-exec", arguments)["pid"]}

    def _get_exec_status(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        status = self._agent(vm, "guest-exec-status", {"pid": int(values["pid"])})
        shown = {**status, "exited": int(str(status["exited"]) in ("True", "1"))}
        if "out-data" in status:
            shown["out-data"] = base64.b64decode(status["out-data"]).decode("latin-1")
        return shown

    def _post_file_write(self, vm: LabVm, values: dict[str, t.Any]) -> None:
        if "encode" in values and self.number < (7, 2):
            raise Died(400, "Parameter verification failed.", {"encode": "property is not defined in schema"})
        content = values["content"]
        if str(values.get("encode", 1)) in ("1", "True"):
            content = base64.encodebytes(_octets(content)).decode()  # with a newline after 76 characters each
        handle = self._agent(vm, "guest-file-open", {"path": values["file"], "mode": "wb"})
        self._agent(vm, "guest-file-write", {"handle": handle, "buf-b64": content})
        self._agent(vm, "guest-file-close", {"handle": handle})

    def _get_file_read(self, vm: LabVm, values: dict[str, t.Any]) -> t.Any:
        handle = self._agent(vm, "guest-file-open", {"path": values["file"]})
        reply = self._agent(vm, "guest-file-read", {"handle": handle, "count": 1024 * 1024})
        self._agent(vm, "guest-file-close", {"handle": handle})
        data = base64.b64decode(reply["buf-b64"])
        return {"content": data.decode("latin-1"), "bytes-read": len(data)}


def _octets(text: str) -> bytes:
    """As Perl does it: characters below 256 are bytes."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Died(
            500, "Wide character in subroutine entry at /usr/share/perl5/PVE/QemuServer/Agent.pm line 135."
        ) from None
