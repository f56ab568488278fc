# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The licence modules where no output comes back: the same results, read by jobs that succeed or fail."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.routeros import Router

ACCOUNT, PASSWORD = "ops@example.com", 'it\'s "p$1" [é]'


@pytest.fixture
def routers(vcenter) -> t.Iterator[tuple[AccountServer, t.Any]]:
    with AccountServer() as accounts:
        accounts.add_account(ACCOUNT, PASSWORD)
        vc = vcenter("chr1", "chr2")
        for name in ("chr1", "chr2"):
            vc.router(name).accounts = accounts
        yield accounts, vc


def licence(**more: t.Any) -> dict[str, t.Any]:
    module = {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 60, **more}
    return {"name": "licence", "outofband.chr.license": module}


def test_a_licence_is_had_once_and_read_whole(routers, playbook):
    accounts, vc = routers
    hosts = {name: vc.variables() for name in ("chr1", "chr2")}
    tasks = [licence(), {**licence(), "name": "again"}, {"name": "look", "outofband.chr.license_info": None}]
    run = playbook(tasks, hosts, "-vvvvv")
    assert run.rc == 0, run.output
    for name in hosts:
        router = vc.router(name)
        assert (run.of("licence", name)["result"]["before"]["level"], router.licence.level) == ("free", "p1")
        assert not run.of("again", name)["result"]["changed"]
        look = run.of("look", name)["result"]["license"]
        assert look["system_id"] == router.system_id
        assert look["deadline_at"] == router.licence.deadline_at.replace(tzinfo=None, microsecond=0).isoformat()
        assert accounts.renewals(router.system_id) == 1
        assert not any("outofband" in file for file in router.files)
    assert PASSWORD not in run.output


@pytest.mark.parametrize("error_fails", [False, True], ids=["an error is text", "an error ends the script"])
@pytest.mark.parametrize("outcome", ["unauthorized", "too_many_trials"])
def test_the_reason_of_a_refusal_is_told_and_nobody_is_asked_twice(routers, playbook, outcome, error_fails):
    """Whether an ERROR of the account server ends the script is not known."""
    accounts, vc = routers
    vc.router("chr1").licence_switches.renew_error_fails = error_fails
    if outcome == "too_many_trials":
        accounts.accounts[ACCOUNT].trials = 0
    wrong = {} if outcome == "too_many_trials" else {"password": "wrong"}
    run = playbook([licence(**wrong)], {"chr1": vc.variables()})
    result = run.of("licence")["result"]
    assert (run.rc, result["renewal"]["outcome"], result["account_refused"]) == (2, outcome, True), run.output
    assert result["license"]["level"] == "free"
    assert len(accounts.log) == 1
    assert not any("outofband" in file for file in vc.router("chr1").files)


def test_a_routeros_that_keeps_no_status_is_asked_once_too(routers, playbook):
    accounts, vc = routers
    old = Router(identity="chr1", version="7.8", accounts=accounts)
    vc.routers.routers[vc.vm("chr1")["moid"]] = old
    run = playbook([licence(password="wrong", timeout=5)], {"chr1": vc.variables()})
    assert (run.rc, run.of("licence")["result"]["renewal"]["outcome"]) == (2, "silent"), run.output
    assert len(accounts.log) == 1
    assert playbook([licence()], {"chr1": vc.variables()}).rc == 0
    assert old.licence.level == "p1"


def test_cloned_routers_get_ids_of_their_own(routers, playbook):
    _accounts, vc = routers
    for name in ("chr1", "chr2"):
        vc.router(name).licence.system_id = "AAAAAAAAAAA"
    tasks = [
        {"name": "look", "outofband.chr.license_info": None},
        {"name": "unique", "outofband.chr.system_id": {"state": "unique"}},
    ]
    run = playbook(tasks, {name: vc.variables() for name in ("chr1", "chr2")})
    assert run.rc == 0, run.output
    assert vc.router("chr1").system_id == "AAAAAAAAAAA"
    assert run.of("unique", "chr2")["result"]["system_id"] == vc.router("chr2").system_id != "AAAAAAAAAAA"
