# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can end a script.

There are syntax errors, run-time errors, the limit, power commands, and ``:return``.
"""

from __future__ import annotations


class ScriptSyntaxError(Exception):
    """The source is refused before anything runs; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} (line {line} column {column})")
        self.line = line
        self.column = column


class ScriptError(Exception):
    """A run-time error; the text is what RouterOS would print. Scripts can catch it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.line: int | None = None


class LimitError(Exception):
    """The run was stopped from outside or went over a bound; scripts cannot catch it."""


class PowerEvent(Exception):
    """A script ran ``/system reboot`` or ``/system shutdown``; it ends the script, successfully."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action
