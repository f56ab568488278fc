# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a libvirt domain."""

from __future__ import annotations

import typing as t
from contextlib import AbstractContextManager

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmBusy
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

_HELD = "cannot acquire state change lock"
# Numbers of virDomainState.
IN_BETWEEN = {3: "paused", 7: "suspended"}


class SwitchedDomain(AbstractContextManager[t.Any], t.Protocol):
    """A domain. At the end of the context it disconnects from libvirt."""

    where: str
    """The domain, for messages."""

    def on_domain(
        self, complaint: str, work: t.Callable[[t.Any], t.Any], deadline: Deadline, *, changes: bool, permission: str
    ) -> t.Any:
        """Call *work* with libvirt's object of the domain and return its value.

        Raises NotPossible, whose text contains *complaint*.
        """

    def if_there(self, complaint: str, look: t.Callable[[t.Any], t.Any]) -> t.Any:
        """Call *look*, which changes nothing, and return its value. None if the domain is gone."""


class LibvirtPower(Power):
    """The switch of *domain*. *connect_timeout*: seconds to reach libvirt."""

    def __init__(self, domain: SwitchedDomain, connect_timeout: float) -> None:
        self._domain = domain
        self._connect_timeout = connect_timeout

    def is_on(self) -> bool:
        with self._domain as domain:
            return bool(domain.if_there("its state cannot be read", lambda one: one.isActive()))

    def check(self) -> None:
        with self._domain as domain:
            found = domain.if_there("its state cannot be read", _state_and_job)
        if found is None:
            return  # a transient one that is off
        state, job = found
        if state in IN_BETWEEN:
            wake = "virsh resume" if state == 3 else "virsh dompmwakeup"
            raise NotPossible(
                f"{self._domain.where} is {IN_BETWEEN[state]}, so it was not turned on or off. Wake it ('{wake}'), or turn it off "
                "by hand ('virsh destroy')."
            )
        if job:
            raise VmBusy(
                f"libvirt works on {self._domain.where} (a migration, a save or a backup), so it was not turned on or off. "
                "'virsh domjobinfo' shows the job."
            )

    def start(self, deadline: Deadline) -> None:
        self._order("it was not started", lambda domain: domain.create(), "start", deadline)

    def stop(self, deadline: Deadline) -> None:
        self._order("it was not stopped", lambda domain: domain.destroy(), "stop", deadline)

    def reset(self, deadline: Deadline) -> None:
        self._order("it was not reset", lambda domain: domain.reset(0), "reset", deadline)

    def _order(self, complaint: str, work: t.Callable[[t.Any], t.Any], permission: str, deadline: Deadline) -> None:
        with self._domain as domain:
            try:
                domain.on_domain(complaint, work, deadline, changes=True, permission=permission)
            except NotPossible as error:
                if _HELD in str(error):  # libvirt says by whom
                    raise VmBusy(str(error)) from None
                raise


def _state_and_job(domain: t.Any) -> tuple[int, int]:
    """The state of *domain*, and the kind of job that it has: 0 for none."""
    return domain.state()[0], domain.jobInfo()[0] if domain.isActive() else 0
