# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Commands of the API on a router, through its guest agent."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, OutcomeUnknown, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api import trap
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import Command
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.script import (
    Order,
    Print,
    Sentence,
    Unsteady,
    plan,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.background import in_background
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.records import in_pages

_PAGE = 3  # items of a menu in one script, if the size of its output is limited
_READINGS = 5  # of a menu whose items change in between
GONE = b"!fatal"


class ApiRouter:
    """A router. It is used by one thread at a time. *timeout*: the seconds for one script."""

    def __init__(self, options: GuestOptions, timeout: float) -> None:
        self._options = options
        self.timeout = timeout
        self._guest: Guest | None = None

    def answer(self, command: Command, left: t.Callable[[], bool]) -> list[Sentence]:
        """Carry out *command* and return the sentences of its answer. Raises Trap.

        No further script is begun when *left* says that the client has left.
        """
        if left():
            raise trap.Trap("interrupted", trap.INTERRUPTED)
        protect(*(value.decode("utf-8", "surrogateescape") for value in command.secrets))
        try:
            if self._guest is None:
                self._guest = open_guest(self._options)
            planned = plan(command)
            if isinstance(planned, Print):
                return self._read(self._guest, planned, left)
            return self._act(self._guest, planned, command)
        except ChrError as error:
            if isinstance(error, Unreachable):
                self._guest = None
            raise trap.Trap(str(error)) from error
        except ValueError as error:
            raise trap.Trap(f"The answer of {self._options.vm!r} cannot be read: {error}") from error

    def _read(self, guest: Guest, printing: Print, left: t.Callable[[], bool]) -> list[Sentence]:
        def run(source: str) -> bytes:
            if left():
                raise trap.Trap("interrupted", trap.INTERRUPTED)
            return guest.repeated(
                lambda: self._output(guest, guest.run(source.encode(), self.timeout), source, "print")
            )

        page = _PAGE if guest.capabilities.max_output else None
        for _reading in range(_READINGS):
            with contextlib.suppress(Unsteady):
                return printing.answer(in_pages(printing.source, run, printing.reader(), page) or [])
        raise trap.Trap(
            f"the items changed each of the {_READINGS} times that they were read, which takes several scripts here",
            trap.GENERAL,
        )

    def _act(self, guest: Guest, order: Order, command: Command) -> list[Sentence]:
        source = order.source
        if order.goes_down and guest.capabilities.may_run_again_at_boot:
            source = in_background(source.strip())
        run = guest.run_secret if command.secrets else guest.run
        try:
            result = run(source.encode(), self.timeout)
        except OutcomeUnknown:
            if order.goes_down:  # a router that goes down need not answer
                return [[GONE, b"session terminated: the router goes down"]]
            raise
        return order.answer(self._output(guest, result, source, command.name))

    def _output(self, guest: Guest, result: ScriptResult, source: str, name: str) -> bytes:
        """Return the output of a script that succeeded. Raises Trap, ChrError."""
        if result.rc == -1:
            raise trap.from_output(result.output, source, name)
        return guest.checked(result, self.timeout).output
