# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The ways in which a disk image becomes the disk of a VM of Proxmox VE. Which one there is depends on its version and on who asks.

Sources: qemu-server 6.2 to 9.2.6 and pve-storage 7 to 9.1.7. All errors are GuestError.
"""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.api import Api, ApiError
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.provision import Node
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.tasks import finish
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.vm import Vm
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._progress import Progress, Source

from .host import Host
from .proxmox_site import Site, Storage

FORMATS = ("raw", "qcow2", "vmdk")
"""What Proxmox VE imports; the name of an uploaded file must end so."""
_UPLOADS = (8, 4)
"""The first version (pve-storage 8.3.6) with uploads of such images."""
_IMPORT_FROM = (7, 2)
"""The first version (qemu-server 7.1-5) with import-from in a disk option."""


@dataclass(frozen=True)
class Job:
    """One image for one VM."""

    site: Site
    options: GuestOptions
    name: str
    """Of the VM."""
    image: Image
    node: str
    storage: Storage
    """For the disk."""
    folder: str
    """On the node, for the image meanwhile."""
    seconds: float
    """For one task of Proxmox VE."""
    say: t.Callable[[str], None]

    @property
    def api(self) -> Api:
        return self.site.api


class Way(ABC):
    """How the image gets there."""

    name: t.ClassVar[str]

    def __init__(self, job: Job) -> None:
        self.job = job

    @property
    def privileges(self) -> dict[str, tuple[str, ...]]:
        """What this way needs besides what every VM needs, by path."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Raise what would keep ``bring`` from success, as far as it can be asked. Changes nothing."""

    @abstractmethod
    def bring(self, vm: Vm) -> str:
        """Have the image where Proxmox VE can read it, verified. Returns the value that makes it the disk of *vm*."""

    @abstractmethod
    def clear(self) -> None:
        """Take away what ``bring`` left beside the VM's disk."""


class Upload(Way):
    """Through the API into a storage for images to import, and from there. No root, nothing on the node."""

    name = "upload"

    def __init__(self, job: Job, through: Storage) -> None:
        super().__init__(job)
        self.through = through
        self._file = f"{stem(job.name, job.image.sha256)}.{job.image.format}"
        self._volume = f"{through.name}:import/{self._file}"

    @property
    def privileges(self) -> dict[str, tuple[str, ...]]:
        # Datastore.Allocate: to delete the file again
        return {f"/storage/{self.through.name}": ("Datastore.AllocateTemplate", "Datastore.Allocate")}

    def check(self) -> None:
        self.through.require(self.job.image.size, f"the image of {self.job.name!r}")

    def bring(self, vm: Vm) -> str:
        job, path = self.job, f"/nodes/{self.job.node}/storage/{self.through.name}"
        fields = {"content": "import", "checksum-algorithm": "sha256", "checksum": job.image.sha256}
        what = f"{job.image.path.name} as {self._volume}"
        with job.image.path.open("rb") as file:

            def begin() -> Source:
                file.seek(0)
                return Source(file, Progress(job.say, f"{job.name}: uploading {what}", job.image.size))

            try:
                upid = job.api.upload(f"{path}/upload", fields, self._file, job.image.size, begin)
            except ApiError as error:
                raise TransferFailed(f"{what} was not taken: {error}. Nothing of it was left there.") from None
            except Interrupted as error:
                raise OutcomeUnknown(f"Whether {what} arrived is unknown: {error}") from None
        ended = finish(job.api, upid, Deadline(job.seconds))
        if not ended.done:
            raise TransferFailed(
                f"{job.api.where} did not keep {what}: {ended.exitstatus}. Nothing of it was left there."
            )
        sizes = _sizes(job.site, job.node, self.through.name, {"content": "import"})
        if sizes.get(self._volume) != job.image.size:
            raise TransferFailed(
                f"{self._volume} has {sizes.get(self._volume)} bytes on {job.api.where} and {job.image.size} here."
            )
        return f"{job.storage.name}:0,import-from={self._volume}"

    def clear(self) -> None:
        delete(self.job.api, self.job.node, self._volume, self.job.seconds)


class OnNode(Way):
    """Over ssh into a folder of the node."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._host = Host(job.options, job.say)
        self._path = str(PurePosixPath(job.folder) / stem(job.name, job.image.sha256))

    def check(self) -> None:
        free = self._host.free(self.job.folder)
        if free < self.job.image.size:
            raise NotPossible(
                f"{self.job.folder} on {self._host.name} has {free / 1e6:.0f} MB free, and the image needs "
                f"{self.job.image.size / 1e6:.0f} MB. Name another folder with the option node_folder."
            )

    def bring(self, vm: Vm) -> str:
        options = self.job.options
        node = Node(vm, str(options.ssh_host), options.ssh_args, options.runtime_directory)
        node.verify()
        self._host.put(self.job.image.path, self.job.image.sha256, self._path)
        return self._import(vm, node)

    @abstractmethod
    def _import(self, vm: Vm, node: Node) -> str:
        """As ``bring``, from the file on the node."""

    def clear(self) -> None:
        self._host.run(["rm", "-f", "--", self._path])


class ByPath(OnNode):
    """Proxmox VE itself reads the file, which it does for root@pam only."""

    name = "path"

    def _import(self, vm: Vm, node: Node) -> str:
        return f"{self.job.storage.name}:0,import-from={self._path}"


class ImportDisk(OnNode):
    """``qm importdisk`` on the node: the only way before Proxmox VE 7.2, and the one without root@pam at the API."""

    name = "importdisk"

    def _import(self, vm: Vm, node: Node) -> str:
        vmid, _node = vm.locate()
        command = ["qm", "importdisk", str(vmid), self._path, self.job.storage.name]
        status, said = node.run(command, changes=True, seconds=self.job.seconds)
        if status != 0:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise GuestError(f"'{' '.join(command)}' on {self._host.name} ended with {status}: {last}")
        disk = vm.machine("GET", "config").get("unused0")
        if not disk:
            raise GuestError(f"'{' '.join(command)}' succeeded, and {vm} has no unused0 with the disk that it makes.")
        return str(disk)


def choose(job: Job, mode: str, import_storage: str | None) -> Way:
    """The way that *mode* names, or with ``auto`` the first that there is. Raises NotPossible with what each one lacks."""
    version, login = job.api.version(job.options.connect_timeout), job.api.access
    root = login.token is None and login.user == "root@pam"
    lacking: dict[str, list[str]] = {"upload": [], "path": [], "importdisk": []}
    through = _through(job, import_storage)
    if version < _UPLOADS:
        lacking["upload"].append(f"Proxmox VE 8.4 (this is {version[0]}.{version[1]})")
    if through is None:
        lacking["upload"].append(f"a storage of node {job.node!r} with content type import (Datacenter, Storage)")
    if version < _IMPORT_FROM:
        lacking["path"].append(f"Proxmox VE 7.2 (this is {version[0]}.{version[1]})")
    if not root:
        lacking["path"].append("a login as root@pam with a password, which no API token is")
    if not job.options.ssh_host:
        for name in ("path", "importdisk"):
            lacking[name].append(f"root on node {job.node!r} through ssh (chr_ssh_host)")
    asked = list(lacking) if mode == "auto" else [mode]
    for name in asked:
        if not lacking[name]:
            if name == "upload" and through:
                return Upload(job, through)
            return ByPath(job) if name == "path" else ImportDisk(job)
    reasons = "; ".join(f"import_mode {name} needs {' and '.join(lacking[name])}" for name in asked)
    raise NotPossible(f"There is no way for the image of {job.name!r} into {job.api.where}: {reasons}.")


def _through(job: Job, wanted: str | None) -> Storage | None:
    """The storage for uploads: *wanted*, the disk's own, or the first by name."""
    if wanted is not None:
        return job.site.storage(job.node, wanted, "import")
    fitting = [one for one in job.site.storages(job.node) if "import" in one.content and one.usable]
    return next((one for one in fitting if one.name == job.storage.name), fitting[0] if fitting else None)


def stem(name: str, sha256: str) -> str:
    """How the name of the image begins where it lies meanwhile, so that a later run knows it."""
    return f"outofband-{name}-{sha256[:16]}"


def clear_uploads(site: Site, node: str, begin: str, seconds: float) -> None:
    """Delete the images of broken imports whose names begin with *begin*."""
    for storage in site.storages(node):
        if "import" in storage.content and storage.usable:
            for volume in _sizes(site, node, storage.name, {"content": "import"}):
                if volume.startswith(f"{storage.name}:import/{begin}."):
                    delete(site.api, node, volume, seconds)


def disk_size(site: Site, node: str, volume: str) -> int | None:
    """Bytes of a VM's disk; None where it is not there."""
    return _sizes(site, node, volume.partition(":")[0], {"content": "images"}).get(volume)


def delete(api: Api, node: str, volume: str, seconds: float) -> None:
    """Delete a volume. Raises GuestError when it is still there."""
    path = f"/nodes/{node}/storage/{volume.partition(':')[0]}/content/{quote(volume, safe='')}"
    upid = api.call("DELETE", path)
    ended = finish(api, upid, Deadline(seconds)) if upid else None
    if ended and not ended.done:
        raise GuestError(f"{volume} on {api.where} was not deleted: {ended.exitstatus}. Delete it there.")


def _sizes(site: Site, node: str, storage: str, values: dict[str, str]) -> dict[str, int]:
    """The volumes of a storage, and their bytes."""
    answer = site.ask(f"/nodes/{node}/storage/{storage}/content", values)
    try:
        return {str(one["volid"]): int(one["size"]) for one in answer}
    except (KeyError, TypeError, ValueError):
        raise GuestError(f"{site.api.where} answered with no list of what is on storage {storage!r}.") from None
