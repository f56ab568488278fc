# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/license_renew.yml over a fleet of all backends: sixty routers, a third free, a third trials, a third near expiry."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from dataclasses import dataclass
from datetime import timedelta

import pytest
from conftest import Run, cache

from ansible_collections.outofband.chr.tests.lab.accounts import GRACE, AccountServer, Instance
from ansible_collections.outofband.chr.tests.lab.hypervisors import Hosts, Missing, Routers, hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import Answer
from ansible_collections.outofband.chr.tests.lab.routeros.licence import Licence, new_system_id

NUMBERS = {"sockets": 20, "proxmox": 20, "vmware": 14, "xenstore": 4, "xenapi": 2}
ACCOUNT, PASSWORD = "me@example.com", "s3cret-of-the-account"
RENEW = "outofband.chr.license_renew"
AUDIT = [{"name": "audit", "outofband.chr.license_info": None}]


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

    def contacts(self) -> list[str]:
        """The names of the routers whose renewal by hand reached the account server, in order."""
        names = {router.system_id: name for name, router in self.routers.items()}
        return [names[contact.system_id] for contact in self.accounts.log if contact.account]

    def good(self) -> bool:
        soon = self.accounts.clock.now() + timedelta(days=14)
        licences = [self.routers[name].licence for name in self.hosts]
        return all(one.level == "p1" and one.deadline_at and one.deadline_at > soon for one in licences)


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


def levels(run: Run) -> dict[str, str]:
    return {line["host"]: line["result"]["license"]["level"] for line in run.lines if line["task"] == "audit"}


def summary(run: Run) -> list[str]:
    (line,) = [line for line in run.lines if line["task"].endswith("Sum up")]
    return t.cast("list[str]", line["result"]["msg"])


def test_sixty_routers_of_all_backends_get_p1_and_keep_it(fleet, playbook):
    """A third of them free, trial and near expiry; a second run changes nothing and asks nobody."""
    before = playbook(AUDIT, fleet.hosts, "--forks=20")
    assert sorted(levels(before).values()) == 20 * ["free"] + 40 * ["p1"], before.output

    started = time.monotonic()
    run = playbook(RENEW, fleet.hosts, "--forks=20")
    print(f"{time.monotonic() - started:.1f} s for {len(fleet.hosts)} routers")
    assert run.rc == 0, run.output
    assert fleet.good()
    assert sorted(fleet.contacts()) == sorted(fleet.are("free") + fleet.are("ending"))
    assert summary(run) == ["renewed: 40", "good already: 20", "failed: 0", "not tried: 0"]
    assert PASSWORD not in run.output

    after = playbook(AUDIT, fleet.hosts, "--forks=20")
    assert set(levels(after).values()) == {"p1"} and len(levels(after)) == 60, after.output

    asked = len(fleet.contacts())
    again = playbook(RENEW, fleet.hosts, "--forks=20")
    assert again.rc == 0, again.output
    assert not again.changed()
    assert len(fleet.contacts()) == asked
    assert summary(again) == ["renewed: 0", "good already: 60", "failed: 0", "not tried: 0"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_killed_is_gone_on_with(fleet, playbook, how):
    """The same end, and no router renewed its licence twice."""
    fleet.accounts.delay = 0.2
    process = playbook.start(RENEW, fleet.hosts, "--forks=20")
    while len(fleet.contacts()) < 20:
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.01)
    os.killpg(process.pid, how)
    process.communicate(timeout=60)
    assert len(fleet.contacts()) < 40

    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 0, run.output
    assert fleet.good()
    assert sorted(fleet.contacts()) == sorted(fleet.are("free") + fleet.are("ending"))


@pytest.mark.parametrize("first_is_down", [False, True])
def test_a_refused_account_stops_everything_after_one_router(fleet, playbook, monkeypatch, first_is_down):
    """The password is not sent through others, also when the first router could not try it at all."""
    monkeypatch.setenv("OUTOFBAND_ACCOUNT_PASSWORD", "wrong-one")
    run = playbook(RENEW, fleet.hosts, "--forks=20")
    assert run.rc == 2, run.output
    assert len(fleet.contacts()) == 1
    assert "refused the account" in run.output and "wrong-one" not in run.output
