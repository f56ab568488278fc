# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules' pages promise is what the actions take."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

PLUGINS = Path(__file__).parents[4] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "action").glob("*.py"))


def module(name: str):
    return importlib.import_module(f"ansible_collections.outofband.chr.plugins.modules.{name}")


def options(page):
    """Its own, and those of the fragments that it extends."""
    found = dict(page.get("options", {}))
    for fragment in page.get("extends_documentation_fragment", []):
        name = fragment.removeprefix("outofband.chr.")
        shared = importlib.import_module(f"ansible_collections.outofband.chr.plugins.doc_fragments.{name}")
        found |= yaml.safe_load(shared.ModuleDocFragment.DOCUMENTATION).get("options", {})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_options_and_arguments_are_the_same(name):
    action = importlib.import_module(f"ansible_collections.outofband.chr.plugins.action.{name}")
    documented = options(yaml.safe_load(module(name).DOCUMENTATION))
    taken = action.ActionModule.SPEC
    assert documented.keys() == taken.keys()
    for option, page in documented.items():
        for key in ("type", "required", "default", "choices", "elements"):
            assert page.get(key) == taken[option].get(key), (option, key)


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_examples_and_what_it_returns(name):
    tasks = yaml.safe_load(module(name).EXAMPLES)
    assert any(f"outofband.chr.{name}" in task for task in tasks)
    assert yaml.safe_load(module(name).RETURN)


def test_every_module_is_in_the_action_group():
    runtime = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["chr"]) == NAMES
