# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The file .vmx of a VM. Pure functions.

A line is ``name = "value"``. A character with a special meaning is written as | and its code in
hex. Upper and lower case of names do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class Vmx:
    """The .vmx with this *text*."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def values(self) -> dict[str, str]:
        """The values by their names in lower case."""
        found = re.findall(r'^ *(\S+) *= *"(.*)" *\r?$', self.text, re.MULTILINE)
        return {name.lower(): _plain(value) for name, value in found}

    def set(self, name: str, value: object) -> None:
        """Give *name* this value, in place of the one that it has."""
        self.drop(name)
        self.text = f"{self.text.rstrip()}\n{line_of(name, value)}"

    def update(self, values: Mapping[str, object]) -> None:
        """Set all of *values*."""
        for name, value in values.items():
            self.set(name, value)

    def drop(self, name: str) -> None:
        """Remove *name*. If it ends with a dot, remove all names that begin with it."""
        rest = r"\S*" if name.endswith(".") else ""
        self.text = re.sub(rf"^ *{re.escape(name)}{rest} *=.*\n?", "", self.text, flags=re.MULTILINE | re.IGNORECASE)


def line_of(name: str, value: object) -> str:
    """A line of a .vmx."""
    text = str(value).upper() if isinstance(value, bool) else str(value)
    quoted = re.sub(r'["|#\x00-\x1f\x7f]', lambda one: f"|{ord(one[0]):02X}", text)
    return f'{name} = "{quoted}"\n'


def _plain(value: str) -> str:
    return re.sub(r"\|([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), value)
