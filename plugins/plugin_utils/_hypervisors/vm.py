# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of the VM side: how a VM is made from an image and removed, on every platform.

The one rule: a VM exists completely or not at all. Everything that a platform makes carries a mark
from its first moment on. The mark says which image it is made from and whether the import is
complete. So the next run recognises and removes what a killed run left. Anything without a mark
belongs to somebody else and is never touched, unless it is adopted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

from .hardware import Difference, Hardware

UNKNOWN = "unknown"
"""The image in the mark of a VM that was adopted."""
_MARK = re.compile(
    rf"outofband\.chr: image ([0-9a-f]{{64}}|{UNKNOWN}) (importing|imported) for ([0-9a-f]{{16}})(?: in run ([0-9a-f]{{8}}))?"
)

Say = t.Callable[[str], None]
"""Shows a line to the user while something takes long."""


@dataclass(frozen=True)
class Mark:
    """The text by which this collection knows its VMs; it stands in the notes of the VM.

    It holds for one VM: the notes of another one, copied by somebody else, are not a mark.
    """

    image: str
    """The sha256 of the image file that the VM was made from, in hex. UNKNOWN if it was adopted."""
    complete: bool
    owner: str
    """A hash of the VM's name and of the image."""
    run: str = ""
    """What names the run that imports the VM or removes it. Empty for a complete VM."""

    @classmethod
    def of(cls, spec: VmSpec, image: str, *, complete: bool, run: str = "") -> Mark:
        """The mark of the VM *spec*, which is made from the *image* with this sha256."""
        return cls(image, complete, _owner(spec.name, image), "" if complete else run)

    @property
    def sha256(self) -> str | None:
        """The sha256 of the image. None if the VM was adopted."""
        return None if self.image == UNKNOWN else self.image

    def holds_for(self, name: str) -> bool:
        """Whether it is the mark of the VM with this *name*."""
        return self.owner == _owner(name, self.image)

    def __str__(self) -> str:
        run = f" in run {self.run}" if self.run else ""
        return f"outofband.chr: image {self.image} {'imported' if self.complete else 'importing'} for {self.owner}{run}"

    @classmethod
    def parse(cls, notes: str | None) -> Mark | None:
        """Find the mark in *notes*. None means that the VM with these notes is somebody else's."""
        found = _MARK.search(notes or "")
        return cls(found[1], found[2] == "imported", found[3], found[4] or "") if found else None

    def put_into(self, notes: str | None) -> str:
        """Return *notes* with this mark in place of the one that they have, or at their end."""
        if _MARK.search(notes or ""):
            return _MARK.sub(str(self), notes or "", count=1)
        return f"{notes.rstrip()}\n\n{self}" if notes and notes.strip() else str(self)


def _owner(name: str, image: str) -> str:
    # Some platforms do not distinguish upper and lower case in names.
    return hashlib.sha256(f"outofband.chr\0{name.casefold()}\0{image}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Nic:
    """A network card. RouterOS calls the first one ether1, the second ether2, and so on."""

    network: str | None
    """The platform's name of the network that it is connected to. None: the default network."""
    model: str
    """The card's model, by its name in ``_routeros/requirements.py``."""
    mac: str | None = None
    """The MAC address in the form ``02:00:5e:10:00:01``, however it was given."""
    vlan: int | None = None

    def __post_init__(self) -> None:
        """Check the address and the VLAN, and normalise the address. Raises InvalidInput."""
        if self.mac is not None:
            digits = re.sub(r"[:.-]", "", self.mac).lower()
            if not re.fullmatch(r"[0-9a-f][02468ace][0-9a-f]{10}", digits):
                raise InvalidInput(
                    f"mac {self.mac!r} is not a valid MAC address of a network card, such as 02:00:5e:10:00:01."
                )
            object.__setattr__(self, "mac", ":".join(re.findall("..", digits)))
        if self.vlan is not None and not 1 <= self.vlan <= 4094:
            raise InvalidInput(f"vlan {self.vlan} is not a valid VLAN: use a number from 1 to 4094.")


@dataclass(frozen=True)
class VmSpec:
    """The VM that is wanted."""

    name: str
    cpus: int
    memory: int
    """The memory in MiB."""
    nics: tuple[Nic, ...]
    image: Image | None
    """The image to import. None if the VM is only to be removed."""
    asked: Hardware = Hardware()
    """What the task asks of a VM that exists already."""


@dataclass(frozen=True)
class VmSettings:
    """The options that only one platform has.

    Each subclass has one field for each option, with the option's name.
    """

    @classmethod
    def from_arguments(cls, arguments: t.Mapping[str, t.Any]) -> t.Self:
        """Take the settings from the *arguments* of a task, which Ansible has checked."""
        given = {one.name: arguments[one.name] for one in dataclasses.fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


@dataclass(frozen=True)
class Found:
    """What a platform has under the VM's name, or what a broken import of the VM has left."""

    id: str
    """The platform's identifier: a vmid, UUID, moid or path."""
    mark: Mark | None
    running: bool

    @property
    def image(self) -> str | None:
        """The sha256 of the image that it was made from, in hex. None if that is not known."""
        return self.mark.sha256 if self.mark else None


@dataclass(frozen=True)
class Outcome:
    """What was done, or what would be done without check mode."""

    before: str
    """``absent``, ``unfinished``, ``stopped`` or ``running``."""
    after: str
    id: str | None
    image: str | None
    """The sha256 of the image that the VM was made from, in hex. None if that is not known."""
    adopted: bool = False
    hardware: Hardware | None = None
    """What a VM had that existed before. None if none existed, or if that could not be read."""
    differences: tuple[Difference, ...] = ()
    """What it had in another way than the task asks for."""
    reconciled: tuple[Difference, ...] = ()
    """Those of the differences that were changed."""

    @property
    def changed(self) -> bool:
        return self.before != self.after or self.adopted or bool(self.reconciled)


class NameTaken(NotPossible):
    """The name belongs to something that this collection did not make. It was not touched."""


OptionsT = t.TypeVar("OptionsT")
SettingsT = t.TypeVar("SettingsT", bound=VmSettings)


class Platform(ABC, t.Generic[OptionsT, SettingsT]):
    """One VM on one platform. All errors are ChrError.

    A platform does not decide: ``find`` says what exists, and the functions in ``ensure.py`` call
    the other methods in the right order.
    """

    title: str
    """The platform and where it is, for messages: ``Proxmox VE at pve1:8006``."""
    changeable: t.ClassVar[frozenset[str]] = frozenset()
    """What ``change`` can change, as in ``Difference.what``."""

    def __init__(self, spec: VmSpec, options: OptionsT, settings: SettingsT, say: Say) -> None:
        """Check the arguments without asking the hypervisor anything. Raises ChrError.

        *options*: how the hypervisor is reached. *settings*: the options of the task that only this
        platform has. *say*: is called with a line of text during a long transfer.
        """
        self.spec = spec
        self.run = secrets.token_hex(4)
        """What names this run in the mark of a VM that is not complete."""
        self.created = False
        """Whether the VM was created, also if a later step failed."""
        self.touched = False
        """Whether a VM that existed was changed or marked, also if a later step failed."""
        self.warnings: list[str] = []
        """Warnings for the operator, although nothing fails. ``check`` may add to them."""
        self._options, self._settings, self._say = options, settings, say

    @property
    def image(self) -> Image:
        """The image that the VM is made from. A VM that is only to be removed has none."""
        if self.spec.image is None:
            raise AssertionError("a VM without an image is only removed")
        return self.spec.image

    def mark(self, *, complete: bool, image: str | None = None) -> Mark:
        """The mark of this VM in this run. *image*: the sha256 of another image than the task's."""
        return Mark.of(self.spec, image or self.image.sha256, complete=complete, run=self.run)

    @abstractmethod
    def find(self) -> Found | None:
        """Find what has the VM's name, or what a broken import of the VM has left.

        Such a remainder is a VM, or only its disk. Changes nothing. Returns None if nothing exists.
        """

    @abstractmethod
    def check(self) -> None:
        """Check what ``create`` needs, such as space, a content type, a network and privileges.

        Only what the hypervisor can be asked is checked. Called when ``find`` returned None, or
        something that is going to be removed. Changes nothing. Raises ChrError.
        """

    @abstractmethod
    def create(self) -> None:
        """Transfer and verify the image, and make the VM with its agent channel.

        Everything made is first marked as incomplete, so that ``find`` sees it and ``remove`` can
        remove it. The last step marks the VM as complete.
        """

    @abstractmethod
    def remove(self, found: Found) -> None:
        """Stop *found* without asking its guest, and remove it with its disks.

        Returns when it is gone.
        """

    @abstractmethod
    def start(self, found: Found) -> None:
        """Switch *found* on. Returns when it is on."""

    def hardware(self, found: Found) -> Hardware:
        """Return what *found*, a complete VM, has. If it runs, this is what it runs with.

        Changes nothing.
        """
        return Hardware()

    def asked(self) -> Hardware:
        """What the task asks for, in the form in which ``hardware`` tells it."""
        return self.spec.asked

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        """Check that *wanted* can be changed on *found*. Changes nothing. Raises ChrError."""

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        """Change *wanted*, all of which are ``changeable``, on *found*, which is off."""
        raise NotImplementedError

    def connected(self, wanted: t.Iterable[Difference]) -> list[Nic]:
        """The cards that *wanted* adds, or connects to another network or VLAN of a named one."""
        numbers = {one.card for one in wanted if one.what in ("network", "vlan")}
        added = [range(int(one.found), int(one.asked)) for one in wanted if one.what == "nics"]
        return [
            nic
            for number, nic in enumerate(self.spec.nics, start=1)
            if (nic.network and number in numbers) or any(number - 1 in one for one in added)
        ]

    def stop(self, found: Found) -> None:
        """Turn *found*, which runs, off as if its power was cut. Returns when it is off."""
        raise NotImplementedError

    def check_adopt(self, found: Found) -> None:
        """Check that *found* can be adopted. Changes nothing. Raises ChrError."""
        raise NotPossible(
            f"{self.title} has {self.spec.name!r} ({found.id}), which this collection did not import, and adopt is not possible "
            "there. It was not touched."
        )

    def adopt(self, found: Found, mark: Mark) -> None:
        """Put *mark* on *found*, beside the notes that it has."""
        raise NotImplementedError

    def guest_options(self, found: Found) -> dict[str, t.Any]:
        """The options of the connection that name *found*, for its guest agent."""
        return {"vm": found.id}

    def settle(self) -> None:  # noqa: B027 - most platforms wait for nothing
        """Wait for the state that the task wants of a running VM. Not called in check mode."""

    def extra(self, outcome: Outcome) -> dict[str, t.Any]:
        """The keys of the task's result that only this platform has."""
        return {}


AnyPlatform = Platform[t.Any, t.Any]
