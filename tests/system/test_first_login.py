# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first login: each step twice, the second time without a change, and nobody is locked out."""

from __future__ import annotations

import base64
import contextlib
import struct
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.values import text
from ansible_collections.outofband.chr.tests.system.conftest import Playbook, Run

PASSWORD = 'n3w "router" $Pa55;ю'
KINDS = ("sockets", "proxmox", "vmware", "xenstore")


def key(seed: int = 1, comment: str = "ops@example.com work") -> str:
    """A public key of SSH."""
    kind = b"ssh-ed25519"
    data = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + bytes([seed]) * 32
    return f"{kind.decode()} {base64.b64encode(data).decode()} {comment}".strip()


def task(name: str = "go", **arguments: t.Any) -> dict[str, t.Any]:
    return {"name": name, "outofband.chr.first_login": arguments}


def password_of(router: Router, user: str) -> str | None:
    """The password as Python has it: RouterOS keeps bytes."""
    found = [one for one in router.items("user") if one.value("name") == user]
    return text(found[0].value("password")).encode("latin-1").decode() if found else None


def opened(router: Router) -> set[str]:
    return {text(one.value("name")) for one in router.items("ip service") if one.value("disabled") is not True}


@pytest.fixture
def fleet(playbook: Playbook) -> t.Iterator[t.Callable[..., Run]]:
    """Run tasks on one router for each of KINDS; ``fleet.routers`` are these."""
    with contextlib.ExitStack() as running:
        routers: dict[str, Router] = {}
        hosts = {kind: running.enter_context(hypervisor(kind, [kind], cache(), routers))[kind] for kind in KINDS}
        hosts["vmware"] |= {"chr_guest_user": ["ops", "admin"], "chr_guest_password": [PASSWORD, ""]}

        def run(tasks: list[dict[str, t.Any]], *arguments: str) -> Run:
            return playbook(tasks, hosts, "--forks=4", *arguments, strategy="free")

        run.routers = routers  # type: ignore[attr-defined]
        yield run


EVERYTHING = {
    "user": "ops",
    "password": PASSWORD,
    "ssh_keys": [key()],
    "admin": "absent",
    "keep_services": ["ssh", "winbox"],
    "identity": "edge-{{ inventory_hostname }}",
}


def test_a_new_router_is_set_up_on_each_backend_and_a_second_run_changes_nothing(fleet):
    tasks = [task(**EVERYTHING), {"name": "next", "outofband.chr.script": {"source": ":put 1"}}]
    checked = fleet(tasks[:1], "--check", "--diff")
    assert {name for name, _task in checked.changed()} == set(KINDS), checked.output
    for router in fleet.routers.values():
        assert [text(one.value("name")) for one in router.items("user")] == ["admin"]
        assert router.files == {}
    first = fleet(tasks, "--diff", "-vvvvv")
    assert first.rc == 0, first.output
    for kind, router in fleet.routers.items():
        assert [text(one.value("name")) for one in router.items("user")] == ["ops"], kind
        assert password_of(router, "ops") == PASSWORD
        (installed,) = router.items("user ssh-keys")
        assert text(installed.value("info")).startswith("ops@example.com-work-")
        assert (opened(router), router.identity) == ({"ssh", "winbox"}, f"edge-{kind}")
        assert (router.files, router.globals) == ({}, {})
        ended = first.of("go", kind)["result"]
        assert ended["changes"] == checked.of("go", kind)["result"]["changes"]
        assert [one["of"] for one in ended["changes"]] == [
            *("user ops", "SSH keys of ops", "identity", "services", "user admin"),
        ]
        assert ended["login_works"] is (True if kind == "vmware" else None)
    again = fleet(tasks, "--diff", "-vvvvv")
    assert {task for _host, task in again.changed()} == {"next"}, again.output
    for run in (checked, first, again):
        assert PASSWORD not in run.output
        assert "n3w" not in run.output


# -- one router ------------------------------------------------------------------------------------


@pytest.fixture
def one(lab, playbook):
    """Run tasks on one router: ``one([task(...)])``; ``one.router`` is it."""
    started = lab("chr1")

    def run(tasks: list[dict[str, t.Any]], *arguments: str) -> Run:
        return playbook(tasks, {"chr1": {"chr_socket": started.address, "bytes": "s3cret-bytes"}}, *arguments)

    run.router = started.router  # type: ignore[attr-defined]
    return run


def test_a_password_is_set_once_or_always(one):
    """RouterOS does not tell a password, so the comment of the user says that it was set."""
    tasks = [
        task("first", password=PASSWORD),
        task("again", password=PASSWORD),
        task("another", password="other-Pa55"),
        task("always", password="other-Pa55", update_password="always"),
        task("always again", password="other-Pa55", update_password="always"),
    ]
    run = one(tasks)
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"first", "always", "always again"}
    assert password_of(one.router, "admin") == "other-Pa55"
    (admin,) = one.router.items("user")
    mark = "system default user; password set by outofband.chr.first_login"
    assert text(admin.value("comment")) == mark


def test_a_user_with_keys_only_has_a_password_that_nobody_knows(one):
    run = one([task(user="ops", ssh_keys=[key(1), key(2, "")]), task("later", user="ops", password=PASSWORD)], "-vvvvv")
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["changes"][0]["after"]["password"] == "random"
    assert len(one.router.items("user ssh-keys")) == 2
    assert {name for _host, name in run.changed()} == {"go", "later"}
    assert password_of(one.router, "ops") == PASSWORD


def test_an_open_admin_is_told(one):
    run = one([task(user="ops", password=PASSWORD), task("own", password=PASSWORD), task("closed", user="ops")])
    assert "'admin' is enabled, and this collection has not set its password" in str(run.of("go")["result"]["warnings"])
    assert run.of("closed")["result"].get("warnings", []) == []
    assert {name for _host, name in run.changed()} == {"go", "own"}


def test_services_are_closed_by_name_or_all_but_some(one):
    one.router.run("/ip service disable ftp")
    run = one(
        [
            task("named", disable_services=["telnet", "ftp"]),
            task("kept", keep_services=["ssh"]),
            task("all", keep_services=[]),
            task("unknown", keep_services=["shh"]),
        ]
    )
    services = [run.of(name)["result"]["changes"][0] for name in ("named", "kept", "all")]
    assert [set(one["after"]) for one in services] == [
        {"telnet"},
        {"api", "api-ssl", "www", "winbox"},
        {"ssh"},
    ]
    assert opened(one.router) == set()
    assert "has no service 'shh' (/ip service). Nothing was changed" in run.of("unknown")["result"]["msg"]


def test_a_user_is_brought_into_its_group(one):
    one.router.run("/user add name=ops group=read disabled=yes")
    run = one([task(user="ops", password=PASSWORD, admin="disabled"), task("again", user="ops", admin="disabled")])
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["changes"][0] == {
        "of": "user ops",
        "before": {"state": "disabled", "group": "read"},
        "after": {"state": "enabled", "group": "full"},
    }
    assert {name for _host, name in run.changed()} == {"go"}
    assert one.router.check_login("ops", PASSWORD)
    assert not one.router.check_login("admin", "")


REFUSED = {
    "nobody else": ({"admin": "absent", "password": PASSWORD}, "needs another user in the group 'full' first"),
    "no full user": ({"admin": "disabled", "user": "ops", "group": "read"}, "needs another user in the group 'full'"),
    "no way in": ({"user": "ops"}, "without which nobody could log in"),
    "no group": ({"user": "ops", "group": "opers", "password": PASSWORD}, "has no group 'opers'"),
    "empty": ({"password": ""}, "password is empty"),
    "line": ({"password": f"{PASSWORD}\n"}, "a line end"),
    "private": ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----\n{{ bytes }}"]}, "has a private key"),
    "no key": ({"ssh_keys": ["ssh-ed25519 {{ bytes }} me"]}, "not one public key"),
    "two lists": ({"disable_services": ["www"], "keep_services": ["ssh"]}, "mutually exclusive"),
    "no identity": ({"identity": " "}, "identity is empty"),
}


def test_what_cannot_be_right_is_refused_and_nothing_is_done(one):
    run = one([{**task(name, **arguments), "ignore_errors": True} for name, (arguments, _says) in REFUSED.items()])
    for name, (_arguments, says) in REFUSED.items():
        assert run.of(name)["status"] == "failed", name
        assert says in run.of(name)["result"]["msg"], name
    assert run.changed() == set()
    assert "s3cret-bytes" not in run.output
    assert [text(user.value("name")) for user in one.router.items("user")] == ["admin"]


def test_admin_is_not_brought_back(one):
    one.router.run("/user add name=ops group=full password=x; /user disable admin")
    run = one([task(password=PASSWORD)])
    assert "was removed or disabled, and this task does not bring it back" in run.of("go")["result"]["msg"]
    assert not one.router.check_login("admin", "")


def test_admin_stays_when_a_step_before_it_failed(fleet):
    """One source says that scripts of the agent may not set passwords."""
    for router in fleet.routers.values():
        router.scripts_set_passwords = False
    run = fleet([task(**EVERYTHING)])
    for kind, router in fleet.routers.items():
        result = run.of("go", kind)["result"]
        assert (run.of("go", kind)["status"], result["changed"]) == ("failed", False)
        assert "not enough permissions (9)" in result["msg"]
        assert router.check_login("admin", "")
        assert "telnet" in opened(router)
        assert (router.files, router.globals) == ({}, {})
    assert PASSWORD not in run.output


def test_what_was_done_before_a_failure_is_told(one):
    one.router.run("/user add name=ops group=read")
    one.router.scripts_set_passwords = False
    end = one([task(**EVERYTHING)]).of("go")
    assert [change["after"] for change in end["result"]["changes"]] == [{"state": "enabled", "group": "full"}]
    assert (end["status"], end["result"]["changed"]) == ("failed", True)


def test_a_routeros_that_takes_keys_from_files_only_gets_a_file_for_a_moment(one, lab, playbook):
    old = lab("old")
    old.router.__init__(identity="old", version="6.49.18")
    run = playbook([task(ssh_keys=[key()]), task("again", ssh_keys=[key()])], {"old": {"chr_socket": old.address}})
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"go"}
    assert len(old.router.items("user ssh-keys")) == 1
    assert old.router.files == {}


# -- VMware, where scripts run with a login --------------------------------------------------------


def test_a_change_after_which_scripts_could_not_log_in_is_refused(vcenter, playbook):
    vc = vcenter("chr1")
    tasks = [
        {**task("password", password=PASSWORD), "ignore_errors": True},
        {**task("user", user="ops", password=PASSWORD, admin="absent"), "ignore_errors": True},
    ]
    run = playbook(tasks, {"chr1": vc.variables()})
    assert "Give chr_guest_password the new and the old password as a list" in run.of("password")["result"]["msg"]
    assert "Set chr_guest_user: [ops, admin]" in run.of("user")["result"]["msg"]
    assert run.changed() == set()
    assert vc.log == []


def test_a_login_is_tried_so_nothing_is_changed_that_is_right(vcenter, playbook):
    vc = vcenter("chr1")
    vc.router("chr1").run('/user set admin password="own-Pa55"')
    hosts = {"chr1": vc.variables(chr_guest_password=["own-Pa55", PASSWORD])}
    run = playbook(
        [
            task("right", password="own-Pa55", update_password="always"),
            task("wrong", password=PASSWORD),
            task("left", password="own-Pa55"),
        ],
        hosts,
    )
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"wrong"}
    assert [run.of(name)["result"]["login_works"] for name in ("right", "wrong", "left")] == [True, True, False]
    assert "has another password than the given one" in str(run.of("left")["result"]["warnings"])


def test_admin_stays_until_the_other_user_has_logged_in(vcenter, playbook):
    vc = vcenter("chr1")
    vc.router("chr1").run(
        '/user add name=ops group=full password="secret-of-ops" comment="password set by outofband.chr.first_login"'
    )
    hosts = {"chr1": vc.variables(chr_guest_user=["ops", "admin"], chr_guest_password=[PASSWORD, ""])}
    run = playbook(
        [task(user="ops", admin="disabled"), task("given", user="ops", password=PASSWORD, admin="absent")], hosts
    )
    assert "refuses the login of 'ops' with chr_guest_password" in run.of("go")["result"]["msg"]
    assert vc.router("chr1").check_login("admin", "")
    run = playbook([task("given", user="ops", password=PASSWORD, admin="absent")], hosts)
    assert "'admin' was left as it is" in run.of("given")["result"]["msg"]
    assert vc.router("chr1").check_login("admin", "")
