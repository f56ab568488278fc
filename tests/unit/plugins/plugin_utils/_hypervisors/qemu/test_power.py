# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.tests.fuzz.targets.qga import monitor_of


@pytest.mark.parametrize("greeting", [b"50\n", b"null\n", b"[" * 100_000 + b"\n", b'"QMP"\n'])
def test_what_is_not_a_monitor_is_a_typed_error(greeting):
    with pytest.raises(ChrError, match="does not (speak QMP|answer)"):
        monitor_of(greeting)._command("query-status", changes=False)
