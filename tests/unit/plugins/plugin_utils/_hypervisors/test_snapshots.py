# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest is not left frozen without a word, whichever hypervisor froze it."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import thaw


class Frozen:
    """A guest that thaws at the *thaws*-th order, and answers *answers* questions."""

    def __init__(self, thaws: int, answers: int = 99) -> None:
        self.left, self.answers = thaws, answers

    def ask(self) -> bool:
        self.answers -= 1
        if self.answers < 0:
            raise Unreachable("nobody answers.")
        return self.left > 0

    def order(self) -> None:
        self.left -= 1
        if self.left > 0:
            raise [AgentRefused("chr1", "thaw", "no"), OutcomeUnknown("lost")][self.left % 2]


def test_a_guest_that_is_thawed_is_let_alone():
    guest = Frozen(0)
    assert thaw("chr1", guest.ask, guest.order, "by hand") == (True, "")
    assert guest.left == 0


@pytest.mark.parametrize("orders", [1, 2, 3])
def test_a_guest_is_told_to_thaw_up_to_three_times(orders):
    guest = Frozen(orders)
    assert thaw("chr1", guest.ask, guest.order, "by hand") == (True, "chr1 was left frozen, and was thawed afterwards.")


def test_a_guest_that_does_not_thaw_or_cannot_be_asked_is_told_with_what_to_do():
    thawed, said = thaw("chr1", Frozen(9).ask, lambda: None, "'virsh domfsthaw'")
    assert not thawed
    assert "chr1 IS STILL FROZEN" in said
    assert "thaw it ('virsh domfsthaw') or reset the VM" in said
    thawed, said = thaw("chr1", Frozen(9, answers=1).ask, lambda: None, "by hand")
    assert not thawed
    assert "chr1 MAY STILL BE FROZEN, and its agent cannot be asked: nobody answers." in said
