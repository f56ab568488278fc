# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What is done with a VM on any platform: create it, adopt it, reconcile it, remove it.

A platform (``vm.py``) does not decide. These functions call its methods in the right order.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError

from .hardware import Difference, Hardware, differences
from .vm import UNKNOWN, AnyPlatform, Found, NameTaken, Outcome

_ADOPT = "If it is the router, state: present with adopt: true takes it over as it is."


@dataclass(frozen=True)
class Allowed:
    """What a task allows with a VM that exists already."""

    adopt: bool = False
    """Mark a VM that this collection did not make."""
    reconcile: bool = False
    """Change its hardware to what is asked for."""
    restart: bool = False
    """Turn it off for that, and on again."""
    shut_down: t.Callable[[Found], None] = lambda found: None
    """Asks the router to shut down. Returns when it is off, or if it will not do so."""


def ensure_present(platform: AnyPlatform, *, running: bool, check_mode: bool, allowed: Allowed = Allowed()) -> Outcome:
    """Create the VM from the image if it does not exist, and start it if *running* says so.

    A VM that exists is compared with what the task asks for. What is done about a difference, or
    about a VM that this collection did not make, is what is *allowed*. There is a warning for each
    difference that remains. Raises NameTaken and the errors of the platform. After an error nothing
    is left behind, or the text says what is.
    """
    there = platform.find()
    found, adopted = _adopted(platform, there, check_mode) if allowed.adopt else (there, False)
    found = _ours(platform, found)
    before = _state(found)
    image = platform.image
    if found is None or before == "unfinished":
        platform.check()
        if check_mode:
            return Outcome(before, "running" if running else "stopped", None, image.sha256)
        if found is not None:
            platform.remove(found)
        found = _create(platform)
        platform.created = True
        outcome = Outcome(before, _state(found), found.id, found.image)
    else:
        hardware, different = _compare(platform, found)
        reconciled = _reconcile(platform, found, different, allowed, check_mode=check_mode)
        _warn(platform, found, [one for one in different if one not in reconciled], allowed)
        outcome = Outcome(before, before, found.id, found.image, adopted, hardware, different, reconciled)
    if running and not found.running:
        if not check_mode:
            platform.start(found)
        return dataclasses.replace(outcome, after="running")
    return outcome


def ensure_absent(
    platform: AnyPlatform, *, check_mode: bool, before_removal: t.Callable[[Found], None] = lambda found: None
) -> Outcome:
    """Remove the VM if this collection made it. Raises NameTaken if somebody else did.

    *before_removal* is called with a complete VM, and may raise ChrError to keep it.
    """
    found = _ours(platform, platform.find())
    if found is not None and _state(found) != "unfinished":
        before_removal(found)
    if found is not None and not check_mode:
        platform.remove(found)
    return Outcome(_state(found), "absent", None, None)


def _adopted(platform: AnyPlatform, found: Found | None, check_mode: bool) -> tuple[Found | None, bool]:
    """Mark *found* if it has no mark, or that of another VM which was imported whole.

    Returns it with its mark, and whether that is new.
    """
    if found is None or (found.mark and (found.mark.holds_for(platform.spec.name) or not found.mark.complete)):
        return found, False
    platform.check_adopt(found)
    mark = platform.mark(complete=True, image=UNKNOWN)
    if check_mode:
        return dataclasses.replace(found, mark=mark), True
    platform.adopt(found, mark)
    platform.touched = True
    return platform.find(), True


def _compare(platform: AnyPlatform, found: Found) -> tuple[Hardware | None, tuple[Difference, ...]]:
    """What *found* has, and what of it is different from what the task asks for."""
    try:
        hardware = platform.hardware(found)
        different = _differences(platform, hardware)
    except (ChrError, ValueError, KeyError, TypeError, AttributeError) as error:
        platform.warnings.append(
            f"{platform.spec.name}: whether {platform.title} has it with the settings that are wanted is not known: {error}"
        )
        return None, ()
    if found.image not in (None, platform.image.sha256):
        different = (*different, Difference("image", str(found.image), platform.image.sha256))
    return hardware, different


def _differences(platform: AnyPlatform, hardware: Hardware) -> tuple[Difference, ...]:
    asked, least = platform.asked(), platform.spec.memory
    if asked.memory is None and hardware.memory is not None and hardware.memory < least:
        asked = dataclasses.replace(asked, memory=least)
    return differences(hardware, asked)


def _reconcile(
    platform: AnyPlatform, found: Found, different: tuple[Difference, ...], allowed: Allowed, *, check_mode: bool
) -> tuple[Difference, ...]:
    """Change what is *different*, as far as that is allowed and possible. Returns what was changed.

    A VM that ran runs again afterwards, also after an error.
    """
    wanted = tuple(one for one in different if one.what in platform.changeable)
    if not allowed.reconcile or not wanted or (found.running and not allowed.restart):
        return ()
    platform.check_change(found, wanted)
    if check_mode:
        return wanted
    platform.touched = True
    try:
        _turn_off(platform, found, allowed)
        off = dataclasses.replace(found, running=False)
        # Changes that waited for the VM to be off may be in force now.
        if left := _those_of(wanted, _differences(platform, platform.hardware(off))):
            platform.change(off, left)
        if missed := _those_of(wanted, _differences(platform, platform.hardware(off))):
            raise ChrError(
                f"{platform.title} changed {platform.spec.name!r} ({found.id}) without an error, but still shows "
                f"{'; '.join(map(str, missed))}."
            )
    except BaseException as error:
        _start_again(platform, found, error)
        raise
    if found.running:
        try:
            platform.start(found)
        except ChrError as error:
            error.args = (f"{str(error).rstrip('.')}. THE VM IS OFF: it was turned off and changed as asked for.",)
            raise
    return wanted


def _turn_off(platform: AnyPlatform, found: Found, allowed: Allowed) -> None:
    """Turn *found* off if it runs, as if its power was cut if the router itself does not do so."""
    if not found.running:
        return
    allowed.shut_down(found)
    now = platform.find()
    if now is not None and now.running:
        platform.stop(now)


def _those_of(wanted: t.Iterable[Difference], different: t.Iterable[Difference]) -> list[Difference]:
    """Those of the things *wanted* that are *different*."""
    about = {(one.what, one.card) for one in wanted}
    return [one for one in different if (one.what, one.card) in about]


def _start_again(platform: AnyPlatform, found: Found, error: BaseException) -> None:
    """Start *found* if it ran before *error* and is off now. The text of *error* then says so."""
    if not found.running:
        return
    said = "The VM was turned on again."
    try:
        now = platform.find()
        if now is not None and now.running:
            return
        platform.start(found)
    except ChrError as second:
        said = f"THE VM IS OFF: it was turned off for the change and could not be turned on again ({second})"
    if isinstance(error, ChrError):
        error.args = (f"{str(error).rstrip('.')}. {said}",)


def _warn(platform: AnyPlatform, found: Found, different: t.Iterable[Difference], allowed: Allowed) -> None:
    """Warn of each difference that remains, and say what changes it."""
    for one in different:
        if one.what == "image":
            cure = "A router changes its disk by itself, so it was left alone. To import the image, remove the VM first"
        elif one.what not in platform.changeable:
            cure = "This collection does not change that there. Change it yourself"
        elif not allowed.reconcile:
            cure = "It was not changed; reconcile: true changes it"
        else:
            cure = "It was not changed because the VM runs; restart: true lets it be turned off for that and on again"
        platform.warnings.append(f"{platform.title} has {platform.spec.name!r} ({found.id}) with {one}. {cure}.")


def _create(platform: AnyPlatform) -> Found:
    try:
        platform.create()
        found = platform.find()
        if found is None or _state(found) == "unfinished":
            raise ChrError(
                f"{platform.title} does not show {platform.spec.name!r} although it was made without an error."
            )
        return found
    except BaseException as error:
        _clean_up(platform, error)
        raise


def _clean_up(platform: AnyPlatform, error: BaseException) -> None:
    """Remove what a broken import left. If that fails, the text of *error* says so."""
    try:
        found = platform.find()
        if found is None or found.mark is None or found.mark.complete:
            return
        if found.mark.run in ("", platform.run):
            platform.remove(found)
        elif isinstance(error, ChrError):
            error.args = (
                f"{error} Another run imports {platform.spec.name!r} at the same time; what it has made was left to it.",
            )
    except ChrError as second:
        if isinstance(error, ChrError):
            error.args = (
                f"{error} What was made until then could not be removed ({second}): it is marked as "
                "unfinished, and the next run removes it.",
            )


def _ours(platform: AnyPlatform, found: Found | None) -> Found | None:
    if found is not None and found.mark is not None and not found.mark.holds_for(platform.spec.name):
        raise NameTaken(
            f"{platform.title} already has {platform.spec.name!r} ({found.id}), with the mark of another VM in its notes: it was "
            "renamed, or somebody copied the notes. It was not touched. Choose another name, or rename or remove it yourself. "
            f"{_ADOPT}"
        )
    if found is not None and found.mark is None:
        raise NameTaken(
            f"{platform.title} already has {platform.spec.name!r} ({found.id}), and this collection "
            "did not import it. It was not touched. Choose another name, or rename or remove it "
            f"yourself. {_ADOPT}"
        )
    return found


def _state(found: Found | None) -> str:
    if found is None:
        return "absent"
    if found.mark is not None and not found.mark.complete:
        return "unfinished"
    return "running" if found.running else "stopped"
