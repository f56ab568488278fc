# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requirements of a CHR on its VM.

PRIVATE to the collection: may change in any release.

The sources are the vendor's manual, sections 2 (memory, disk, platforms), 3 (network cards and
disks) and 6.4 (bhyve), and for the memory of RouterOS 7 the vendor's help page of 2026-05. Pure
functions, no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MIB = 1024**2
OLDEST = (6, 34)
"""The first version of RouterOS that is available as CHR."""
LEAST_DISK = 128
"""In MiB."""
LARGEST_DISK = 16 * 1024
"""The limit of RouterOS 6, in MiB."""


@dataclass(frozen=True)
class Hypervisor:
    """A row of the manual's table of network cards and disks, in this collection's names."""

    title: str
    nics: tuple[str, ...]
    """The models, the recommended ones first."""
    disks: tuple[str, ...]
    system_disks: tuple[str, ...] | None = None
    """The buses that the system disk can be on; None means all of ``disks``."""


_VMWARE = Hypervisor("VMware", ("vmxnet3", "e1000"), ("ide", "pvscsi", "lsisas", "lsilogic"), ("ide",))
_KVM = Hypervisor("QEMU/KVM", ("virtio", "vmxnet3", "e1000"), ("virtio", "ide", "sata"))
_XEN = Hypervisor("Xen", ("netfront", "rtl8139", "e1000"), ("ide", "sata"))
HYPERVISORS: dict[str, Hypervisor] = {
    "proxmox": _KVM,
    "libvirt": _KVM,
    "qemu": _KVM,
    "vmware": _VMWARE,
    "workstation": _VMWARE,
    "xenapi": _XEN,
    "xenstore": _XEN,
    "hyperv": Hypervisor("Hyper-V", ("synthetic", "legacy"), ("ide", "scsi"), ("ide",)),
    "virtualbox": Hypervisor("VirtualBox", ("e1000", "rtl8139"), ("ide", "sata", "scsi", "sas")),
}
"""The manual's spelling rtl8193 means rtl8139."""


@dataclass(frozen=True)
class PlannedVm:
    """A VM that is to run a CHR. Sizes are in MiB."""

    hypervisor: str
    routeros: str | None = None
    """The version, such as ``7.22`` or ``6.49.18``; None means any version of RouterOS 7."""
    cpus: int = 1
    memory: int | None = None
    """None means as much as is required."""
    memory_base: int | None = None
    """The MiB that the formula begins with; None means those for the version."""
    disk: int | None = None
    disk_bus: str | None = None
    """The bus of the system disk."""
    further_disks: tuple[str, ...] = ()
    """The buses of the other disks."""
    nics: tuple[str, ...] = field(default=("",))
    """The models; an empty one is not checked."""
    firmware: str | None = None
    generation: int | None = None
    """The generation of a VM of Hyper-V."""
    virtualization: str | None = None
    """The type of a Xen domain: ``hvm``, ``pv`` or ``pvh``."""
    architecture: str = "x86_64"


@dataclass(frozen=True)
class Findings:
    """Why a CHR cannot run in a VM (``errors``), and what would be better (``warnings``)."""

    errors: list[str]
    warnings: list[str]


def version_of(text: str) -> tuple[int, ...]:
    """Convert ``7.22.1`` to (7, 22, 1), and ``7.23rc2`` to (7, 23). Raises ValueError."""
    if not (found := re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text.strip())):
        raise ValueError(f"{text!r} is not a valid version of RouterOS, such as 7.22 or 6.49.18")
    return tuple(int(part) for part in found.groups() if part is not None)


def memory_base(routeros: str | None) -> int:
    """Return the MiB that the formula begins with.

    They are 128 for RouterOS 6 (the manual), and 256 from RouterOS 7 on (the help page of 2026-05).
    """
    return 128 if routeros and version_of(routeros)[0] < 7 else 256


def memory_required(cpus: int, interfaces: int, base: int) -> int:
    """Return the required memory in MiB, by the manual's formula. Raises ValueError.

    The formula is base + 8 x CPUs x (interfaces - 1).
    """
    if cpus < 1:
        raise ValueError(f"{cpus} CPUs: at least 1 is needed")
    return base + 8 * cpus * max(interfaces - 1, 0)


def findings(vm: PlannedVm) -> Findings:
    """Find all reasons why a CHR cannot, or should not, run in *vm*.

    Raises ValueError for a hypervisor or a version that cannot be understood.
    """
    found = Findings([], [])
    if vm.hypervisor == "bhyve":
        found.errors.append(
            "CHR cannot run under bhyve at all: it cannot be a paravirtualised guest (manual, section 6.4)."
        )
        return found
    if vm.hypervisor not in HYPERVISORS:
        raise ValueError(f"hypervisor {vm.hypervisor!r} is not one of {', '.join([*HYPERVISORS, 'bhyve'])}")
    for check in (_version, _memory, _disk, _models, _boot):
        check(vm, HYPERVISORS[vm.hypervisor], found)
    return found


def _version(vm: PlannedVm, _hypervisor: Hypervisor, found: Findings) -> None:
    if vm.routeros and version_of(vm.routeros) < OLDEST:
        found.errors.append(f"RouterOS {vm.routeros} has no CHR: the first is 6.34.")
    if vm.architecture not in ("x86_64", "amd64"):
        found.errors.append(
            f"Architecture {vm.architecture}: this collection brings up CHRs for x86_64 only; no "
            "guest agent is known to work on another."
        )


def _memory(vm: PlannedVm, _hypervisor: Hypervisor, found: Findings) -> None:
    if vm.cpus < 1:
        found.errors.append(f"{vm.cpus} CPUs: at least 1 is needed.")
        return
    base = vm.memory_base if vm.memory_base is not None else memory_base(vm.routeros)
    needed = memory_required(vm.cpus, len(vm.nics), base)
    if vm.memory is not None and vm.memory < needed:
        found.errors.append(
            f"{vm.memory} MiB of memory: {needed} are needed "
            f"({base} + 8 x {vm.cpus} CPUs x ({len(vm.nics)} interfaces - 1))."
        )


def _disk(vm: PlannedVm, _hypervisor: Hypervisor, found: Findings) -> None:
    if vm.disk is None:
        return
    if vm.disk < LEAST_DISK:
        found.errors.append(f"A disk of {vm.disk} MiB: at least {LEAST_DISK} are needed.")
    if vm.disk > LARGEST_DISK and vm.routeros and version_of(vm.routeros)[0] < 7:
        found.errors.append(f"A disk of {vm.disk} MiB: RouterOS 6 takes at most {LARGEST_DISK} (16 GiB).")


def _models(vm: PlannedVm, hypervisor: Hypervisor, found: Findings) -> None:
    for model in dict.fromkeys(vm.nics):
        if model and model not in hypervisor.nics:
            found.errors.append(
                f"Network card {model}: under {hypervisor.title} a CHR can use {', '.join(hypervisor.nics)}."
            )
    if "e1000" in vm.nics and "e1000" in hypervisor.nics[1:]:
        found.warnings.append(
            f"Network card e1000 is not recommended under {hypervisor.title}: {hypervisor.nics[0]} is faster."
        )
    bus = vm.disk_bus
    for one in dict.fromkeys((*((bus,) if bus else ()), *vm.further_disks)):
        if one not in hypervisor.disks:
            found.errors.append(f"Disk on {one}: under {hypervisor.title} a CHR can use {', '.join(hypervisor.disks)}.")
    if bus in hypervisor.disks and hypervisor.system_disks and bus not in hypervisor.system_disks:
        found.errors.append(
            f"Disk on {bus}: under {hypervisor.title} the system disk must be on "
            f"{', '.join(hypervisor.system_disks)}; {bus} is for further disks only."
        )


def _boot(vm: PlannedVm, _hypervisor: Hypervisor, found: Findings) -> None:
    if vm.firmware not in (None, "bios"):
        found.errors.append(f"Firmware {vm.firmware}: the CHR image for x86_64 boots with BIOS only.")
    if vm.hypervisor == "hyperv" and vm.generation not in (None, 1):
        found.errors.append(f"Generation {vm.generation}: a CHR runs in VMs of generation 1 only.")
    if vm.virtualization not in (None, "hvm"):
        found.errors.append(
            f"Virtualization {vm.virtualization}: CHR cannot run as a paravirtualised guest, only as hvm."
        )
