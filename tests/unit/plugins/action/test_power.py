# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A router counts as off when its machine is off, and never because the way there failed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible.playbook.task import Task

from ansible_collections.outofband.chr.plugins.action.power import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, TimedOut, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import QgaGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import AgentSession
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import UnixChannel
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder


@pytest.fixture
def folder():
    """A folder whose name leaves room for a unix socket's."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def pve(folder):
    with LabProxmox(folder) as cluster:
        cluster.proxy_timeout = 0.3
        yield cluster


@pytest.fixture
def router(folder):
    with LabRouter(Router(identity="chr1"), f"unix:{folder}/chr1.sock") as one:
        yield one


def of_proxmox(pve, vm):
    login = {"api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret", "ca_path": str(pve.certificate)}
    return open_guest(
        options_for("proxmox", vm, 1.0, "auto", pve.folder / "run", api_host="localhost", api_port=pve.port, **login)
    )


def of_socket(router):
    return open_guest(options_for("qemu", "chr1", 1.0, "auto", socket=router.address))


def shut_down(guest, timeout, method="agent"):
    action = ActionModule(Task(), None, None, None, None, None)
    return action.perform(guest, {"state": "shutdown", "method": method, "wait": "agent", "timeout": timeout})


def goes_off_after(seconds, vm, *others):
    """The machine obeys, but takes its time; its agent is gone at once.

    *others*: timers that start with the order.
    """

    def obey(_what):
        for timer in others:
            timer.start()
        vm.lab._away_until = time.monotonic() + 3600
        threading.Timer(seconds, vm.lab.stop).start()

    vm.router.on_power = obey


def test_a_vm_whose_agent_is_gone_is_not_off_while_proxmox_says_that_it_runs(pve):
    goes_off_after(3600, pve.add(100, "chr1"))
    began = time.monotonic()
    with pytest.raises(TimedOut, match="has not done so after 2 s: its machine still runs"):
        shut_down(of_proxmox(pve, "chr1"), 2)
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(
    "fault",
    [None, ("/agent/", "596 Broken pipe"), ("/status/", "595 No route to host"), ("/status/", "reset")],
    ids=str,
)
def test_a_slow_vm_of_proxmox_is_off_when_power_says_so_whatever_fails_on_the_way(pve, fault):
    vm = pve.add(100, "chr1")
    begins = threading.Timer(0.4, pve.faults.update, [dict([fault] if fault else [])])
    goes_off_after(1.5, vm, begins, threading.Timer(2.0, pve.faults.clear))
    end = shut_down(of_proxmox(pve, "chr1"), 20)
    assert not vm.running
    assert end["elapsed"] >= 1.4


def test_many_slow_vms_of_one_node_are_each_off_when_power_says_so(pve):
    """Each shutdown holds one of the node's three workers, so that the others are cut with 596."""
    vms = [pve.add(number, f"chr{number}") for number in range(100, 105)]
    for vm in vms:
        goes_off_after(1.0, vm)

    def work(vm):
        guest = of_proxmox(pve, vm.name)
        try:
            shut_down(guest, 30)
        except Unreachable:
            return None  # it was not told, because the workers were busy
        return vm.running

    with ThreadPoolExecutor(len(vms)) as pool:
        ended = list(pool.map(work, vms))
    assert True not in ended
    assert ended.count(False) >= 3


def test_a_server_that_is_not_reached_any_more_leaves_it_open_whether_the_vm_is_off(pve):
    lost = threading.Timer(0.0, pve.faults.update, [{"/status/": "595 No route to host"}])
    goes_off_after(0.1, pve.add(100, "chr1"), lost)
    guest = of_proxmox(pve, "chr1")
    with pytest.raises(Unreachable, match="whether it is off could not be seen after 1 s: .*No route to host"):
        shut_down(guest, 1)


def test_what_cannot_be_seen_is_not_begun(pve):
    vm = pve.add(100, "chr1")
    pve.faults["/status/"] = "403 Permission check failed"
    with pytest.raises(Exception, match=r"VM\.Audit"):
        shut_down(of_proxmox(pve, "chr1"), 5)
    assert "guest-shutdown" not in vm.lab.agent.log


def test_a_silent_agent_is_not_an_end_of_qemu(router):
    """Its socket is still there."""
    router.router.on_power = lambda what: setattr(router, "_away_until", time.monotonic() + 3600)
    guest = of_socket(router)
    with pytest.raises(TimedOut, match="still runs"):
        shut_down(guest, 2)
    router.stop()
    assert not guest.power().is_on()


def test_a_socket_that_leads_nowhere_says_nothing_of_the_machine():
    nowhere = open_guest(options_for("qemu", "chr1", 0.3, "auto", socket="tcp://nobody.invalid:9"))
    with pytest.raises(Unreachable, match="was not seen: cannot resolve"):
        nowhere.power().is_on()
    refused = open_guest(options_for("qemu", "chr1", 0.3, "auto", socket="tcp://127.0.0.1:9"))
    assert not refused.power().is_on()


def test_a_backend_that_cannot_see_the_machine_says_so_before_anything_is_done(router):
    channel = UnixChannel(Path(router.address))
    blind = QgaGuest("chr1", "blind", lambda timeout: AgentSession(channel, "chr1", timeout), 1.0)
    with pytest.raises(NotPossible, match="cannot tell whether the machine of 'chr1' is off"):
        shut_down(blind, 5)
    assert "guest-shutdown" not in router.agent.log
