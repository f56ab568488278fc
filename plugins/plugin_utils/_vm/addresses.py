# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""MAC addresses, which each platform spells in its own way."""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput


def mac_digits(mac: str) -> str:
    """The twelve hex digits of *mac*, in capitals. Raises InvalidInput for what a network card cannot have."""
    digits = re.sub(r"[:.-]", "", mac).upper()
    if not re.fullmatch(r"[0-9A-F]{12}", digits):
        raise InvalidInput(f"mac {mac!r} is no MAC address, such as 02:00:5e:10:00:01.")
    if int(digits[1], 16) & 1:
        raise InvalidInput(f"mac {mac!r} is that of a group, which no network card can have.")
    return digits
