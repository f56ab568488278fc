# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file on the router is removed, or the error says that it may still be there."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.own_files import removed_at_the_end
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import TransferFailed, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros import File, Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

LEFT = "The file 'x.rsc' may still be on the router. Remove it there."


@pytest.fixture
def chr1():
    with temporary_folder() as folder, LabRouter(Router(identity="chr1"), f"unix:{folder}/chr1.sock") as one:
        one.router.files["x.rsc"] = File(b"x")
        yield one


def of_socket(router):
    return open_guest(options_for("qemu", "chr1", 1.0, "auto", socket=router.address))


def test_a_file_is_removed_after_a_failure_whose_words_stay(chr1):
    with pytest.raises(TransferFailed, match=r"\Athe reason\Z"), removed_at_the_end(of_socket(chr1), "x.rsc"):
        raise TransferFailed("the reason")
    assert chr1.router.files == {}


def test_a_failure_that_leaves_the_file_says_so(chr1):
    with pytest.raises(TransferFailed) as caught, removed_at_the_end(of_socket(chr1), "x.rsc"):
        chr1.stop()
        raise TransferFailed("the reason")
    assert str(caught.value) == f"the reason {LEFT}"


def test_a_router_that_is_lost_before_the_removal_is_told_too(chr1):
    with pytest.raises(Unreachable) as caught, removed_at_the_end(of_socket(chr1), "x.rsc"):
        chr1.stop()
    assert str(caught.value).endswith(LEFT)
