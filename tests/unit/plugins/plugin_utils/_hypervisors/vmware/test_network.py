# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VLANs as people write them."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.network import ALL, ranges


def test_vlans_are_numbers_ranges_or_all():
    assert ranges(["all"]) == ALL
    assert ranges(["100 - 199", "7"]) == ((7, 7), (100, 199))


@pytest.mark.parametrize("texts", [[], ["1-"], ["-1"], ["9-5"], ["4095"], ["1-2-3"], ["all", "7"], ["\u0663\u00b2"]])
def test_what_is_no_vlan_is_refused(texts):
    with pytest.raises(InvalidInput, match="trunk"):
        ranges(texts)
