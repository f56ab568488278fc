# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""license_info, license and system_id as their users run them, against routers that renew at the
lab's account server."""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter

ACCOUNT, PASSWORD = "ops@example.com", r'p"a$s\w[o]r;d {é€}?'


@pytest.fixture
def accounts() -> t.Iterator[AccountServer]:
    with AccountServer() as server:
        server.add_account(ACCOUNT, PASSWORD, trials=100)
        yield server


@pytest.fixture
def routers(short_path, accounts) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    """Start routers that know the account server: ``routers("chr1", version="6.49.10")``; the hosts
    by name."""
    running: list[LabRouter] = []

    def start(*names: str, **settings: t.Any) -> dict[str, t.Any]:
        hosts = {}
        for name in names:
            router = Router(identity=name, accounts=accounts, clock=accounts.clock, **settings)
            running.append(LabRouter(router, f"unix:{short_path / name}.sock").start())
            hosts[name] = {"chr_socket": running[-1].address}
        return hosts

    start.of = lambda name: next(one.router for one in running if one.router.identity == name)  # type: ignore[attr-defined]
    yield start
    for one in running:
        one.stop()


def license(**more: t.Any) -> dict[str, t.Any]:
    module = {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 20, **more}
    return {"name": "license", "outofband.chr.license": module}


def test_a_free_router_gets_its_level_once_and_the_password_is_nowhere(routers, accounts, playbook):
    hosts = {}
    for version in ("6.49.10", "7.8", "7.22"):
        hosts |= routers(f"chr-{version}", version=version)
    tasks = [
        {"name": "before", "outofband.chr.license_info": None},
        license(),
        {**license(), "name": "again"},
        {"name": "after", "outofband.chr.license_info": None},
    ]
    run = playbook(tasks, hosts, "-vvvvv", "--diff")
    assert run.rc == 0, run.output
    for name in hosts:
        assert run.of("before", name)["result"]["license"]["level"] == "free"
        done = run.of("license", name)["result"]
        assert (done["changed"], done["license"]["level"], done["renewal"]["outcome"]) == (True, "p1", "done")
        assert done["before"]["level"] == "free"
        assert not run.of("again", name)["result"]["changed"]
        assert run.of("again", name)["result"]["renewal"] is None
        assert run.of("after", name)["result"]["license"]["days_left"] > 0
        assert accounts.renewals(routers.of(name).system_id) == 1
        assert routers.of(name).files == {}
    assert run.output.count("+level: p1") == len(hosts)
    for part in (PASSWORD, 'p\\"a'):
        assert part not in run.output


def test_check_mode_predicts_and_contacts_nobody(routers, accounts, playbook):
    hosts = routers("chr1")
    run = playbook([license()], hosts, "--check", "--diff")
    assert run.rc == 0, run.output
    assert run.of("license")["result"]["changed"]
    assert accounts.log == []
    assert routers.of("chr1").license.level == "free"


CANNOT_BE_RIGHT = [
    ({"password": ""}, "password is missing or empty"),
    ({"account": ""}, "account is missing or empty"),
    ({"level": "p5"}, "level 'p5' cannot be requested"),
    ({"level": "free"}, "never downgraded to free"),
    ({"level": None}, "level and renew_before are missing"),
    ({"renew_before": "nan"}, "renew_before is nan: it must be a number of days from 0."),
    ({"timeout": 0}, "timeout"),
]


def test_what_cannot_be_right_is_refused_before_the_router_is_touched(routers, accounts, playbook):
    tasks = [{**license(**arguments), "name": message, "ignore_errors": True} for arguments, message in CANNOT_BE_RIGHT]
    run = playbook(tasks, routers("chr1"))
    for _arguments, message in CANNOT_BE_RIGHT:
        assert run.of(message)["status"] == "failed"
        assert message in run.of(message)["result"]["msg"]
    assert accounts.log == []


def test_what_the_manual_forbids_is_refused(routers, accounts, playbook):
    """Manual 5: never downwards, and no other trial level on the same instance."""
    hosts = routers("chr1")
    tasks = [
        license(level="p10"),
        {**license(level="p-unlimited"), "name": "higher", "ignore_errors": True},
        {**license(state="renewed", level="p1"), "name": "lower", "ignore_errors": True},
        {**license(level="p1"), "name": "at least"},
    ]
    run = playbook(tasks, hosts)
    assert run.rc == 0, run.output
    assert "would be ignored" in run.of("higher")["result"]["msg"]
    assert "never downgraded" in run.of("lower")["result"]["msg"]
    assert not run.of("at least")["result"]["changed"]
    assert accounts.renewals(routers.of("chr1").system_id) == 1


def test_what_was_bought_on_the_account_is_learnt(routers, accounts, playbook):
    """Manual 5.2 and 5.3: after a purchase, renew must be run on the router."""
    hosts = routers("chr1")
    assert playbook([license()], hosts).rc == 0
    accounts.purchase(ACCOUNT, routers.of("chr1").system_id, "p10")
    run = playbook([license(level="p10", purchased=True)], hosts)
    assert run.rc == 0, run.output
    assert run.of("license")["result"]["license"]["level"] == "p10"


@pytest.mark.slow
def test_near_its_deadline_it_renews_and_not_before(routers, accounts, playbook):
    hosts = routers("chr1")
    assert playbook([license()], hosts).rc == 0
    accounts.purchase(ACCOUNT, routers.of("chr1").system_id, "p1")
    assert playbook([license(state="renewed")], hosts).rc == 0
    before = len(accounts.log)
    left = playbook([license(renew_before=14)], hosts).of("license")["result"]
    assert not left["changed"]
    assert len(accounts.log) == before
    accounts.reachable = False
    accounts.clock.shift((left["license"]["days_left"] - 10) * 86400)
    playbook([{"name": "look", "outofband.chr.license_info": None}], hosts)  # retries by itself, and cannot
    accounts.reachable = True
    run = playbook([license(renew_before=14)], hosts)
    assert run.rc == 0, run.output
    assert run.of("license")["result"]["license"]["days_left"] > 14


WRONG = "not-the-s3cret"
ANSWERS: dict[str, tuple[t.Callable[[AccountServer], None], str, str, bool]] = {
    "wrong password": (lambda server: None, "unauthorized", "refused the account", True),
    "no trials": (
        lambda server: setattr(server.accounts[ACCOUNT], "trials", 0),
        "too_many_trials",
        "no trial left",
        True,
    ),
    "something else": (lambda server: setattr(server, "error", "ERROR: odd \x1b[31m words"), "failed", "odd", False),
}


def test_each_answer_of_the_account_server_has_its_own_result(routers, playbook):
    with contextlib.ExitStack() as running:
        servers = {name: running.enter_context(AccountServer()) for name in ANSWERS}
        hosts = {}
        for name, (prepare, _outcome, _message, _refused) in ANSWERS.items():
            servers[name].add_account(ACCOUNT, PASSWORD, trials=100)
            prepare(servers[name])
            hosts |= routers(name)
            hosts[name]["given"] = WRONG if name == "wrong password" else PASSWORD
            routers.of(name).accounts = servers[name]
            routers.of(name).clock = servers[name].clock
        run = playbook([license(password="{{ given }}")], hosts)
        for name, (_prepare, outcome, message, refused) in ANSWERS.items():
            assert run.of("license", name)["status"] == "failed"
            result = run.of("license", name)["result"]
            assert result["renewal"]["outcome"] == outcome
            assert message in result["msg"]
            assert result["account_refused"] is refused
            assert not result["changed"]
            assert result["license"]["level"] == "free"
            assert len(servers[name].log) == 1


def test_a_refused_account_is_not_tried_again_in_the_same_run(routers, accounts, playbook):
    hosts = routers("chr1", "chr2", "chr3")
    tasks = [
        {**license(password=WRONG), "name": "wrong", "throttle": 1, "ignore_errors": True},
        {**license(), "name": "right"},
    ]
    run = playbook(tasks, hosts)
    assert run.rc == 0, run.output
    assert [bool(run.of("wrong", name)["result"]["renewal"]) for name in hosts] == [True, False, False]
    for name in hosts:
        assert run.of("wrong", name)["result"]["account_refused"] is True
        assert run.of("right", name)["result"]["license"]["level"] == "p1"
    assert "was not asked again, and nothing was sent to 'chr2'" in run.of("wrong", "chr2")["result"]["msg"]
    assert len(accounts.log) == 4


def test_an_account_server_that_is_not_reached_is_told_and_nothing_has_changed(routers, accounts, playbook):
    accounts.reachable = False
    hosts = routers("chr1")
    run = playbook([license(timeout=4)], hosts)
    assert run.rc == 2
    result = run.of("license")["result"]
    assert result["renewal"]["outcome"] in ("connecting", "unreachable")
    assert "check its route, DNS and firewall" in result["msg"]
    assert not result["changed"]


def test_an_answer_that_comes_late_is_waited_for_or_reported_as_unknown(routers, accounts, playbook):
    accounts.delay = 6.0
    hosts = routers("chr1", "chr2")
    hosts["chr1"]["patience"], hosts["chr2"]["patience"] = 2, 30
    run = playbook([license(timeout="{{ patience }}")], hosts)
    late = run.of("license", "chr1")["result"]
    assert late["renewal"]["outcome"] == "renewing"
    assert "safe to run this again" in late["msg"]
    assert run.of("license", "chr2")["result"]["license"]["level"] == "p1"
    again = playbook([license()], hosts)
    assert again.rc == 0, again.output
    assert [accounts.renewals(routers.of(name).system_id) for name in hosts] == [1, 1]


def test_a_router_that_restarts_while_it_renews_is_looked_at_again(routers, accounts, playbook):
    hosts = routers("chr1")
    accounts.delay = 3.0
    chr1 = routers.of("chr1")
    threading.Timer(4.0, lambda: chr1.on_power("reboot")).start()
    run = playbook([license(timeout=30)], hosts)
    result = run.of("license")["result"]
    assert result["license"]["level"] == chr1.license.level
    assert playbook([license()], hosts).rc == 0
    assert chr1.license.level == "p1"


def test_garbage_is_no_license(routers, playbook):
    hosts = routers("chr1")
    routers.of("chr1").license.level = "p\x1b[2J9"
    run = playbook([{"name": "look", "outofband.chr.license_info": None}], hosts)
    assert run.rc == 2
    assert "which is not one of free" in run.of("look")["result"]["msg"]
    assert "\x1b[2J" not in run.output


# -- system ids ------------------------------------------------------------------------------------

UNIQUE = [
    {"name": "look", "outofband.chr.license_info": None},
    {"name": "unique", "outofband.chr.system_id": {"state": "unique"}},
]


def test_cloned_routers_get_ids_of_their_own_and_the_first_keeps_it(routers, playbook):
    """Manual 5.5: several machines made alike have one system id."""
    names = [f"chr{number}" for number in range(6)]
    hosts = routers(*names, system_id="AAAAAAAAAAA")
    other = routers("other")
    run = playbook(UNIQUE, {**hosts, **other}, "--forks=7")
    assert run.rc == 0, run.output
    ids = {name: routers.of(name).system_id for name in (*names, "other")}
    assert len(set(ids.values())) == 7
    assert ids["chr0"] == "AAAAAAAAAAA"
    assert run.changed() == {(name, "unique") for name in names[1:]}
    assert run.of("unique", "chr3")["result"]["duplicate_of"] == "chr0"
    assert playbook(UNIQUE, {**hosts, **other}).changed() == set()


def warned(run, task, host):
    return " ".join(run.of(task, host)["result"].get("warnings", []))


def test_two_names_of_one_vm_are_told_and_its_id_stays(routers, playbook, short_path):
    """Two names would give it a new id in each run."""
    hosts = routers("chr1", "chr2", system_id="AAAAAAAAAAA")
    (short_path / "other.sock").symlink_to(short_path / "chr1.sock")
    hosts["other"] = {"chr_socket": f"{short_path / 'other.sock'}"}
    hosts["zero"] = hosts["chr1"]
    report = {
        "name": "report",
        "outofband.chr.license_report": {"dest": ".", "formats": ["json"], "registered": "read"},
    }
    tasks = [{**UNIQUE[0], "register": "read"}, {**report, "run_once": True}, UNIQUE[1]]
    first = playbook(tasks, hosts)
    assert first.rc == 0, first.output
    assert first.changed() == {("chr2", "unique"), ("chr1", "report")}
    assert routers.of("chr1").system_id == "AAAAAAAAAAA"
    assert first.of("unique", "other")["result"]["same_vm_as"] == ["chr1", "zero"]
    assert "is the same VM as 'other', 'zero'" in warned(first, "unique", "chr1")
    summary = first.of("report")["result"]["summary"]
    assert summary["duplicates"] == [{"system_id": "AAAAAAAAAAA", "routers": ["chr1", "chr2", "other", "zero"]}]
    assert [one["routers"] for one in summary["aliases"]] == [["chr1", "other", "zero"]]
    assert playbook(UNIQUE, hosts).changed() == set()


def test_a_limit_hides_no_duplicate(routers, playbook):
    """What is not in the play is known from the last report or from a fact cache; otherwise it is
    said."""
    hosts = routers("chr1", "chr2", "chr3", system_id="AAAAAAAAAAA")
    blind = playbook(UNIQUE, hosts, "--limit=chr2")
    assert (blind.rc, blind.changed()) == (0, set()), blind.output
    assert "Not compared" in warned(blind, "unique", "chr2") and "chr1, chr3" in warned(blind, "unique", "chr2")

    report = {"name": "report", "outofband.chr.license_report": {"dest": ".", "formats": ["json"]}, "run_once": True}
    (playbook.folder / "ansible.cfg").write_text(
        "[defaults]\nfact_caching = jsonfile\nfact_caching_connection = cache\n"
    )
    assert playbook([UNIQUE[0], report], hosts, "--limit=chr1").rc == 0
    cached = playbook(UNIQUE, hosts, "--limit=chr2")
    assert cached.of("unique")["result"]["duplicate_of"] == "chr1"
    assert cached.changed() == {("chr2", "unique")}

    (playbook.folder / "ansible.cfg").unlink()
    named = {"name": "unique", "outofband.chr.system_id": {"report": "chr-licenses.json"}}
    reported = playbook([UNIQUE[0], named], hosts, "--limit=chr3")
    assert reported.changed() == {("chr3", "unique")}, reported.output
    assert "chr2" in warned(reported, "unique", "chr3") and "chr1" not in warned(reported, "unique", "chr3")
    assert routers.of("chr1").system_id == "AAAAAAAAAAA"
    assert len({routers.of(name).system_id for name in hosts}) == 3


@pytest.mark.parametrize("strategy", ["linear", "host_pinned"])
def test_facts_that_ansible_mixed_up_change_no_id_and_are_not_reported(routers, playbook, strategy):
    """ansible-core 2.21 keeps one dictionary for all hosts after a task with run_once that returns
    facts; then every host has the license of the one that was read last."""
    hosts = routers("chr1", "chr2", "chr3")
    ids = {name: routers.of(name).system_id for name in hosts}
    tasks = [
        {"name": "once", "outofband.chr.facts": {"gather_subset": ["default"]}, "run_once": True},
        {**UNIQUE[0], "register": "read"},
        {**UNIQUE[1], "ignore_errors": True},
        {"name": "registered", "outofband.chr.system_id": {"registered": "read"}},
        {"name": "report", "outofband.chr.license_report": {"dest": ".", "formats": ["json"]}},
    ]
    run = playbook(tasks, hosts, "--forks=1", strategy=strategy)
    assert run.rc == 0, run.output
    assert {name: routers.of(name).system_id for name in hosts} == ids
    for name in hosts:
        unique = run.of("unique", name)
        assert unique["status"] == "ok" or "was read from" in unique["result"]["msg"]
        assert not run.of("registered", name)["result"]["changed"]
    for row in json.loads((playbook.folder / "chr-licenses.json").read_text())["routers"]:
        assert row["system_id"] == ids[row["name"]] or "was read from" in row["reason"]


def test_a_licensed_router_keeps_its_id(routers, accounts, playbook):
    """Manual 5.5: only while the license is free."""
    hosts = routers("chr0", "chr1", system_id="AAAAAAAAAAA", level="p1")
    run = playbook([*UNIQUE, {"name": "anyway", "outofband.chr.system_id": {"state": "regenerated"}}], hosts)
    assert run.rc == 2
    assert "could never be renewed" in run.of("unique", "chr1")["result"]["msg"]
    assert "could never be renewed" in run.of("anyway", "chr0")["result"]["msg"]
    assert {routers.of(name).system_id for name in hosts} == {"AAAAAAAAAAA"}


def test_regenerated_makes_a_new_id_and_check_mode_only_says_so(routers, playbook):
    hosts = routers("chr1")
    before = routers.of("chr1").system_id
    task = {"name": "new", "outofband.chr.system_id": {"state": "regenerated"}}
    assert playbook([task], hosts, "--check").of("new")["result"]["changed"]
    assert routers.of("chr1").system_id == before
    run = playbook([task], hosts)
    assert run.rc == 0, run.output
    assert run.of("new")["result"]["system_id"] == routers.of("chr1").system_id != before


def test_a_new_id_that_does_not_show_is_told_with_what_is_not_known(routers, playbook):
    hosts = routers("chr1")
    routers.of("chr1").license_switches.new_id_at_reboot = True
    run = playbook([{"name": "new", "outofband.chr.system_id": {"state": "regenerated", "timeout": 2}}], hosts)
    assert run.rc == 2
    assert "check again after one" in run.of("new")["result"]["msg"]


def test_unique_needs_to_know_the_others(routers, playbook):
    run = playbook([UNIQUE[1]], routers("chr1"))
    assert run.rc == 2
    assert "outofband.chr.license_info" in run.of("unique")["result"]["msg"]
