# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret is anywhere but where it belongs, on any backend, whether a task succeeds, fails or
times out."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros import Router

ODD = '"$[:]\\ é'
"""What URLs, JSON and RouterOS write in other ways; the rest of a secret is the same in all of
them."""
LARGEST = 4 * 1024 * 1024  # bytes of a file that is looked into


class Secret(t.NamedTuple):
    name: str
    core: str

    @property
    def value(self) -> str:
        return self.core + ODD

    def forms(self) -> set[bytes]:
        """The plain secret, and its form in hex and in each alignment of base64."""
        core = self.core.encode()
        found = {core, core.hex().encode(), core.hex().upper().encode()}
        for offset in range(3):
            code = base64.b64encode(bytes(offset) + core)
            found.add(code[-(-offset * 8 // 6) : (offset + len(core)) * 8 // 6])
        return found


class Secrets(dict[str, Secret]):
    """The secrets by their names; each is made when it is first asked for."""

    def __missing__(self, name: str) -> Secret:
        self[name] = Secret(name, f"{name[:3]}{secrets.token_hex(8)}")
        return self[name]

    def within(self, data: bytes) -> set[str]:
        """The names of the secrets in *data*."""
        return {one.name for one in self.values() if any(form in data for form in one.forms())}


class Watch(threading.Thread):
    """Looks at the processes of a run and at its files, again and again while it goes on."""

    def __init__(self, known: Secrets, folders: list[Path]) -> None:
        super().__init__(daemon=True)
        self._known = known
        self._folders = folders
        self._over = threading.Event()
        self.found: set[tuple[str, str]] = set()
        """Where, and which secret."""
        self.looks = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            self._look()

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._look()

    def _look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for kind in ("cmdline", "environ"):
                if int(process.name) != os.getpid():
                    self._search(process / kind, f"{kind} of a process")
        for folder in self._folders:
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    self._search(path, str(path))
        self.looks += 1

    def _search(self, path: Path, where: str) -> None:
        with contextlib.suppress(OSError), path.open("rb") as file:
            self.found |= {(where, name) for name in self._known.within(file.read(LARGEST))}


@pytest.fixture
def silent() -> t.Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def tasks(known: Secrets, account: str) -> list[dict[str, t.Any]]:
    """Every module that takes a secret, with tasks that succeed, that fail, and that time out."""

    def of(name: str) -> str:
        return "{{ secret_" + name + " }}"

    quoted = "{{ secret_script | outofband.chr.quote }}"
    hidden = {"no_log": True, "diff": True}
    renew = {"account": account, "level": "p1"}
    backup = {"dest": "kept", "binary": True}
    return [
        {"name": "guest info", "outofband.chr.guest_info": None},
        *VMS,
        {"name": "script", "outofband.chr.script": {"source": f":put {quoted}"}, **hidden},
        {"name": "script fails", "outofband.chr.script": {"source": f":put {quoted}\n:error {quoted}"}, **hidden},
        {
            "name": "script times out",
            "outofband.chr.script": {"source": f":put {quoted}\n:delay 4s", "timeout": 1},
            **hidden,
        },
        # A host that cannot be reached fails in the same way in every task.
        {"name": "end", "ansible.builtin.meta": "end_host", "when": "inventory_hostname in logins"},
        {"name": "script is over", "outofband.chr.wait_for_agent": {"timeout": 60}},
        {
            "name": "looped",
            "outofband.chr.script": {"source": f":error {quoted}"},
            "loop": [1, 2],
            "retries": 1,
            "delay": 0,
            "until": False,
            **hidden,
        },
        {"name": "raw", "ansible.builtin.raw": f":error {quoted}", **hidden},
        {
            "name": "first login",
            "outofband.chr.first_login": {"user": "ops", "password": of("login"), "update_password": "always"},
            "diff": True,
        },
        {
            "name": "first login fails",
            "outofband.chr.first_login": {"user": "x", "group": "y", "password": of("login")},
        },
        {"name": "copy", "outofband.chr.copy": {"content": of("script"), "dest": "kept.txt"}, **hidden},
        {"name": "copy fails", "outofband.chr.copy": {"content": of("script"), "dest": "../x"}, **hidden},
        {"name": "license fails", "outofband.chr.license": {**renew, "password": of("wrong"), "timeout": 30}},
        {"name": "license times out", "outofband.chr.license": {**renew, "password": of("account"), "timeout": 1}},
        {"name": "license", "outofband.chr.license": {**renew, "password": of("account"), "timeout": 60}},
        {"name": "backup", "outofband.chr.backup": {**backup, "password": of("backup")}},
        {"name": "backup fails", "outofband.chr.backup": {**backup, "dest": "play.yml", "password": of("backup")}},
        {
            "name": "restore fails",
            "outofband.chr.backup": {
                "state": "restored",
                "src": "play.yml",
                "password": of("wrong"),
                "confirm": True,
                "timeout": 20,
            },
        },
    ]


VMS = [
    {
        "name": f"{what} by {kind}",
        f"outofband.chr.{kind}_vm": values,
        "diff": True,
        "when": f"chr_backend | default('qemu') == '{kind}'",
    }
    for kind in ("libvirt", "proxmox", "vmware", "xenapi")
    for what, values in (
        ("remove", {"name": "nothing", "state": "absent"}),
        ("create", {"name": "nothing", "image": "/nonexistent", "routeros": "7.22"}),
    )
]
FLEET = {
    "name": "fleet",
    "outofband.chr.fleet": {"source": ":error {{ secret_script | outofband.chr.quote }}"},
    "no_log": True,
    "diff": True,
}


@pytest.mark.parametrize(
    "kinds",
    [("sockets", "proxmox", "vmware", "xenstore"), pytest.param(("libvirt", "xenapi"), marks=pytest.mark.slow)],
    ids=["quick", "with boots"],
)
def test_no_secret_is_where_it_does_not_belong(playbook, tmp_path, monkeypatch, silent, kinds):
    known = Secrets()
    account = "me@example.com"
    inputs = ("script", "wrong", "account", "backup", "login")
    routers: dict[str, Router] = {}
    folders = {name: tmp_path / name for name in ("tmp", "home", "cache", "kept")}
    for folder in folders.values():
        folder.mkdir()
    for name, value in {
        "TMPDIR": folders["tmp"],
        "ANSIBLE_LOG_PATH": tmp_path / "log",
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": folders["cache"],
        "ANSIBLE_DISPLAY_TRACEBACK": "always",
    }.items():
        monkeypatch.setenv(name, str(value))
    with contextlib.ExitStack() as running:
        accounts = running.enter_context(AccountServer())
        accounts.add_account(account, known["account"].value)
        accounts.delay = 2.0
        hosts: dict[str, dict[str, t.Any]] = {}
        for kind in kinds:
            hosts |= running.enter_context(hypervisor(kind, [kind], cache(), routers))
        for router in routers.values():
            router.accounts = accounts
        for kind, option in (
            ("proxmox", "chr_api_token_secret"),
            ("vmware", "chr_api_password"),
            ("vmware", "chr_guest_password"),
            ("xenapi", "chr_api_password"),
        ):
            if kind not in kinds:
                continue
            login = known[f"{kind}_{option}"].value
            several = [login, known["second"].value] if option == "chr_guest_password" else login
            hosts[f"{kind}-{option}"] = {**hosts[kind], "chr_vm": kind, option: several}
            nowhere = {"chr_api_host": "localhost", "chr_api_port": silent, "chr_connect_timeout": 1}
            hosts[f"{kind}-{option}-silent"] = {**hosts[f"{kind}-{option}"], **nowhere}
        logins = sorted(set(hosts) - set(kinds))
        for host in hosts.values():
            host |= {f"secret_{name}": known[name].value for name in inputs}
        watch = Watch(known, [folders["tmp"], folders["home"], folders["cache"]])
        watch.start()
        going_on = {"ignore_errors": True, "ignore_unreachable": True}
        more = ("-vvvvv", "--diff", "--forks=16")
        run = playbook(
            [{**going_on, **task} for task in tasks(known, account)],
            hosts,
            *more,
            strategy="free",
            vars={"logins": logins},
        )
        records = (tmp_path / "record.jsonl").read_bytes()
        fleet = playbook([FLEET], hosts, *more)
        watch.stop()
    seen = {
        "output": run.output.encode() + fleet.output.encode(),
        "log": (tmp_path / "log").read_bytes(),
        "results": records + (tmp_path / "record.jsonl").read_bytes(),
        **{f"{path}": path.read_bytes() for path in folders["kept"].rglob("*") if path.is_file()},
    }
    for name, router in routers.items():
        for file, held in router.files.items():
            if file != "kept.txt":
                seen[f"file {file} of {name}"] = held.data
    assert {where: names for where, data in seen.items() if (names := known.within(data))} == {}
    assert watch.found == set()
    assert watch.looks > 10
    status = {(line["task"], line["host"]): line["status"] for line in run.lines}
    assert {host for host in hosts if status["script", host] == "ok"} == set(kinds)
    for kind in {"libvirt", "proxmox", "vmware", "xenapi"} & set(kinds):
        assert (status[f"remove by {kind}", kind], status[f"create by {kind}", kind]) == ("ok", "failed")
    assert {host for host in kinds if status["license fails", host] == "failed"} == set(kinds)
    assert {host for host in kinds if status["first login", host] == "ok"} == set(kinds) - {"xenapi"}
