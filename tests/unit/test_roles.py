# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every role has: metadata, examples that run as they stand, a Molecule scenario."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def load(*parts: str) -> t.Any:
    return yaml.safe_load(ROOT.joinpath(*parts).read_text())


def page(role: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", load("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"])


def readme(role: str) -> str:
    return (ROOT / "roles" / role / "README.md").read_text()


def blocks(role: str) -> list[t.Any]:
    """The YAML of the README."""
    return [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", readme(role), re.M | re.S)]


def plays(role: str) -> list[dict[str, t.Any]]:
    """Those of the README and of the role's page."""
    found = [play for block in blocks(role) if isinstance(block, list) for play in block]
    return found + t.cast("list[dict[str, t.Any]]", yaml.safe_load(page(role)["examples"]))


@pytest.mark.parametrize("role", ROLES)
def test_the_metadata_of_a_role_is_complete(role):
    meta = load("roles", role, "meta", "main.yml")
    wanted = {"author", "description", "license", "min_ansible_version", "platforms", "galaxy_tags"}
    assert wanted == set(meta["galaxy_info"])
    assert meta["dependencies"] == []
    runtime = load("meta", "runtime.yml")
    assert runtime["requires_ansible"].startswith(f">={meta['galaxy_info']['min_ansible_version']}")


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_of_a_role_set_only_what_it_takes(role):
    options = set(page(role)["options"])
    found = plays(role)
    assert len(found) > 1
    for play in found:
        assert {"name", "hosts", "gather_facts", "roles"} <= set(play), "a whole play"
        for one in play["roles"]:
            name, variables = (one, {}) if isinstance(one, str) else (one["role"], one.get("vars", {}))
            assert name == f"outofband.chr.{role}"
            assert set(variables) <= options


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_of_a_role_has_the_inventory_and_the_command_for_its_playbook(role):
    text = readme(role)
    (inventory,) = [block for block in blocks(role) if isinstance(block, dict)]
    assert {play["hosts"] for play in plays(role)} - {"all"} <= set(inventory)
    assert "ansible-playbook --inventory inventory.yml " in text
    for variable in re.findall(r"{{ (\w+)", "".join(re.findall(r"^```yaml\n.*?^```$", text, re.M | re.S))):
        assert f"--extra-vars {variable}=" in text, "the command gives what the files do not"


@pytest.mark.parametrize("role", ROLES)
def test_molecule_runs_each_role_twice_and_looks_at_what_it_did(role):
    scenario = ROOT / "extensions" / "molecule" / role
    steps = load("extensions", "molecule", "config.yml")["scenario"]["test_sequence"]
    steps = load(str(scenario), "molecule.yml")["scenario"].get("test_sequence", steps)
    assert {"converge", "idempotence", "verify"} <= set(steps)
    assert f"name: outofband.chr.{role}\n" in (scenario / "converge.yml").read_text()
    verify = (scenario / "verify.yml").read_text()
    assert "ansible.builtin.assert:" in verify
