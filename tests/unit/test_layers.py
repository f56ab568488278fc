# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports go down the layers, and the hypervisors know nothing of one another."""

from __future__ import annotations

import ast
import collections
import graphlib
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
UTILS = PLUGINS / "plugin_utils"
PREFIX = "ansible_collections.outofband.chr.plugins."

# A layer, and the layers that it may import.
LAYERS = {
    "_core": set(),
    "_routeros": {"_core"},
    "_transport": {"_core"},
    "_report": {"_core", "_routeros"},
    "_image": {"_core", "_routeros", "_transport"},
    "_hypervisors": {"_core", "_routeros", "_transport", "_image"},
    "_inventory": {"_core", "_hypervisors"},
    "_bridge": {"_core", "_routeros", "_transport", "_hypervisors"},
    "_actions": {"_core", "_routeros", "_transport", "_image", "_hypervisors", "_bridge"},
}
# What a hypervisor may import of other packages: the QEMU guest agent's users, and who writes into
# Xen's vm-data.
NEIGHBOURS = {"qemu": {"qga"}, "libvirt": {"qga"}, "proxmox": {"qga"}, "xenapi": {"xen"}}
# The registry of backends; of a hypervisor it knows the options.
REGISTRY = UTILS / "_hypervisors" / "__init__.py"


def imported(file: Path) -> set[tuple[str, ...]]:
    """The modules of this collection that a file imports anywhere, as parts below
    ``plugin_utils``."""
    package = (*PREFIX.rstrip(".").split("."), *file.relative_to(PLUGINS).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = f"{base}.{node.module or ''}".strip(".")
            names = [f"{module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        found |= {tuple(name.removeprefix(PREFIX).split(".")) for name in names if name.startswith(PREFIX)}
    return {parts[1:] for parts in found if parts[0] == "plugin_utils"}


@pytest.mark.parametrize("file", sorted(UTILS.rglob("*.py")), ids=lambda file: str(file.relative_to(UTILS)))
def test_imports_go_down_the_layers(file):
    layer, *below = file.relative_to(UTILS).parts
    hypervisor = below[0] if layer == "_hypervisors" and len(below) > 1 else None
    packages = {folder.name for folder in (UTILS / "_hypervisors").iterdir() if folder.is_dir()} - {"__pycache__"}
    for target, *rest in imported(file):
        assert target == layer or target in LAYERS[layer], f"{layer} may not import {target}.{'.'.join(rest)}"
        if file == REGISTRY and rest[1:2] == ["options"]:
            continue
        if layer == target == "_hypervisors" and rest[0] in packages:
            assert rest[0] == hypervisor or rest[0] in NEIGHBOURS.get(hypervisor, set()), (
                f"{rest[0]} is another hypervisor"
            )


def test_every_folder_has_a_layer():
    assert {folder.name for folder in UTILS.iterdir() if folder.is_dir()} - {"__pycache__"} == set(LAYERS)


def module_of(parts: tuple[str, ...]) -> Path | None:
    """The file of an imported name, which is a module or something in one."""
    for path in (UTILS.joinpath(*parts), UTILS.joinpath(*parts[:-1])):
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def test_no_imports_go_round_in_a_circle():
    graph = {file: {module_of(parts) for parts in imported(file)} - {file, None} for file in UTILS.rglob("*.py")}
    list(graphlib.TopologicalSorter(graph).static_order())


# Ansible asks for these names.
ANSIBLES = {"ActionModule", "Connection", "FilterModule", "ModuleDocFragment"}


def test_no_class_name_stands_for_two_things():
    places = collections.defaultdict(set)
    for file in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(str(file.relative_to(PLUGINS)))
    assert {name for name, files in places.items() if len(files) > 1} - ANSIBLES == set()


@pytest.mark.parametrize("layer", sorted(set(LAYERS) - {"_actions"}))
def test_only_the_actions_know_the_exceptions_of_ansible(layer):
    for file in (UTILS / layer).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("ansible.errors", "ansible.plugins"), file
