# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM is there whole or not at all, on a platform that is a list of notes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Card,
    Found,
    Hardware,
    Mark,
    NameTaken,
    Nic,
    Platform,
    VmSettings,
    VmSpec,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image


class Notes(Platform):
    """Keeps VMs as notes; *breaks* names the step that fails."""

    title = "the list of notes"

    def __init__(self, image, notes=None, running=False, breaks="", error=None):
        super().__init__(VmSpec("chr1", 1, 256, (), image), None, VmSettings(), print)
        self.notes, self.running = notes, running
        self.breaks, self.error = breaks, error or NotPossible("It broke.")
        self.steps = []

    def _step(self, name):
        self.steps.append(name)
        if name == self.breaks:
            raise self.error

    def find(self):
        return None if self.notes is None else Found("1", Mark.parse(self.notes), self.running)

    has = Hardware()

    def hardware(self, found):
        if self.breaks == "hardware":
            raise self.error
        return self.has

    def check(self):
        self._step("check")

    def create(self):
        assert self.notes is None
        self.notes = str(self.mark(complete=False))
        self._step("create")
        self.notes = str(self.mark(complete=True))

    locked = False

    def remove(self, found):
        self._step("remove")
        if self.locked:
            raise ChrError("It is locked.")
        self.notes, self.running = None, False

    def start(self, found):
        self._step("start")
        self.running = True


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "chr.img").write_bytes(b"disk")
    return Image(tmp_path / "chr.img", "raw", 4)


def mark_of(image, complete=True, name="chr1"):
    return Mark.of(VmSpec(name, 1, 256, (), image), image.sha256, complete=complete)


def imported(image, complete=True, name="chr1"):
    return f"Notes of the operator.\n{mark_of(image, complete, name)}\nMore of them."


@pytest.mark.parametrize("spelt", ["02:00:5E:10:00:01", "02-00-5e-10-00-01", "0200.5e10.0001"])
def test_a_mac_address_is_taken_as_it_is_spelt_and_kept_in_one_form(spelt):
    assert Nic("lan", "virtio", spelt, 4094).mac == "02:00:5e:10:00:01"


@pytest.mark.parametrize("mac", ["1:2", "52:54", "02:00:5e:10:00:0g", "01:00:5e:00:00:01", ""])
def test_an_address_that_no_card_can_have_is_refused(mac):
    with pytest.raises(InvalidInput, match="is not a valid MAC address of a network card"):
        Nic("lan", "virtio", mac)


@pytest.mark.parametrize("vlan", [0, 4095, -1])
def test_a_vlan_that_there_is_not_is_refused(vlan):
    with pytest.raises(InvalidInput, match="from 1 to 4094"):
        Nic("lan", "virtio", vlan=vlan)


def test_a_mark_is_read_back_from_among_other_notes(image):
    assert Mark.parse(imported(image)) == mark_of(image)
    assert Mark.parse(imported(image, complete=False)) == mark_of(image, complete=False)
    assert Mark.parse("outofband.chr: image of mine") is None
    assert Mark.parse(None) is None


def test_an_import_of_another_run_is_left_to_it_when_this_one_fails(image):
    class Raced(Notes):
        def create(self):
            super().create()
            self.notes = str(Notes(image).mark(complete=False))
            raise ChrError("The disk was removed.")

    platform = Raced(image)
    with pytest.raises(ChrError, match=r"^The disk was removed\. Another run imports 'chr1' at the same time"):
        ensure_present(platform, running=True, check_mode=False)
    assert platform.steps == ["check", "create"]
    assert not Mark.parse(platform.notes).complete


@pytest.mark.parametrize("complete", [True, False])
def test_the_mark_of_another_vm_does_not_make_one_ours(image, complete):
    """Whoever may write notes can copy them. Such a VM would be sent secrets, or be removed."""
    platform = Notes(image, imported(image, complete, "chr2"))
    for ensure in (
        lambda: ensure_present(platform, running=True, check_mode=False),
        lambda: ensure_absent(platform, check_mode=False),
    ):
        with pytest.raises(NameTaken, match=r"with the mark of another VM in its notes: .*It was not touched"):
            ensure()
    assert platform.steps == []
    changed = str(mark_of(image)).replace(image.sha256, "0" * 64)
    with pytest.raises(NameTaken, match="with the mark of another VM"):
        ensure_absent(Notes(image, changed), check_mode=False)


def test_a_name_in_other_letters_is_the_same(image):
    assert mark_of(image, name="CHR1") == mark_of(image)


def test_a_vm_that_is_missing_is_checked_made_and_started(image):
    platform = Notes(image)
    outcome = ensure_present(platform, running=True, check_mode=False)
    assert (outcome.before, outcome.after, outcome.image) == ("absent", "running", image.sha256)
    assert platform.steps == ["check", "create", "start"]


@pytest.mark.parametrize(("breaks", "created"), [("check", False), ("create", False), ("start", True), ("", True)])
def test_a_vm_that_was_created_is_known_as_such_whatever_fails_afterwards(image, breaks, created):
    platform = Notes(image, breaks=breaks)
    with contextlib.suppress(NotPossible):
        ensure_present(platform, running=True, check_mode=False)
    assert platform.created == created == (platform.notes is not None)


WANTED = VmSpec("chr1", 2, 512, (Nic("lan", "virtio", "02:00:5e:10:00:01", 7), Nic(None, "e1000")), None)


@pytest.mark.parametrize(
    ("has", "differences"),
    [
        (Hardware(), []),
        (Hardware(2, 512, (Card("virtio", "02:00:5E:10:00:01", "lan", 7), Card("e1000", network="wan"))), []),
        (Hardware(1, 256), ["cpus 1 instead of 2", "memory 256 MiB instead of 512 MiB"]),
        (
            Hardware(2, 512, (Card("e1000", "02:00:5e:10:00:02", "dmz", 8),)),
            [
                "1 network cards instead of 2",
                "model e1000 of ether1 instead of virtio",
                "mac 02:00:5e:10:00:02 of ether1 instead of 02:00:5e:10:00:01",
                "network dmz of ether1 instead of lan",
                "vlan 8 of ether1 instead of 7",
            ],
        ),
    ],
)
def test_what_is_asked_for_and_different_is_named(has, differences):
    assert has.differences(WANTED) == differences


def test_a_vm_with_other_settings_is_left_alone_with_a_warning(image):
    platform = Notes(image, imported(image), running=True)
    platform.has = Hardware(cpus=4)
    assert not ensure_present(platform, running=True, check_mode=False).changed
    (said,) = platform.warnings
    assert "cpus 4 instead of 1" in said and "were not changed" in said
    spec = VmSpec("chr1", 1, 256, (), image)
    other = Notes(image, str(Mark.of(spec, "0" * 64, complete=True)), running=True)
    ensure_present(other, running=True, check_mode=True)
    assert "made from the image with the sha256 000" in other.warnings[0]
    unknown = Notes(image, imported(image), running=True, breaks="hardware")
    assert not ensure_present(unknown, running=True, check_mode=False).changed
    assert "is not known: It broke" in unknown.warnings[0]


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
