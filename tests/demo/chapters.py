# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story of the demo: which playbooks run, one after the other, and what each one shows."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.kill import kill_tree
from ansible_collections.outofband.chr.tests.lab.watchdog import guard_process, release_process

from .routers import ACCOUNT, NEW, TWINS, Demo

_CALLBACKS = Path(__file__).parents[1] / "system" / "callbacks"
REPORT = "chr-licenses.json"
_AUDIT = "outofband.chr.license_audit"
_NO_OUTPUT = ("vmware", "xenapi")
"""No API can be carried to these: VMware returns no output, XAPI would restart the router."""


@dataclass
class Chapter:
    """One playbook, and what came of it."""

    key: str
    title: str
    text: str
    playbook: str
    routers: list[str]
    extra: dict[str, t.Any] = field(default_factory=dict)
    needs: str = ""
    """A collection of others."""
    seconds: float = 0.0
    status: int | None = None
    """The exit status; None if it was not run."""
    results: list[dict[str, t.Any]] = field(default_factory=list)
    """What each task did on each router: dictionaries with the keys ``host``, ``task``, ``action``,
    ``status`` and ``result``."""
    report: dict[str, t.Any] | None = None
    """The fleet report as it was after this chapter."""

    @property
    def command(self) -> str:
        """What a user would type."""
        shown = {name: "." if isinstance(value, Path) else value for name, value in self.extra.items()}
        variables = [f"-e {shlex.quote(f'{name}={value}')}" for name, value in shown.items()]
        return " ".join(["ansible-playbook -i inventory.yml", self.playbook, *variables])

    @property
    def changed(self) -> list[str]:
        """The routers that a task changed."""
        tasks = [one for one in self.results if one["action"] != "outofband.chr.license_report"]
        return sorted({one["host"] for one in tasks if one["result"].get("changed")}, key=by_number)


def chapters(demo: Demo, folder: Path) -> list[Chapter]:
    """Return those that the routers allow."""
    everybody = list(demo.hosts)
    old = [name for name in everybody if name != NEW]
    audit = {"license_audit_dest": folder}
    with_output = [name for name in old if demo.hosts[name]["chr_backend"] not in _NO_OUTPUT]
    told = [
        Chapter(
            "image",
            "From an image to a licensed router",
            "A new VM is made of the image and boots. Its router gets a license that is a trial.",
            "outofband.chr.provision",
            [NEW],
        ),
        Chapter(
            "scripts",
            "Scripts on every hypervisor",
            "No address and no port of a router is used. What a hypervisor cannot do is left out there.",
            "outofband.chr.demo",
            old,
            {"demo_folder": folder},
        ),
        Chapter(
            "before",
            "What is wrong with the licenses",
            "The fleet report finds clones that share a system id, and licenses that end soon.",
            _AUDIT,
            everybody,
            audit,
        ),
        Chapter(
            "ids",
            "Clones get system ids of their own",
            "With one id, only one of them could ever be licensed.",
            "outofband.chr.generate_new_id",
            list(TWINS),
        ),
        Chapter(
            "renewal",
            "Licenses are renewed before they end",
            "Only those that need it are renewed. The account is in the environment, and no router keeps it.",
            "outofband.chr.license_renew",
            [name for name in demo.licensed if name != NEW],
            {"license_renew_level": "p1"},
        ),
        Chapter(
            "after",
            "The same report afterwards",
            "It says what changed since the last one, and what is left to do.",
            _AUDIT,
            everybody,
            audit,
        ),
        Chapter(
            "api",
            "Modules that need the RouterOS API, over the guest agent",
            "community.routeros.api_modify, unmodified, configures a router without using an address of it.",
            "outofband.chr.configure",
            with_output[:1],
            needs="community.routeros",
        ),
    ]
    for chapter in told:
        chapter.routers = [name for name in chapter.routers if name in demo.hosts]
    return [chapter for chapter in told if chapter.routers]


def play(chapter: Chapter, inventory: Path, folder: Path, others: Path | None) -> None:
    """Run it, with the collections in the folder *others*, and show what Ansible prints."""
    record = folder / f"{chapter.key}.jsonl"
    record.unlink(missing_ok=True)
    paths = (Path(os.environ["PYTHONPATH"]), others)
    environment = os.environ | {
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_REMOTE_TMP": str(folder / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(str(path) for path in paths if path),
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RECORD_TO": str(record),
        "OUTOFBAND_ACCOUNT": ACCOUNT[0],
        "OUTOFBAND_ACCOUNT_PASSWORD": ACCOUNT[1],
    }
    extra = ["--extra-vars", json.dumps(chapter.extra, default=str)] if chapter.extra else []
    program = Path(sys.executable).parent / "ansible-playbook"
    limit = ",".join([*chapter.routers, "localhost"])
    command = [program, "--inventory", inventory, "--forks", "12", "--limit", limit, *extra, chapter.playbook]
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, cwd=folder)
    guard_process(process.pid)
    try:
        chapter.status = process.wait()
    except BaseException:
        kill_tree(process.pid)
        raise
    finally:
        release_process(process.pid)
        chapter.seconds = time.monotonic() - began
    if record.exists():
        chapter.results = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        record.unlink()
    report = folder / REPORT
    if chapter.playbook == _AUDIT and not chapter.status:
        chapter.report = json.loads(report.read_text("utf-8"))


def by_number(name: str) -> tuple[int, str]:
    """Order names by the number in them."""
    digits = "".join(one for one in name if one.isdigit())
    return int(digits or 0), name
