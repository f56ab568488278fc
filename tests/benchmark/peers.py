# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users would take otherwise for a short command on a router."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.tests.lab.peers import NEWEST, PACKAGE


@dataclass(frozen=True)
class Peer:
    name: str
    collections: tuple[str, ...]
    task: dict[str, t.Any]
    most: int = 1000
    """The largest number of hosts with which it is measured."""
    package: str = PACKAGE
    """The release of the package ``ansible`` that has the collections."""


COMMAND = Peer(
    "community.routeros.command over our network_cli",
    ("community.routeros", "ansible.netcommon", "ansible.utils"),
    {
        "community.routeros.command": {"commands": ":put 1"},
        "vars": {"ansible_connection": "outofband.chr.network_cli"},
    },
    most=50,  # each host has a process of 60 MiB
)
PROXMOX = Peer(
    "raw over community.proxmox.proxmox_qemu_api",
    ("community.proxmox",),
    {"ansible.builtin.raw": ":put 1", "vars": {"ansible_connection": "community.proxmox.proxmox_qemu_api"}},
    most=200,  # six minutes for 1,000
    package=NEWEST,
)
VMWARE = Peer(
    "community.vmware.vmware_vm_shell",
    ("community.vmware", "vmware.vmware"),
    {
        "community.vmware.vmware_vm_shell": {
            "hostname": "{{ chr_api_host }}",
            "port": "{{ chr_api_port }}",
            "username": "{{ chr_api_user }}",
            "password": "{{ chr_api_password }}",
            "validate_certs": False,
            "vm_id": "{{ chr_vm }}",
            "vm_username": "admin",
            "vm_password": "",
            "vm_shell": "inline",
            "vm_shell_args": ":put 1",
            "wait_for_process": True,
        },
        "delegate_to": "localhost",
    },
    most=50,  # a task takes more than 5 s
)
LIBVIRT = Peer(
    "raw over community.libvirt.libvirt_qemu, stock qemu-ga",
    ("community.libvirt",),
    {
        "ansible.builtin.raw": "/bin/busybox echo 1",
        "vars": {"ansible_connection": "community.libvirt.libvirt_qemu"},
    },
)
