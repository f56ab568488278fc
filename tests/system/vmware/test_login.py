# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The login of RouterOS on VMware: several passwords, one that changes, one that is wrong."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPermitted, OutcomeUnknown
from ansible_collections.outofband.chr.tests.lab.routeros import Router

OLD, NEW = "0ld-router-Pa55", "n3w-router-Pa55"


def passwords(router: Router) -> dict[str, str]:
    return {str(user.value("name")): str(user.value("password")) for user in router.items("user")}


def script(name: str, source: str) -> dict[str, object]:
    return {"name": name, "outofband.chr.script": {"source": source}}


def test_a_run_that_changes_the_password_goes_on_with_the_new_one(vcenter, playbook):
    """The first line of a baseline changes it, and the same job goes on for a while. The next task,
    and the whole next run, log in with the new one."""
    names = ["new", "renewed", "user"]
    vc = vcenter(*names)
    vc.router("renewed").run(f'/user set admin password="{OLD}"')
    vc.router("user").run("/user add name=ops group=full")
    hosts = {name: vc.variables(chr_guest_password=f"{{{{ ['{NEW}', '{OLD}', ''] }}}}") for name in names}
    hosts["user"]["chr_guest_user"] = ["ops", "admin"]
    user = "{{ 'ops' if inventory_hostname == 'user' else 'admin' }}"
    tasks = [
        script("set", f':delay 300ms\n/user set {user} password="{NEW}"\n:delay 1500ms'),
        script("next", "/system note set note=next"),
        {
            "name": "read",
            "outofband.chr.script": {"source": "/user disable admin", "only_if": "[:len [/user find]] = 2"},
        },
        {"name": "wait", "outofband.chr.wait_for_agent": {"interfaces": 1}},
        {"name": "fleet", "outofband.chr.fleet": {"source": "/system note set note={{ inventory_hostname }}"}},
    ]
    for _run in range(2):
        run = playbook(tasks, hosts, "--forks=3", "-vvvvv")
        assert run.rc == 0, run.output
        assert [run.of("set", name)["result"]["rc"] for name in names] == [0, 0, 0]
        assert NEW not in run.output
        assert OLD not in run.output
    assert passwords(vc.router("new")) == passwords(vc.router("renewed")) == {"admin": NEW}
    assert passwords(vc.router("user")) == {"admin": "", "ops": NEW}


def test_the_login_that_worked_comes_first(vcenter, vmware_guest):
    """A password that the router refuses is in its log, so it is not sent with each request."""
    vc = vcenter("chr1")
    tried = []
    check = Router.check_login
    router = vc.router("chr1")
    router.check_login = lambda user, password: tried.append(password) or check(router, user, password)
    vmware_guest(vc, "chr1", guest_password=(NEW, OLD, "")).run(b":put 1", 5)
    first = len(tried)
    assert tried[:3] == [NEW, OLD, ""]
    assert set(tried[2:]) == {""}
    vmware_guest(vc, "chr1", guest_password=(NEW, OLD, "")).run(b":put 1", 5)
    assert set(tried[first:]) == {""}


def test_a_login_is_tried_and_what_else_is_wrong_is_not_taken_for_a_refusal(vcenter, vmware_guest):
    vc = vcenter("chr1")
    guest = vmware_guest(vc, "chr1")
    assert (guest.takes("admin", ""), guest.takes("admin", NEW), guest.takes("ops", "")) == (True, False, False)
    vc.fault("StartProgramInGuest", "GuestPermissionDenied")
    assert guest.takes("admin", "") is True  # it may run no scripts
    vc.fault("StartProgramInGuest", "NoPermission")
    with pytest.raises(NotPermitted, match="privilege"):
        guest.takes("admin", "")
    assert vc.router("chr1").files == {}


def test_a_job_whose_end_nobody_may_ask_for_has_an_unknown_outcome(vcenter, vmware_guest):
    vc = vcenter("chr1")
    source = f':delay 300ms\n/user set admin password="{NEW}"'.encode()
    with pytest.raises(OutcomeUnknown, match="may have changed the password.*chr_guest_password.*as a list") as error:
        vmware_guest(vc, "chr1", guest_password="").run(source, 10)
    assert "Nothing was run" not in str(error.value)
    assert passwords(vc.router("chr1")) == {"admin": NEW}


def test_waiting_tells_a_wrong_login_from_tools_that_do_not_run(vcenter, playbook):
    vc = vcenter("wrong", "absent", "right")
    vc.change("absent", guest__toolsRunningStatus="guestToolsNotRunning")
    hosts = {name: vc.variables(chr_guest_password=[NEW, OLD], chr_connect_timeout=1) for name in ("wrong", "absent")}
    hosts["right"] = vc.variables(chr_guest_password="")
    began = time.monotonic()
    run = playbook(
        [{"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 8}}], hosts, "--forks=3", strategy="free"
    )
    took = time.monotonic() - began
    wrong, absent, right = (run.of("wait", name) for name in ("wrong", "absent", "right"))
    assert (wrong["status"], absent["status"], right["status"]) == ("failed", "unreachable", "ok"), run.output
    assert "refused the login of 'admin' with each of 2 passwords" in wrong["result"]["msg"]
    assert "tools of RouterOS do not run" in absent["result"]["msg"]
    assert "Nothing was run" in wrong["result"]["msg"]
    assert took >= 8
    assert vc.counts()["StartProgramInGuest"] <= 4, json.dumps(vc.counts())
    assert vc.router("right").files == {}


def test_a_wrong_login_ends_the_wait_at_once(vcenter, playbook):
    vc = vcenter("chr1")
    began = time.monotonic()
    run = playbook(
        [{"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 600}}],
        {"chr1": vc.variables(chr_guest_password=OLD)},
    )
    assert time.monotonic() - began < 60
    assert "refused the login of 'admin': wrong" in run.of("wait")["result"]["msg"]


def test_the_environment_has_a_list_as_lines(vcenter, playbook, monkeypatch):
    """That is how AWX hands over several passwords; the empty last line is the empty password."""
    vc = vcenter("chr1", "chr2")
    vc.router("chr1").run(f'/user set admin password="{NEW}"')
    monkeypatch.setenv("OUTOFBAND_GUEST_PASSWORD", f"{NEW}\r\n")
    run = playbook([script("go", ":put 1")], {"chr1": vc.variables(), "chr2": vc.variables()}, "-vvvvv")
    assert run.rc == 0, run.output
    assert NEW not in run.output
