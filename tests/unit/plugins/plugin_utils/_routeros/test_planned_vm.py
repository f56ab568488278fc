# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters and the test that check the plan of a VM, against each number and row of the vendor's
manual, sections 2, 3, 6.4."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.outofband.chr.plugins.filter.memory_required import FilterModule as Memory
from ansible_collections.outofband.chr.plugins.filter.vm_findings import FilterModule as VmFindings
from ansible_collections.outofband.chr.plugins.test.vm_supported import TestModule as VmSupported

memory_required = Memory().filters()["memory_required"]
vm_findings = VmFindings().filters()["vm_findings"]
vm_supported = VmSupported().tests()["vm_supported"]


def errors(hypervisor="qemu", **vm):
    found = vm_findings({"hypervisor": hypervisor, **vm})["errors"]
    assert vm_supported({"hypervisor": hypervisor, **vm}) is (found == [])
    return " ".join(found)


def warnings(hypervisor="qemu", **vm):
    return " ".join(vm_findings({"hypervisor": hypervisor, **vm})["warnings"])


def models(*names):
    return {"nics": list(names)}


# -- section 2: memory, disk, version --------------------------------------------------------------

MEMORY = {
    "1 CPU, 1 interface": (1, 1, 128),
    "2 CPUs, 4 interfaces": (2, 4, 176),
    "4 CPUs, 10 interfaces": (4, 10, 416),
    "no interface": (2, 0, 128),
}


@pytest.mark.parametrize(("cpus", "interfaces", "needed"), MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize(
    ("version", "base"),
    [({"routeros": "6.49.18"}, 128), ({"routeros": "7.22"}, 256), ({}, 256), ({"memory_base": 512}, 512)],
)
def test_the_memory_is_that_of_the_manuals_examples_on_the_base_of_the_version(cpus, interfaces, needed, version, base):
    """Manual 2, RAM: 128 + 8 x CPUs x (interfaces - 1); the base is 256 from RouterOS 7 on, or what
    is given."""
    vm = {"cpus": cpus, **models(*["virtio"] * interfaces), **version}
    needed += base - 128
    assert memory_required({"hypervisor": "qemu", **vm}) == needed
    assert errors(**vm, memory=needed) == ""
    assert f"{needed - 1} MiB of memory: {needed} are needed" in errors(**vm, memory=needed - 1)


@pytest.mark.parametrize(
    ("disk", "version", "error"),
    [
        (127, "6.49", "at least 128"),
        (128, "6.49", ""),
        (16 * 1024, "6.49", ""),
        (16 * 1024 + 1, "6.49", "at most 16384 (16 GiB)"),
        (127, "7.22", "at least 128"),
        (128, "7.22", ""),
        (16 * 1024 + 1, "7.22", ""),
        (16 * 1024 + 1, None, ""),
    ],
)
def test_the_disk_has_128_mib_and_under_routeros_6_at_most_16_gib(disk, version, error):
    """Manual 2, Disk: the maximum is that of RouterOS 6 only (help page of 2026-05)."""
    found = errors(disk=disk, routeros=version)
    assert error in found
    assert bool(found) is bool(error)


@pytest.mark.parametrize(("version", "first"), [("6.33.9", False), ("6.34", True), ("6.34rc1", True), ("7.1", True)])
def test_the_first_routeros_with_a_chr_is_6_34(version, first):
    """Manual 2, RouterOS package version."""
    assert errors(routeros=version) == ("" if first else f"RouterOS {version} has no CHR: the first is 6.34.")


@pytest.mark.parametrize("generation", [1, 2])
def test_under_hyper_v_only_generation_1(generation):
    """Manual 2, Hyper-V: Generation 1 VMs only."""
    assert errors("hyperv", generation=generation) == (
        "" if generation == 1 else "Generation 2: a CHR runs in VMs of generation 1 only."
    )


@pytest.mark.parametrize("virtualization", ["hvm", "pv", "pvh"])
def test_no_paravirtualized_guest(virtualization):
    """Manual 2, paravirtualization: CHR cannot run as such a guest."""
    assert ("paravirtualised" in errors("xenstore", virtualization=virtualization)) is (virtualization != "hvm")


def test_the_image_boots_with_bios_only():
    assert errors(firmware="bios") == ""
    assert "BIOS only" in errors(firmware="efi")
    assert "x86_64 only" in errors(architecture="aarch64")


# -- section 3: the table of network cards and disks -----------------------------------------------

TABLE = {
    "vmware": ("vmxnet3 e1000", "ide pvscsi lsisas lsilogic", "ide"),
    "hyperv": ("synthetic legacy", "ide scsi", "ide"),
    "qemu": ("virtio e1000 vmxnet3", "ide sata virtio", "ide sata virtio"),
    "xenstore": ("e1000 rtl8139 netfront", "ide sata", "ide sata"),
    "virtualbox": ("e1000 rtl8139", "ide sata scsi sas", "ide sata scsi sas"),
}
NICS = sorted({nic for nics, _disks, _system in TABLE.values() for nic in nics.split()} | {"e1000e", "ne2k_pci"})
BUSES = sorted({bus for _nics, disks, _system in TABLE.values() for bus in disks.split()} | {"nvme"})


@pytest.mark.parametrize("nic", NICS)
@pytest.mark.parametrize("hypervisor", TABLE)
def test_a_network_card_is_allowed_where_the_table_has_it(hypervisor, nic):
    """Manual 3, Network."""
    allowed = nic in TABLE[hypervisor][0].split()
    assert (errors(hypervisor, **models(nic)) == "") is allowed
    assert (errors(hypervisor, nics=[{"network": "lan", "model": nic}]) == "") is allowed


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("hypervisor", TABLE)
def test_a_disk_is_allowed_where_the_table_has_it_and_the_system_disk_on_ide_where_it_must(hypervisor, bus):
    """Manual 3, Disk: under ESX and Hyper-V a SCSI controller is for secondary disks only."""
    _nics, disks, system = TABLE[hypervisor]
    assert (errors(hypervisor, further_disks=[bus]) == "") is (bus in disks.split())
    found = errors(hypervisor, disk_bus=bus)
    assert (found == "") is (bus in system.split())
    assert ("must be on ide" in found) is (bus in disks.split() and bus not in system.split())


@pytest.mark.parametrize("hypervisor", TABLE)
def test_e1000_is_warned_about_where_there_is_better(hypervisor):
    """Manual 3, E1000: not recommended where the hypervisor offers a better synthetic interface."""
    better = {"vmware": "vmxnet3", "qemu": "virtio", "xenstore": "netfront"}.get(hypervisor)
    said = warnings(hypervisor, **models("e1000"))
    assert (better in said) if better else (said == "")
    assert warnings(hypervisor, **models(TABLE[hypervisor][0].split()[0].replace("e1000", ""))) == ""


ALIKE = {
    "vmware": ["workstation", "esx"],
    "qemu": ["proxmox", "libvirt", "kvm"],
    "xenstore": ["xenapi", "xen", "xl", "xe"],
}


@pytest.mark.parametrize(("hypervisor", "words"), ALIKE.items())
def test_platforms_of_one_row_and_their_other_words_have_the_same_requirements(hypervisor, words):
    plan = {"memory": 64, "disk_bus": "pvscsi", **models("virtio", "e1000")}
    for word in words:
        assert vm_findings({"hypervisor": word, **plan}) == vm_findings({"hypervisor": hypervisor, **plan})


def test_nothing_runs_under_bhyve():
    """Manual 6.4, bhyve: CHR cannot run there at all."""
    assert "cannot run under bhyve at all" in errors("bhyve")


def test_everything_is_found_at_once():
    found = vm_findings(
        {"hypervisor": "vmware", "memory": 64, "disk": 1, "disk_bus": "pvscsi", **models("virtio", "e1000")}
    )
    assert len(found["errors"]) == 4
    assert len(found["warnings"]) == 1


# -- what cannot be understood ---------------------------------------------------------------------

BAD = {
    "no dictionary": ("qemu", "described by a dictionary"),
    "no hypervisor": ({"cpus": 1}, "hypervisor is missing. It is one of proxmox, libvirt, qemu, vmware, "),
    "unknown hypervisor": ({"hypervisor": "hyper-v"}, "hypervisor is 'hyper-v': it must be one of proxmox"),
    "hypervisor of another type": ({"hypervisor": ["qemu"]}, "it must be one of proxmox"),
    "unknown key": ({"hypervisor": "qemu", "ram": 1}, "ram: a VM is described by hypervisor, routeros, cpus"),
    "version as a number": (
        {"hypervisor": "qemu", "routeros": 7.2},
        "routeros is the number 7.2: write the version in quotes",
    ),
    "no version": ({"hypervisor": "qemu", "routeros": "latest"}, "'latest' is not a valid version of RouterOS"),
    "size with a unit": ({"hypervisor": "qemu", "memory": "1G"}, "memory is '1G': it must be a whole number of MiB"),
    "negative": ({"hypervisor": "qemu", "disk": -1}, "disk is -1: it must be a whole number of MiB"),
    "fraction": ({"hypervisor": "qemu", "cpus": 1.5}, "cpus is 1.5: it must be a whole number."),
    "truth": ({"hypervisor": "qemu", "cpus": True}, "cpus is True"),
    "text for a list": ({"hypervisor": "qemu", "nics": "virtio"}, "nics is 'virtio': it must be a list"),
    "number for a card": ({"hypervisor": "qemu", "nics": [1]}, "An element of nics is 1: it must be a text"),
    "unknown key of a card": (
        {"hypervisor": "qemu", "nics": [{"type": "virtio"}]},
        "type: a network card is described by",
    ),
    "list for a text": ({"hypervisor": "qemu", "firmware": ["bios"]}, "firmware is ['bios']: it must be a text"),
}


@pytest.mark.parametrize(("vm", "said"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("plugin", [vm_findings, memory_required, vm_supported])
def test_what_cannot_be_understood_is_refused_in_one_sentence(plugin, vm, said):
    with pytest.raises(AnsibleFilterError, match=r"\.$") as caught:
        plugin(vm)
    assert said in str(caught.value)


def test_no_cpu_is_a_finding_but_has_no_memory():
    assert errors(cpus=0) == "0 CPUs: at least 1 is needed."
    with pytest.raises(AnsibleFilterError, match="at least 1"):
        memory_required({"hypervisor": "qemu", "cpus": 0})


def test_what_is_null_is_left_out_and_numbers_may_be_text():
    """Variables that are templates come as text under ansible-core 2.18."""
    vm = {
        "hypervisor": "qemu",
        "cpus": "2",
        "memory": None,
        "routeros": None,
        "nics": [{"model": None}, {}],
        "disk": "128",
    }
    assert errors(**vm) == ""
    assert memory_required(vm) == 272
