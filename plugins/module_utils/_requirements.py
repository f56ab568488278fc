# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM must be like to run a CHR. PRIVATE to the collection: may change in any release.

Source: the vendor's manual, sections 2 (memory, disk, platforms), 3 (network cards and disks) and 6.4 (bhyve); and for the memory
of RouterOS 7 the vendor's help page of 2026-05. Pure functions, no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MIB = 1024**2
OLDEST = (6, 34)
"""The first RouterOS with a CHR."""
LEAST_DISK = 128
"""MiB."""
LARGEST_DISK = 16 * 1024
"""MiB, of RouterOS 6."""


@dataclass(frozen=True)
class Hypervisor:
    """A row of the manual's table of network cards and disks, with the names that this collection gives them."""

    title: str
    nics: tuple[str, ...]
    """The recommended ones first."""
    disks: tuple[str, ...]
    system_disks: tuple[str, ...] | None = None
    """Where the system disk can be; None: on each of ``disks``."""


HYPERVISORS: dict[str, Hypervisor] = {
    "esx": Hypervisor("VMware", ("vmxnet3", "e1000"), ("ide", "pvscsi", "lsisas", "lsilogic"), ("ide",)),
    "hyperv": Hypervisor("Hyper-V", ("synthetic", "legacy"), ("ide", "scsi"), ("ide",)),
    "kvm": Hypervisor("QEMU/KVM", ("virtio", "vmxnet3", "e1000"), ("virtio", "ide", "sata")),
    "xen": Hypervisor("Xen", ("netfront", "rtl8139", "e1000"), ("ide", "sata")),
    "virtualbox": Hypervisor("VirtualBox", ("e1000", "rtl8139"), ("ide", "sata", "scsi", "sas")),
}
"""The manual's spelling rtl8193 means rtl8139."""
_BETTER_THAN_E1000 = {"esx": "vmxnet3", "kvm": "virtio", "xen": "netfront"}


@dataclass(frozen=True)
class Machine:
    """A VM as it is planned. Sizes are in MiB."""

    hypervisor: str
    routeros: str | None = None
    """Version, as ``7.22`` or ``6.49.18``; None: one of RouterOS 7."""
    cpus: int = 1
    memory: int | None = None
    """None: as much as is required."""
    memory_base: int | None = None
    """In place of what the version says."""
    disk: int | None = None
    disk_bus: str | None = None
    """Of the system disk."""
    further_disks: tuple[str, ...] = ()
    """Buses of the other disks."""
    nics: tuple[str, ...] = field(default=("",))
    """Models; an empty one is not checked."""
    firmware: str | None = None
    generation: int | None = None
    """Of Hyper-V."""
    virtualization: str | None = None
    """``hvm``, or what a Xen domain is otherwise: ``pv``, ``pvh``."""
    architecture: str = "x86_64"


@dataclass(frozen=True)
class Findings:
    """What speaks against a machine. ``errors``: it cannot run; ``warnings``: it runs, and there is something better."""

    errors: list[str]
    warnings: list[str]


def version_of(text: str) -> tuple[int, ...]:
    """(7, 22, 1) of ``7.22.1``, (7, 23) of ``7.23rc2``. Raises ValueError."""
    if not (found := re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text.strip())):
        raise ValueError(f"{text!r} is no version of RouterOS, such as 7.22 or 6.49.18")
    return tuple(int(part) for part in found.groups() if part is not None)


def memory_base(routeros: str | None) -> int:
    """MiB that the formula begins with: 128 for RouterOS 6 (the manual), 256 from 7 on (the help page of 2026-05)."""
    return 128 if routeros and version_of(routeros)[0] < 7 else 256


def memory_required(cpus: int, interfaces: int, base: int) -> int:
    """MiB of RAM, by the manual's formula: base + 8 x CPUs x (interfaces - 1). Raises ValueError."""
    if cpus < 1:
        raise ValueError(f"{cpus} CPUs: at least 1 is needed")
    return base + 8 * cpus * max(interfaces - 1, 0)


def findings(machine: Machine) -> Findings:
    """Everything that speaks against *machine*; nothing is left out because something else was found first.

    Raises ValueError for a hypervisor or a version that cannot be understood.
    """
    found = Findings([], [])
    if machine.hypervisor == "bhyve":
        found.errors.append(
            "CHR cannot run under bhyve at all: it cannot be a paravirtualised guest (manual, section 6.4)."
        )
        return found
    if machine.hypervisor not in HYPERVISORS:
        raise ValueError(f"hypervisor {machine.hypervisor!r} is none of {', '.join([*HYPERVISORS, 'bhyve'])}")
    for check in (_version, _memory, _disk, _models, _boot):
        check(machine, HYPERVISORS[machine.hypervisor], found)
    return found


def _version(machine: Machine, _hypervisor: Hypervisor, found: Findings) -> None:
    if machine.routeros and version_of(machine.routeros) < OLDEST:
        found.errors.append(f"RouterOS {machine.routeros} has no CHR: the first is 6.34.")
    if machine.architecture not in ("x86_64", "amd64"):
        found.errors.append(
            f"Architecture {machine.architecture}: this collection brings up CHRs for x86_64 only; no guest agent is known to work "
            "on another."
        )


def _memory(machine: Machine, _hypervisor: Hypervisor, found: Findings) -> None:
    if machine.cpus < 1:
        found.errors.append(f"{machine.cpus} CPUs: at least 1 is needed.")
        return
    base = machine.memory_base if machine.memory_base is not None else memory_base(machine.routeros)
    needed = memory_required(machine.cpus, len(machine.nics), base)
    if machine.memory is not None and machine.memory < needed:
        found.errors.append(
            f"{machine.memory} MiB of memory: {needed} are needed "
            f"({base} + 8 x {machine.cpus} CPUs x ({len(machine.nics)} interfaces - 1))."
        )


def _disk(machine: Machine, _hypervisor: Hypervisor, found: Findings) -> None:
    if machine.disk is None:
        return
    if machine.disk < LEAST_DISK:
        found.errors.append(f"A disk of {machine.disk} MiB: at least {LEAST_DISK} are needed.")
    if machine.disk > LARGEST_DISK and machine.routeros and version_of(machine.routeros)[0] < 7:
        found.errors.append(f"A disk of {machine.disk} MiB: RouterOS 6 takes at most {LARGEST_DISK} (16 GiB).")


def _models(machine: Machine, hypervisor: Hypervisor, found: Findings) -> None:
    for model in dict.fromkeys(machine.nics):
        if model and model not in hypervisor.nics:
            found.errors.append(
                f"Network card {model}: under {hypervisor.title} a CHR can use {', '.join(hypervisor.nics)}."
            )
    better = _BETTER_THAN_E1000.get(machine.hypervisor)
    if better and "e1000" in machine.nics:
        found.warnings.append(f"Network card e1000 is not recommended under {hypervisor.title}: {better} is faster.")
    bus = machine.disk_bus
    for one in dict.fromkeys((*((bus,) if bus else ()), *machine.further_disks)):
        if one not in hypervisor.disks:
            found.errors.append(f"Disk on {one}: under {hypervisor.title} a CHR can use {', '.join(hypervisor.disks)}.")
    if bus in hypervisor.disks and hypervisor.system_disks and bus not in hypervisor.system_disks:
        found.errors.append(
            f"Disk on {bus}: under {hypervisor.title} the system disk must be on {', '.join(hypervisor.system_disks)}; {bus} is "
            "for further disks only."
        )


def _boot(machine: Machine, _hypervisor: Hypervisor, found: Findings) -> None:
    if machine.firmware not in (None, "bios"):
        found.errors.append(f"Firmware {machine.firmware}: the CHR image for x86_64 boots with BIOS only.")
    if machine.hypervisor == "hyperv" and machine.generation not in (None, 1):
        found.errors.append(f"Generation {machine.generation}: a CHR runs in VMs of generation 1 only.")
    if machine.virtualization not in (None, "hvm"):
        found.errors.append(
            f"Virtualization {machine.virtualization}: CHR cannot run as a paravirtualised guest, only as hvm."
        )
