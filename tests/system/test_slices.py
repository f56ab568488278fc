# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet on several nodes with the commands of the guide (slices_guide): ansible-runner over
OpenSSH, between machines with networks of their own; one of them dies half way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.outofband.chr.tests.lab.accounts import GRACE, AccountServer, Instance
from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.nodes import Machine, Site
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import Answer
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.system.conftest import CONNECTION

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "docsite" / "rst" / "slices_guide.rst").read_text()
ACCOUNT, PASSWORD, VAULT_PASSWORD = "me@example.com", "s3cret-of-the-account", "s3cret-of-the-vault"
WRONG = "not-the-s3cret"
NODES = ("node1", "node2", "node3")
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"


def commands(section: str) -> str:
    """The commands with which a section of the guide runs slices."""
    text = GUIDE.split(f"\n{section}\n{'-' * len(section)}\n")[1].split("\n---")[0]
    blocks = re.findall(r"\.\. code-block:: console\n\n((?:  .*\n|\n)+)", text)
    (block,) = [block for block in blocks if "$slices run" in block]
    return textwrap.dedent(block)


@dataclass
class Fleet:
    """Routers behind a hypervisor's OpenSSH server, and the nodes that reach it."""

    folder: Path
    site: Site
    accounts: AccountServer
    routers: dict[str, Router] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)

    def start(self, script: str) -> subprocess.Popen[str]:
        """Begin commands of the guide, in the folder with the job."""
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        # As the user's own configuration would do it; a lost node is noticed sooner.
        program.write_text(
            f'#!/bin/sh\nexec {need_program("ssh")} -F {self.folder}/ssh -o ServerAliveInterval=3 "$@"\n'
        )
        program.chmod(0o755)
        environment = {
            "PATH": f"{program.parent}:{PATH}",
            "ANSIBLE_HOME": str(self.folder / "home"),
            "slices": str(ROOT / "extensions" / "slices" / "slices.py"),
        }
        return subprocess.Popen(
            [*self.site.entering, "sh", "-c", script],
            cwd=self.folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str) -> tuple[int, str]:
        return ended(self.start(script))

    def known(self) -> dict[str, dict[str, t.Any]]:
        """What the last run says of each router."""
        *_others, folder = sorted((self.folder / "runs").iterdir())
        return t.cast("dict[str, dict[str, t.Any]]", json.loads((folder / "routers.json").read_text()))

    def are(self, state: str) -> set[str]:
        return {name for name, router in self.known().items() if router["state"] == state}

    @property
    def due(self) -> set[str]:
        """Those whose licenses end soon."""
        return {name for number, name in enumerate(self.routers, 1) if number % 4}

    def contacts(self) -> Counter[str]:
        """How often each router asked for a renewal, as the account server counts."""
        names = {router.system_id: name for name, router in self.routers.items()}
        return Counter(names[contact.system_id] for contact in self.accounts.log if contact.account)

    def programs(self, machine: str) -> str:
        """The command lines on a machine."""
        command = [*self.machines[machine].entering, "sh", "-c", "cat /proc/[0-9]*/cmdline"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def files_with(self, text: str) -> set[str]:
        """The files of all machines that have a text."""
        command = ["grep", "-rlaF", "--devices=skip", text, self.folder]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return {Path(line).name for line in found.stdout.splitlines()}


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status and the output."""
    output, _unused = process.communicate(timeout=600)
    return process.returncode, output


def wait_until(condition: t.Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process is None or process.poll() is None, ended(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def write_job(fleet: Fleet, password: str) -> None:
    """The private data directory, as the guide describes it."""
    hosts = {name: {"chr_socket": f"{fleet.folder}/{name}.sock"} for name in fleet.routers}
    reach = {"chr_ssh_host": "hypervisor", "chr_ssh_args": f"-F {fleet.folder}/hypervisor/config"}
    variables = fleet.folder / "job" / "inventory" / "group_vars" / "all"
    settings = fleet.folder / "job" / "env"
    for folder in (variables, settings):
        folder.mkdir(parents=True)
    routers = {"all": {"vars": CONNECTION | reach, "hosts": hosts}}
    (variables.parents[1] / "routers.yml").write_text(yaml.safe_dump(routers))
    secrets = yaml.safe_dump({"license_renew_account": ACCOUNT, "license_renew_password": password})
    vault = VaultLib([("default", VaultSecret(VAULT_PASSWORD.encode()))])
    (variables / "vault.yml").write_bytes(vault.encrypt(secrets))
    (settings / "cmdline").write_text("--forks 10\n")


@pytest.fixture
def fleet(request: pytest.FixtureRequest, short_path: Path) -> t.Iterator[Fleet]:
    """As many routers as the test says. The licenses of three in four end soon."""
    with contextlib.ExitStack() as running:
        accounts = running.enter_context(AccountServer())
        accounts.add_account(ACCOUNT, PASSWORD)
        fleet = Fleet(short_path, running.enter_context(Site()), accounts)
        for number in range(1, request.param + 1):
            router = Router(identity=f"chr{number:03d}")
            fleet.routers[router.identity] = router
            router.accounts = accounts
            running.enter_context(LabRouter(router, f"unix:{short_path / router.identity}.sock"))
            ends = accounts.clock.now() + timedelta(days=5 if number % 4 else 50)
            accounts.instances[router.system_id] = Instance(ACCOUNT, router.machine, "p1", ends, given=("p1", False))
            router.license.accept(Answer("done", "p1", ends - GRACE, ends))
            accounts.purchase(ACCOUNT, router.system_id, "p1")
        configurations = [start_machine(fleet, name).read_text() for name in ("hypervisor", *NODES)]
        (short_path / "ssh").write_text("\n".join(configurations))
        yield fleet


def start_machine(fleet: Fleet, name: str) -> Path:
    """Start one with an OpenSSH server and what the guide asks for; return ssh's configuration."""
    folder = fleet.folder / name
    folder.mkdir()
    (folder / "vault-password").write_text(VAULT_PASSWORD)
    (folder / ".ansible.cfg").write_text(f"[defaults]\nvault_password_file = {folder}/vault-password\n")
    machine = fleet.machines[name] = fleet.site.machine()
    variables = {
        "HOME": folder,
        "TMPDIR": folder,
        "PATH": PATH,
        "ANSIBLE_COLLECTIONS_PATH": os.environ["ANSIBLE_COLLECTIONS_PATH"],
        "LC_ALL": "C.UTF-8",
    }
    set_variables = "SetEnv " + " ".join(f'"{key}={value}"' for key, value in variables.items())
    server = Sshd(folder, name, machine.address, machine.entering)
    server.start(set_variables, "ClientAliveInterval 5")
    return folder / "config"


@pytest.mark.slow
@pytest.mark.parametrize("fleet", [300], indirect=True)
def test_a_node_dies_half_way_and_running_again_finishes_the_rest(fleet):
    """What is said of each router is compared with what the account server has seen."""
    write_job(fleet, PASSWORD)
    process = fleet.start(commands("Renew licenses"))
    second = set(sorted(fleet.routers)[1::3])
    wait_until(lambda: len(fleet.contacts().keys() & second) >= 30, process)
    fleet.accounts.delay = 1.0  # so that some are under way
    wait_until(lambda: len(fleet.contacts().keys() & second) >= 34, process)
    fleet.machines["node2"].cut()
    rc, output = ended(process)
    assert rc == 4, output
    assert "The job of node2 did not come to an end here (Timeout, server" in output

    known, asked = fleet.known(), set(fleet.contacts())
    assert known.keys() == fleet.routers.keys()
    assert {router["state"] for name, router in known.items() if name not in second} == {"ok"}
    done, unknown, untouched = (fleet.are(state) & second for state in ("ok", "unknown", "not begun"))
    assert done | unknown | untouched == second
    assert len(done) >= 36 and done & fleet.due <= asked  # the first three batches have 36
    assert untouched and not untouched & asked
    assert any(known[name]["under_way"] for name in unknown)
    assert all(f"{name}: unknown" in output for name in unknown)

    fleet.accounts.delay = 0.0
    rc, output = fleet.run(commands("When a node has died"))
    assert rc == 0, output
    assert fleet.are("ok") == fleet.routers.keys()
    assert fleet.contacts() == dict.fromkeys(fleet.due, 1)

    assert fleet.files_with(PASSWORD) == set()
    assert fleet.files_with(VAULT_PASSWORD) == {"vault-password"}


@pytest.mark.parametrize("fleet", [6], indirect=True)
def test_a_refused_password_is_sent_through_one_router(fleet):
    write_job(fleet, WRONG)
    rc, output = fleet.run(commands("Renew licenses"))
    assert rc == 2, output
    assert fleet.contacts() == {"chr001": 1}
    assert "chr001: failed; " in output and "refused the account" in output
    assert WRONG not in output and fleet.files_with(WRONG) == set()


@pytest.mark.slow
@pytest.mark.parametrize("fleet", [8], indirect=True)
def test_the_reports_of_an_audit_come_back(fleet):
    write_job(fleet, PASSWORD)
    (extra,) = re.findall(r"^  license_audit_dest: .*$", GUIDE, re.MULTILINE)
    (fleet.folder / "job" / "env" / "extravars").write_text(extra.strip() + "\n")
    rc, output = fleet.run(commands("Audit licenses"))
    assert rc == 0, output
    heading, *lines = (fleet.folder / "audit.csv").read_text().splitlines()
    assert heading.startswith("name,")
    assert sorted(line.split(",")[0] for line in lines) == sorted(fleet.routers)


@pytest.mark.slow
@pytest.mark.parametrize("fleet", [40], indirect=True)
def test_the_jobs_end_when_the_controller_is_lost(fleet):
    """What was known until then can be shown afterwards, and running again finishes the rest."""
    write_job(fleet, PASSWORD)
    fleet.accounts.delay = 1.0
    run = "python3 $slices run --job job --playbook outofband.chr.license_renew"
    process = fleet.start(f"exec {run} node1 node2")
    wait_until(lambda: len(fleet.contacts()) >= 6, process)
    process.kill()
    process.wait(10)
    for node in ("node1", "node2"):
        wait_until(lambda node=node: "ansible-playbook" not in fleet.programs(node))
    assert len(fleet.contacts()) < 40
    rc, output = fleet.run("python3 $slices report runs/*")
    assert rc == 4, output
    assert fleet.are("ok") & fleet.due <= fleet.contacts().keys()
    fleet.accounts.delay = 0.0
    rc, output = fleet.run(f"{run} --limit @$(ls runs/*/rest.txt) node1 node2")
    assert rc == 0, output
    assert fleet.contacts() == dict.fromkeys(fleet.due, 1)


@pytest.mark.slow
@pytest.mark.parametrize("fleet", [8], indirect=True)
def test_a_job_whose_answer_cannot_be_read_is_ended_at_once(fleet):
    """The login of node2 prints something; meanwhile node1 is at work for some seconds.

    Then its routers alone are run again. Its first router may have been renewed before the job was
    ended, so nothing is claimed of them.
    """
    write_job(fleet, PASSWORD)
    fleet.accounts.delay = 5.0
    (fleet.folder / "node2" / "loud").touch()
    worker = "{ test -e ~/loud && echo welcome; ansible-runner worker; }"
    run = "python3 $slices run --job job --playbook outofband.chr.license_renew"
    rc, output = fleet.run(f"{run} --worker '{worker}' node1 node2")
    assert rc == 4, output
    first = set(sorted(fleet.routers)[::2])
    assert fleet.are("ok") == first and fleet.are("unknown") == fleet.routers.keys() - first
    assert set(fleet.contacts()) - {"chr002"} == first & fleet.due
    assert "chr004: unknown; what node2 sent cannot be read" in output

    fleet.accounts.delay = 0.0
    rc, output = fleet.run(f"{run} --limit @$(ls runs/*/rest.txt) node3")
    assert rc == 0, output
    assert fleet.are("ok") == fleet.routers.keys() - first
    assert fleet.contacts() == dict.fromkeys(fleet.due, 1)
