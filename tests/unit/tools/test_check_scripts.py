# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of RouterOS scripts finds what is wrong, and nothing else."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab import recorder
from ansible_collections.outofband.chr.tests.lab.qga.agent import Agent
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.tools import check_scripts
from ansible_collections.outofband.chr.tests.tools.check_scripts import (
    MAY_BE_MISSING,
    OWN,
    VERSIONS,
    Finding,
    excepted,
    findings,
    missing,
    trees,
)

WRONG = {
    ':put "open': "syntax/",
    ":put [/system identity get name": "syntax/",
    ":put $neverDeclared": "vars/",
    "/system identty get name": "schema/unknown-command",
    "/system identity ask name": "schema/unknown-command",
    ":putt 1": "schema/unknown-command",
    "/system identity set nme=x": "schema/unknown-parameter",
    "/system license renew account=a password=b levle=p1": "schema/unknown-parameter",
    "/system identity print tersely": "schema/unexpected-argument",
    ":foreach i in=[/interface find] do={ /interface disabel $i }": "schema/unknown-command",
    '/nothere "\xe9"': "schema/unknown-command",
}
SINCE = {
    ":onerror e in={ :put 1 } do={ :put $e }": "7.14.3",
    ":put [:serialize {1;2} to=json]": "7.14.3",
    ":put [:serialize {1;2} to=json options=json.pretty]": "7.16.2",
    "/file set [find where name=x] name=y": "7.14.3",
    "/file read file=x chunk-size=1024 offset=0": "7.14.3",
    ':local one [/file find where name="x"]\n:if ([:len $one] > 0) do={ /file remove $one }': "7.9.2",
    ':put "\xe9"': "7.9.2",
}
EXCEPTIONS = {name: f":put [{name} print]" for name in MAY_BE_MISSING} | {
    ":convert": ":put [:convert 1]",
    ":serialize": ":put [:serialize to=json 1]",
    ":onerror": ":onerror e in={ :put 1 } do={ :put 2 }",
}
LOOK_ALIKES = {name: script.replace(name, f"{name}x") for name, script in EXCEPTIONS.items()}


def look(scripts: t.Iterable[str]) -> dict[str, list[Finding]]:
    """What is wrong with each script.

    The checker starts once for all: ansible-test repeats a fixture for each test.
    """
    listed = list(scripts)
    result: dict[str, list[Finding]] = {script: [] for script in listed}
    for finding in findings({f"x-{at}": script.encode("latin-1") for at, script in enumerate(listed)}, trees()):
        result[listed[int(finding.script[2:])]].append(finding)
    return result


def by_version(some: list[Finding]) -> list[str]:
    """The versions in whose list something is missing."""
    if trees() is None:
        pytest.skip("not run: the command trees of RouterOS are not next to the checkout")
    return [version for version in VERSIONS if version in {finding.known_by for finding in some}]


def test_a_wrong_script_is_found_with_its_line() -> None:
    for script, found in look(WRONG).items():
        some = [finding for finding in found if finding.known_by == OWN]
        assert any(finding.rule.startswith(WRONG[script]) for finding in some), (script, some)
        assert {(finding.line, finding.text) for finding in some} == {(1, script)}
        assert not any(excepted(finding) for finding in some)


def test_what_an_older_version_does_not_have_is_found() -> None:
    for script, found in look(SINCE).items():
        assert [finding for finding in found if finding.known_by == OWN] == []
        assert by_version(found) == list(VERSIONS[: VERSIONS.index(SINCE[script])]), script


def test_each_exception_is_needed_and_holds_for_nothing_else() -> None:
    found = look([*EXCEPTIONS.values(), *LOOK_ALIKES.values()])
    for name in MAY_BE_MISSING:
        some, others = found[EXCEPTIONS[name]], found[LOOK_ALIKES[name]]
        assert by_version(some), name
        assert {missing(finding) for finding in some} == {name}
        assert all(excepted(finding) for finding in some)
        assert by_version(others) == list(VERSIONS), name
        assert not any(excepted(finding) for finding in others)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: t.Any) -> int:
    monkeypatch.setattr(sys, "argv", ["check_scripts.py", *map(str, arguments)])
    return check_scripts.main()


def test_the_program_checks_what_the_agent_of_a_router_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the text of a stored script, a file, and what ``:parse`` reads; each once; not what a
    test did to the router itself."""
    monkeypatch.setenv(recorder.ENVIRONMENT, str(tmp_path))
    monkeypatch.setattr(recorder, "_kept", set())
    router = Router()
    router.write_file("x.rsc", b":put inFile")
    router.run("/system script add name=s source={:put stored}")
    sources = [b"/system script run s", b"/import x.rsc", b':local f [:parse ":put parsed"]\n$f', b":put 1", b":put 1"]
    for source in sources:
        router.run(source, dialect=Agent(router).dialect)
    kept = sorted(path.read_bytes() for path in tmp_path.iterdir())
    assert kept == sorted({*sources, b":put inFile", b":put stored", b":put parsed"})
    assert run(monkeypatch, tmp_path, "--from", "qga") == 0
    assert "7 RouterOS scripts (qga 7): 0 with findings" in capsys.readouterr().out
    router.run(b"/nothere print", dialect="qga")
    assert run(monkeypatch, tmp_path) == 1
    assert "'nothere'" in capsys.readouterr().out


def test_a_dialect_that_sent_nothing_is_named_and_no_script_at_all_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--from", "qga") == 1
    (tmp_path / "qga-1.rsc").write_bytes(b":put 1")
    assert run(monkeypatch, tmp_path, "--from", "qga", "--from", "vmware") == 0
    assert "SKIPPED [1] RouterOS scripts by vmware are not checked: none arrived" in capsys.readouterr().out


def test_what_the_console_of_a_guest_told_is_kept_unless_it_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder, "_kept", set())
    monkeypatch.setenv(recorder.ENVIRONMENT, recorder.CONSOLE)
    recorder.record(b":put whole", "qga")
    recorder.record(b":put cut short", "qga")
    console, kept = tmp_path / "console", tmp_path / "kept"
    console.write_text("boot\r\n" + capsys.readouterr().out.replace("\n", "\r\n")[:-10])
    kept.mkdir()
    monkeypatch.setenv(recorder.ENVIRONMENT, str(kept))
    recorder.harvest(console, "libvirt-")
    assert [path.read_bytes() for path in kept.iterdir()] == [b":put whole"]
    assert all(path.name.startswith("libvirt-qga-") for path in kept.iterdir())
