# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of the actions that talk to a router.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, known_encoding
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import SECONDS, TransferLimit

from . import before_fork, errors
from .router import router_connection

before_fork.preload()


class GuestAction(ActionBase):
    """An action that talks to the host's router. Subclasses implement ``perform``.

    It runs in the controller's process; the target needs no Python, and nothing is copied to it.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {}
    TRANSFER: t.ClassVar[dict[str, t.Any]] = {
        "max_size": {"type": "str", "default": "1G"},
        "timeout": {"type": "float", "default": SECONDS},
    }
    """The options of an action that moves a file."""
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = []
    REQUIRED_ONE_OF: t.ClassVar[list[tuple[str, ...]]] = []

    _identity: Identity | None = None

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._so_far: dict[str, t.Any] = {}
        """What the result has even if an error comes: an action says here what it has changed."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the task and return its result. Raises ChrError."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        self._so_far = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        return errors.outcome(
            self._so_far, lambda: self.perform(self._guest(), self._arguments()), no_log=bool(self._task.no_log)
        )

    def run_for(self, router_name: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return what ``run`` would return on the router *router_name*.

        *arguments* have been checked. It is called in one of many threads.
        """
        self._task_vars = {"inventory_hostname": router_name}
        self._so_far = {}
        return errors.outcome(
            self._so_far, lambda: self.perform(self._guest(), arguments), no_log=bool(self._task.no_log)
        )

    def _arguments(self) -> dict[str, t.Any]:
        _validation, arguments = self.validate_argument_spec(
            self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE, required_one_of=self.REQUIRED_ONE_OF
        )
        protect(*(arguments[name] for name, option in self.SPEC.items() if option.get("no_log")))
        return dict(arguments)

    def _guest(self) -> Guest:
        connection = router_connection(self, "works over the connection {transport} only")
        return t.cast("Guest", connection.guest)

    def identity(self, guest: Guest) -> dict[str, str]:
        """Return which VM the facts of this task are of. Raises ChrError.

        It is looked up once in a task, because the router may be away later.
        """
        if self._identity is None:
            self._identity = guest.identity(self.router_name)
        return dataclasses.asdict(self._identity)

    @property
    def router_name(self) -> str:
        """The name in the inventory of the router that this task is about."""
        return str(self._task.delegate_to or self._task_vars["inventory_hostname"])

    def encoding(self) -> str | None:
        """Return ``chr_encoding``, that of values that are not UTF-8. Raises InvalidInput."""
        return known_encoding(self._connection.get_option("encoding"))

    def script_timeout(self, arguments: dict[str, t.Any]) -> float:
        """Return the seconds for one script: the task's ``timeout``, or else the connection's."""
        if (own := arguments.get("timeout")) is not None:
            return positive_seconds("timeout", own)
        return positive_seconds("chr_script_timeout", self._connection.get_option("script_timeout"))

    def transfer_limit(self, arguments: dict[str, t.Any]) -> TransferLimit:
        """Return the limit of the options ``max_size`` and ``timeout``. Raises InvalidInput."""
        return TransferLimit(self.size(arguments, "max_size"), positive_seconds("timeout", arguments["timeout"]))

    def size(self, arguments: dict[str, t.Any], name: str) -> int:
        """Return the bytes of the option *name*. Raises InvalidInput."""
        try:
            return int(human_to_bytes(arguments[name]))
        except ValueError:
            raise InvalidInput(
                f"{name} {arguments[name]!r} is not a valid size, such as '1G', '512M', or a number of bytes."
            ) from None

    def read(self, guest: Guest, source: str, timeout: float) -> bytes:
        """Run a script of this collection that changes nothing, and return its output.

        Raises ScriptFailed, OutputCut.
        """
        return guest.checked(guest.run(encoded(source), timeout), timeout).output
