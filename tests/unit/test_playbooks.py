# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all playbooks of the collection have in common: whom they act on, tags, words."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.doc_fragments.machine import ModuleDocFragment
from ansible_collections.outofband.chr.plugins.filter import platform as platform_filter
from ansible_collections.outofband.chr.plugins.plugin_utils._core.platforms import OTHER_WORDS, PLATFORMS, canonical
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.requirements import HYPERVISORS

ROOT = Path(__file__).parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
TAGS = {"image", "id", "license", "configure", "facts", "backup", "upgrade", "power", "report"}
"""All words; a further one is for a further kind of step."""


def plays(playbook: Path) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", yaml.safe_load(playbook.read_text()))


def steps(tasks: list[dict[str, t.Any]], tags: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """The name of each task, with its tags and those of its blocks."""
    for task in tasks:
        own = task.get("tags", [])
        all_tags = tags | ({own} if isinstance(own, str) else set(own))
        if "block" in task:
            yield from steps(task["block"] + task.get("rescue", []) + task.get("always", []), all_tags)
        else:
            yield task["name"], all_tags


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_step_has_tags_and_the_header_explains_each(playbook):
    used: set[str] = set()
    for play in plays(playbook):
        assert not play.get("roles"), "a role in a play has no name to show; import it in a task"
        tasks = play.get("pre_tasks", []) + play.get("tasks", []) + play.get("post_tasks", [])
        for name, tags in steps(tasks):
            assert tags, name
            used |= tags
    assert used - {"always"} <= TAGS
    header = " ".join(re.findall(r"^# ?(.*)$", playbook.read_text(), re.MULTILINE))
    (explained,) = re.findall(r"Tags: (.*?)\.(?: |$)", header)
    assert set(re.findall(r"(?:^|, )(\w+)", re.sub(r"\(.*?\)", "", explained))) == used - {"always"}


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_by_default_a_playbook_acts_on_routers_only(playbook):
    first, *others = plays(playbook)
    assert set(first) == {"name", "hosts", "gather_facts"}, "no tasks: it touches nothing"
    for play in others:
        found = re.fullmatch(
            r"{{ lookup\('outofband\.chr\.router_hosts', (\w+_hosts) \| default\(''\)\) }}", play["hosts"]
        )
        assert found or play["hosts"] == "localhost", play["hosts"]
        assert not found or found[1] == f"{playbook.stem}_hosts"


# -- one word for a platform -----------------------------------------------------------------------


def role_platforms(role: str) -> list[str]:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    return t.cast("list[str]", specs["argument_specs"]["main"]["options"][f"{role}_platform"]["choices"])


def choices_of_filters() -> list[str]:
    (words,) = yaml.safe_load(platform_filter.DOCUMENTATION)["options"].values()
    return t.cast("list[str]", words["choices"])


CHOICES = {
    "image_import": (role_platforms("image_import"), {*PLATFORMS}),
    "host_network": (role_platforms("host_network"), {*PLATFORMS} - {"workstation", "rescue"}),
    "platform": (choices_of_filters(), {*PLATFORMS}),
    "vm_findings": (
        yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["_input"]["suboptions"]["hypervisor"]["choices"],
        {*HYPERVISORS, "bhyve"},
    ),
}


@pytest.mark.parametrize(("choices", "words"), CHOICES.values(), ids=CHOICES)
def test_a_platform_has_one_word_everywhere_and_others_are_only_accepted(choices, words):
    assert {canonical(word) for word in choices} == words
    assert words <= set(choices)
    assert set(choices) - words <= set(OTHER_WORDS)


def test_the_words_are_those_of_the_connection():
    assert {canonical(backend) for backend in BACKENDS} < set(PLATFORMS)
    assert set(HYPERVISORS) | {"rescue"} == set(PLATFORMS)
    assert set(OTHER_WORDS.values()) <= set(PLATFORMS)


@pytest.mark.parametrize("role", ["image_import", "host_network"])
def test_each_platform_of_a_role_has_its_tasks(role):
    files = {path.stem for path in (ROOT / "roles" / role / "tasks" / "platforms").glob("*.yml")}
    without = {"qemu", "xenstore"} if role == "host_network" else set()
    assert {canonical(word) for word in role_platforms(role)} - without <= files
