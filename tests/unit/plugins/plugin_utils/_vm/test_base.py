# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM is there whole or not at all, on a platform that is a list of notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import (
    Found,
    Mark,
    NameTaken,
    Nic,
    Platform,
    VmSpec,
    ensure_absent,
    ensure_present,
)


class Notes(Platform):
    """Keeps VMs as notes; *breaks* names the step that fails."""

    title = "the list of notes"

    def __init__(self, image, notes=None, running=False, breaks="", error=None):
        super().__init__(VmSpec("chr1", 1, 256, (), image))
        self.notes, self.running = notes, running
        self.breaks, self.error = breaks, error or NotPossible("It broke.")
        self.steps = []

    def _step(self, name):
        self.steps.append(name)
        if name == self.breaks:
            raise self.error

    def find(self):
        return None if self.notes is None else Found("1", Mark.of(self.notes), self.running)

    def check(self):
        self._step("check")

    def create(self):
        assert self.notes is None
        self.notes = str(Mark(self.spec.image.sha256, complete=False))
        self._step("create")
        self.notes = str(Mark(self.spec.image.sha256, complete=True))

    locked = False

    def remove(self, found):
        self._step("remove")
        if self.locked:
            raise GuestError("It is locked.")
        self.notes, self.running = None, False

    def start(self, found):
        self._step("start")
        self.running = True


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "chr.img").write_bytes(b"disk")
    return Image(tmp_path / "chr.img", "raw", 4)


def imported(image, complete=True):
    return f"Notes of the operator.\n{Mark(image.sha256, complete)}\nMore of them."


@pytest.mark.parametrize("spelt", ["02:00:5E:10:00:01", "02-00-5e-10-00-01", "0200.5e10.0001"])
def test_a_mac_address_is_taken_as_it_is_spelt_and_kept_in_one_form(spelt):
    assert Nic("lan", "virtio", spelt, 4094).mac == "02:00:5e:10:00:01"


@pytest.mark.parametrize("mac", ["1:2", "52:54", "02:00:5e:10:00:0g", "01:00:5e:00:00:01", ""])
def test_an_address_that_no_card_can_have_is_refused(mac):
    with pytest.raises(InvalidInput, match="is no MAC address of a network card"):
        Nic("lan", "virtio", mac)


@pytest.mark.parametrize("vlan", [0, 4095, -1])
def test_a_vlan_that_there_is_not_is_refused(vlan):
    with pytest.raises(InvalidInput, match="from 1 to 4094"):
        Nic("lan", "virtio", vlan=vlan)


def test_a_mark_is_read_back_from_among_other_notes(image):
    assert Mark.of(imported(image)) == Mark(image.sha256, complete=True)
    assert Mark.of(imported(image, complete=False)) == Mark(image.sha256, complete=False)
    assert Mark.of("outofband.chr: image of mine") is None
    assert Mark.of(None) is None


def test_a_vm_that_is_missing_is_checked_made_and_started(image):
    platform = Notes(image)
    outcome = ensure_present(platform, running=True, check_mode=False)
    assert (outcome.before, outcome.after, outcome.image) == ("absent", "running", image.sha256)
    assert platform.steps == ["check", "create", "start"]


def test_a_vm_that_is_there_is_left_alone(image):
    platform = Notes(image, imported(image), running=True)
    assert not ensure_present(platform, running=True, check_mode=False).changed
    assert not ensure_present(platform, running=False, check_mode=False).changed
    assert platform.steps == []


def test_a_vm_that_is_off_is_only_started(image):
    platform = Notes(image, imported(image))
    assert ensure_present(platform, running=True, check_mode=False).changed
    assert platform.steps == ["start"]


def test_what_an_interrupted_import_left_is_replaced(image):
    platform = Notes(image, imported(image, complete=False), running=True)
    assert ensure_present(platform, running=False, check_mode=False).before == "unfinished"
    assert platform.steps == ["check", "remove", "create"]


@pytest.mark.parametrize("complete", [None, False])
def test_check_mode_asks_and_changes_nothing(image, complete):
    platform = Notes(image, None if complete is None else imported(image, complete))
    assert ensure_present(platform, running=True, check_mode=True).changed
    assert platform.steps == ["check"]


@pytest.mark.parametrize("error", [NotPossible("It broke."), KeyboardInterrupt()])
def test_a_failed_import_leaves_nothing_behind(image, error):
    platform = Notes(image, breaks="create", error=error)
    with pytest.raises(type(error)):
        ensure_present(platform, running=True, check_mode=False)
    assert platform.notes is None


def test_what_could_not_be_taken_away_is_told(image):
    platform = Notes(image, breaks="create")
    platform.locked = True
    with pytest.raises(NotPossible, match=r"It broke\. .* could not be removed \(It is locked\.\)"):
        ensure_present(platform, running=True, check_mode=False)


@pytest.mark.parametrize("ensure", [lambda platform: ensure_present(platform, running=True, check_mode=False),
                                    lambda platform: ensure_absent(platform, check_mode=False)])  # fmt: skip
def test_what_belongs_to_somebody_else_is_never_touched(image, ensure):
    platform = Notes(image, "A file server.")
    with pytest.raises(NameTaken, match="this collection did not import it"):
        ensure(platform)
    assert platform.steps == []


def test_absent_removes_what_is_ours_finished_or_not_once(image):
    for complete in (True, False):
        platform = Notes(image, imported(image, complete), running=True)
        assert ensure_absent(platform, check_mode=True).changed
        assert platform.steps == []
        assert ensure_absent(platform, check_mode=False).changed
        assert not ensure_absent(platform, check_mode=False).changed
        assert platform.steps == ["remove"]
