# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""extensions/slices: which hosts are in which slice, and what events say of them.

tests/system/test_slices.py runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ansible_collections.outofband.chr.extensions.slices.slices import (
    DONE_AFTER,
    DONE_FOR_ALL,
    CannotRun,
    Outcome,
    check_names,
    cut,
    exactly,
    find_hosts,
    load,
    outcomes,
    run,
)

ROOT = Path(__file__).parents[3]
LAST = {"change it": ("ok", "skipped", "failed", "unreachable")}


ODD = ["a,b", "a b", " a", "a ", "a:b", "a:22", "!a", "&a", "~a", "@a", "-a", "--limit", "a*", "a?"] + [
    "[ab]",
    "a[0]",
    "a[0:1]",
    "a'b",
    'a"b',
    "$(a)",
    "a\\Z",
    "a.b",
    "(a|b)",
    "^a",
    "\u00e9",
    "a",
    "b",
    "ab",
]
"""Names of hosts with characters that mean something in a pattern, and what these could match."""


def start(host, task="change it"):
    return {"event": "runner_on_start", "event_data": {"host": host, "task": task}}


def result(kind, host, task="change it", **more):
    return {"event": f"runner_on_{kind}", "event_data": {"host": host, "task": task, **more}}


def stats(**counts):
    return {"event": "playbook_on_stats", "event_data": counts}


def test_slices_have_the_hosts_that_they_have_in_awx():
    assert cut(["h3", "h0", "h4", "h2", "h1"], 3) == [["h0", "h3"], ["h1", "h4"], ["h2"]]
    assert cut(["h0", "h1"], 5) == [["h0"], ["h1"]]
    assert sorted(sum(cut([f"h{number}" for number in range(100)], 7), [])) == sorted(f"h{n}" for n in range(100))


def inventory(names):
    """An inventory that has these hosts, which no file of Ansible's own kinds could name."""
    manager = InventoryManager(DataLoader(), sources=["/dev/null"])
    for name in names:
        manager.add_host(name, "all")
    manager.reconcile_inventory()
    return manager


@pytest.mark.parametrize("chosen", [*([name] for name in ODD), ODD[::2], ODD[1::2]])
def test_a_slice_and_the_rest_of_a_run_have_exactly_their_hosts_whatever_their_names_are(tmp_path, chosen):
    limits = (",".join(map(exactly, chosen)), f"@{tmp_path}/rest.txt")
    (tmp_path / "rest.txt").write_text("".join(f"{exactly(name)}\n" for name in chosen))
    for limit in limits:
        manager = inventory(ODD)
        manager.subset(limit)
        assert {host.name for host in manager.get_hosts("all")} == set(chosen)
    assert not limits[0].startswith("-")


def test_the_hosts_of_a_pattern_are_found_with_their_blanks(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": dict.fromkeys((" a", "a b", "c,d", "-e"))}}))
    assert sorted(find_hosts(tmp_path / "hosts.yml", "all", "")) == [" a", "-e", "a b", "c,d"]
    assert find_hosts(tmp_path / "hosts.yml", "-e", "") == ["-e"]


def test_a_host_that_no_pattern_can_name_without_a_group_is_refused_before_anything_begins(tmp_path, monkeypatch):
    """The job has a slice for "a" and one for "edge+1", which would bring "a" once more."""
    monkeypatch.setattr("shutil.which", lambda program: program)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    hosts = dict.fromkeys(("a", "edge+1", "edge+2", "edge"))
    groups = {"edge+1": {"hosts": {"a": None}}, "edge": {"hosts": {"a": None}}}
    (tmp_path / "inventory").mkdir()
    content = {"all": {"hosts": hosts, "children": groups}}
    (tmp_path / "inventory" / "hosts.yml").write_text(json.dumps(content))
    given = {"job": tmp_path, "cmdline": "", "ssh_args": "", "hosts": "all", "limit": "", "nodes": ["node1", "node2"]}
    with pytest.raises(CannotRun, match="'edge\\+1' is the name of a host and of a group"):
        run(argparse.Namespace(**given))
    check_names(tmp_path / "inventory", ["a", "edge", "edge+2"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cmdline": "--limit site1"}, "--cmdline has a --limit. Give it to this program as --limit."),
        ({"cmdline": "-v -lsite1"}, "--cmdline has a --limit."),
        ({"file": "--forks 20 -l site1\n"}, "env/cmdline has a --limit."),
        ({"cmdline": "'"}, "--cmdline cannot be split into arguments: No closing quotation."),
        ({"ssh_args": '"'}, "--ssh-args cannot be split into arguments: No closing quotation."),
    ],
)
def test_arguments_that_would_run_something_else_are_refused_before_anything_begins(
    tmp_path, monkeypatch, change, said
):
    monkeypatch.setattr("shutil.which", lambda program: program)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "cmdline").write_text(change.pop("file", "--forks 20"))
    given = {"job": tmp_path, "cmdline": "", "ssh_args": "", "hosts": "all", "limit": "", "nodes": ["node1"]} | change
    with pytest.raises(CannotRun) as caught:
        run(argparse.Namespace(**given))
    assert str(caught.value).startswith("Nothing was begun, because ") and said in str(caught.value)


def test_a_folder_that_is_not_that_of_a_run_is_said(tmp_path):
    for content in (None, "[", ""):
        if content is not None:
            (tmp_path / "slices.json").write_text(content)
        with pytest.raises(CannotRun, match="is not the folder of a run"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([], Outcome("not begun")),
        ([start("other"), result("ok", "other")], Outcome("not begun")),
        ([start("chr1")], Outcome("unknown", "change it", under_way=True)),
        ([start("chr1", "look"), result("ok", "chr1", "look")], Outcome("unknown", "look")),
        ([start("chr1"), result("ok", "chr1")], Outcome("ok", "change it")),
        ([start("chr1"), result("ok", "chr1"), start("chr1", "tell")], Outcome("ok", "change it")),
        ([result("failed", "chr1", res={"msg": "no"})], Outcome("failed", "change it", msg="no")),
        ([result("unreachable", "chr1", "look", res={"msg": "no"})], Outcome("failed", "look", msg="no")),
        ([result("failed", "chr1", "look", ignore_errors=True)], Outcome("unknown", "look")),
    ],
)
def test_of_a_job_that_broke_off_only_results_count(events, known):
    assert outcomes(["chr1"], events, LAST) == {"chr1": known}


@pytest.mark.parametrize("kind", ["ok", "failed", "unreachable", "skipped"])
def test_a_router_is_done_only_after_the_last_task(kind):
    assert outcomes(["chr1"], [result(kind, "chr1")], {})["chr1"].state in ("unknown", "failed")
    assert outcomes(["chr1"], [result(kind, "chr1")], {"change it": (kind,)})["chr1"].state in ("ok", "failed")


def test_in_a_renewal_the_router_that_tries_first_is_not_taken_for_the_others():
    events = [result("ok", "chr1", "Try the account on one router")]
    events += [result("skipped", name, "Try the account on one router") for name in ("chr2", "chr3")]
    events += [result("skipped", "chr4", "Renew where that is needed")]
    events += [
        result("ok", "chr3", "Renew where that is needed"),
        result("ok", "chr2", "Renew the licenses of the others"),
    ]
    known = outcomes(["chr1", "chr2", "chr3", "chr4"], events, DONE_AFTER)
    assert [known[name].state for name in sorted(known)] == ["ok", "ok", "unknown", "ok"]


def test_of_a_job_that_came_to_its_end_the_statistics_count():
    events = [result("failed", "chr1", res={"msg": "no"}), result("ok", "chr2")]
    counts = {
        "ok": {"chr2": 1, "chr4": 1},
        "failures": {"chr1": 1},
        "dark": {"chr5": 1},
        "skipped": {"chr3": 1, "chr4": 1},
    }
    known = outcomes([f"chr{number}" for number in range(1, 7)], [*events, stats(**counts)], {})
    assert [known[name].state for name in sorted(known)] == ["failed", "ok", "not begun", "ok", "failed", "not begun"]
    assert known["chr1"].msg == "no"
    quiet = outcomes(["chr1", "chr2"], [stats(skipped={"chr1": 3}, failures={}, dark={})], {})
    assert {one.state for one in quiet.values()} == {"ok"}


def test_an_audit_that_raises_its_alarm_has_read_all_routers_of_its_slice():
    events = [
        result("ok", "chr1", *DONE_FOR_ALL),
        result("failed", "chr1", "Write the report", res={"msg": "2 expired"}),
    ]
    known = outcomes(["chr1", "chr2"], [*events, stats(ok={"chr1": 1}, failures={"chr1": 1})], {})
    assert known == {
        "chr1": Outcome("failed", "Write the report", msg="2 expired"),
        "chr2": Outcome("ok", *DONE_FOR_ALL),
    }
    names = {
        task["name"]
        for play in yaml.safe_load((ROOT / "playbooks" / "license_audit.yml").read_text())
        for task in play.get("tasks", [])
    }
    assert set(DONE_FOR_ALL) <= names


def test_the_tasks_that_are_known_as_the_last_ones_exist():
    tasks = []
    for file in (ROOT / "roles" / "license_renew" / "tasks").glob("*.yml"):
        tasks += [task["name"] for task in yaml.safe_load(file.read_text())]
    assert set(DONE_AFTER) <= set(tasks)
