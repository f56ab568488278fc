# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import tracemalloc

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import (
    LARGEST,
    MOST_LINES,
    bounded,
    left_out,
    not_run,
)


@pytest.mark.parametrize("output", [b"", b"x\n" * MOST_LINES, b"one\r\ntwo\r\n", b"\xff\n", b"x" * LARGEST])
def test_an_ordinary_output_is_whole(output):
    shown, cut = bounded(output)
    assert shown.encode("utf-8", "surrogateescape") == output.replace(b"\r\n", b"\n")
    assert not cut


@pytest.mark.parametrize("output", [b"\n" * 45_000_000, b"x" * (LARGEST + 1), b"\x0b" * (MOST_LINES + 1)])
def test_a_flood_is_cut_and_takes_little_memory(output):
    tracemalloc.start()
    try:
        shown, cut = bounded(output)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cut
    assert len(shown) <= LARGEST and len(shown.splitlines()) <= MOST_LINES
    assert most < 500_000_000
    assert f"printed {len(output)} bytes" in left_out("chr1", len(output))


def test_an_output_of_blanks_does_not_hold_up_the_look_for_a_refusal():
    began = time.process_time()
    assert not not_run(b":put 1", b" " * 100_000 + b"x")
    assert time.process_time() - began < 1
    assert not_run(b":put 1", b"\r\nexpected end of command (line 1 column 5)\r\n")
