# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""XenAPI in front of the lab's Xen host.

It has XML-RPC over HTTPS, a database of VMs, and xenstore_data as xen-api's code treats it.

Every call's name, number and types of parameters, and the roles that may make it, are checked
against the datamodel, where that reference data is at hand. What is behind are real domains in a
real oxenstored.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import re
import secrets
import socket
import ssl
import struct
import threading
import time
import typing as t
import uuid as uuids
import xmlrpc.client
from pathlib import Path

from .. import reference
from ..certificate import make_certificate
from ..routeros import Router
from ..xen.guest import XenSwitches
from ..xen.host import Domain, XenHost
from ..xen.wire import Client, Gone, Socket, StoreError
from .storage import MIB, DiskHandler, Inventory, Refused, new_ref

SCHEMA = "xenapi.json"
NULL = "OpaqueRef:NULL"
USER, PASSWORD = "root", "xen-pass-w0rd"
_KEY = re.compile(r"(vm-data|FIST)(/[A-Za-z0-9_@-]+)+")
_QUOTA = 2048
_SHUTDOWN = 10.0  # seconds that a guest has for a clean shutdown; 20 minutes and more in earnest
# Operations that can take long can be called as Async.<class>.<name>; the datamodel does not say
# which.
_ASYNC = ("VM.start", "VM.clean_reboot", "VM.hard_reboot", "VM.clean_shutdown", "VM.hard_shutdown")
_TABLES = ("SR", "VDI", "VBD", "VIF", "network", "pool", "host", "host_metrics")
_TEMPLATE: dict[str, t.Any] = {
    "name_description": "Template which allows VM installation from install media",
    "is_a_template": True,
    "HVM_boot_policy": "BIOS order",
    "HVM_boot_params": {"order": "dc", "firmware": "bios"},
    "platform": {"acpi": "1", "apic": "true", "pae": "true", "nx": "true", "viridian": "true", "hpet": "true"},
    "other_config": {"default_template": "true", "install-methods": "cdrom", "mac_seed": "0"},
    "memory_static_min": str(128 * MIB),
    **dict.fromkeys(("memory_dynamic_min", "memory_dynamic_max", "memory_static_max"), str(256 * MIB)),
    "VCPUs_max": "1",
    "VCPUs_at_startup": "1",
    "xenstore_data": {},
    "recommendations": "<restrictions/>",
    "domain_type": "hvm",
    "has_vendor_device": False,
}
# Fields that nobody reads, for use without a datamodel: the record of a real VM has 10 KB.
_UNREAD = {f"unread{number}": "" for number in range(70)} | {"recommendations": "<restrictions/>" * 30}
# Where there is no datamodel: the roles from the highest down, and the lowest that may call what
# changes something.
_ROLES = ("pool-admin", "pool-operator", "vm-power-admin", "vm-admin", "vm-operator", "read-only")
_LEAST = {
    "xenstore_data": "vm-admin",
    "start": "vm-operator",
    "clean_reboot": "vm-operator",
    "hard_reboot": "vm-operator",
    "clean_shutdown": "vm-operator",
    "hard_shutdown": "vm-operator",
    "set_other_config": "vm-admin",
    ".destroy": "vm-admin",
    **dict.fromkeys(("VM.create", "VDI.create", "VBD.create", "VIF.create", "VIF.move"), "vm-admin"),
    **dict.fromkeys((".set_VCPUs_max", ".set_VCPUs_at_startup", ".set_HVM_boot_params", ".set_platform"), "vm-admin"),
    ".set_memory_limits": "vm-power-admin",
}

Record = dict[str, t.Any]


@functools.cache
def _model() -> dict[str, t.Any]:
    found = reference.find(SCHEMA)
    return {one["name"]: one for one in json.loads(found.read_text())} if found else {}


@functools.cache
def _messages() -> dict[str, t.Any]:
    return {f"{name}.{one['name']}": one for name, item in _model().items() for one in item["messages"]}


@functools.cache
def _dotted(name: str) -> str:
    """``event_from`` as ``event.from``: xen-api takes both, as a dot is not for every language.

    Here: not for ``Async``.
    """
    return next((one for one in _messages() if one.replace(".", "_") == name), name)


@functools.cache
def _empty(kind: str) -> Record:
    """A record of that class with nothing in it, so that records have the size of real ones."""
    return {one["name"]: _nothing(one["type"]) for one in _model().get(kind, {}).get("fields", ())}


def _nothing(kind: str) -> t.Any:
    if kind.endswith(" set"):
        return []
    if kind.endswith(" map"):
        return {}
    if kind.endswith(" ref"):
        return NULL
    return {"bool": False, "int": "0", "float": 0.0, "datetime": _date(0)}.get(kind, "")


def _date(seconds: float) -> xmlrpc.client.DateTime:
    return xmlrpc.client.DateTime(time.strftime("%Y%m%dT%H:%M:%SZ", time.gmtime(seconds)))


def _fits(kind: str, value: t.Any) -> bool:
    """Whether an XML-RPC value is one of that type of the datamodel.

    Numbers travel as strings, all but floats.
    """
    if kind.endswith((" set", " map")):
        return isinstance(value, list if kind.endswith("set") else dict)
    if kind.endswith(" ref"):
        return isinstance(value, str) and value.startswith("OpaqueRef:")
    if kind == "int":
        return isinstance(value, str) and value.lstrip("-").isdigit()
    types: dict[str, type] = {"bool": bool, "float": float, "datetime": xmlrpc.client.DateTime}
    return isinstance(value, types.get(kind, dict if kind.endswith(" record") else str))


class LabVm(Domain):
    """A VM of the database.

    Its domain's data are the database's; what the guest writes comes back by a watch.
    """

    def __init__(self, pool: LabPool, name: str, switches: XenSwitches) -> None:
        super().__init__(pool.xen, name, Router(identity=name), switches, "xapi")
        self.dialect = "xenapi"
        self.pool = pool
        self.ref = f"OpaqueRef:{uuids.uuid4()}"
        self.metrics = f"OpaqueRef:{uuids.uuid4()}"
        self.guest_metrics = NULL
        self.vif = f"OpaqueRef:{uuids.uuid4()}"
        self.kind: str | None = None
        """``is_a_template``, ``is_a_snapshot`` or ``is_control_domain``."""
        self.state: str | None = None
        """``Paused`` or ``Suspended``, in place of what the domain says."""
        self.start_time = 0
        self.operations: dict[str, str] = {}
        """What goes on with it, by task."""
        self.start_seconds = 0.0
        self.features = False
        """The tools in the guest take orders to shut down."""
        self.database: dict[str, str] = {}
        self.fields: Record = {}
        """What the record has besides."""
        self.tags: list[str] = []
        self.host_ref = pool.host_ref
        """The host that it runs on, when it runs."""

    def start(self) -> None:
        self.data = {key: value for key, value in self.database.items() if _KEY.fullmatch(key)}
        try:
            super().start()
        except StoreError as error:
            self.host.store.remove(self.path)
            self.domid = None
            raise Refused("INTERNAL_ERROR", f"xenopsd: Xs_protocol.Error({error})") from error
        self.start_time = max(int(time.time()), self.start_time + 1)  # no two boots in one second
        self.pool.changed(self.ref, self.metrics)

    def stop(self) -> None:
        super().stop()
        self.guest_metrics = NULL
        self.features = False
        self.pool.changed(self.ref)

    def write_back(self) -> None:
        """Update the database from the guest's part of the store, as xenopsd's watch does."""
        with self._lock:
            if self.guest is None:
                return
            with contextlib.suppress(StoreError, Gone):
                self.database = self.vm_data() | self.host.store.tree(f"{self.path}/FIST", self.path)
        self.pool.changed(self.ref)

    @property
    def power_state(self) -> str:
        return self.state or ("Halted" if self.domid is None else "Running")

    def allowed(self) -> list[str]:
        if self.power_state != "Running":
            return ["start"] if self.power_state == "Halted" else []
        return ["hard_reboot", *(["clean_shutdown", "clean_reboot"] if self.features else [])]

    @property
    def mac(self) -> str:
        nics = self.router.interfaces_report()
        return next(str(one["hardware-address"]) for one in nics if "hardware-address" in one)

    def record(self) -> Record:
        return {
            **_empty("VM"),
            "other_config": {},
            "snapshots": [],
            **self.fields,
            "uuid": self.uuid,
            "name_label": self.name,
            "power_state": self.power_state,
            "domid": str(self.domid or -1),
            "is_a_template": self.kind == "is_a_template",
            "is_a_snapshot": self.kind == "is_a_snapshot",
            "is_control_domain": self.kind == "is_control_domain",
            "resident_on": self.host_ref if self.power_state in ("Running", "Paused") else NULL,
            "tags": list(self.tags),
            "allowed_operations": self.allowed(),
            "current_operations": dict(self.operations),
            "metrics": self.metrics,
            "guest_metrics": self.guest_metrics,
            "VBDs": [],
            "VIFs": [self.vif],
            **(self.pool.inventory.devices(self.ref) if self.fields else {}),
            "xenstore_data": dict(self.database),
        }

    def reported(self) -> Record:
        """VM_guest_metrics, from what the tools have written."""

        def read(key: str) -> str:
            return self.host.store.read(f"{self.path}/{key}") or ""

        networks = {}
        for path, value in self.host.store.tree(f"{self.path}/attr/vif/0", f"{self.path}/attr/vif").items():
            if value:
                networks[path] = value
                if path == "0/ipv4/0":
                    networks["0/ip"] = value
        versions = {name: read(f"attr/PV{name.capitalize()}Version") for name in ("major", "minor", "micro", "build")}
        return {
            **_empty("VM_guest_metrics"),
            "os_version": {"name": read("data/os_name"), "distro": read("data/os_distro")},
            "PV_drivers_version": {name: value for name, value in versions.items() if value},
            "networks": networks,
            "live": bool(read("data/updated")),
        }


class LabPool:
    """A pool with one host, the coordinator; a context manager. *folder* gets the certificate.

    *at* is the address to serve at; *coordinator* makes it a mere member, which names that address.
    """

    def __init__(self, xen: XenHost, folder: Path, at: str = "127.0.0.1", port: int = 0, coordinator: str = "") -> None:
        self.xen = xen
        self.at, self.port, self.coordinator = at, port, coordinator
        self.vms: list[LabVm] = []
        self.users: dict[str, tuple[str, str]] = {USER: (PASSWORD, "pool-admin")}
        """Password and role by name."""
        self.faults: dict[str, list[str]] = {}
        """``<method>`` or ``<method> <name of the VM>`` -> what happens to its next calls.

        ``hang``, ``reset`` (both before the call is carried out), ``lost``, ``cut`` (after it),
        ``<status> <reason>``, or an XenAPI error as ``!CODE``; an empty text lets one call pass.
        """
        self.log: list[tuple[str, str, float]] = []
        """(method, name of the VM or "", seconds that the server took) of each call."""
        self.invalid: list[str] = []
        """Calls that the datamodel refuses."""
        self.logins = 0
        self.refusals = 0
        self.sessions: dict[str, str] = {}
        self.folder = folder
        self.certificate = folder / "xapi.pem"
        if not self.certificate.exists():
            make_certificate(self.certificate, "DNS:localhost", "IP:127.0.0.1", "IP:127.0.0.2")
        self.inventory = Inventory(folder, at)
        self.host_ref = self.inventory.host("xcp1")
        self.copies: dict[str, dict[str, Record]] = {"VM": {}, "VM_guest_metrics": {}}
        """Records of VMs without a router, which are only there to be listed."""
        self._tasks: dict[str, Record] = {}
        self._changed = threading.Condition()
        self._generation = 0
        self._modified: dict[str, int] = {}
        self._closing = threading.Event()
        self.born: dict[str, t.Any] = {}
        """The switches of VMs that are made."""
        self.template("Other install media")

    def vm(self, name: str, started: bool = False, **switches: t.Any) -> LabVm:
        one = LabVm(self, name, XenSwitches(**switches))
        self.xen.domains.append(one)
        self.vms.append(one)
        self.changed(one.ref, one.metrics)
        if started:
            one.start()
        return one

    def copy(self, name: str, **fields: t.Any) -> None:
        """Add a running VM without a router, which is only there to be listed."""
        number = len(self.copies["VM"])
        metrics, uuid = f"OpaqueRef:{uuids.uuid4()}", str(uuids.uuid4())
        address = f"10.2.{number // 250}.{number % 250 + 1}"
        self.copies["VM"][new_ref()] = {
            **(_empty("VM") or _UNREAD),
            **{"uuid": uuid, "name_label": name, "power_state": "Running", "domid": str(1000 + number)},
            **{"resident_on": self.host_ref, "guest_metrics": metrics, "VIFs": [new_ref()], "VCPUs_max": "1"},
            **{"memory_static_max": str(256 * MIB), "allowed_operations": ["hard_reboot", "clean_shutdown"]},
            **{"platform": dict(_TEMPLATE["platform"]), "other_config": {"base_template_name": "Other install media"}},
            **{"is_a_template": False, "is_a_snapshot": False, "is_control_domain": False, "tags": []},
            **fields,
        }
        self.copies["VM_guest_metrics"][metrics] = {
            **_empty("VM_guest_metrics"),
            **{"os_version": {"name": "MikroTik RouterOS"}, "networks": {"0/ip": address, "0/ipv4/0": address}},
            "live": True,
        }

    def variables(self, **more: t.Any) -> Record:
        """What a host needs to reach a VM here."""
        return {
            "chr_backend": "xenapi",
            "ansible_host": "192.0.2.1",
            "chr_api_host": self.at if self.at != "127.0.0.1" else "localhost",
            "chr_api_port": self.port,
            "chr_api_user": USER,
            "chr_api_password": PASSWORD,
            "chr_ca_path": f"{self.certificate}.crt",
            **more,
        }

    def calls(self, name: str = "") -> list[str]:
        """The methods that were called, of one VM or all."""
        return [method for method, vm, _seconds in self.log if name in ("", vm)]

    # -- events ------------------------------------------------------------------------------------

    def changed(self, *refs: str) -> None:
        with self._changed:
            self._generation += 1
            for ref in refs:
                self._modified[ref] = self._generation
            self._changed.notify_all()

    def _watch(self, store: Client) -> None:
        """xenopsd's part: whatever changes in the store of a domain."""
        while (event := store.events.get()) is not None and not self._closing.is_set():
            paths = {event[0]}
            while not store.events.empty() and (event := store.events.get()) is not None:  # what came together, once
                paths.add(event[0])
            touched = {(path.split("/")[3], *path.split("/")[4:6]) for path in paths if path.count("/") > 3}
            for vm in list(self.vms):
                own = [rest for domid, *rest in touched if domid == str(vm.domid)]
                if any(rest[0] in ("vm-data", "FIST") for rest in own):
                    vm.write_back()
                if ["control", "feature-reboot"] in own and not vm.features:
                    vm.features = bool(self.xen.store.read(f"{vm.path}/control/feature-reboot"))
                    self.changed(vm.ref)
                if ["data", "updated"] in own and vm.guest_metrics == NULL:
                    vm.guest_metrics = f"OpaqueRef:{uuids.uuid4()}"
                    self.changed(vm.ref, vm.guest_metrics)
        store.close()

    # -- the server --------------------------------------------------------------------------------

    def __enter__(self) -> t.Self:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate)
        self._servers: list[http.server.HTTPServer] = []
        self.port = self.serve(self.at)
        store = Client(Socket(self.xen.daemon.socket))
        store.watch("/local/domain", "all")  # before the first VM starts, whose tools report once
        threading.Thread(target=self._watch, args=(store,), daemon=True).start()
        return self

    def serve(self, at: str) -> int:
        """Be at one more address, as another host of the pool; the port."""

        class Handler(_Handler, DiskHandler):
            pool = self

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                """Clients go away; that is no news."""

        server = Server((at, self.port), Handler)
        server.socket = self._context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._servers.append(server)
        return int(server.server_address[1])

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for vm in self.vms:
            vm.stop()

    # -- one call ----------------------------------------------------------------------------------

    def answer(self, method: str, values: tuple[t.Any, ...]) -> t.Any:
        """The value. Raises Refused."""
        asynchronous = method.startswith("Async.")
        name = _dotted(method.removeprefix("Async."))
        if asynchronous and name not in _ASYNC:
            raise Refused("MESSAGE_METHOD_UNKNOWN", method)
        self._check(name, values)
        if name == "session.login_with_password":
            return self._log_in(*values)
        session, *rest = values
        if self.coordinator:
            raise Refused("HOST_IS_SLAVE", self.coordinator)
        if session not in self.sessions:
            raise Refused("SESSION_INVALID", session)
        if name == "session.logout":
            del self.sessions[session]
            return ""
        self._permit(name, self.sessions[session])
        kind, _unused, message = name.partition(".")
        handler = getattr(self, f"_{kind}_{message}", None)
        if handler is None and kind in _TABLES:
            handler = functools.partial(self._table, kind, message)
        if handler is None:
            raise Refused("MESSAGE_METHOD_UNKNOWN", method)
        return self._start_task(message, handler, rest) if asynchronous else handler(*rest)

    def _check(self, name: str, values: tuple[t.Any, ...]) -> None:
        """Against the datamodel, where we have it."""
        if not _model():
            return
        if name not in _messages():
            self.invalid.append(f"{name}: unknown")
            raise Refused("MESSAGE_METHOD_UNKNOWN", name)
        message = _messages()[name]
        wanted = message["params"]
        if not any(one["name"] == "session_id" for one in wanted) and name != "session.login_with_password":
            wanted = [{"name": "session_id", "type": "session ref", "required": True}, *wanted]
        least = sum(1 for one in wanted if one.get("required", True))
        if not least <= len(values) <= len(wanted):
            self.invalid.append(f"{name}: {len(values)} parameters")
            raise Refused("MESSAGE_PARAMETER_COUNT_MISMATCH", name, str(len(wanted)), str(len(values)))
        for rule, value in zip(wanted, values, strict=False):
            if not _fits(rule["type"], value):
                self.invalid.append(f"{name}: {rule['name']} is no {rule['type']}: {value!r:.40}")
                raise Refused("FIELD_TYPE_ERROR", rule["name"])

    def _check_record(self, kind: str, record: Record) -> None:
        """What an object is made of: every field without a default, each of its type."""
        for field in _model().get(kind, {}).get("fields", ()):
            name = field["name"]
            if field["qualifier"] not in ("RW", "RO/constructor"):
                continue
            if name not in record and "default" not in field:
                self.invalid.append(f"{kind}.create: {name} is missing")
                raise Refused("INTERNAL_ERROR", f"Rpc.Runtime_error: {name}")
            if name in record and not _fits(field["type"], record[name]):
                self.invalid.append(f"{kind}.create: {name} is no {field['type']}: {record[name]!r:.40}")
                raise Refused("FIELD_TYPE_ERROR", name)

    def may_move_disks(self, user: str) -> bool:
        return self.users[user][1] in _ROLES[: _ROLES.index("vm-admin") + 1]

    def _session_get_is_local_superuser(self, session: str) -> bool:
        return self.sessions[session] == USER

    def _session_get_rbac_permissions(self, session: str) -> list[str]:
        role = self.users[self.sessions[session]][1]
        return [name.lower() for name, one in _messages().items() if role in (one.get("roles") or [role])]

    def _log_in(self, user: str, password: str, version: str, originator: str) -> str:
        if self.coordinator:
            raise Refused("HOST_IS_SLAVE", self.coordinator)
        if self.users.get(user, ("",))[0] != password:
            self.refusals += 1
            raise Refused("SESSION_AUTHENTICATION_FAILED", user, "Authentication failure")
        self.logins += 1
        session = f"OpaqueRef:{secrets.token_hex(16)}"
        self.sessions[session] = user
        return session

    def _permit(self, name: str, user: str) -> None:
        if _model():
            allowed = _messages()[name].get("roles") or _ROLES
        else:
            least = next(
                (role for part, role in _LEAST.items() if name.endswith(part) and "get_" not in name), _ROLES[-1]
            )
            allowed = _ROLES[: _ROLES.index(least) + 1]
        if self.users[user][1] not in allowed:
            raise Refused("RBAC_PERMISSION_DENIED", name.lower(), f"No permission in user session. Roles: {allowed}")

    # -- messages ----------------------------------------------------------------------------------

    def find(self, ref: str) -> LabVm:
        for vm in self.vms:
            if vm.ref == ref:
                return vm
        raise Refused("HANDLE_INVALID", "VM", ref)

    def _VM_get_by_uuid(self, uuid: str) -> str:
        for vm in self.vms:
            if vm.uuid == uuid:
                return vm.ref
        raise Refused("UUID_INVALID", "VM", uuid)

    def _VM_get_by_name_label(self, name: str) -> list[str]:
        return [vm.ref for vm in self.vms if vm.name == name]

    def _VM_get_record(self, ref: str) -> Record:
        return self.find(ref).record()

    def _VM_get_all_records(self) -> dict[str, Record]:
        return {**{vm.ref: vm.record() for vm in self.vms}, **self.copies["VM"]}

    def _VM_create(self, record: Record) -> str:
        self._check_record("VM", record)
        if record.get("has_vendor_device", True):
            raise Refused("LICENCE_RESTRICTION", "PCI_device_for_auto_update")  # XenAPI's own spelling
        vm = self.vm(record["name_label"], **self.born)
        vm.fields = {name: value for name, value in record.items() if name != "uuid"}
        vm.database = dict(record.get("xenstore_data", {}))
        return vm.ref

    def _VM_set_other_config(self, ref: str, value: dict[str, str]) -> str:
        vm = self.find(ref)
        vm.fields = {**vm.fields, "other_config": value}
        self.changed(ref)
        return ""

    def _set_halted(self, ref: str, **fields: t.Any) -> str:
        """Change fields that can only be changed while the VM is off."""
        vm = self.find(ref)
        self._need(vm, "Halted")
        vm.fields = {**vm.fields, **fields}
        self.changed(ref)
        return ""

    def _VM_set_VCPUs_max(self, ref: str, value: str) -> str:
        if int(value) < int(self.find(ref).record()["VCPUs_at_startup"]):
            raise Refused("INVALID_VALUE", "VCPUs_max", value)
        return self._set_halted(ref, VCPUs_max=value)

    def _VM_set_VCPUs_at_startup(self, ref: str, value: str) -> str:
        if not 0 < int(value) <= int(self.find(ref).record()["VCPUs_max"]):
            raise Refused("INVALID_VALUE", "VCPUs_at_startup", value)
        return self._set_halted(ref, VCPUs_at_startup=value)

    def _VM_set_memory_limits(
        self, ref: str, static_min: str, static_max: str, dynamic_min: str, dynamic_max: str
    ) -> str:
        if not 0 < int(static_min) <= int(dynamic_min) <= int(dynamic_max) <= int(static_max):
            raise Refused("MEMORY_CONSTRAINT_VIOLATION", "static_min <= dynamic_min <= dynamic_max <= static_max")
        names = ("memory_static_min", "memory_static_max", "memory_dynamic_min", "memory_dynamic_max")
        return self._set_halted(
            ref, **dict(zip(names, (static_min, static_max, dynamic_min, dynamic_max), strict=True))
        )

    def _VM_set_HVM_boot_params(self, ref: str, value: dict[str, str]) -> str:
        vm = self.find(ref)
        vm.fields = {**vm.fields, "HVM_boot_params": value}
        return ""

    def _VM_set_platform(self, ref: str, value: dict[str, str]) -> str:
        vm = self.find(ref)
        vm.fields = {**vm.fields, "platform": value}
        return ""

    def _VM_destroy(self, ref: str) -> str:
        vm = self.find(ref)
        self._need(vm, "Halted")
        self.inventory.destroy_devices(ref)
        self.vms.remove(vm)
        self.changed(ref)
        return ""

    def _VM_hard_shutdown(self, ref: str) -> str:
        vm = self.find(ref)
        if vm.power_state == "Halted":
            self._need(vm, "Running")
        vm.state = None
        vm.stop()
        return ""

    def _VM_hard_reboot(self, ref: str) -> str:
        vm = self.find(ref)
        self._need(vm, "Running")
        vm.reboot()
        return ""

    def _VM_get_xenstore_data(self, ref: str) -> dict[str, str]:
        return dict(self.find(ref).database)

    def _VM_add_to_xenstore_data(self, ref: str, key: str, value: str) -> str:
        """Changes the database only."""
        vm = self.find(ref)
        if key in vm.database:
            raise Refused("MAP_DUPLICATE_KEY", "VM", "xenstore_data", ref, key)
        vm.database = {**vm.database, key: value}
        self.changed(ref)
        return ""

    def _VM_remove_from_xenstore_data(self, ref: str, key: str) -> str:
        """Changes the database only."""
        vm = self.find(ref)
        vm.database = {one: value for one, value in vm.database.items() if one != key}
        self.changed(ref)
        return ""

    def _VM_set_xenstore_data(self, ref: str, values: dict[str, str]) -> str:
        """Change the database, then the live domain.

        The latter is one transaction, which fails for a value that is too long.
        """
        vm = self.find(ref)
        vm.database = dict(values)
        self.changed(ref)
        if vm.power_state == "Running":
            kept = {key: value for key, value in values.items() if _KEY.fullmatch(key)}
            if any(len(value.encode()) > _QUOTA for value in kept.values()):
                raise Refused("INTERNAL_ERROR", "xenopsd: Xs_protocol.Error(E2BIG)")
            with vm._lock:
                vm.set_live(kept)
        return ""

    def _VM_start(self, ref: str, paused: bool, force: bool) -> str:
        vm = self.find(ref)
        if vm.kind:
            raise Refused("VM_IS_TEMPLATE", ref)
        self._need(vm, "Halted")
        for vbd in vm.record()["VBDs"]:
            if (disk := self.inventory.get("VBD", vbd)["VDI"]) in self.inventory.busy:
                raise Refused("VDI_IN_USE", disk, "attach")
        time.sleep(vm.start_seconds)
        vm.start()
        return ""

    def _VM_clean_reboot(self, ref: str) -> str:
        vm = self.find(ref)
        before = vm.domid
        self._ask(vm, "reboot", lambda: vm.domid not in (None, before))
        return ""

    def _VM_clean_shutdown(self, ref: str) -> str:
        vm = self.find(ref)
        self._ask(vm, "poweroff", lambda: vm.domid is None)
        return ""

    def _need(self, vm: LabVm, state: str) -> None:
        if vm.power_state != state:
            raise Refused("VM_BAD_POWER_STATE", vm.ref, state.lower(), vm.power_state.lower())

    def _ask(self, vm: LabVm, what: str, done: t.Callable[[], bool]) -> None:
        """Ask the guest's tools, and wait until it is so."""
        self._need(vm, "Running")
        if not vm.features:
            raise Refused("VM_LACKS_FEATURE", vm.ref)
        self.xen.store.write(f"{vm.path}/control/shutdown", what)
        with self._changed:
            if not self._changed.wait_for(done, _SHUTDOWN):
                raise Refused("VM_SHUTDOWN_TIMEOUT", "VM", vm.ref, str(_SHUTDOWN))

    def _VM_metrics_get_start_time(self, ref: str) -> xmlrpc.client.DateTime:
        return _date(next(vm.start_time for vm in self.vms if vm.metrics == ref))

    def _VM_guest_metrics_get_record(self, ref: str) -> Record:
        for vm in self.vms:
            if vm.guest_metrics == ref:
                return vm.reported()
        raise Refused("HANDLE_INVALID", "VM_guest_metrics", ref)

    def _VM_guest_metrics_get_all_records(self) -> dict[str, Record]:
        reporting = {vm.guest_metrics: vm.reported() for vm in self.vms if vm.guest_metrics != NULL}
        return {**reporting, **self.copies["VM_guest_metrics"]}

    # -- storage, networks and so on: tables -------------------------------------------------------

    def template(self, name: str) -> LabVm:
        vm = self.vm(name)
        vm.kind = "is_a_template"
        vm.fields = dict(_TEMPLATE)
        return vm

    def _table(self, kind: str, message: str, *values: t.Any) -> t.Any:
        inventory = self.inventory
        table = inventory.objects[kind] | (self._cards() if kind == "VIF" else {})
        if message == "get_all_records":
            return {ref: {**_empty(kind), **one} for ref, one in table.items()}
        if message == "get_by_name_label":
            return [ref for ref, one in table.items() if one["name_label"] == values[0]]
        if message == "create":
            self._check_record(kind, values[0])
            make = {"VDI": inventory.make_disk, "VBD": inventory.make_vbd, "VIF": inventory.make_vif}
            return make[kind](values[0])
        record = inventory.get(kind, values[0])
        if message == "get_record":
            return {**_empty(kind), **record}
        if message == "set_other_config":
            record["other_config"] = values[1]
            return ""
        if (kind, message) == ("VIF", "move"):
            inventory.get("network", values[1])
            record["network"] = values[1]
            return ""
        if (kind, message) == ("VIF", "destroy"):
            del inventory.objects["VIF"][values[0]]
            return ""
        if (kind, message) == ("VDI", "destroy"):
            inventory.destroy_disk(values[0])
            return ""
        raise Refused("MESSAGE_METHOD_UNKNOWN", f"{kind}.{message}")

    def _cards(self) -> dict[str, Record]:
        """The cards of the VMs that were not made with some: one each, in the first network."""
        first = next(iter(self.inventory.objects["network"]))
        record = {**_empty("VIF"), "device": "0", "network": first}
        mine = {vm.vif: {**record, "MAC": vm.mac} for vm in self.vms if not vm.fields}
        return mine | {card: record for one in self.copies["VM"].values() for card in one["VIFs"]}

    def _VIF_get_record(self, ref: str) -> Record:
        if ref in self.inventory.objects["VIF"]:
            return t.cast("Record", self._table("VIF", "get_record", ref))
        return self._cards()[ref]

    def _host_get_name_label(self, ref: str) -> str:
        return str(self.inventory.get("host", ref)["name_label"])

    def _event_from(self, classes: list[str], token: str, timeout: float) -> Record:
        since = int(token.split(",")[0]) if token else -1
        whole = [one for one in self.inventory.objects if one.lower() in classes]
        wanted = {one.partition("/")[2]: one.partition("/")[0] for one in classes if one not in map(str.lower, whole)}
        if any(kind not in ("vm", "task") or not ref for ref, kind in wanted.items()):
            raise Refused("EVENT_SUBSCRIPTION_PARSE_FAILURE", str(classes))

        # Of a class, the lab knows no changes: it tells all objects to whoever has no token.
        tables = [] if token else [(kind.lower(), self._table(kind, "get_all_records")) for kind in whole]
        all_of = [
            {"class": kind, "ref": ref, "operation": "add", "id": "0", "timestamp": "0", "snapshot": record}
            for kind, records in tables
            for ref, record in records.items()
        ]

        def news() -> list[str]:
            return [ref for ref in wanted if self._modified.get(ref, -1) > since]

        with self._changed:
            self._changed.wait_for(lambda: all_of or news() or self._closing.is_set(), timeout)
            found, generation = news(), self._generation
        events = all_of
        for number, ref in enumerate(found):
            record = dict(self._tasks[ref]) if ref in self._tasks else None
            if wanted[ref] == "vm":
                record = self.find(ref).record()
            about = {"class": wanted[ref], "ref": ref, "operation": "mod", "id": str(number), "timestamp": "0"}
            events.append({**about, "snapshot": record} if record else {**about, "operation": "del"})
        return {"token": f"{generation:020d},{0:020d}", "events": events, "valid_ref_counts": {}}

    # -- tasks -------------------------------------------------------------------------------------

    def _start_task(self, operation: str, handler: t.Callable[..., t.Any], values: list[t.Any]) -> str:
        ref = f"OpaqueRef:{uuids.uuid4()}"
        self._tasks[ref] = {**_empty("task"), "status": "pending", "error_info": []}
        vm = self.find(values[0])
        vm.operations[ref] = operation
        self.changed(ref, vm.ref)

        def work() -> None:
            try:
                handler(*values)
                ended = {"status": "success"}
            except Refused as error:
                ended = {"status": "failure", "error_info": list(error.args)}
            vm.operations.pop(ref)
            self.changed(vm.ref)
            if ref in self._tasks:
                self._tasks[ref] = {**self._tasks[ref], **ended}
                self.changed(ref)

        threading.Thread(target=work, daemon=True).start()
        return ref

    def _task_create(self, label: str, description: str) -> str:
        ref = new_ref()
        about = {"name_label": label, "name_description": description}
        self._tasks[ref] = {**_empty("task"), **about, "status": "pending", "error_info": []}
        return ref

    def end_task(self, ref: str, **fields: t.Any) -> None:
        if ref in self._tasks:
            self._tasks[ref] = {**self._tasks[ref], **fields}
            self.changed(ref)

    @property
    def tasks(self) -> list[str]:
        """The names of those that nobody has destroyed."""
        return [one["name_label"] for one in self._tasks.values()]

    def _task_destroy(self, ref: str) -> str:
        if self._tasks.pop(ref, None) is None:
            raise Refused("HANDLE_INVALID", "task", ref)
        return ""

    # -- faults ------------------------------------------------------------------------------------

    def about(self, values: tuple[t.Any, ...]) -> str:
        """The name of the VM that a call is about."""
        texts = {
            one.removeprefix("vm/")
            for value in values
            for one in (value if isinstance(value, list) else [value])
            if isinstance(one, str)
        }
        return next((vm.name for vm in self.vms if texts & {vm.ref, vm.name, vm.uuid}), "")

    def fault(self, method: str, vm: str) -> str:
        for key in (f"{method} {vm}", method):
            if self.faults.get(key):
                return self.faults[key].pop(0)
        return ""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    pool: LabPool

    def log_message(self, format: str, *args: t.Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        began = time.monotonic()
        values, method = xmlrpc.client.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vm = self.pool.about(values)
        fault = self.pool.fault(str(method), vm)
        if fault in ("hang", "reset"):
            self._break(fault)
            return
        if fault[:1].isdigit():
            status, _unused, reason = fault.partition(" ")
            self._send(int(status), reason, b"")
            return
        answer: Record
        try:
            if fault.startswith("!"):
                raise Refused(*fault[1:].split())
            answer = {"Status": "Success", "Value": self.pool.answer(str(method), values)}
        except Refused as error:
            answer = {"Status": "Failure", "ErrorDescription": list(error.args)}
        body = xmlrpc.client.dumps((answer,), methodresponse=True).encode()
        self.pool.log.append((str(method), vm, time.monotonic() - began))
        if fault in ("lost", "cut"):
            self._break(fault)
        else:
            self._send(200, "OK", body)

    def _break(self, fault: str) -> None:
        if fault == "hang":
            self.pool._closing.wait(60)
        elif fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<?xml")
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, reason: str, body: bytes) -> None:
        self.send_response(status, reason)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def encoded(source: str) -> str:
    """A script as it lies in xenstore."""
    return base64.b64encode(source.encode()).decode()
