# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""license_info, license and system_id as their users run them, against routers that renew at the lab's account server."""

from __future__ import annotations

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
    """Start routers that know the account server: ``routers("chr1", version="6.49.10")``; the hosts by name."""
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


def licence(**more: t.Any) -> dict[str, t.Any]:
    module = {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 20, **more}
    return {"name": "licence", "outofband.chr.license": module}


@pytest.mark.parametrize("version", ["6.49.10", "7.8", "7.22"])
def test_a_free_router_gets_its_level_once_and_the_password_is_nowhere(routers, accounts, playbook, version):
    hosts = routers("chr1", version=version)
    tasks = [
        {"name": "before", "outofband.chr.license_info": None},
        licence(),
        {**licence(), "name": "again"},
        {"name": "after", "outofband.chr.license_info": None},
    ]
    run = playbook(tasks, hosts, "-vvvvv", "--diff")
    assert run.rc == 0, run.output
    assert run.of("before")["result"]["license"]["level"] == "free"
    done = run.of("licence")["result"]
    assert (done["changed"], done["license"]["level"], done["renewal"]["outcome"]) == (True, "p1", "done")
    assert done["before"]["level"] == "free"
    assert not run.of("again")["result"]["changed"]
    assert run.of("again")["result"]["renewal"] is None
    assert run.of("after")["result"]["license"]["days_left"] > 0
    assert accounts.renewals(routers.of("chr1").system_id) == 1
    assert "+level: p1" in run.output
    for part in (PASSWORD, 'p\\"a'):
        assert part not in run.output
    assert routers.of("chr1").files == {}


def test_check_mode_predicts_and_contacts_nobody(routers, accounts, playbook):
    hosts = routers("chr1")
    run = playbook([licence()], hosts, "--check", "--diff")
    assert run.rc == 0, run.output
    assert run.of("licence")["result"]["changed"]
    assert accounts.log == []
    assert routers.of("chr1").licence.level == "free"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"password": ""}, "password is missing or empty"),
        ({"account": ""}, "account is missing or empty"),
        ({"level": "p5"}, "level 'p5' cannot be asked for"),
        ({"level": "free"}, "never goes down to free"),
        ({"level": None}, "level is missing"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_be_right_is_refused_before_the_router_is_touched(routers, accounts, playbook, arguments, message):
    hosts = routers("chr1")
    run = playbook([licence(**arguments)], hosts)
    assert run.rc == 2
    assert message in run.of("licence")["result"]["msg"]
    assert accounts.log == []


def test_what_the_manual_forbids_is_refused(routers, accounts, playbook):
    """Manual 5: never downwards, and no other trial level on the same instance."""
    hosts = routers("chr1")
    tasks = [
        licence(level="p10"),
        {**licence(level="p-unlimited"), "name": "higher", "ignore_errors": True},
        {**licence(state="renewed", level="p1"), "name": "lower", "ignore_errors": True},
        {**licence(level="p1"), "name": "at least"},
    ]
    run = playbook(tasks, hosts)
    assert run.rc == 0, run.output
    assert "would be ignored" in run.of("higher")["result"]["msg"]
    assert "never goes downwards" in run.of("lower")["result"]["msg"]
    assert not run.of("at least")["result"]["changed"]
    assert accounts.renewals(routers.of("chr1").system_id) == 1


def test_what_was_bought_on_the_account_is_learnt(routers, accounts, playbook):
    """Manual 5.2 and 5.3: after a purchase, renew must be run on the router."""
    hosts = routers("chr1")
    assert playbook([licence()], hosts).rc == 0
    accounts.purchase(ACCOUNT, routers.of("chr1").system_id, "p10")
    run = playbook([licence(level="p10", purchased=True)], hosts)
    assert run.rc == 0, run.output
    assert run.of("licence")["result"]["license"]["level"] == "p10"


def test_near_its_deadline_it_renews_and_not_before(routers, accounts, playbook):
    hosts = routers("chr1")
    assert playbook([licence()], hosts).rc == 0
    accounts.purchase(ACCOUNT, routers.of("chr1").system_id, "p1")
    assert playbook([licence(state="renewed")], hosts).rc == 0
    before = len(accounts.log)
    left = playbook([licence(renew_before=14)], hosts).of("licence")["result"]
    assert not left["changed"]
    assert len(accounts.log) == before
    accounts.reachable = False
    accounts.clock.shift((left["license"]["days_left"] - 10) * 86400)
    playbook([{"name": "look", "outofband.chr.license_info": None}], hosts)  # retries by itself, and cannot
    accounts.reachable = True
    run = playbook([licence(renew_before=14)], hosts)
    assert run.rc == 0, run.output
    assert run.of("licence")["result"]["license"]["days_left"] > 14


@pytest.mark.parametrize(
    ("prepare", "outcome", "message", "refused"),
    [
        (
            lambda server: setattr(server.accounts[ACCOUNT], "password", "x"),
            "unauthorized",
            "refused the account",
            True,
        ),
        (lambda server: setattr(server.accounts[ACCOUNT], "trials", 0), "too_many_trials", "no trial left", True),
        (lambda server: setattr(server, "error", "ERROR: odd \x1b[31m words"), "failed", "odd", False),
    ],
    ids=["wrong password", "no trials", "something else"],
)
def test_each_answer_of_the_account_server_has_its_own_result(
    routers, accounts, playbook, prepare, outcome, message, refused
):
    prepare(accounts)
    hosts = routers("chr1")
    run = playbook([licence()], hosts)
    assert run.rc == 2
    result = run.of("licence")["result"]
    assert result["renewal"]["outcome"] == outcome
    assert message in result["msg"]
    assert result["account_refused"] is refused
    assert not result["changed"]
    assert result["license"]["level"] == "free"
    assert len(accounts.log) == 1


def test_an_account_server_that_is_not_reached_is_told_and_nothing_has_changed(routers, accounts, playbook):
    accounts.reachable = False
    hosts = routers("chr1")
    run = playbook([licence(timeout=4)], hosts)
    assert run.rc == 2
    result = run.of("licence")["result"]
    assert result["renewal"]["outcome"] in ("connecting", "unreachable")
    assert "look at its route, DNS and firewall" in result["msg"]
    assert not result["changed"]


def test_an_answer_that_comes_late_is_waited_for_or_reported_as_unknown(routers, accounts, playbook):
    accounts.delay = 6.0
    hosts = routers("chr1", "chr2")
    hosts["chr1"]["patience"], hosts["chr2"]["patience"] = 2, 30
    run = playbook([licence(timeout="{{ patience }}")], hosts)
    late = run.of("licence", "chr1")["result"]
    assert late["renewal"]["outcome"] == "renewing"
    assert "safe to run this again" in late["msg"]
    assert run.of("licence", "chr2")["result"]["license"]["level"] == "p1"
    again = playbook([licence()], hosts)
    assert again.rc == 0, again.output
    assert [accounts.renewals(routers.of(name).system_id) for name in hosts] == [1, 1]


def test_a_router_that_restarts_while_it_renews_is_looked_at_again(routers, accounts, playbook):
    hosts = routers("chr1")
    accounts.delay = 3.0
    chr1 = routers.of("chr1")
    threading.Timer(4.0, lambda: chr1.on_power("reboot")).start()
    run = playbook([licence(timeout=30)], hosts)
    result = run.of("licence")["result"]
    assert result["license"]["level"] == chr1.licence.level
    assert playbook([licence()], hosts).rc == 0
    assert chr1.licence.level == "p1"


def test_garbage_is_no_licence(routers, playbook):
    hosts = routers("chr1")
    routers.of("chr1").licence.level = "p\x1b[2J9"
    run = playbook([{"name": "look", "outofband.chr.license_info": None}], hosts)
    assert run.rc == 2
    assert "which is none of free" in run.of("look")["result"]["msg"]
    assert "\x1b[2J" not in run.output


# -- system ids ------------------------------------------------------------------------------------------------------

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


def test_a_licensed_router_keeps_its_id(routers, accounts, playbook):
    """Manual 5.5: only while the licence is free."""
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
    routers.of("chr1").licence_switches.new_id_at_reboot = True
    run = playbook([{"name": "new", "outofband.chr.system_id": {"state": "regenerated", "timeout": 2}}], hosts)
    assert run.rc == 2
    assert "look again after one" in run.of("new")["result"]["msg"]


def test_unique_needs_to_know_the_others(routers, playbook):
    run = playbook([UNIQUE[1]], routers("chr1"))
    assert run.rc == 2
    assert "outofband.chr.license_info" in run.of("unique")["result"]["msg"]
