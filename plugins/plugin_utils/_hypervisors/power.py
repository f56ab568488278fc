# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of the switch with which a hypervisor turns a router's machine on and off.

It needs neither an agent nor a router that answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline


class Power(ABC):
    """The switch of one VM. All errors are ChrError.

    Each order is sent once. It returns when the hypervisor says that it has carried the order out.
    Raises NotPermitted, which names what is missing; NotPossible with the hypervisor's own words if
    it refused; VmBusy if it did so because of another task; OutcomeUnknown if it may have carried
    the order out, or still does so after the deadline.
    """

    @abstractmethod
    def is_on(self) -> bool:
        """Whether the machine is on. One that is paused or suspended is on.

        Raises ChrError if the hypervisor was not reached or cannot tell: an error of the way there
        is never an answer.
        """

    def check(self) -> None:  # noqa: B027 - some hypervisors know no state in between
        """Check that the VM can be turned on and off now.

        Raises NotPossible if it is paused or suspended, or if this switch does not reach it; VmBusy
        if another task of the hypervisor has it; VmNotFound for a template.
        """

    @abstractmethod
    def start(self, deadline: Deadline) -> None:
        """Turn on a machine that is off."""

    @abstractmethod
    def stop(self, deadline: Deadline) -> None:
        """Turn off a machine that is on, as if its power was cut."""

    @abstractmethod
    def reset(self, deadline: Deadline) -> None:
        """Let a machine that is on start anew, as if its reset button was pressed."""
