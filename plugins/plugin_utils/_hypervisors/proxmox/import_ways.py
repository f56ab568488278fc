# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The ways in which a disk image becomes the disk of a VM of Proxmox VE.

Which of them are possible depends on the version of Proxmox VE and on the user.

Sources: qemu-server 6.2 to 9.2.6 and pve-storage 7 to 9.1.7. All errors are ChrError.
"""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress, Source
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .api import Api, ApiError, Body
from .machine import ProxmoxMachine
from .multipart import Multipart
from .node import Node
from .options import ProxmoxOptions
from .site import Site, Storage
from .tasks import finish

FORMATS = ("raw", "qcow2", "vmdk")
"""The formats that Proxmox VE imports. The name of an uploaded file must end with one of them."""
# Make a folder that only this user can use. One that another user has made is not used.
_OWN_FOLDER = 'umask 077; mkdir "$1" 2>/dev/null; [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && chmod 0700 "$1"'
_UPLOADS = (8, 4)
"""The first version (pve-storage 8.3.6) with uploads of such images."""
_IMPORT_FROM = (7, 2)
"""The first version (qemu-server 7.1-5) with import-from in a disk option."""


@dataclass(frozen=True)
class ImportJob:
    """One image for one VM."""

    site: Site
    options: ProxmoxOptions
    name: str
    """The name of the VM."""
    image: Image
    node: str
    storage: Storage
    """The storage for the disk."""
    folder: str
    """The folder of the node that holds the image during the import."""
    seconds: float
    """The seconds that one task of Proxmox VE may take."""
    say: t.Callable[[str], None]

    @property
    def api(self) -> Api:
        return self.site.api


class ImportWay(ABC):
    """A way in which the image gets to Proxmox VE."""

    name: t.ClassVar[str]

    def __init__(self, job: ImportJob) -> None:
        self.job = job

    @property
    def privileges(self) -> dict[str, tuple[str, ...]]:
        """The privileges by path that this way needs, besides those that every VM needs."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Check what ``bring`` needs, as far as Proxmox VE can be asked. Raises ChrError.

        Changes nothing.
        """

    @abstractmethod
    def bring(self, vm: ProxmoxMachine) -> str:
        """Transfer and verify the image.

        Returns the value that makes it the disk of *vm*. Raises ChrError.
        """

    @abstractmethod
    def clear(self) -> None:
        """Remove what ``bring`` has left apart from the VM's disk."""


class Upload(ImportWay):
    """Uploads the image through the API into a storage for images, and imports it from there.

    It needs neither root nor a file on the node.
    """

    name = "upload"

    def __init__(self, job: ImportJob, through: Storage) -> None:
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

    def bring(self, vm: ProxmoxMachine) -> str:
        job = self.job
        fields = {"content": "import", "checksum-algorithm": "sha256", "checksum": job.image.sha256}
        what = f"{job.image.path.name} as {self._volume}"
        with job.image.path.open("rb") as file:

            def form(values: dict[str, str]) -> Body:
                file.seek(0)
                source = Source(file, Progress(job.say, f"{job.name}: uploading {what}", job.image.size))
                body = Multipart(values, self._file, source, job.image.size)
                return body, body.headers

            try:
                upid = job.api.call(
                    lambda pve: pve.nodes(job.node).storage(self.through.name).upload.post(**fields), encode=form
                )
            except ApiError as error:
                raise TransferFailed(f"{what} was not taken: {error}. Nothing of it was left there.") from None
            except Interrupted as error:
                raise OutcomeUnknown(f"Whether {what} arrived is unknown: {error}") from None
        ended = finish(job.api, upid, Deadline(job.seconds))
        if not ended.done:
            raise TransferFailed(
                f"{job.api.where} did not accept {what}: {ended.exitstatus}. Nothing of it was left there."
            )
        sizes = _sizes(job.site, job.node, self.through.name, "import")
        if sizes.get(self._volume) != job.image.size:
            raise TransferFailed(
                f"{self._volume} has {sizes.get(self._volume)} bytes on {job.api.where} and {job.image.size} here."
            )
        return f"{job.storage.name}:0,import-from={self._volume}"

    def clear(self) -> None:
        delete(self.job.api, self.job.node, self._volume, self.job.seconds)


class OnNode(ImportWay):
    """Copies the image over ssh into a folder of the node.

    It gets a folder of its own there: others can write to /var/tmp, and could change the image
    after it was checked.
    """

    def __init__(self, job: ImportJob) -> None:
        super().__init__(job)
        self._machine = Machine(job.options, job.say)
        self._folder = str(PurePosixPath(job.folder) / stem(job.name, job.image.sha256))
        self._path = f"{self._folder}/image"

    def check(self) -> None:
        free = self._machine.free(self.job.folder)
        if free < self.job.image.size:
            raise NotPossible(
                f"{self.job.folder} on {self._machine.name} has {free / 1e6:.0f} MB free, and the "
                f"image needs {self.job.image.size / 1e6:.0f} MB. Name another folder with the "
                "option node_folder."
            )

    def bring(self, vm: ProxmoxMachine) -> str:
        node = Node(vm, self._machine)
        node.verify()
        made = self._machine.try_run(["sh", "-c", _OWN_FOLDER, "sh", self._folder])
        if made.rc:
            raise NotPossible(
                f"{self._folder} on {self._machine.name} cannot be made, or belongs to another user: {made.said}. Remove it, or "
                "name another folder with the option node_folder."
            )
        self._machine.put(self.job.image.path, self.job.image.sha256, self._path)
        return self._import(vm, node)

    @abstractmethod
    def _import(self, vm: ProxmoxMachine, node: Node) -> str:
        """Do the work of ``bring`` with the file that is now on the node."""

    def clear(self) -> None:
        self._machine.run(["rm", "-rf", "--", self._folder])


class ByPath(OnNode):
    """Proxmox VE itself reads the file, which it does for root@pam only."""

    name = "path"

    def _import(self, vm: ProxmoxMachine, node: Node) -> str:
        return f"{self.job.storage.name}:0,import-from={self._path}"


class ImportDisk(OnNode):
    """``qm importdisk`` on the node.

    The only way before Proxmox VE 7.2, and the one that does not need root@pam at the API.
    """

    name = "importdisk"

    def _import(self, vm: ProxmoxMachine, node: Node) -> str:
        vmid, _node = vm.locate()
        command = ["qm", "importdisk", str(vmid), self._path, self.job.storage.name]
        status, said = node.run(command, changes=True, seconds=self.job.seconds)
        if status != 0:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise ChrError(f"'{' '.join(command)}' on {self._machine.name} ended with {status}: {last}")
        disk = vm.machine(lambda vm: vm.config.get()).get("unused0")
        if not disk:
            raise ChrError(
                f"'{' '.join(command)}' succeeded, but {vm} has no unused0 with the disk that the command makes."
            )
        return str(disk)


def choose(job: ImportJob, mode: str, import_storage: str | None) -> ImportWay:
    """The way that *mode* names, or with ``auto`` the first that is possible.

    Raises NotPossible, whose text says what each way lacks.
    """
    version, login = job.api.version(job.options.connect_timeout), job.api.login
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
    raise NotPossible(f"The image of {job.name!r} cannot be brought to {job.api.where}: {reasons}.")


def _through(job: ImportJob, wanted: str | None) -> Storage | None:
    """The storage for uploads: *wanted*, else the disk's own, else the first by name."""
    if wanted is not None:
        return job.site.storage(job.node, wanted, "import")
    fitting = [one for one in job.site.storages(job.node) if "import" in one.content and one.usable]
    return next((one for one in fitting if one.name == job.storage.name), fitting[0] if fitting else None)


def stem(name: str, sha256: str) -> str:
    """The beginning of the image's name during an import, by which a later run recognises it."""
    return f"outofband-{name}-{sha256[:16]}"


def clear_uploads(site: Site, node: str, begin: str, seconds: float) -> None:
    """Delete the images of broken imports whose names begin with *begin*."""
    for storage in site.storages(node):
        if "import" in storage.content and storage.usable:
            for volume in _sizes(site, node, storage.name, "import"):
                if volume.startswith(f"{storage.name}:import/{begin}."):
                    delete(site.api, node, volume, seconds)


def disk_size(site: Site, node: str, volume: str) -> int | None:
    """The size of a VM's disk in bytes, or None if the disk does not exist."""
    return _sizes(site, node, volume.partition(":")[0], "images").get(volume)


def delete(api: Api, node: str, volume: str, seconds: float) -> None:
    """Delete a volume, within *seconds*. Raises ChrError if it still exists."""
    storage = volume.partition(":")[0]
    upid = api.call(lambda pve: pve.nodes(node).storage(storage).content(quote(volume, safe="")).delete())
    ended = finish(api, upid, Deadline(seconds)) if upid else None
    if ended and not ended.done:
        raise ChrError(f"{volume} on {api.where} was not deleted: {ended.exitstatus}. Delete it there.")


def _sizes(site: Site, node: str, storage: str, content: str) -> dict[str, int]:
    """The volumes of one kind of *content* on a storage, and their sizes in bytes."""
    answer = site.ask(lambda pve: pve.nodes(node).storage(storage).content.get(content=content))
    try:
        return {str(one["volid"]): int(one["size"]) for one in answer}
    except (KeyError, TypeError, ValueError):
        raise ChrError(f"{site.api.where} answered without a list of the volumes on storage {storage!r}.") from None
