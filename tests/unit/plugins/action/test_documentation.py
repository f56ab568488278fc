# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules' pages promise is what the actions take, and what the role that passes their
options on says of them."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._core.platforms import canonical

PLUGINS = Path(__file__).parents[4] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "action").glob("*.py"))


def module(name: str):
    return importlib.import_module(f"ansible_collections.outofband.chr.plugins.modules.{name}")


def options(page):
    """Its own, and those of the fragments that it extends."""
    found = dict(page.get("options", {}))
    for fragment in page.get("extends_documentation_fragment", []):
        name, _dot, part = fragment.removeprefix("outofband.chr.").partition(".")
        shared = importlib.import_module(f"ansible_collections.outofband.chr.plugins.doc_fragments.{name}")
        text = getattr(shared.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        found |= yaml.safe_load(text).get("options", {})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_options_and_arguments_are_the_same(name):
    action = importlib.import_module(f"ansible_collections.outofband.chr.plugins.action.{name}")
    documented = options(yaml.safe_load(module(name).DOCUMENTATION))
    taken = action.ActionModule.spec() if name == "fleet" else action.ActionModule.SPEC
    assert documented.keys() == taken.keys()
    for option, page in documented.items():
        for key in ("type", "required", "default", "choices", "elements"):
            assert page.get(key) == taken[option].get(key), (option, key)


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_examples_and_what_it_returns(name):
    tasks = yaml.safe_load(module(name).EXAMPLES)
    assert any(f"outofband.chr.{name}" in task for task in tasks)
    assert yaml.safe_load(module(name).RETURN)


def test_every_module_is_in_the_action_groups_of_its_options():
    groups = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())["action_groups"]
    assert sorted(groups["chr"]) == NAMES
    assert sorted(groups["chr_vm"]) == [name for name in NAMES if name.endswith("_vm")]
    for option in ("image", "cpus", "memory", "nics", "state", "running", "reconcile", "restart", "adopt"):
        assert all(option in options(yaml.safe_load(module(name).DOCUMENTATION)) for name in groups["chr_vm"]), option


ROLE = yaml.safe_load((PLUGINS.parent / "roles" / "image_import" / "meta" / "argument_specs.yml").read_text())
MADE_BY = {
    f"image_import_{'rescue' if name == 'rescue_disk' else canonical(name.removesuffix('_vm'))}_": name
    for name in NAMES
    if name.endswith("_vm") or name == "rescue_disk"
}
OPTIONS_OF_THE_ROLE_ALONE = {"image_import_hyperv_host"}


def paragraphs(option):
    text = option["description"]
    return [text] if isinstance(text, str) else list(text)


@pytest.mark.parametrize("prefix", MADE_BY)
def test_the_role_describes_options_as_their_module_does(prefix):
    documented = options(yaml.safe_load(module(MADE_BY[prefix]).DOCUMENTATION))
    passed_on = {
        name.removeprefix(prefix): option
        for name, option in ROLE["argument_specs"]["main"]["options"].items()
        if name.startswith(prefix) and name not in OPTIONS_OF_THE_ROLE_ALONE
    }
    assert passed_on
    for name, option in passed_on.items():
        page = documented[name]
        wanted = paragraphs(page)
        default = page.get("default")
        if page.get("required"):
            wanted.append(f"It is required on the platform V({prefix.split('_')[2]}).")
        elif default and "default" not in option:
            wanted.append(f"It is V({default if isinstance(default, str) else json.dumps(default)}) when left out.")
        assert [re.sub(rf"O\({prefix}", "O(", text) for text in paragraphs(option)] == wanted, name
