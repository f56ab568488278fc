# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first login: each step twice, the second time without a change, and nobody is locked out."""

from __future__ import annotations

import base64
import contextlib
import struct
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.values import text
from ansible_collections.outofband.chr.tests.system.conftest import Playbook, Run, cache

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
