# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/license_renew.yml over a fleet of all backends: sixty routers, a third free, a third trials, a third near expiry."""

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
from conftest import Playbook, Run, cache

from ansible_collections.outofband.chr.tests.lab.accounts import GRACE, AccountServer, Instance
from ansible_collections.outofband.chr.tests.lab.hypervisors import Hosts, Missing, Routers, hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import Answer
from ansible_collections.outofband.chr.tests.lab.routeros.licence import Licence, new_system_id

NUMBERS = {"sockets": 22, "proxmox": 22, "vmware": 4, "xenstore": 10, "xenapi": 2}
ACCOUNT, PASSWORD = "me@example.com", "s3cret-of-the-account"
WRONG = "not-the-s3cret"
RENEW = "outofband.chr.license_renew"
AUDIT = "outofband.chr.license_audit"


@dataclass
class Fleet:
    """``hosts`` are the variables, ``routers`` what stands behind them; ``accounts`` is theirs alone."""

    hosts: Hosts
    routers: Routers
    accounts: AccountServer

    def are(self, kind: str) -> list[str]:
        """The third of the fleet that began as ``free``, ``trial`` or ``ending``."""
        return list(self.hosts)[("free", "trial", "ending").index(kind) :: 3]

    def begin(self) -> None:
        for name in self.hosts:
            self.routers[name].accounts = self.accounts
            self.routers[name].licence = Licence(new_system_id())
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
        router.licence.accept(Answer("done", "p1", ends - GRACE, ends))

    def off(self, name: str) -> None:
        """Nobody is behind the router's socket."""
        self.hosts[name] = {**self.hosts[name], "chr_socket": "/nowhere", "chr_connect_timeout": 1}

    def contacts(self) -> list[str]:
        """The names of the routers whose renewal by hand reached the account server, in order."""
        names = {router.system_id: name for name, router in self.routers.items()}
        return [names[contact.system_id] for contact in self.accounts.log if contact.account]

    def good(self) -> bool:
        soon = self.accounts.clock.now() + timedelta(days=14)
        licences = [self.routers[name].licence for name in self.hosts]
        return all(one.level == "p1" and one.deadline_at and one.deadline_at > soon for one in licences)


class Nowhere:
    """There is no way to the account server."""

    def reach(self) -> None:
        raise ConnectionRefusedError

    def contact(self, *_given: t.Any, **_named: t.Any) -> Answer:
        raise ConnectionRefusedError


@pytest.fixture(scope="module")
def machines() -> t.Iterator[tuple[Hosts, Routers]]:
    """The routers of all hypervisors; where one of these cannot be had, the test fails under CI and is skipped elsewhere."""
    hosts: Hosts = {}
    routers: Routers = {}
    with contextlib.ExitStack() as running:
        for kind, number in NUMBERS.items():
            names = [f"{kind}{one:02d}" for one in range(1, number + 1)]
            try:
                hosts |= running.enter_context(hypervisor(kind, names, cache(), routers))
            except Missing as error:
                if os.environ.get("CI"):
                    raise
                pytest.skip(f"{kind}: not run, {error}")
        yield dict(sorted(hosts.items())), routers


@pytest.fixture
def fleet(machines: tuple[Hosts, Routers], monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Fleet]:
    monkeypatch.setenv("OUTOFBAND_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", PASSWORD)
    with AccountServer() as accounts:
        accounts.add_account(ACCOUNT, PASSWORD)
        fleet = Fleet(*machines, accounts)
        fleet.begin()
        yield fleet


def some(fleet: Fleet, kind: str, number: int) -> Fleet:
    """A smaller fleet with a past of its own."""
    names = [name for name in fleet.hosts if name.startswith(kind)][:number]
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


def summary(run: Run) -> list[str]:
    (line,) = [line for line in run.lines if line["task"].endswith("Sum up")]
    return t.cast("list[str]", line["result"]["msg"])


def test_sixty_routers_of_all_backends_get_p1_and_keep_it(fleet, playbook):
    """A third of them free, trial and near expiry.

    A run that is killed half way is gone on with and renews no router twice; one more changes nothing and asks nobody.
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
    assert [line.rpartition(" ")[0] for line in summary(run)] == ["renewed:", "good already:", "failed:", "not tried:"]
    assert PASSWORD not in run.output

    again = playbook(RENEW, fleet.hosts, "--forks=20")
    assert again.rc == 0, again.output
    assert not again.changed()
    assert fleet.contacts() == renewed
    assert summary(again) == ["renewed: 0", "good already: 60", "failed: 0", "not tried: 0"]

    after = audited(playbook, fleet)
    assert levels(after) == 60 * ["p1"]
    assert after["expiring"]["30"] == []


def test_a_refused_account_stops_everything_after_one_router(fleet, playbook, monkeypatch):
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", WRONG)
    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 2, run.output
    assert fleet.contacts() == [fleet.are("free")[0]]
    assert summary(run)[:4] == ["renewed: 0", "good already: 0", "failed: 1", "not tried: 59"]
    assert "refused the account" in run.output and WRONG not in run.output


def test_a_router_that_cannot_try_the_account_lets_no_others_try_it_at_once(fleet, playbook, monkeypatch):
    """The first router is off, the next one has no way to the account server; then one after the other tries."""
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", WRONG)
    fleet = some(fleet, "sockets", 12)
    fleet.off("sockets01")
    fleet.routers["sockets03"].accounts = Nowhere()
    run = playbook(RENEW, fleet.hosts, "--forks=20", "--extra-vars=license_renew_timeout=1")
    assert run.rc == 2, run.output
    assert len(fleet.contacts()) <= 2
    assert summary(run)[:2] == ["renewed: 0", "good already: 4"]


def test_other_failures_concern_their_router_only(fleet, playbook):
    """Also where the first batch is all of it; the reasons are listed at the end, and the failed routers have failed."""
    fleet = some(fleet, "sockets", 12)
    fleet.off("sockets01")
    fleet.routers["sockets04"].accounts = Nowhere()
    run = playbook(RENEW, fleet.hosts, "--forks=20", "--extra-vars=license_renew_timeout=1")
    assert run.rc == 2, run.output
    assert len(fleet.contacts()) == 6
    assert summary(run)[:4] == ["renewed: 6", "good already: 4", "failed: 2", "not tried: 0"]
    assert "sockets01: " in summary(run)[4] and "no such file" in summary(run)[4]
    assert "sockets04: " in summary(run)[5] and "did not reach the account server" in summary(run)[5]
    failed = {line["host"] for line in run.lines if line["task"].endswith("whose licence was not renewed")}
    assert {"sockets01", "sockets04"} <= failed


def test_check_mode_asks_nobody_and_a_limit_holds(fleet, playbook):
    fleet = some(fleet, "sockets", 6)
    run = playbook(RENEW, fleet.hosts, "--check", "--limit=sockets01,sockets02")
    assert run.rc == 0, run.output
    assert {host for host, _task in run.changed()} == {"sockets01"}
    assert fleet.contacts() == []
    assert summary(run) == ["renewed: 1", "good already: 1", "failed: 0", "not tried: 0"]


def test_without_an_account_no_router_is_asked_for_anything(fleet, playbook, monkeypatch):
    monkeypatch.delenv("OUTOFBAND_ACCOUNT_PASSWORD")
    run = playbook(RENEW, some(fleet, "sockets", 6).hosts)
    assert run.rc == 2, run.output
    assert "Set license_renew_account and license_renew_password" in run.output
    assert not [line for line in run.lines if line["action"] == "outofband.chr.license"]
