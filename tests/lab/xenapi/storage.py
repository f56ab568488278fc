# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the lab's pool for VMs that are created.

It has a template, storage, disks with their bytes, cards, networks, and tasks.

Disks are moved by the handlers ``/import_raw_vdi`` and ``/export_raw_vdi``, which are as strict as
xen-api's code: no chunked encoding, the good answer before the data, the verdict in the task,
another host's address where the storage is not seen.
"""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
import typing as t
import urllib.parse
import uuid as uuids
from pathlib import Path

Record = dict[str, t.Any]
NULL = "OpaqueRef:NULL"
MIB = 1024**2
_ROUND = 2 * MIB  # a disk of a VHD is a multiple of it
_BLOCK = 256 * 1024


class Refused(Exception):
    """A call's answer other than Success: XenAPI's error code and its parameters."""


def new_ref() -> str:
    return f"OpaqueRef:{uuids.uuid4()}"


class Inventory:
    """The objects of a pool besides its VMs, by their class and reference."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.objects: dict[str, dict[str, Record]] = {
            kind: {} for kind in ("SR", "VDI", "VBD", "VIF", "network", "pool", "host", "host_metrics")
        }
        self.seen_by: dict[str, str] = {}
        """The address of the host that sees an SR; the first host sees the others."""
        self.address = address
        self.busy: set[str] = set()
        """Disks that a host holds at the moment."""
        self.slow = threading.Event()
        """Set: uploads stop in their midst until it is cleared, or the sender goes away."""
        self.redirects: list[str] = []
        self.uploads = 0
        self.downloads = 0
        storage = self.storage("Local storage", 512 * MIB)
        self.storage("ISOs", 512 * MIB, content="iso")
        self.network("Pool-wide network associated with eth0", "xenbr0")
        self.network("Lan", "xenbr1")
        self.add("pool", {"name_label": "lab", "default_SR": storage, "master": NULL})

    def add(self, kind: str, record: Record) -> str:
        ref = new_ref()
        self.objects[kind][ref] = {"uuid": str(uuids.uuid4()), **record}
        return ref

    def storage(self, name: str, size: int, content: str = "user", address: str | None = None) -> str:
        operations = ["scan", "update", *(["vdi_create", "vdi_destroy"] if content == "user" else [])]
        ref = self.add(
            "SR",
            {
                "name_label": name,
                "content_type": content,
                "allowed_operations": operations,
                "physical_size": str(size),
                "physical_utilisation": "0",
            },
        )
        if address:
            self.seen_by[ref] = address
        return ref

    def network(self, name: str, bridge: str) -> str:
        return self.add("network", {"name_label": name, "bridge": bridge, "MTU": "1500", "other_config": {}})

    def host(self, name: str, live: bool = True) -> str:
        """Add a host; *live*: whether the coordinator hears of it."""
        metrics = self.add("host_metrics", {"live": live})
        return self.add("host", {"name_label": name, "hostname": name, "enabled": live, "metrics": metrics})

    def get(self, kind: str, ref: str) -> Record:
        if ref not in self.objects[kind]:
            raise Refused("HANDLE_INVALID", kind, ref)
        return self.objects[kind][ref]

    def named(self, kind: str, name: str) -> Record:
        """The one object of that name."""
        (found,) = [one for one in self.objects[kind].values() if one["name_label"] == name]
        return found

    # -- disks -------------------------------------------------------------------------------------

    def file(self, disk: str) -> Path:
        return self.folder / f"vdi-{self.get('VDI', disk)['uuid']}"

    def make_disk(self, record: Record) -> str:
        storage = self.get("SR", record["SR"])
        size = -(-int(record["virtual_size"]) // _ROUND) * _ROUND
        if "vdi_create" not in storage["allowed_operations"]:
            raise Refused("SR_OPERATION_NOT_SUPPORTED", record["SR"])
        used = int(storage["physical_utilisation"])
        if used + size > int(storage["physical_size"]):
            raise Refused("SR_BACKEND_FAILURE_44", "", "There is insufficient space")
        storage["physical_utilisation"] = str(used + size)
        ref = self.add("VDI", {**record, "virtual_size": str(size), "VBDs": []})
        with self.file(ref).open("wb") as file:
            file.truncate(size)
        return ref

    def destroy_disk(self, ref: str) -> None:
        record = self.get("VDI", ref)
        if ref in self.busy:
            raise Refused("VDI_IN_USE", ref, "destroy")
        storage = self.get("SR", record["SR"])
        storage["physical_utilisation"] = str(int(storage["physical_utilisation"]) - int(record["virtual_size"]))
        self.file(ref).unlink()
        for vbd in record["VBDs"]:
            self.objects["VBD"].pop(vbd, None)
        del self.objects["VDI"][ref]

    def make_vbd(self, record: Record) -> str:
        disk = self.get("VDI", record["VDI"])
        taken = [one for one in self.objects["VBD"].values() if one["VM"] == record["VM"]]
        if record["userdevice"] in [one["userdevice"] for one in taken]:
            raise Refused("DEVICE_ALREADY_EXISTS", record["userdevice"])
        ref = self.add("VBD", record)
        disk["VBDs"] = [*disk["VBDs"], ref]
        return ref

    def make_vif(self, record: Record) -> str:
        self.get("network", record["network"])
        octets = record["MAC"].split(":") if record["MAC"] else ["02"] * 6
        if len(octets) != 6 or int(octets[0], 16) & 1:
            raise Refused("MAC_INVALID", record["MAC"])
        if not 0 <= int(record["device"]) < 7:
            raise Refused("INVALID_DEVICE", record["device"])
        generated = f"ee:00:00:00:00:{len(self.objects['VIF']):02x}"
        return self.add("VIF", {**record, "MAC": record["MAC"] or generated, "MAC_autogenerated": not record["MAC"]})

    def devices(self, vm: str) -> dict[str, list[str]]:
        return {
            f"{kind}s": [ref for ref, one in self.objects[kind].items() if one["VM"] == vm] for kind in ("VBD", "VIF")
        }

    def destroy_devices(self, vm: str) -> None:
        """Those of a VM that goes; its disks stay."""
        for name, refs in self.devices(vm).items():
            for ref in refs:
                gone = self.objects[name[:-1]].pop(ref)
                if disk := self.objects["VDI"].get(gone.get("VDI", "")):
                    disk["VBDs"] = [one for one in disk["VBDs"] if one != ref]


class Tasks(t.Protocol):
    """What the handlers need of the pool."""

    inventory: Inventory
    sessions: dict[str, str]

    def fault(self, method: str, vm: str) -> str:
        """The fault that this call is to have; empty for none."""

    def may_move_disks(self, user: str) -> bool:
        """Whether the user's role lets it."""

    def end_task(self, ref: str, **fields: t.Any) -> None:
        """Let a task be over."""


class DiskHandler(http.server.BaseHTTPRequestHandler):
    """``PUT /import_raw_vdi`` and ``GET /export_raw_vdi``."""

    pool: t.Any

    def do_PUT(self) -> None:
        self._disk("/import_raw_vdi", self._receive)

    def do_GET(self) -> None:
        self._disk("/export_raw_vdi", self._give)

    def _disk(self, path: str, move: t.Callable[[str, str], None]) -> None:
        self.close_connection = True
        pool: Tasks = self.pool
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        cookie = dict([one.split("=", 1) for one in self.headers.get("Cookie", "").split("&") if one])
        session, task, disk = ((cookie | query).get(key, "") for key in ("session_id", "task_id", "vdi"))
        if parts.path != path:
            self._headers(404, "Not Found")
        elif session not in pool.sessions:
            pool.end_task(task, status="failure", error_info=["SESSION_AUTHENTICATION_FAILED"])
            self._headers(401, "Unauthorised")
        elif not pool.may_move_disks(pool.sessions[session]):
            pool.end_task(task, status="failure", error_info=["RBAC_PERMISSION_DENIED", f"http/{path}"])
            self._headers(403, "Forbidden")
        elif query.get("format", "raw") != "raw":
            self._fail(task, f"Unknown format {query['format']}")
            self._headers(404, "Not Found")
        elif self.headers.get("Transfer-Encoding"):
            self._fail(task, "import code cannot handle encoding: chunked")
            self._headers(403, "Forbidden")
        elif (there := pool.inventory.seen_by.get(self._storage(disk))) and there != self._own_address():
            rest = "&".join(f"{key}={value}" for key, value in query.items())
            pool.inventory.redirects.append(f"https://{there}{parts.path}?{rest}")
            self._headers(302, "Found", f"Location: {pool.inventory.redirects[-1]}")
        else:
            move(disk, task)

    def _own_address(self) -> str:
        return str(self.connection.getsockname()[0])

    def _storage(self, disk: str) -> str:
        inventory = self.pool.inventory
        return str(inventory.get("VDI", disk)["SR"])

    def _headers(self, status: int, reason: str, *more: str) -> None:
        lines = [f"HTTP/1.1 {status} {reason}", "Connection: close", "Cache-Control: no-cache, no-store", *more]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())
        self.wfile.flush()

    def _fail(self, task: str, said: str) -> None:
        self.pool.end_task(task, status="failure", error_info=["INTERNAL_ERROR", said])

    @contextlib.contextmanager
    def _attached(self, disk: str, task: str) -> t.Iterator[None]:
        inventory = self.pool.inventory
        inventory.busy.add(disk)
        self._headers(200, "OK", f"task-id: {task}", "content-type: application/octet-stream")
        try:
            yield
        except (OSError, EOFError) as error:
            inventory.busy.discard(disk)
            self._fail(task, f"Caught exception: {error}")
        else:
            inventory.busy.discard(disk)
            self.pool.end_task(task, status="success", progress=1.0)
        finally:
            inventory.busy.discard(disk)

    def _receive(self, disk: str, task: str) -> None:
        inventory = self.pool.inventory
        fault = self.pool.fault("import_raw_vdi", "")
        if fault == "vanish":
            self._fail(task, "Caught exception: End_of_file")
            return
        inventory.uploads += 1
        size = int(inventory.get("VDI", disk)["virtual_size"])
        left = int(self.headers["Content-Length"])
        with self._attached(disk, task), inventory.file(disk).open("r+b") as file:
            half = left // 2
            while left:
                block = self.rfile.read(min(_BLOCK, left))
                if not block:
                    raise EOFError("End_of_file")
                left -= len(block)
                if file.tell() + len(block) > size:
                    raise OSError("VDI_IO_ERROR: [ Device I/O errors ]")
                file.write(block)
                if left <= half:
                    if fault in ("break", "corrupt"):
                        fault = self._spoil(fault, file)
                    while inventory.slow.is_set() and not self.pool._closing.is_set():
                        time.sleep(0.02)

    def _spoil(self, fault: str, file: t.BinaryIO) -> str:
        if fault == "break":
            raise OSError("Unix.Unix_error(Unix.EIO, write)")
        position = file.tell()
        file.seek(4096)
        file.write(b"\0rotten")
        file.seek(position)
        return ""

    def _give(self, disk: str, task: str) -> None:
        inventory = self.pool.inventory
        inventory.downloads += 1
        with self._attached(disk, task), inventory.file(disk).open("rb") as file:
            while block := file.read(_BLOCK):
                self.wfile.write(block)
