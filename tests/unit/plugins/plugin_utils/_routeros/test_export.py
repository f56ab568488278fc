# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.export import gaps


def test_the_line_after_a_gap_without_a_name_is_not_its_name():
    assert gaps("# error exporting\n/ip address\nadd address=192.0.2.1/24\n") == "it lacks a menu without a name"
    assert gaps('#error exporting "/interface/wifi" (timeout)  \r\n') == "it lacks /interface/wifi (timeout)"


def test_a_gap_with_many_blanks_is_read_at_once():
    began = time.process_time()
    gaps("# error exporting a" + " " * 100_000 + "b")
    assert time.process_time() - began < 1
