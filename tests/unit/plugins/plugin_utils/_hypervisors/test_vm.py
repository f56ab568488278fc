# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM is there whole or not at all, on a platform that is a list of notes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    UNTAGGED,
    Card,
    Difference,
    Hardware,
    differences,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    NameTaken,
    Nic,
    Platform,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image


class Notes(Platform):
    """Keeps VMs as notes; *breaks* names the step that fails."""

    title = "the list of notes"

    changeable = frozenset({"cpus", "memory", "vlan"})

    def __init__(self, image, notes=None, running=False, breaks="", error=None, asked=None):
        super().__init__(VmSpec("chr1", 1, 256, (), image, asked or Hardware()), None, VmSettings(), print)
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

    def stop(self, found):
        self._step("stop")
        self.running = False

    def check_change(self, found, wanted):
        self._step("check_change")

    def change(self, found, wanted):
        assert not self.running
        assert not found.running
        self._step("change")
        self.has = replace(self.has, **{one.what: one.asked for one in wanted})

    adoptable = True

    def check_adopt(self, found):
        if not self.adoptable:
            super().check_adopt(found)

    def adopt(self, found, mark):
        self._step("adopt")
        self.notes = mark.put_into(self.notes)


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


ASKED = Hardware(
    2,
    512,
    (Card("virtio", "02:00:5e:10:00:01", "lan", 7), Card("e1000", vlan=UNTAGGED)),
    agent=True,
    boot=DISK,
)


@pytest.mark.parametrize(
    ("has", "told"),
    [
        (Hardware(), []),
        (Hardware(2, 512, (Card("virtio", "02:00:5E:10:00:01", "lan", 7), Card("e1000", network="wan", vlan=0))), []),
        (Hardware(1, 256), ["cpus 1 instead of 2", "memory 256 MiB instead of 512 MiB"]),
        (Hardware(agent=False), ["channel of the guest agent missing instead of present"]),
        (Hardware(boot="network"), ["boot network instead of disk"]),
        (
            Hardware(2, 512, (Card("e1000", "02:00:5e:10:00:02", "dmz", 8),)),
            [
                "number of network cards 1 instead of 2",
                "model of ether1 e1000 instead of virtio",
                "mac of ether1 02:00:5e:10:00:02 instead of 02:00:5e:10:00:01",
                "network of ether1 dmz instead of lan",
                "vlan of ether1 8 instead of 7",
            ],
        ),
        (
            Hardware(nics=(Card(vlan=UNTAGGED), Card(vlan=9))),
            ["vlan of ether1 untagged instead of 7", "vlan of ether2 9 instead of untagged"],
        ),
    ],
)
def test_what_is_asked_for_and_different_is_named(has, told):
    assert [str(one) for one in differences(has, ASKED)] == told


def test_what_is_not_asked_for_is_no_difference():
    """A VM that somebody tuned by hand is not fought."""
    tuned = Hardware(8, 4096, (Card("e1000", "02:00:5e:10:00:09", "dmz", 8),), agent=True, boot=DISK)
    assert differences(tuned, Hardware(agent=True, boot=DISK)) == ()
    assert differences(tuned, Hardware(nics=(Card(),))) == ()


def test_each_difference_has_a_warning_and_the_vm_is_left_alone(image):
    platform = Notes(image, imported(image), running=True, asked=Hardware(1, boot=DISK))
    platform.has = Hardware(cpus=4, boot="network")
    outcome = ensure_present(platform, running=True, check_mode=False)
    assert not outcome.changed
    assert [(one.what, one.found, one.asked) for one in outcome.differences] == [
        ("cpus", 4, 1),
        ("boot", "network", "disk"),
    ]
    cpus, boot = platform.warnings
    assert "cpus 4 instead of 1. It was not changed; reconcile: true changes it." in cpus
    assert "boot network instead of disk. This collection does not change that there. Change it yourself." in boot
    assert platform.steps == []


def test_another_image_is_a_difference_that_is_never_changed(image):
    spec = VmSpec("chr1", 1, 256, (), image)
    other = Notes(image, str(Mark.of(spec, "0" * 64, complete=True)), running=True)
    outcome = ensure_present(other, running=True, check_mode=False, allowed=Allowed(reconcile=True, restart=True))
    assert not outcome.changed
    assert f"image {'0' * 64} instead of {image.sha256}" in other.warnings[0]
    assert "To import the image, remove the VM first" in other.warnings[0]


def test_settings_that_cannot_be_read_are_told_and_nothing_is_reconciled(image):
    unknown = Notes(image, imported(image), running=True, breaks="hardware")
    assert not ensure_present(unknown, running=True, check_mode=False, allowed=EVERYTHING).changed
    assert "is not known: It broke" in unknown.warnings[0]


def test_memory_that_is_not_asked_for_may_be_more_than_required_and_not_less(image):
    platform = Notes(image, imported(image), running=True)
    platform.has = Hardware(memory=1024)
    assert ensure_present(platform, running=True, check_mode=False).differences == ()
    platform.has = Hardware(memory=128)
    (less,) = ensure_present(platform, running=True, check_mode=False).differences
    assert str(less) == "memory 128 MiB instead of 256 MiB"


# -- reconcile -------------------------------------------------------------------------------------

EVERYTHING = Allowed(adopt=True, reconcile=True, restart=True)


def drifted(image, **options):
    platform = Notes(image, imported(image), asked=Hardware(1, 256), **options)
    platform.has = Hardware(cpus=4, memory=128)
    return platform


def test_reconcile_changes_a_vm_that_is_off_once(image):
    platform = drifted(image)
    for changed in (True, False):
        outcome = ensure_present(platform, running=False, check_mode=False, allowed=Allowed(reconcile=True))
        assert outcome.changed == changed
        assert outcome.reconciled == outcome.differences
    assert platform.has == Hardware(1, 256)
    assert platform.steps == ["check_change", "change"]
    assert platform.warnings == []


@pytest.mark.parametrize(
    ("different", "connected"),
    [
        ([Difference("cpus", 1, 2)], []),
        ([Difference("nics", 1, 3)], [2, 3]),
        ([Difference("nics", 3, 1)], []),
        ([Difference("network", "lan", "wan", 1), Difference("mac", "a", "b", 3)], [1]),
        ([Difference("vlan", 0, 7, 1), Difference("vlan", 0, 7, 2)], [1]),
    ],
)
def test_the_networks_that_a_change_needs_are_those_of_its_cards(image, different, connected):
    platform = Notes(image)
    platform.spec = replace(platform.spec, nics=tuple(Nic(name, "virtio", vlan=7) for name in ("wan", None, "dmz")))
    assert platform.connected(different) == [platform.spec.nics[number - 1] for number in connected]


def test_a_vm_that_runs_is_not_turned_off_without_restart(image):
    platform = drifted(image, running=True)
    assert not ensure_present(platform, running=True, check_mode=False, allowed=Allowed(reconcile=True)).changed
    assert all("restart: true lets it be turned off" in one for one in platform.warnings)
    assert len(platform.warnings) == 2
    assert platform.steps == []


@pytest.mark.parametrize("running", [True, False])
def test_with_restart_it_is_turned_off_changed_and_turned_on_again(image, running):
    platform = drifted(image, running=True)
    assert ensure_present(platform, running=running, check_mode=False, allowed=EVERYTHING).after == "running"
    assert platform.steps == ["check_change", "stop", "change", "start"]


def test_a_router_that_shuts_down_when_it_is_asked_is_not_cut_off(image):
    platform = drifted(image, running=True)

    def obey(found):
        platform.running = False

    ensure_present(platform, running=True, check_mode=False, allowed=replace(EVERYTHING, shut_down=obey))
    assert platform.steps == ["check_change", "change", "start"]


def test_a_vm_that_could_not_be_turned_off_is_not_started(image):
    platform = drifted(image, running=True, breaks="stop")
    with pytest.raises(NotPossible, match="^It broke.$"):
        ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING)
    assert platform.steps == ["check_change", "stop"]


def test_check_mode_says_what_would_be_reconciled_and_changes_nothing(image):
    platform = drifted(image, running=True)
    outcome = ensure_present(platform, running=True, check_mode=True, allowed=EVERYTHING)
    assert [one.what for one in outcome.reconciled] == ["cpus", "memory"]
    assert outcome.changed
    assert platform.steps == ["check_change"]


@pytest.mark.parametrize("error", [NotPossible("It broke."), KeyboardInterrupt()])
def test_a_vm_that_ran_runs_again_after_a_change_that_failed(image, error):
    platform = drifted(image, running=True, breaks="change", error=error)
    with pytest.raises(type(error)) as raised:
        ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING)
    assert platform.running
    assert platform.touched
    if isinstance(error, NotPossible):
        assert str(raised.value) == "It broke. The VM was turned on again."


def test_a_vm_that_stays_off_after_a_change_that_failed_is_told(image):
    class Stuck(Notes):
        def start(self, found):
            raise ChrError("No power.")

    platform = Stuck(image, imported(image), running=True, asked=Hardware(1), breaks="change")
    platform.has = Hardware(cpus=4)
    with pytest.raises(NotPossible, match=r"It broke\. THE VM IS OFF: .* \(No power\.\)"):
        ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING)


def test_a_vm_that_does_not_start_with_what_was_asked_for_is_told(image):
    platform = drifted(image, running=True, breaks="start")
    with pytest.raises(NotPossible, match=r"It broke\. THE VM IS OFF: it was turned off and changed as asked for"):
        ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING)
    assert platform.steps == ["check_change", "stop", "change", "start"]


def test_a_change_that_did_not_last_is_an_error(image):
    class Forgetful(Notes):
        def change(self, found, wanted):
            self._step("change")

    platform = Forgetful(image, imported(image), asked=Hardware(1))
    platform.has = Hardware(cpus=4)
    with pytest.raises(ChrError, match="without an error, but still shows cpus 4 instead of 1"):
        ensure_present(platform, running=False, check_mode=False, allowed=EVERYTHING)


def test_a_change_that_waited_for_the_power_to_go_off_is_not_made_again(image):
    class Waiting(Notes):
        def stop(self, found):
            super().stop(found)
            self.has = Hardware(1)

    platform = Waiting(image, imported(image), running=True, asked=Hardware(1))
    platform.has = Hardware(cpus=4)
    assert ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING).changed
    assert platform.steps == ["check_change", "stop", "start"]


# -- adopt -----------------------------------------------------------------------------------------


def test_a_vm_of_somebody_else_is_adopted_once_and_keeps_its_notes(image):
    platform = Notes(image, "A router.\n", running=True)
    platform.has = Hardware(8)
    for adopted in (True, False):
        outcome = ensure_present(platform, running=True, check_mode=False, allowed=Allowed(adopt=True))
        assert (outcome.adopted, outcome.changed, outcome.image) == (adopted, adopted, None)
        assert outcome.hardware == Hardware(8)
    assert platform.steps == ["adopt"]
    assert platform.notes.startswith("A router.\n\noutofband.chr: image unknown imported for ")
    assert ensure_absent(platform, check_mode=False).changed


def test_check_mode_shows_what_would_be_adopted_and_marks_nothing(image):
    platform = Notes(image, "A router.")
    platform.has = Hardware(8)
    outcome = ensure_present(platform, running=False, check_mode=True, allowed=Allowed(adopt=True))
    assert outcome.adopted
    assert outcome.hardware == Hardware(8)
    assert (platform.steps, platform.notes) == ([], "A router.")


def test_a_vm_that_was_renamed_is_adopted_with_one_mark(image):
    platform = Notes(image, imported(image, name="chr2"))
    assert ensure_present(platform, running=False, check_mode=False, allowed=Allowed(adopt=True)).adopted
    assert platform.notes.count("outofband.chr: image") == 1
    assert Mark.parse(platform.notes).holds_for("chr1")


def test_what_another_import_has_not_finished_is_not_adopted(image):
    platform = Notes(image, imported(image, complete=False, name="chr2"))
    with pytest.raises(NameTaken, match="with the mark of another VM"):
        ensure_present(platform, running=False, check_mode=False, allowed=Allowed(adopt=True))
    assert platform.steps == []


def test_a_platform_that_cannot_adopt_says_so(image):
    platform = Notes(image, "A router.")
    platform.adoptable = False
    with pytest.raises(NotPossible, match="adopt is not possible there. It was not touched"):
        ensure_present(platform, running=False, check_mode=False, allowed=Allowed(adopt=True))


def test_an_adopted_vm_is_reconciled_in_the_same_run(image):
    platform = Notes(image, "A router.", running=True, asked=Hardware(1))
    platform.has = Hardware(cpus=4)
    outcome = ensure_present(platform, running=True, check_mode=False, allowed=EVERYTHING)
    assert outcome.adopted
    assert platform.has == Hardware(1)
    assert platform.steps == ["adopt", "check_change", "stop", "change", "start"]


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
    with pytest.raises(NameTaken, match="this collection did not import it.*adopt: true takes it over"):
        ensure(platform)
    assert platform.steps == []


def test_what_is_asked_before_a_removal_can_keep_a_complete_vm(image):
    def refuse(found):
        raise NotPossible("It is licensed.")

    platform = Notes(image, imported(image), running=True)
    with pytest.raises(NotPossible, match="It is licensed"):
        ensure_absent(platform, check_mode=False, before_removal=refuse)
    assert platform.steps == []
    unfinished = Notes(image, imported(image, complete=False))
    assert ensure_absent(unfinished, check_mode=False, before_removal=refuse).changed


def test_absent_removes_what_is_ours_finished_or_not_once(image):
    for complete in (True, False):
        platform = Notes(image, imported(image, complete), running=True)
        assert ensure_absent(platform, check_mode=True).changed
        assert platform.steps == []
        assert ensure_absent(platform, check_mode=False).changed
        assert not ensure_absent(platform, check_mode=False).changed
        assert platform.steps == ["remove"]
