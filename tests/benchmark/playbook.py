# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook, and how long each of its tasks takes."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .clock import run
from .stage import Stage

Inventory = dict[str, dict[str, t.Any]]
DEBUG = {"name": "debug", "ansible.builtin.debug": {"msg": "x"}}
SCRIPT = {"name": "script", "outofband.chr.script": {"source": ":put 1"}, "changed_when": False}
ONCE = {"run_once": True, "delegate_to": "localhost"}


@dataclass
class Run:
    seconds: float
    processor: float
    """Seconds of Ansible's processor time."""
    mib: float
    """Memory of the largest process."""
    steps: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """For each name of a task, (seconds, processor seconds of the server) of each time it ran."""


def play(
    stage: Stage,
    inventory: Inventory,
    tasks: list[dict[str, t.Any]] | str,
    *,
    server: int = 0,
    collections: t.Iterable[Path] = (),
    variables: t.Iterable[str] = (),
) -> Run:
    """Run *tasks*, or the playbook of that name.

    *server*: the process id of what the hosts are on, so that its work can be told from ours.
    *collections*: folders with collections of others. *variables*: extra variables.
    """
    folder = stage.folder
    playbook: str | Path = folder / "play.yml"
    if isinstance(tasks, str):
        playbook = tasks
    else:
        (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": inventory}}))
    pace = folder / "pace"
    pace.write_text("")
    environment = surroundings(stage, collections) | {
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "pace",
        "PACE_TO": str(pace),
        "PACE_SERVER": str(server or ""),
    }
    extra = [word for one in variables for word in ("-e", one)]
    command = [tool("ansible-playbook"), "-i", folder / "inventory.json", "-f", str(stage.forks), *extra, playbook]
    result = Run(*run(command, environment, folder / "output"))
    marks = [json.loads(line) for line in pace.read_text().splitlines()]
    for (name, *before), (_next, *after) in zip(marks, marks[1:], strict=False):
        result.steps.setdefault(name, []).append((after[0] - before[0], after[1] - before[1]))
    return result


def tool(name: str) -> Path:
    """A command of Ansible."""
    return Path(sys.executable).parent / name


def surroundings(stage: Stage, collections: t.Iterable[Path] = ()) -> dict[str, str]:
    """The environment of a command of Ansible."""
    places = [stage.folder / "collections", *dict.fromkeys(collections)]
    return os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, places)),
        "ANSIBLE_HOME": str(stage.folder / "home"),
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
