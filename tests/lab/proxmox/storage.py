# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the lab's Proxmox VE that creates VMs.

It has storages with real bytes, uploads, disks, VM numbers, and the privileges that each needs.

As pve-storage 7 to 9.1.7 and qemu-server 6.2 to 9.2.6 have it, with their own words.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .tasks import Died

_STORAGE_PATH = re.compile(r"/nodes/([^/]+)/storage/([^/]+)/(upload|content|content/(.+)|status)$")
_IMPORT_FILE = re.compile(r"[A-Za-z0-9._-]+\.(ova|qcow2|raw|vmdk)")
_NEW_DISK = re.compile(r"([^:]+):(\d+(?:\.\d+)?)")
_DRIVE = re.compile(r"(ide|sata|scsi|virtio)\d+")
# Which privilege on the VM an option needs; what is in none of them, only root may set.
_OPTIONS = {
    "VM.Config.CPU": "cores sockets cpu vcpus",
    "VM.Config.Memory": "memory balloon",
    "VM.Config.HWType": "machine scsihw vga acpi",
    "VM.Config.Options": "agent bios description name onboot ostype protection tags",
    "VM.Config.Disk": "boot bootdisk",
}
_BLOCK = 256 * 1024


class Incoming(t.Protocol):
    """The rest of a request."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes."""

    def readline(self, size: int = ..., /) -> bytes:
        """The next bytes, up to the end of a line."""


@dataclass
class LabStorage:
    """A storage of every node, or of those named."""

    name: str
    folder: Path
    content: set[str]
    kind: str = "dir"
    free: int = 20 * 1024**3
    enabled: bool = True
    active: bool = True
    nodes: set[str] | None = None
    volumes: dict[str, Path] = field(default_factory=dict)
    """``vm-105-disk-0``, ``import/x.raw`` -> where its bytes are."""

    def keep(self, volume: str, file: Path) -> None:
        """Move *file* in as *volume*."""
        place = self.folder / volume.replace("/", "-")
        shutil.move(file, place)
        self.volumes = {**self.volumes, volume: place}

    def sha256(self, volume: str) -> str:
        with self.volumes[volume].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Upload:
    """A form with a file that came whole."""

    fields: dict[str, str]
    file: Path


def receive(body: Incoming, length: int, kind: str, spool: Path, progress: t.Callable[[int], None]) -> Upload:
    """A form whose last part is the file, which lands in *spool*.

    Raises Died for what pve-http-server does not understand.
    """
    found = re.fullmatch(r"multipart/form-data; boundary=([^\s\"]+)", kind)
    if not found:
        raise Died(501, f"upload 'Content-Type '{kind}' not implemented")
    boundary, fields, left = found[1].encode(), {}, length

    def line() -> bytes:
        nonlocal left
        read = body.readline(4096)
        left -= len(read)
        return read

    if line() != b"--" + boundary + b"\r\n":
        raise Died(501, "upload failed")
    while True:
        headers = {}
        while (header := line()) not in (b"\r\n", b""):
            name, _unused, value = header.decode().rstrip("\r\n").partition(": ")
            headers[name.lower()] = value
        part = re.fullmatch(r'form-data; name="([^"]+)"(?:; filename="([^"]+)")?', headers["content-disposition"])
        if not part:
            raise Died(501, "upload failed")
        if part[2]:
            break
        fields[part[1]] = line().decode().removesuffix("\r\n")
        if line() != b"--" + boundary + b"\r\n":
            raise Died(501, "upload failed")
    if part[1] != "filename":
        raise Died(501, "upload failed")
    fields["filename"] = part[2]
    tail = b"\r\n--" + boundary + b"--\r\n"
    left -= len(tail)
    done = 0
    with spool.open("wb") as file:
        while done < left:
            block = body.read(min(_BLOCK, left - done))
            if not block:
                raise ConnectionError("the client is gone")
            file.write(block)
            done += len(block)
            progress(done)
    if body.read(len(tail)) != tail:
        raise Died(501, "upload failed")
    return Upload(fields, spool)


class Storages:
    """What LabProxmox knows of storages, and of VMs that come and go."""

    # of LabProxmox
    folder: Path
    number: tuple[int, ...]
    nodes: tuple[str, ...]
    offline: set[str]
    task_faults: dict[str, str]
    vms: dict[int, t.Any]

    def _prepare(self) -> None:
        self.storages: dict[str, LabStorage] = {}
        self.bridges = ["vmbr0"]
        self.spool_full = False
        """There is no room for uploads in /var/tmp of the node that is asked."""
        self.corrupt = False
        """A bit of each upload is lost on its way."""
        self.uploading: t.Callable[[int], None] = lambda _done: None
        """Called with the bytes of an upload that have arrived."""
        self.gates: dict[str, threading.Event] = {}
        """The type of a task -> what it waits for."""
        self.taken_meanwhile: list[int] = []
        """Numbers that somebody takes just after they were called free."""
        self.cards_after = 0.0
        """Seconds until the cards of a new VM show in its router."""
        self.behaviour: dict[str, t.Any] = {}
        """The switches of routers in new VMs."""
        self.broadcast_seconds = 10.0
        """So long the cluster's list does not know a new VM's name."""
        self.gone: list[t.Any] = []
        """VMs that were removed."""
        self._importing: set[int] = set()
        self._changing = threading.Lock()
        imports = {"import"} if self.number >= (8, 4) else set()
        self.add_storage("local", {"iso", "vztmpl", "backup"} | imports)
        self.add_storage("local-lvm", {"images", "rootdir"}, kind="lvmthin")

    def add_storage(self, name: str, content: set[str], **more: t.Any) -> LabStorage:
        folder = self.folder / "storage" / name
        folder.mkdir(parents=True)
        self.storages[name] = LabStorage(name, folder, content, **more)
        return self.storages[name]

    # -- one request -------------------------------------------------------------------------------

    def _storage_call(self, method: str, path: str, values: dict[str, t.Any], login: str) -> t.Any:
        """The ``data``; NotImplemented for what is somebody else's."""
        if found := re.fullmatch(r"/nodes(?:/([^/]+)/(storage|network|qemu|lxc))?", path):
            return self._listing(method, found[1], found[2], values, login)
        if path == "/cluster/nextid":
            return self._next_id(values)
        if path == "/access/permissions":
            return {values["path"]: dict.fromkeys(self._privileges(login), 1)}
        if path == "/lab/importdisk":
            return self._import_disk(login, values)
        if found := _STORAGE_PATH.match(path):
            storage = self._storage(found[1], found[2])
            if found[3] == "upload":
                raise Died(501, "upload without a form")
            if found[3] == "content":
                self._allow(login, f"/storage/{storage.name}", "Datastore.Audit", "Datastore.AllocateSpace")
                return self._content(storage, values)
            if found[4]:
                return self._delete_volume(method, found[1], storage, found[4], login)
        return NotImplemented

    def _listing(self, method: str, node: str | None, what: str | None, values: dict[str, t.Any], login: str) -> t.Any:
        if node is None:
            return self.node_rows()
        if what == "qemu" and method == "POST":
            return self._create(node, login, values)
        if what in ("qemu", "lxc"):
            return self.vm_rows(node, what, login)
        if what == "network":
            if values.get("type") != "any_bridge":
                raise Died(501, "the lab lists bridges only")
            usable = self.number < (8, 0) or "SDN.Use" in self._privileges(login)
            return [{"iface": one, "type": "bridge"} for one in self.bridges if usable]
        if not self._privileges(login) & {"Datastore.Audit", "Datastore.AllocateSpace"}:
            return []
        return [
            {
                "storage": one.name,
                "type": one.kind,
                "content": ",".join(sorted(one.content)),
                "enabled": int(one.enabled),
                "active": int(one.active),
                "avail": one.free,
                "shared": 0,
            }
            for one in self.storages.values()
            if one.nodes is None or node in one.nodes
        ]

    def _next_id(self, values: dict[str, t.Any]) -> str:
        if "vmid" in values:
            if int(values["vmid"]) in self.vms:
                raise Died(400, "Parameter verification failed.", {"vmid": f"VM {values['vmid']} already exists"})
            return str(values["vmid"])
        with self._changing:
            number = next(one for one in range(100, 10**6) if one not in self.vms)
            if self.taken_meanwhile:
                self.add(number, f"other{self.taken_meanwhile.pop()}")
            return str(number)

    def _allow(self, login: str, where: str, *any_of: str) -> None:
        if not self._privileges(login) & set(any_of):
            raise Died(403, f"Permission check failed ({where}, {'|'.join(any_of)})")

    # -- storages ----------------------------------------------------------------------------------

    def _storage(self, node: str | None, name: str) -> LabStorage:
        storage = self.storages.get(name)
        if storage is None:
            raise Died(500, f"storage '{name}' does not exist")
        if not storage.enabled:
            raise Died(500, f"storage '{name}' is disabled")
        if node and storage.nodes is not None and node not in storage.nodes:
            raise Died(500, f"storage '{name}' is not available on node '{node}'")
        return storage

    def _content(self, storage: LabStorage, values: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        with self._changing:
            listed = [
                {
                    "volid": f"{storage.name}:{name}",
                    "size": file.stat().st_size,
                    "content": "import" if name.startswith("import/") else "images",
                }
                for name, file in storage.volumes.items()
            ]
        return [one for one in listed if values.get("content") in (None, one["content"])]

    def start_upload(self, node: str, name: str, upload: Upload, login: str) -> str:
        """The task that keeps what came. Raises Died."""
        self._check("POST", f"/nodes/{node}/storage/{name}/upload", upload.fields)
        self.log.append(("POST", f"/nodes/{node}/storage/{name}/upload", upload.fields))
        self._allow(login, f"/storage/{name}", "Datastore.AllocateTemplate")
        storage = self._storage(node, name)
        content, filename = upload.fields["content"], upload.fields["filename"]
        if storage.kind != "dir":
            raise Died(500, f"can't upload to storage type '{storage.kind}'")
        if content != "import":
            raise Died(501, "the lab takes images to import only")
        if not _IMPORT_FILE.fullmatch(filename):
            raise Died(400, "Parameter verification failed.", {"filename": "invalid filename or wrong extension"})
        if content not in storage.content:
            raise Died(500, f"storage '{name}' does not support '{content}' content")
        if ("checksum" in upload.fields) != ("checksum-algorithm" in upload.fields):
            raise Died(400, "Parameter verification failed.", {"checksum": "missing property - 'checksum-algorithm'"})
        if self.corrupt:
            with upload.file.open("r+b") as file:
                file.seek(1000)
                file.write(secrets.token_bytes(8))

        def work(log: list[str]) -> None:
            if "checksum" in upload.fields:
                with upload.file.open("rb") as file:
                    got = hashlib.file_digest(file, upload.fields["checksum-algorithm"]).hexdigest()
                if got != upload.fields["checksum"].lower():
                    upload.file.unlink()
                    raise Died(500, f"checksum mismatch: got '{got}' != expect '{upload.fields['checksum']}'")
            if upload.file.stat().st_size > storage.free:
                upload.file.unlink()
                raise Died(500, "import failed: cp: error writing: No space left on device")
            storage.keep(f"import/{filename}", upload.file)
            log.append("finished file import successfully")

        return self._begin(node, "", login, "imgcopy", work)

    def _delete_volume(self, method: str, node: str, storage: LabStorage, volume: str, login: str) -> str:
        if method != "DELETE":
            raise Died(501, f"the lab does no {method} of volumes")
        self._allow(login, f"/storage/{storage.name}", "Datastore.Allocate")
        name = volume.removeprefix(f"{storage.name}:")

        def work(log: list[str]) -> None:
            with self._changing:
                if name not in storage.volumes:
                    raise Died(500, f"unlink '{name}' failed: No such file or directory")
                storage.volumes.pop(name).unlink()
            log.append(f"Removed volume '{volume}'")

        return self._begin(node, "", login, "imgdel", work)

    # -- VMs that come and go ----------------------------------------------------------------------

    def _create(self, node: str, login: str, values: dict[str, t.Any]) -> str:
        vmid = int(values["vmid"])
        values = {option: value for option, value in values.items() if option not in ("vmid", "pool")}
        if "VM.Allocate" not in self._privileges(login):
            raise Died(403, f"Permission check failed (/vms/{vmid}, VM.Allocate)")
        self._permit_options(login, vmid, values)
        with self._changing:
            if vmid in self.vms:
                there = self.vms[vmid].node
                raise Died(500, f"unable to create VM {vmid} - VM {vmid} already exists on node '{there}'")
            cards = sum(bool(re.fullmatch(r"net\d+", option)) for option in values)
            vm = self._new(vmid, node, cards, **self.behaviour)

        def work(log: list[str]) -> None:
            try:
                if "qmcreate" in self.task_faults:
                    raise Died(500, self.task_faults["qmcreate"])
                self._apply(vm, dict(values), log)
            except Died:
                del self.vms[vmid]
                raise
            vm.config.setdefault("smbios1", f"uuid={secrets.token_hex(16)}")

        return self._begin(node, vmid, login, "qmcreate", work)

    def _permit_options(self, login: str, vmid: int, values: dict[str, t.Any]) -> None:
        """As check_vm_modify_config_perm and check_storage_access."""
        for option, value in values.items():
            if _DRIVE.fullmatch(option):
                self._permit_drive(login, vmid, value)
                needed = "VM.Config.Disk"
            elif re.fullmatch(r"net\d+", option):
                needed = "VM.Config.Network"
                bridge = re.search(r"bridge=([^,]+)", value)
                if bridge and self.number >= (8, 0):
                    self._allow(login, f"/sdn/zones/localnetwork/{bridge[1]}", "SDN.Use")
                if bridge and bridge[1] not in self.bridges:
                    raise Died(500, f"bridge '{bridge[1]}' does not exist")
            elif re.fullmatch(r"serial\d+", option):
                needed = "VM.Config.HWType"
            else:
                needed = next((one for one, names in _OPTIONS.items() if option in names.split()), "")
            if not needed and login != "root@pam":
                raise Died(500, f"only root can set '{option}' config")
            if needed and needed not in self._privileges(login):
                raise Died(403, f"Permission check failed (/vms/{vmid}, {needed})")

    def _permit_drive(self, login: str, vmid: int, value: str) -> None:
        first, *rest = value.split(",")
        options = dict(one.split("=", 1) for one in rest)
        source = options.get("import-from")
        if source is None:
            if not re.fullmatch(rf"[^:]+:vm-{vmid}-disk-\d+", first):
                raise Died(500, f"the lab attaches disks of VM {vmid} only")
            return
        new = _NEW_DISK.fullmatch(first)
        if not new or new[2] != "0":
            text = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
            raise Died(400, "Parameter verification failed.", {"drive": text})
        self._allow(login, f"/storage/{new[1]}", "Datastore.AllocateSpace")
        if "images" not in self._storage(None, new[1]).content:
            raise Died(
                400, "Parameter verification failed.", {"storage": f"storage '{new[1]}' does not support vm images"}
            )
        if source.startswith("/"):
            if login != "root@pam":
                raise Died(500, "Only root can pass arbitrary filesystem paths.")
            return
        storage, _unused, volume = source.partition(":")
        kind = volume.partition("/")[0] if "/" in volume else "images"
        if kind not in ("import", "images"):
            text = f"{source} has wrong type '{kind}' - needs to be 'images' or 'import'"
            raise Died(400, "Parameter verification failed.", {"drive": text})
        self._allow(login, f"/storage/{storage}", "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.Audit")

    def _apply(self, vm: t.Any, values: dict[str, t.Any], log: list[str]) -> None:
        """Have new values in the configuration of a VM, with disks made."""
        for option, value in sorted(values.items()):
            if _DRIVE.fullmatch(option):
                values[option] = self._disk(vm, option, value, log)
        if order := re.match(r"order=(.*)", values.get("boot", "")):
            for device in order[1].split(";"):
                if device not in vm.config | values:
                    raise Died(500, f"invalid bootorder: device '{device}' does not exist'")
        for option in values:
            if found := re.fullmatch(r"net\d+", option):
                values[found[0]] = re.sub(
                    r"^(virtio|e1000|vmxnet3)(?=,|$)",
                    lambda model: f"{model[1]}=BC:24:11:{secrets.token_bytes(3).hex(':').upper()}",
                    values[option],
                )
        vm.config |= {option: str(value) for option, value in values.items()}
        vm.name = vm.config.get("name", f"VM {vm.vmid}")

    def _disk(self, vm: t.Any, option: str, value: str, log: list[str]) -> str:
        first, *rest = value.split(",")
        source = dict(one.split("=", 1) for one in rest).get("import-from")
        if source is None:
            storage, _unused, volume = first.partition(":")
            for key in [key for key, held in vm.config.items() if key.startswith("unused") and held == first]:
                del vm.config[key]
            size = self.storages[storage].volumes[volume].stat().st_size
            return f"{first},size={size // 1024**2}M"
        target = self.storages[first.partition(":")[0]]
        if source.startswith("/"):
            file = Path(source)
        else:
            name, _unused, volume = source.partition(":")
            if volume not in self.storages[name].volumes:
                raise Died(500, f"cannot import from '{source}' - volume '{source}' does not exist")
            file = self.storages[name].volumes[volume]
        volume = self._convert(vm.vmid, file, target)
        log.append(f"{option}: successfully created disk '{target.name}:{volume},size=128M'")
        return f"{target.name}:{volume},size={target.volumes[volume].stat().st_size // 1024**2}M"

    def _convert(self, vmid: int, file: Path, target: LabStorage) -> str:
        """A new disk with what the image in *file* has in it; its name."""
        info = subprocess.run(["qemu-img", "info", "--output=json", file], capture_output=True, check=False)
        if info.returncode:
            raise Died(500, f"could not get file size of {file}")
        if json.loads(info.stdout)["virtual-size"] > target.free:
            raise Died(500, f"lvcreate 'pve/vm-{vmid}-disk-0' error: insufficient free space")
        number = next(one for one in range(100) if f"vm-{vmid}-disk-{one}" not in target.volumes)
        made = self.folder / f"disk-{secrets.token_hex(4)}"
        if subprocess.run(["qemu-img", "convert", "-O", "raw", file, made], check=False).returncode:
            raise Died(500, "copy failed: command 'qemu-img convert' failed: exit code 1")
        target.keep(f"vm-{vmid}-disk-{number}", made)
        return f"vm-{vmid}-disk-{number}"

    def _import_disk(self, login: str, values: dict[str, t.Any]) -> str:
        """``qm importdisk``, which is root's, on the node."""
        vm = self._find(values["node"], int(values["vmid"]))
        storage = self._storage(vm.node, values["storage"])
        if "images" not in storage.content:
            raise Died(500, f"storage '{storage.name}' does not support content type 'images'")
        volume = self._convert(vm.vmid, Path(values["source"]), storage)
        vm.config["unused0"] = f"{storage.name}:{volume}"
        return f"unused0:{storage.name}:{volume}"

    def _post_config(self, vm: t.Any, login: str, values: dict[str, t.Any]) -> str:
        digest = values.pop("digest", vm.digest)
        removed = [one for one in str(values.pop("delete", "")).split(",") if one]
        self._permit_options(login, vm.vmid, {**values, **{option: vm.config.get(option, "") for option in removed}})
        if digest != vm.digest:
            raise Died(500, "checksum mismatch (file change by other user?)")
        self._importing.add(vm.vmid)

        def work(log: list[str]) -> None:
            try:
                if vm.running:  # what it cannot change in the machine that runs waits for a cold start
                    vm.pending |= {**values, **dict.fromkeys(removed)}
                    return
                vm.config, vm.pending = vm.with_pending(), {}
                for option in removed:
                    vm.config.pop(option, None)
                if "qmconfig" in self.task_faults:
                    raise Died(500, self.task_faults["qmconfig"])
                if gate := self.gates.get("import"):
                    gate.wait(60)
                self._apply(vm, dict(values), log)
            finally:
                self._importing.discard(vm.vmid)

        return self._begin(vm.node, vm.vmid, login, "qmconfig", work)

    def _post_status_start(self, vm: t.Any, login: str, values: dict[str, t.Any]) -> str:
        def work() -> None:
            if vm.running:
                raise Died(500, f"VM {vm.vmid} already running")
            vm.config, vm.pending = vm.with_pending(), {}
            vm.lab.start()

        return self._power_task(vm, login, "qmstart", work)

    def _post_status_stop(self, vm: t.Any, login: str, values: dict[str, t.Any]) -> str:
        return self._power_task(vm, login, "qmstop", vm.lab.stop)

    def _post_status_reset(self, vm: t.Any, login: str, values: dict[str, t.Any]) -> str:
        if not vm.running:
            raise Died(500, f"VM {vm.vmid} not running")
        return self._power_task(vm, login, "qmreset", vm.lab.reset)

    def _power_task(self, vm: t.Any, login: str, kind: str, work: t.Callable[[], t.Any]) -> str:
        self._need(login, vm, "VM.PowerMgmt")

        def unlocked(log: list[str]) -> None:
            if lock := vm.config.get("lock"):
                raise Died(500, f"VM is locked ({lock})")
            work()

        return self._begin(vm.node, vm.vmid, login, kind, unlocked)

    def _delete_vm(self, vm: t.Any, login: str, values: dict[str, t.Any]) -> str:
        self._need(login, vm, "VM.Allocate")
        if vm.config.get("protection") == "1":
            raise Died(500, f"can't remove VM {vm.vmid} - protection mode enabled")

        def work(log: list[str]) -> None:
            if vm.running:
                raise Died(500, f"VM {vm.vmid} is running - destroy failed")
            if vm.vmid in self._importing:
                raise Died(500, f"can't lock file '/var/lock/qemu-server/lock-{vm.vmid}.conf' - got timeout")
            referenced = {held.partition(",")[0] for held in vm.config.values()}
            everything = self.number < (7, 0) or str(values.get("destroy-unreferenced-disks")) == "1"
            with self._changing:
                for storage in self.storages.values():
                    for volume in [one for one in storage.volumes if one.startswith(f"vm-{vm.vmid}-")]:
                        if everything or f"{storage.name}:{volume}" in referenced:
                            storage.volumes.pop(volume).unlink()
            self.gone.append(self.vms.pop(vm.vmid))

        return self._begin(vm.node, vm.vmid, login, "qmdestroy", work)

    def known_to_the_cluster(self, vm: t.Any) -> bool:
        """Whether its node has told the others of it."""
        return time.monotonic() - vm.made > self.broadcast_seconds
