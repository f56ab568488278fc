# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import command
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.script import plan


@pytest.mark.parametrize("output", [b"", b"@", b"garbage\r\n"])
def test_an_answer_without_a_record_is_a_value_error(output):
    with pytest.raises(ValueError, match="has no record"):
        plan(command([b"/ip/address/add"])).answer(output)
