# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The license modules where no output comes back: the same results, read by jobs that succeed or
fail."""

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


def license(**more: t.Any) -> dict[str, t.Any]:
    module = {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 60, **more}
    return {"name": "license", "outofband.chr.license": module}


def test_a_license_is_had_once_and_read_whole(routers, playbook):
    accounts, vc = routers
    hosts = {name: vc.variables() for name in ("chr1", "chr2")}
    tasks = [license(), {**license(), "name": "again"}, {"name": "look", "outofband.chr.license_info": None}]
    run = playbook(tasks, hosts, "-vvvvv")
    assert run.rc == 0, run.output
    for name in hosts:
        router = vc.router(name)
        assert (run.of("license", name)["result"]["before"]["level"], router.license.level) == ("free", "p1")
        assert not run.of("again", name)["result"]["changed"]
        look = run.of("look", name)["result"]["license"]
        assert look["system_id"] == router.system_id
        assert look["deadline_at"] == router.license.deadline_at.replace(tzinfo=None, microsecond=0).isoformat()
        assert accounts.renewals(router.system_id) == 1
        assert not any("outofband" in file for file in router.files)
    assert PASSWORD not in run.output


def test_the_reason_of_a_refusal_is_told_and_nobody_is_asked_twice(vcenter, playbook):
    """Whether an ERROR of the account server ends the script is not known.

    Each case is a router with an account.
    """
    outcomes = {"unauthorized": {"password": "wrong"}, "too_many_trials": {}}
    cases = {f"{outcome}-{end}": outcome for outcome in outcomes for end in ("text", "error")}
    vc = vcenter(*cases)
    with AccountServer() as accounts:
        hosts = {}
        for name, outcome in cases.items():
            accounts.add_account(name, PASSWORD, trials=0 if outcome == "too_many_trials" else 1)
            vc.router(name).accounts = accounts
            vc.router(name).license_switches.renew_error_fails = name.endswith("error")
            hosts[name] = vc.variables(given={"password": PASSWORD, **outcomes[outcome]})
        run = playbook([license(account="{{ inventory_hostname }}", password="{{ given.password }}")], hosts)
        for name, outcome in cases.items():
            assert run.of("license", name)["status"] == "failed"
            result = run.of("license", name)["result"]
            assert (result["renewal"]["outcome"], result["account_refused"]) == (outcome, True), run.output
            assert result["license"]["level"] == "free"
            assert not any("outofband" in file for file in vc.router(name).files)
        assert sorted(contact.account for contact in accounts.log) == sorted(cases)


def test_a_routeros_that_keeps_no_status_is_asked_once_too(routers, playbook):
    accounts, vc = routers
    old = Router(identity="chr1", version="7.8", accounts=accounts)
    vc.routers.routers[vc.vm("chr1")["moid"]] = old
    run = playbook([license(password="wrong", timeout=5)], {"chr1": vc.variables()})
    assert (run.rc, run.of("license")["result"]["renewal"]["outcome"]) == (2, "silent"), run.output
    assert len(accounts.log) == 1
    assert playbook([license()], {"chr1": vc.variables()}).rc == 0
    assert old.license.level == "p1"


def test_cloned_routers_get_ids_of_their_own(routers, playbook):
    _accounts, vc = routers
    for name in ("chr1", "chr2"):
        vc.router(name).license.system_id = "AAAAAAAAAAA"
    tasks = [
        {"name": "look", "outofband.chr.license_info": None},
        {"name": "unique", "outofband.chr.system_id": {"state": "unique"}},
    ]
    run = playbook(tasks, {name: vc.variables() for name in ("chr1", "chr2")})
    assert run.rc == 0, run.output
    assert vc.router("chr1").system_id == "AAAAAAAAAAA"
    assert run.of("unique", "chr2")["result"]["system_id"] == vc.router("chr2").system_id != "AAAAAAAAAAA"
