# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A guest whose hypervisor has no channel to RouterOS's agent, but turns it on and off."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NoSecretWay,
    NotPossible,
    VmAmbiguous,
    VmNotFound,
)

from .capabilities import Capabilities
from .checks import Checks, HeldPrivilege, Privilege
from .guest import Guest
from .guest_report import GuestReport
from .power import Power
from .script_result import Job, ScriptResult


class PowerOnly(Guest):
    """The VM *vm*, whose switch is *power*. Everything else is refused before anything is sent.

    *title* names the hypervisor in messages, and *endpoint* its machine. *needed*: the privileges
    without which it does not even show a VM.
    """

    # It is not the size for which a script is refused.
    capabilities = Capabilities(output=False, files=False, max_script=256 * 1024, agent=False)

    def __init__(
        self,
        backend: str,
        title: str,
        endpoint: str,
        vm: str,
        power: Power,
        connect_timeout: float,
        needed: tuple[Privilege, ...],
    ) -> None:
        super().__init__(vm, connect_timeout)
        self._needed = needed
        self.backend = backend
        self._title, self._endpoint, self._power = title, endpoint, power

    def place(self) -> tuple[str, str]:
        self._power.is_on()
        return self._endpoint, self.vm

    def checks(self) -> Checks:
        return PowerOnlyChecks(self._power, f"{self._title} on {self._endpoint}", self._needed, self._reason)

    def power(self) -> Power:
        return self._power

    def ping(self, timeout: float | None = None) -> None:
        self._refuse()

    def start(self, source: bytes) -> Job:
        self._refuse()

    def start_file(self, name: str) -> Job:
        self._refuse()

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        raise NoSecretWay(self._reason)

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        self._refuse()

    def report(self) -> GuestReport:
        self._refuse()

    def shutdown(self, mode: str) -> None:
        self._refuse()

    def check_files(self, *, reading: bool = False) -> None:
        self._refuse()

    def _refuse(self) -> t.NoReturn:
        raise NotPossible(self._reason)

    @property
    def _reason(self) -> str:
        return (
            f"{self._title} has no channel to the guest agent of RouterOS, so nothing was sent to {self.vm!r}. Backend "
            f"{self.backend} only turns the machine on and off: outofband.chr.power with state started, stopped or reset. "
            "Reach the router over the network (an in-band collection such as community.routeros), or at its console."
        )


class PowerOnlyChecks(Checks):
    """The checks of the VM with that switch. *reason*: why it has no agent."""

    def __init__(self, power: Power, where: str, needed: tuple[Privilege, ...], reason: str) -> None:
        self._power, self._where, self._needed, self._reason = power, where, needed, reason

    def reach(self) -> str:
        with contextlib.suppress(VmNotFound, VmAmbiguous):
            self._power.is_on()
        return self._where

    def privileges(self) -> list[HeldPrivilege]:
        self._power.is_on()
        return [HeldPrivilege(one, granted=True) for one in self._needed]

    def channel(self) -> str:
        raise NotPossible(self._reason)
