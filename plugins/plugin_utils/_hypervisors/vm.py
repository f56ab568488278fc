# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of the VM side: how a VM is made from an image and removed, on every platform.

The one rule: a VM exists completely or not at all. Everything that a platform makes carries a mark
from its first moment on. The mark says which image it is made from and whether the import is
complete. So the next run recognises and removes what a killed run left. Anything without a mark
belongs to somebody else and is never touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

_MARK = re.compile(
    r"outofband\.chr: image ([0-9a-f]{64}) (importing|imported) for ([0-9a-f]{16})(?: in run ([0-9a-f]{8}))?"
)

Say = t.Callable[[str], None]
"""Shows a line to the user while something takes long."""


@dataclass(frozen=True)
class Mark:
    """The text by which this collection knows its VMs; it stands in the notes of the VM.

    It holds for one VM: the notes of another one, copied by somebody else, are not a mark.
    """

    image: str
    """The sha256 of the image file that the VM was made from, in hex."""
    complete: bool
    owner: str
    """A hash of the VM's name and of the image."""
    run: str = ""
    """What names the run that imports the VM or removes it. Empty for a complete VM."""

    @classmethod
    def of(cls, spec: VmSpec, image: str, *, complete: bool, run: str = "") -> Mark:
        """The mark of the VM *spec*, which is made from the *image* with this sha256."""
        return cls(image, complete, _owner(spec.name, image), "" if complete else run)

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
        """The sha256 of the image that it was made from, in hex."""
        return self.mark.image if self.mark else None


@dataclass(frozen=True)
class Outcome:
    """What was done, or what would be done without check mode."""

    before: str
    """``absent``, ``unfinished``, ``stopped`` or ``running``."""
    after: str
    id: str | None
    image: str | None
    """The sha256 of the image that the VM was made from, in hex."""

    @property
    def changed(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True)
class Card:
    """A network card of an existing VM. What the platform does not tell is None."""

    model: str | None = None
    mac: str | None = None
    network: str | None = None
    """As in ``Nic``, if the platform tells it in that form."""
    vlan: int | None = None


@dataclass(frozen=True)
class Hardware:
    """What an existing VM has. What the platform does not tell is None."""

    cpus: int | None = None
    memory: int | None = None
    """In MiB."""
    nics: tuple[Card, ...] | None = None

    def differences(self, spec: VmSpec) -> list[str]:
        """Say what is different from *spec*, as far as that asks for it."""
        found = [
            f"{name} {there}{unit} instead of {wanted}{unit}"
            for name, there, wanted, unit in (
                ("cpus", self.cpus, spec.cpus, ""),
                ("memory", self.memory, spec.memory, " MiB"),
            )
            if there not in (None, wanted)
        ]
        if self.nics is None:
            return found
        if len(self.nics) != len(spec.nics):
            found.append(f"{len(self.nics)} network cards instead of {len(spec.nics)}")
        for number, (card, nic) in enumerate(zip(self.nics, spec.nics, strict=False), start=1):
            for name in ("model", "mac", "network", "vlan"):
                there, wanted = getattr(card, name), getattr(nic, name)
                if there is not None and wanted is not None and str(there).lower() != str(wanted).lower():
                    found.append(f"{name} {there} of ether{number} instead of {wanted}")
        return found


class NameTaken(ChrError):
    """The name belongs to something that this collection did not make. It was not touched."""


OptionsT = t.TypeVar("OptionsT")
SettingsT = t.TypeVar("SettingsT", bound=VmSettings)


class Platform(ABC, t.Generic[OptionsT, SettingsT]):
    """One VM on one platform. All errors are ChrError.

    A platform does not decide: ``find`` says what exists, and the functions below call the other
    methods in the right order.
    """

    title: str
    """The platform and where it is, for messages: ``Proxmox VE at pve1:8006``."""

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
        """Return what *found*, a complete VM of this collection, has. Changes nothing."""
        return Hardware()

    def settle(self) -> None:  # noqa: B027 - most platforms wait for nothing
        """Wait for the state that the task wants of a running VM. Not called in check mode."""

    def extra(self, outcome: Outcome) -> dict[str, t.Any]:
        """The keys of the task's result that only this platform has."""
        return {}


AnyPlatform = Platform[t.Any, t.Any]


def ensure_present(platform: AnyPlatform, *, running: bool, check_mode: bool) -> Outcome:
    """Create the VM from the image if it does not exist, and start it if *running* says so.

    A VM that this collection made before is not changed otherwise; a warning says what is different
    from the settings that are wanted. Raises NameTaken and the errors of the platform. After an
    error nothing is left behind, or the text says what is.
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
        platform.created = True
    else:
        _compare(platform, found)
    if running and not found.running:
        if not check_mode:
            platform.start(found)
        return Outcome(before, "running", found.id, found.image)
    return Outcome(before, _state(found), found.id, found.image)


def ensure_absent(platform: AnyPlatform, *, check_mode: bool) -> Outcome:
    """Remove the VM if this collection made it. Raises NameTaken if somebody else did."""
    found = _ours(platform, platform.find())
    if found is not None and not check_mode:
        platform.remove(found)
    return Outcome(_state(found), "absent", None, None)


def _compare(platform: AnyPlatform, found: Found) -> None:
    """Warn of the differences between *found* and the VM that is wanted."""
    try:
        differences = platform.hardware(found).differences(platform.spec)
    except (ChrError, ValueError, KeyError, TypeError, AttributeError) as error:
        platform.warnings.append(
            f"{platform.spec.name}: whether {platform.title} has it with the settings that are wanted is not known: {error}"
        )
        return
    if found.image != platform.image.sha256:
        differences.append(f"made from the image with the sha256 {found.image} instead of {platform.image.sha256}")
    if differences:
        platform.warnings.append(
            f"{platform.title} has {platform.spec.name!r} ({found.id}) with other settings than the ones that are wanted: "
            f"{'; '.join(differences)}. They were not changed. Change them yourself, or remove the VM (state: absent) and import "
            "it again."
        )


def _create(platform: AnyPlatform) -> Found:
    try:
        platform.create()
        found = platform.find()
        if found is None or _state(found) == "unfinished":
            raise ChrError(
                f"{platform.title} does not show {platform.spec.name!r} although it was made without an error."
            )
        return found
    except BaseException as error:
        _clean_up(platform, error)
        raise


def _clean_up(platform: AnyPlatform, error: BaseException) -> None:
    """Remove what a broken import left. If that fails, the text of *error* says so."""
    try:
        found = platform.find()
        if found is None or found.mark is None or found.mark.complete:
            return
        if found.mark.run in ("", platform.run):
            platform.remove(found)
        elif isinstance(error, ChrError):
            error.args = (
                f"{error} Another run imports {platform.spec.name!r} at the same time; what it has made was left to it.",
            )
    except ChrError as second:
        if isinstance(error, ChrError):
            error.args = (
                f"{error} What was made until then could not be removed ({second}): it is marked as "
                "unfinished, and the next run removes it.",
            )


def _ours(platform: AnyPlatform, found: Found | None) -> Found | None:
    if found is not None and found.mark is not None and not found.mark.holds_for(platform.spec.name):
        raise NameTaken(
            f"{platform.title} already has {platform.spec.name!r} ({found.id}), with the mark of another VM in its notes: it was "
            "renamed, or somebody copied the notes. It was not touched. Choose another name, or rename or remove it yourself."
        )
    if found is not None and found.mark is None:
        raise NameTaken(
            f"{platform.title} already has {platform.spec.name!r} ({found.id}), and this collection "
            "did not import it. It was not touched. Choose another name, or rename or remove it "
            "yourself."
        )
    return found


def _state(found: Found | None) -> str:
    if found is None:
        return "absent"
    if found.mark is not None and not found.mark.complete:
        return "unfinished"
    return "running" if found.running else "stopped"
