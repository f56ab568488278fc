# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""extensions/awx: the names of the variables that AWX gives to a playbook.

AWX gives answers of surveys, and what earlier nodes of a workflow handed on, as extra variables.
These hide a variable of the same name that the playbook registers or sets.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "extensions" / "awx" / "project"


class Loader(yaml.SafeLoader):
    """Reads ``!unsafe`` as a text."""


Loader.add_constructor("!unsafe", Loader.construct_scalar)


def content(path: Path) -> t.Any:
    return yaml.load(path.read_text(), Loader)


TEMPLATES = [
    one
    for one in content(ROOT / "extensions" / "awx" / "variables.yml")["awx_job_templates"]
    if (PROJECT / one["playbook"]).exists()
]


def dictionaries(node: t.Any) -> Iterator[dict[str, t.Any]]:
    """All dictionaries of a file, the inner ones too."""
    if isinstance(node, dict):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from dictionaries(one)


def parts(playbook: Path) -> Iterator[dict[str, t.Any]]:
    """The dictionaries of a playbook, of those that it imports, and of the roles that these use."""
    for one in dictionaries(content(playbook)):
        yield one
        if imported := one.get("ansible.builtin.import_playbook"):
            yield from parts(ROOT / "playbooks" / f"{imported.removeprefix('outofband.chr.')}.yml")
        for key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            if key in one:
                role = ROOT / "roles" / one[key]["name"].removeprefix("outofband.chr.")
                for path in sorted({*role.glob("tasks/**/*.yml"), *role.glob("handlers/*.yml")}):
                    yield from dictionaries(content(path))
                for path in role.glob("vars/*.yml"):
                    yield {"vars": content(path)}


def own(playbook: Path) -> set[str]:
    """The variables that a playbook registers or sets."""
    names: set[str] = set()
    for one in parts(playbook):
        names |= {one["register"]} if "register" in one else set()
        for key in ("vars", "ansible.builtin.set_fact"):
            names |= set(one.get(key) or {})
    return names


def handed_on(playbook: Path) -> set[str]:
    """The names, or the beginnings of names, that a playbook hands on to the next node."""
    names: set[str] = set()
    for one in parts(playbook):
        data = one.get("ansible.builtin.set_stats", {}).get("data", {})
        # A text is a template of a dictionary with one key.
        names |= set(data) if isinstance(data, dict) else set(re.findall(r"^{{ {'(\w+)' ~", data))
    return names


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one["name"])
def test_no_extra_variable_of_awx_hides_what_a_playbook_registers_or_sets(template):
    artifacts = set().union(*(handed_on(path) for path in PROJECT.glob("*.yml")))
    assert artifacts == {"license_audit", "license_slice_"}
    given = {one["variable"] for one in template["survey"]} | {"chr_no_routers"} | set(template.get("extra_vars", {}))
    names = own(PROJECT / template["playbook"])
    assert len(names) > 1
    assert not [(name, one) for name in names for one in artifacts if name == one or name.startswith("license_slice_")]
    assert not names & given
