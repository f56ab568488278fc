# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/license_renew.yml over a fleet of all backends: sixty routers, a third free, a third
trials, a third near expiry."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import typing as t
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import GRACE, AccountServer, Instance
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import Hosts, Routers, hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import Answer
from ansible_collections.outofband.chr.tests.lab.routeros.license import License, new_system_id
from ansible_collections.outofband.chr.tests.system.conftest import Playbook, Run

NUMBERS = {"sockets": 22, "proxmox": 22, "vmware": 4, "xenstore": 10, "xenapi": 2}
ACCOUNT, PASSWORD = "me@example.com", "s3cret-of-the-account"
WRONG = "not-the-s3cret"
RENEW = "outofband.chr.license_renew"
AUDIT = "outofband.chr.license_audit"


@dataclass
class Fleet:
    """``hosts`` are the variables, ``routers`` what stands behind them; ``accounts`` is theirs
    alone."""

    hosts: Hosts
    routers: Routers
    accounts: AccountServer

    def are(self, kind: str) -> list[str]:
        """The third of the fleet that began as ``free``, ``trial`` or ``ending``."""
        return list(self.hosts)[("free", "trial", "ending").index(kind) :: 3]

    def begin(self) -> None:
        for name in self.hosts:
            self.hosts[name] = {**self.hosts[name], "license_renew_level": "p1"}
            self.routers[name].accounts = self.accounts
            self.routers[name].license = License(new_system_id())
        for name in self.are("trial"):
            self.license(name, days_left=45)
        for number, name in enumerate(self.are("ending")):
            self.license(name, days_left=2 + number % 11)
            self.accounts.purchase(ACCOUNT, self.routers[name].system_id, "p1")  # which the router does not know

    def license(self, name: str, days_left: float) -> None:
        """A trial of p1 that began as long ago as is left out of its 60 days."""
        router, ends = self.routers[name], self.accounts.clock.now() + timedelta(days=days_left)
        instance = Instance(ACCOUNT, router.machine, "p1", ends, given=("p1", False))
        self.accounts.instances[router.system_id] = instance
        router.license.accept(Answer("done", "p1", ends - GRACE, ends))

    def off(self, name: str) -> None:
        """Nobody is behind the router's socket."""
        self.hosts[name] = {**self.hosts[name], "chr_socket": "/nowhere", "chr_connect_timeout": 1}

    def contacts(self) -> list[str]:
        """The names of the routers whose renewal by hand reached the account server, in order."""
        names = {router.system_id: name for name, router in self.routers.items()}
        return [names[contact.system_id] for contact in self.accounts.log if contact.account]

    def good(self) -> bool:
        soon = self.accounts.clock.now() + timedelta(days=14)
        licenses = [self.routers[name].license for name in self.hosts]
        return all(one.level == "p1" and one.deadline_at and one.deadline_at > soon for one in licenses)


class Nowhere:
    """There is no way to the account server."""

    def reach(self) -> None:
        raise ConnectionRefusedError

    def contact(self, *_given: t.Any, **_named: t.Any) -> Answer:
        raise ConnectionRefusedError


@pytest.fixture(scope="module")
def machines() -> t.Iterator[tuple[Hosts, Routers]]:
    """The routers of all hypervisors; without one of these, these tests are not run."""
    hosts: Hosts = {}
    routers: Routers = {}
    with contextlib.ExitStack() as running:
        for kind, number in NUMBERS.items():
            names = [f"{kind}{one:02d}" for one in range(1, number + 1)]
            hosts |= running.enter_context(hypervisor(kind, names, cache(), routers))
        yield dict(sorted(hosts.items())), routers


@pytest.fixture(scope="module")
def twelve() -> t.Iterator[tuple[Hosts, Routers]]:
    """Twelve routers on sockets."""
    routers: Routers = {}
    with hypervisor("sockets", [f"sockets{one:02d}" for one in range(1, 13)], cache(), routers) as hosts:
        yield dict(sorted(hosts.items())), routers


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[AccountServer]:
    monkeypatch.setenv("OUTOFBAND_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", PASSWORD)
    with AccountServer() as accounts:
        accounts.add_account(ACCOUNT, PASSWORD)
        yield accounts


@pytest.fixture
def fleet(machines: tuple[Hosts, Routers], accounts: AccountServer) -> Fleet:
    """Sixty routers of all backends."""
    fleet = Fleet(*machines, accounts)
    fleet.begin()
    return fleet


@pytest.fixture
def few(twelve: tuple[Hosts, Routers], accounts: AccountServer) -> Fleet:
    """Twelve routers."""
    hosts, routers = twelve
    fleet = Fleet(dict(hosts), routers, accounts)
    fleet.begin()
    return fleet


def some(fleet: Fleet, number: int) -> Fleet:
    """A smaller fleet with a past of its own."""
    names = list(fleet.hosts)[:number]
    smaller = Fleet({name: fleet.hosts[name] for name in names}, fleet.routers, fleet.accounts)
    smaller.accounts.instances.clear()
    smaller.begin()
    return smaller


def audited(playbook: Playbook, fleet: Fleet) -> dict[str, t.Any]:
    """What license_audit.yml reports."""
    done = playbook(AUDIT, fleet.hosts, "--forks=20", f"--extra-vars=license_audit_dest={playbook.folder}")
    assert done.rc == 0, done.output
    return t.cast("dict[str, t.Any]", json.loads((playbook.folder / "chr-licenses.json").read_text()))


def levels(audit: dict[str, t.Any]) -> list[str]:
    return [router["level"] for router in audit["routers"]]


COUNTED = ["renewed", "good already", "left free", "ends soon", "failed", "not tried"]


def counts(run: Run) -> list[int]:
    """The numbers with which a summary begins, in the order of COUNTED."""
    return [int(line.removeprefix(f"{name}: ")) for line, name in zip(summary(run), COUNTED, strict=False)]


def summary(run: Run) -> list[str]:
    (line,) = [line for line in run.lines if line["task"].endswith("Show the summary")]
    return t.cast("list[str]", line["result"]["msg"])


@pytest.mark.slow
def test_sixty_routers_of_all_backends_get_p1_and_keep_it(fleet, playbook):
    """A third of them free, trial and near expiry.

    A run that is killed half way is gone on with and renews no router twice; one more changes
    nothing and asks nobody.
    """
    before = audited(playbook, fleet)
    assert sorted(levels(before)) == 20 * ["free"] + 40 * ["p1"]
    assert set(before["expiring"]["30"]) == set(fleet.are("ending"))

    fleet.accounts.delay = 0.2  # so that some are under way
    process = playbook.start(RENEW, fleet.hosts, "--forks=20")
    while len(fleet.contacts()) < 20:
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(fleet.contacts()) < 40

    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 0, run.output
    assert fleet.good()
    renewed = fleet.contacts()
    assert sorted(renewed) == sorted(fleet.are("free") + fleet.are("ending"))
    assert [line.rpartition(": ")[0] for line in summary(run)] == COUNTED
    assert PASSWORD not in run.output

    again = playbook(RENEW, fleet.hosts, "--forks=20")
    assert again.rc == 0, again.output
    assert not again.changed()
    assert fleet.contacts() == renewed
    assert counts(again) == [0, 60, 0, 0, 0, 0]

    after = audited(playbook, fleet)
    assert levels(after) == 60 * ["p1"]
    assert after["expiring"]["30"] == []


@pytest.mark.parametrize("routers", ["few", pytest.param("fleet", marks=pytest.mark.slow)])
def test_a_refused_account_stops_everything_after_one_router(routers, playbook, monkeypatch, request):
    fleet = request.getfixturevalue(routers)
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", WRONG)
    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 2, run.output
    assert fleet.contacts() == [fleet.are("free")[0]]
    assert counts(run) == [0, 0, 0, 0, 1, len(fleet.hosts) - 1]
    assert "refused the account" in run.output and WRONG not in run.output


def test_a_router_that_cannot_try_the_account_lets_no_others_try_it_at_once(few, playbook, monkeypatch):
    """The first router is off, the next one has no way to the account server; then one after the
    other tries."""
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", WRONG)
    few.off("sockets01")
    few.routers["sockets03"].accounts = Nowhere()
    run = playbook(RENEW, few.hosts, "--forks=20", "--extra-vars=license_renew_timeout=5")
    assert run.rc == 2, run.output
    assert len(few.contacts()) == 1
    assert counts(run)[:2] == [0, 4]


def test_other_failures_concern_their_router_only(few, playbook):
    """Also where the first batch is all of it; the reasons are listed at the end, and the failed
    routers have failed."""
    few.off("sockets01")
    few.routers["sockets04"].accounts = Nowhere()
    run = playbook(RENEW, few.hosts, "--forks=20", "--extra-vars=license_renew_timeout=5")
    assert run.rc == 2, run.output
    assert len(few.contacts()) == 6
    assert counts(run) == [6, 4, 0, 0, 2, 0]
    assert "sockets01: " in summary(run)[6] and "no such file" in summary(run)[6]
    assert "sockets04: " in summary(run)[7] and "did not reach the account server" in summary(run)[7]
    failed = {line["host"] for line in run.lines if line["task"].endswith("whose license was not renewed")}
    assert {"sockets01", "sockets04"} <= failed


def test_check_mode_asks_nobody_and_a_limit_holds(few, playbook):
    fleet = some(few, 6)
    run = playbook(RENEW, fleet.hosts, "--check", "--limit=sockets01,sockets02")
    assert run.rc == 0, run.output
    assert {host for host, _task in run.changed()} == {"sockets01"}
    assert fleet.contacts() == []
    assert counts(run) == [1, 1, 0, 0, 0, 0]


def test_without_a_level_only_licenses_are_renewed_and_a_trial_that_still_ends_is_told(few, playbook):
    """Free routers begin no trial, and the end of a trial cannot be moved by a renewal."""
    fleet = some(few, 6)
    for name in fleet.hosts:
        fleet.hosts[name].pop("license_renew_level")
    bought, trial = fleet.are("ending")
    fleet.accounts.instances[fleet.routers[trial].system_id].paid = False
    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 0, run.output
    assert set(fleet.contacts()) == {bought, trial}
    assert counts(run) == [1, 2, 2, 1, 0, 0]
    (line,) = summary(run)[6:]
    assert line.startswith(f"{trial} ends soon: buy a license")
    assert "ends in 3.0 days" in run.output.replace("\n", " ")
    (shown,) = [line["result"]["msg"] for line in run.lines if "Show the renewed license" in line["task"]]
    assert "level p1, deadline 2" in shown and " -> " in shown and "p1 -> p1" not in shown


def test_without_an_account_no_router_is_asked_for_anything(few, playbook, monkeypatch):
    monkeypatch.delenv("OUTOFBAND_ACCOUNT_PASSWORD")
    run = playbook(RENEW, some(few, 6).hosts)
    assert run.rc == 2, run.output
    assert "Set license_renew_account and license_renew_password" in run.output
    assert not [line for line in run.lines if line["action"] == "outofband.chr.license"]
