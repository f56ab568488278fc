# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's router has no menu, command or argument that a real one of the same version does not
have."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.specs import Menu
from ansible_collections.outofband.chr.tests.tools.check_scripts import VERSIONS, trees


def unknown(menu: Menu, tree: dict[str, Any]) -> list[str]:
    """What is in *menu* of the lab and not in the command *tree* of a real router."""
    found = []
    for name, spec in menu.commands.items():
        real = tree.get(name, {})
        if real.get("_type") != "cmd":
            found.append(f"{menu.title} {name}")
        else:
            found += [f"{menu.title} {name} {param.name}=" for param in spec.params if param.name not in real]
    for name, child in menu.children.items():
        found += unknown(child, tree[name]) if name in tree else [child.title]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_lab_accepts_nothing_that_a_real_router_does_not_have(version: str) -> None:
    known = trees()
    if known is None:
        pytest.skip("not run: the command trees of RouterOS are not next to the checkout")
    tree = json.loads(gzip.decompress(known[version].read_bytes()))
    assert unknown(Router(version=version).root, tree) == []
