# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page about the lab names every switch, and only files that exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros.api import ApiSwitches
from ansible_collections.outofband.chr.tests.lab.switches import LicenseSwitches, PackageSwitches, Switches
from ansible_collections.outofband.chr.tests.lab.xen.guest import XenSwitches

ROOT = Path(__file__).parents[3]
LAB = ROOT / "tests" / "lab"
WORDS = set(re.findall(r"`([^`\n]+)`", (LAB / "README.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("switches", [Switches, LicenseSwitches, PackageSwitches, XenSwitches, ApiSwitches])
def test_every_switch_is_explained(switches):
    assert {one.name for one in fields(switches)} - WORDS == set()


def test_the_files_that_are_named_exist():
    named = {word for word in WORDS if re.fullmatch(r"[\w/]+(/|\.py)", word) or word.startswith("tests/")}
    assert len(named) > 10
    assert [word for word in named if not (LAB / word).exists() and not (ROOT / word).exists()] == []
