# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM that is made of an image, and taken away again, whatever the platform.

The one rule: a VM is there whole or not at all. Everything that a platform makes carries a mark from its first moment on, which
says which image it is made of and whether the import is complete. So a run that was killed leaves something that the next run
recognises as its own and removes, and what carries no mark belongs to somebody else and is never touched.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

_MARK = re.compile(r"outofband\.chr: image ([0-9a-f]{64}) (importing|imported)")


@dataclass(frozen=True)
class Mark:
    """What a VM of ours carries where its platform lets people write notes."""

    image: str
    """The sha256 of the image file that it was made of, in hex."""
    complete: bool

    def __str__(self) -> str:
        return f"outofband.chr: image {self.image} {'imported' if self.complete else 'importing'}"

    @classmethod
    def of(cls, notes: str | None) -> Mark | None:
        """The mark somewhere in *notes*; None: whatever has these notes is not ours."""
        found = _MARK.search(notes or "")
        return cls(found[1], found[2] == "imported") if found else None


@dataclass(frozen=True)
class Nic:
    """A network card, first to last as ether1, ether2, ..."""

    network: str | None
    """As the platform calls what it is connected to; None: the platform's default."""
    model: str
    """A name of ``module_utils/_requirements.py``."""
    mac: str | None = None
    """As ``02:00:5e:10:00:01``, however it was spelt."""
    vlan: int | None = None

    def __post_init__(self) -> None:
        """Raises InvalidInput for an address or a VLAN that no card can have."""
        if self.mac is not None:
            digits = re.sub(r"[:.-]", "", self.mac).lower()
            if not re.fullmatch(r"[0-9a-f][02468ace][0-9a-f]{10}", digits):
                raise InvalidInput(f"mac {self.mac!r} is no MAC address of a network card, such as 02:00:5e:10:00:01.")
            object.__setattr__(self, "mac", ":".join(re.findall("..", digits)))
        if self.vlan is not None and not 1 <= self.vlan <= 4094:
            raise InvalidInput(f"vlan {self.vlan}: a VLAN is a number from 1 to 4094.")


@dataclass(frozen=True)
class VmSpec:
    """The VM that is wanted."""

    name: str
    cpus: int
    memory: int
    """MiB."""
    nics: tuple[Nic, ...]
    image: Image | None
    """None: only to be removed."""


@dataclass(frozen=True)
class Found:
    """What a platform has under the VM's name, or left behind for it by an import that broke off."""

    id: str
    """As the platform identifies it: vmid, uuid, moid, path."""
    mark: Mark | None
    running: bool

    @property
    def image(self) -> str | None:
        """The sha256 of the image that it was made of."""
        return self.mark.image if self.mark else None


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be."""

    before: str
    """``absent``, ``unfinished``, ``stopped`` or ``running``."""
    after: str
    id: str | None
    image: str | None
    """The sha256 of the image that the VM was made of."""

    @property
    def changed(self) -> bool:
        return self.before != self.after


class NameTaken(GuestError):
    """Something else has the name. It was not touched."""


class Platform(ABC):
    """One VM on one platform. All errors are GuestError.

    A platform does not decide: ``find`` says what there is, and the functions below call the others in the right order.
    """

    title: str
    """The platform and where it is, for messages: ``Proxmox VE at pve1:8006``."""

    def __init__(self, spec: VmSpec) -> None:
        self.spec = spec
        self.warnings: list[str] = []
        """What the operator should know of the VM although nothing fails; ``check`` may add to it."""

    @property
    def image(self) -> Image:
        """What the VM is made of; there is none where it is only to be removed."""
        if self.spec.image is None:
            raise AssertionError("a VM without an image is only removed")
        return self.spec.image

    @abstractmethod
    def find(self) -> Found | None:
        """What has the VM's name, or was left by an import of it that broke off (a VM, or only its disk). Changes nothing."""

    @abstractmethod
    def check(self) -> None:
        """Raise what would keep ``create`` from success, as far as it can be asked: space, content type, network, privilege.

        Called while ``find`` gives None, or what is going to be removed. Changes nothing.
        """

    @abstractmethod
    def create(self) -> None:
        """Bring the image there, verify it on the far side, make the VM of it with its agent channel, and mark it as complete.

        Everything made is marked as incomplete first, so that ``find`` sees it and ``remove`` can take it away.
        """

    @abstractmethod
    def remove(self, found: Found) -> None:
        """Stop *found* without asking its guest, and remove it with its disks. Returns when it is gone."""

    @abstractmethod
    def start(self, found: Found) -> None:
        """Switch *found* on, and return when it is."""


def ensure_present(platform: Platform, *, running: bool, check_mode: bool) -> Outcome:
    """Have the VM, made of the image, and where *running* says so switched on. An existing VM of ours is never changed otherwise.

    Raises NameTaken, and what the platform raises; then nothing is left behind, or the text says what is.
    """
    found = _ours(platform, platform.find())
    before = _state(found)
    image = platform.image
    if found is None or before == "unfinished":
        platform.check()
        if check_mode:
            return Outcome(before, "running" if running else "stopped", None, image.sha256)
        if found is not None:
            platform.remove(found)
        found = _create(platform)
    if running and not found.running:
        if not check_mode:
            platform.start(found)
        return Outcome(before, "running", found.id, found.image)
    return Outcome(before, _state(found), found.id, found.image)


def ensure_absent(platform: Platform, *, check_mode: bool) -> Outcome:
    """Have no VM of that name, if it is ours. Raises NameTaken for another one."""
    found = _ours(platform, platform.find())
    if found is not None and not check_mode:
        platform.remove(found)
    return Outcome(_state(found), "absent", None, None)


def _create(platform: Platform) -> Found:
    try:
        platform.create()
        found = platform.find()
        if found is None or _state(found) == "unfinished":
            raise GuestError(
                f"{platform.title} does not have {platform.spec.name!r} although it was made without an error."
            )
        return found
    except BaseException as error:
        _clean_up(platform, error)
        raise


def _clean_up(platform: Platform, error: BaseException) -> None:
    """Take away what a broken import left. A failure to do so is added to the text of *error*."""
    try:
        found = platform.find()
        if found is not None and found.mark is not None and not found.mark.complete:
            platform.remove(found)
    except GuestError as second:
        if isinstance(error, GuestError):
            error.args = (
                f"{error} What was made until then could not be removed ({second}): it is marked as unfinished, and the next run "
                "removes it.",
            )


def _ours(platform: Platform, found: Found | None) -> Found | None:
    if found is not None and found.mark is None:
        raise NameTaken(
            f"{platform.title} already has {platform.spec.name!r} ({found.id}), and this collection did not import it. It was not "
            "touched. Choose another name, or rename or remove it yourself."
        )
    return found


def _state(found: Found | None) -> str:
    if found is None:
        return "absent"
    if found.mark is not None and not found.mark.complete:
        return "unfinished"
    return "running" if found.running else "stopped"
