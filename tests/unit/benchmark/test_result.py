# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark makes of what it measured: ratios, targets, the table, the comparison."""

from __future__ import annotations

import json

import pytest

from ansible_collections.outofband.chr.tests.benchmark import __main__ as benchmark
from ansible_collections.outofband.chr.tests.benchmark.clock import medians
from ansible_collections.outofband.chr.tests.benchmark.compare import left_out, regressions
from ansible_collections.outofband.chr.tests.benchmark.machine import describe
from ansible_collections.outofband.chr.tests.benchmark.report import as_json, lines_of, merged, summary
from ansible_collections.outofband.chr.tests.benchmark.row import NotRun, Row


def row(ours: float, theirs: float | None = 10.0, **more) -> Row:
    return Row("A script", "50 hosts", ours, "ms", "debug", theirs, **more)


def committed(*rows: Row, quick: bool = False) -> dict:
    return json.loads(json.dumps(as_json({}, rows, quick=quick)))


def test_a_ratio_is_ours_in_multiples_of_theirs():
    assert row(12.0).ratio == 1.2
    assert row(12.0, None).ratio is None
    assert row(12.0, 0.0).ratio is None


@pytest.mark.parametrize(
    ("more", "met"),
    [
        ({}, None),
        ({"at_most": 1.25}, True),
        ({"at_most": 1.1}, False),
        ({"goal": 12.0}, True),
        ({"goal": 11.0}, False),
        ({"at_most": 1.25, "goal": 11.0}, False),
    ],
)
def test_a_target_of_the_ratio_and_one_of_the_value_must_be_met(more, met):
    assert row(12.0, **more).met is met


def test_medians_are_those_of_each_column():
    assert medians([(1, 10), (3, 30), (2, 99)]) == [2, 30]


def test_a_ratio_that_is_more_than_a_fifth_worse_is_named_with_its_row():
    before = committed(row(12.0))
    assert regressions(before, [row(14.3)]) == {}
    assert regressions(before, [row(6.0)]) == {}
    assert regressions(before, [row(15.0)]) == {
        "A script: 50 hosts, beside debug": "A script: 50 hosts, beside debug: the ratio is 1.5, 25% above the committed 1.2."
    }


def test_seconds_are_never_compared():
    assert regressions(committed(row(12.0)), [row(1200.0, 1000.0)]) == {}
    assert regressions(committed(row(12.0, None)), [row(1200.0, None)]) == {}


def test_committed_rows_that_were_not_measured_are_told():
    assert left_out(committed(row(12.0)), []) == ["A script: 50 hosts, beside debug"]
    assert left_out(committed(row(12.0)), [row(1.0)]) == []


def test_the_table_names_targets_that_are_missed_and_what_was_not_run():
    (line,) = lines_of(row(12.0, at_most=1.1))
    assert line.endswith("1.20  debug   [MISSED: at most 1.1 x]")
    (line,) = lines_of(NotRun("A script", "1000 hosts", "there is no Go"))
    assert line.split(maxsplit=2) == ["1000", "hosts", "not run: there is no Go"]


def test_the_last_lines_tell_what_was_not_run_what_failed_and_which_targets_were_missed():
    rows = [
        row(12.0, at_most=1.1),
        row(1.0, at_most=1.1),
        NotRun("A file", "libvirt", "there is no libvirtd"),
        NotRun("A file", "the rest", "it ended with status 2", failed=True),
    ]
    assert list(summary(rows)) == [
        "Missed target: A script: 50 hosts, beside debug.",
        "Not run: A file: libvirt: there is no libvirtd",
        "ERROR: A file: the rest: it ended with status 2",
    ]


def test_a_section_that_fails_does_not_cost_the_others(tmp_path, monkeypatch):
    section = Section(1.0)
    section.values.clear()
    monkeypatch.setattr(benchmark, "SECTIONS", {"script": section})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (result,) = benchmark.measured("script", quick=True)
    assert result.failed


def test_the_file_has_each_row_and_what_was_not_run():
    result = as_json({"processors": 2}, [row(12.0, at_most=1.25), NotRun("Files", "libvirt", "missing")], quick=True)
    assert result["rows"] == [
        {
            "row": "A script: 50 hosts, beside debug",
            "ours": 12.0,
            "unit": "ms",
            "peer": "debug",
            "theirs": 10.0,
            "ratio": 1.2,
            "ratio at most": 1.25,
            "met": True,
        }
    ]
    assert result["not run"] == ["Files: libvirt: missing"]
    assert result["quick"]
    assert result["machine"] == {"processors": 2}


def test_sections_that_are_measured_again_replace_their_rows_only():
    other = Row("Memory", "10 hosts", 80.0, "MiB")
    before = committed(row(15.0), other)
    before["not run"] = ["A script: vmware: missing", "Files: libvirt: missing"]
    now = committed(row(12.0))
    result = merged(before, now, {"A script"})
    assert [(one["row"], one["ours"]) for one in result["rows"]] == [
        (other.key, 80.0),
        ("A script: 50 hosts, beside debug", 12.0),
    ]
    assert result["not run"] == ["Files: libvirt: missing"]
    with pytest.raises(ValueError, match="quick"):
        merged(before, committed(quick=True), {"A script"})


def test_the_machine_is_described():
    assert {"processors", "memory in GiB", "kernel", "Python", "ansible-core"} <= describe().keys()


class Section:
    """Measures 15 the first time, and then *again*."""

    TITLE = "A script"

    def __init__(self, again: float) -> None:
        self.values = [15.0, again]

    def measure(self, stage):
        yield row(self.values.pop(0))


@pytest.mark.parametrize(("again", "status"), [(15.0, 1), (12.0, 0)])
def test_a_worse_ratio_is_measured_again_and_ends_the_run_with_an_error(tmp_path, monkeypatch, capsys, again, status):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(committed(row(12.0))))
    monkeypatch.setattr(benchmark, "SECTIONS", {"script": Section(again)})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = list(benchmark.measured("script", quick=False))
    assert benchmark.compared(file, rows, ["script"], quick=False) == status
    assert ("ERROR: A script: 50 hosts, beside debug:" in capsys.readouterr().err) is bool(status)


def test_a_quick_run_is_not_compared_with_a_whole_one(tmp_path, capsys):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(committed(row(12.0))))
    assert benchmark.compared(file, [row(99.0)], ["script"], quick=True) == 0
    assert "nothing is compared" in capsys.readouterr().out
