# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries with which Automation Controller counts VMs, run by the library that it uses."""

from __future__ import annotations

import importlib
from pathlib import Path

import jq
import pytest
import yaml

ROOT = Path(__file__).parents[3]
QUERIES = yaml.safe_load((ROOT / "extensions" / "audit" / "event_query.yml").read_text())
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*_vm.py"))


def counted(module: str, result: dict[str, object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = jq.compile(QUERIES[f"outofband.chr.{module}"]["query"]).input_value(result).all()
    return found


def test_each_module_that_makes_vms_has_a_query():
    assert sorted(QUERIES) == [f"outofband.chr.{module}" for module in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_a_vm_is_counted_once_by_its_name(module):
    """Two records with one name and other facts would cost all records of the job."""
    documented = yaml.safe_load(
        importlib.import_module(f"ansible_collections.outofband.chr.plugins.modules.{module}").RETURN
    )
    sample = {name: value["sample"] for name, value in documented.items() if "sample" in value}
    (one,) = counted(module, {"changed": True, **sample})
    assert (one["name"], one["canonical_facts"]) == (sample["name"], {"name": sample["name"]})
    assert one["facts"]["device_type"] == "VM"
    assert counted(module, {"changed": False, **sample, "id": "another", "differences": []}) == [one]


@pytest.mark.parametrize(
    "result",
    [
        {"changed": True, "name": "chr1", "id": None, "state": "absent"},
        {"failed": True, "changed": False, "msg": "The task failed."},
        {"censored": "the output has been hidden"},
        {},
    ],
)
def test_what_is_not_there_is_not_counted(result):
    assert [counted(module, result) for module in MODULES] == [[]] * len(MODULES)
