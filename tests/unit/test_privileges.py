# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guides name the same privileges as the tables that the doctor compares a login with."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import TASKS, Privilege
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import privileges as proxmox
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi import privileges as xenapi

GUIDES = Path(__file__).parents[2] / "docs" / "docsite" / "rst"
UTILS = "ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors"
PACKAGES = sorted({backend.package for backend in BACKENDS.values()})
NAMES = {"proxmox": r"``(VM\.[\w.]+)``", "vmware": r"``(VirtualMachine\.[\w.]+)``", "xenapi": r"``(vm-\w+)``"}
"""What a privilege looks like in a guide, where it can be told from other words."""
MODULES = {"power": "power", "snapshot": "snapshot", "tools": "vmware_tools"}


def table(package: str) -> set[Privilege]:
    module = importlib.import_module(f"{UTILS}.{package}.privileges")
    if package == "proxmox":
        return {one for version in ((8, 4), (9, 1)) for one in proxmox.needed(version)}
    return set(module.NEEDED)


def needs(package: str) -> str:
    """The section "What you need" of a guide."""
    text = (GUIDES / f"{package}_guide.rst").read_text()
    return text.partition("What you need\n---")[2].partition("\nConnect\n---")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_guide_names_each_privilege_and_what_needs_it(package):
    text = needs(package)
    for one in table(package):
        assert one.task in TASKS
        assert one.name in text, one
        if one.task in MODULES:
            assert f"outofband.chr.{MODULES[one.task]}#module" in text, one


@pytest.mark.parametrize("package", NAMES)
def test_the_guide_names_no_other_privilege(package):
    assert set(re.findall(NAMES[package], needs(package))) == {one.name for one in table(package)}


def test_a_version_of_proxmox_has_one_privilege_for_the_agent():
    assert proxmox.agent((8, 4)).name == "VM.Monitor"
    assert proxmox.agent((9, 0)).name == "VM.GuestAgent.Unrestricted"
    assert {one.name for one in proxmox.needed((9, 0))} & {"VM.Monitor"} == set()


def test_a_role_of_xapi_is_held_if_all_its_calls_are_allowed():
    operator = frozenset({"vm.start", "vm.clean_reboot", "vm.hard_reboot", "vm.clean_shutdown", "vm.hard_shutdown"})
    assert xenapi.granted(operator) == {"vm-admin": False, "vm-operator": True}
    assert xenapi.granted(frozenset()) == {"vm-admin": False, "vm-operator": False}
    assert xenapi.granted(None) == {"vm-admin": True, "vm-operator": True}
