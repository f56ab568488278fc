# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role says when a variable is missing that it cannot do without."""

from __future__ import annotations

import typing as t

IMAGE = {"image_import_src": "chr.img", "image_import_checksum": "waived"}
WITHOUT: dict[str, tuple[str, dict[str, t.Any], str]] = {
    "backend": ("guest_tools", {}, "chr_backend is not set for 'backend'. Set it to one of vmware, vmrun, qemu,"),
    "source": (
        "guest_tools",
        {"chr_backend": "vmrun", "guest_tools_scripts": [{"name": "freeze"}]},
        "Set the source of the script freeze in guest_tools_scripts, or its state to absent.",
    ),
    "network": ("host_network", {}, "host_network_platform must be one of: vmware, proxmox,"),
    "platform": ("image_import", IMAGE, "image_import_platform must be one of: proxmox, libvirt,"),
    "device": (
        "image_import",
        {"image_import_platform": "rescue", **IMAGE},
        "Set image_import_rescue_device to the whole disk that gets the image, such as /dev/sda;",
    ),
    "windows": (
        "image_import",
        {"image_import_platform": "hyperv", **IMAGE},
        "Set image_import_hyperv_host to the host of the inventory that is the Hyper-V host.",
    ),
    "removal": (
        "image_import",
        {"image_import_platform": "hyperv", "image_import_state": "absent"},
        "Set image_import_hyperv_host",
    ),
    "image": ("image_import", {"image_import_platform": "qemu"}, "Set image_import_version"),
    "account": ("license_renew", {"license_renew_account": ""}, "Set license_renew_account and license_renew_password"),
}


def test_a_role_says_which_variable_is_missing_before_it_does_anything(playbook):
    """Each host has no hypervisor behind it and runs one role."""
    hosts = {
        name: {"role": role, "ansible_connection": "local", "chr_backend": "{{ undef() }}", **variables}
        for name, (role, variables, _said) in WITHOUT.items()
    }
    run = playbook([{"name": "run", "ansible.builtin.include_role": {"name": "outofband.chr.{{ role }}"}}], hosts)
    failed = {line["host"]: line for line in run.lines if line["status"] == "failed"}
    for name, (_role, _variables, said) in WITHOUT.items():
        result = failed[name]["result"]
        told = [result["msg"], *(one["msg"] for one in result.get("results", []) if "msg" in one)]
        assert any(said in one for one in told), (name, told)
    assert run.changed() == set()
