# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a look at a router and the way to it has found, and a table of many routers. No I/O."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    LoginRefused,
    NotAnAgent,
    NotPermitted,
    RouterLoginRefused,
    UntrustedCertificate,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import harmless, line

CheckState = t.Literal["wrong", "note", "good", "skipped"]
STATES: tuple[CheckState, ...] = ("wrong", "note", "good", "skipped")
"""Worst first. ``note``: nothing is wrong, but the operator may want to know it."""
TITLES = {
    "settings": "Settings",
    "hypervisor": "Hypervisor",
    "vm": "VM",
    "privileges": "Privileges",
    "power": "Power",
    "channel": "Channel",
    "agent": "Agent",
    "routeros": "RouterOS",
    "script": "Script",
    "files": "Files",
    "license": "License",
    "clock": "Clock",
    "cards": "Cards",
}
"""The checks in their order, and their titles."""
NEEDS: dict[str, tuple[str, ...]] = {
    "vm": ("hypervisor",),
    "privileges": ("vm",),
    "power": ("vm",),
    "channel": ("vm",),
    "agent": ("privileges", "power", "channel"),
    "routeros": ("agent",),
    "script": ("routeros",),
    "files": ("routeros",),
    "license": ("script",),
    "clock": ("license",),
    "cards": ("script",),
}
"""The checks without which a check cannot be made."""
SOON = 30.0
"""Days before the end of a license in which it is named."""

CURES = {
    "settings": "Correct what the message names. It is about the variables of this host, or about a library that is missing.",
    "hypervisor": "Check the address and the port of the hypervisor, that it is up, and that this controller reaches it.",
    "vm": "Put the id of the right VM into chr_vm. The login must be allowed to see it, and on backend xenstore it must run.",
    "privileges": "Give the login these privileges on the VM. The guide of the hypervisor has the table of what needs which.",
    "power": "Start the VM: outofband.chr.power with state: started. If it is on, chr_vm or chr_socket names another one.",
    "channel": "Add the agent channel as the guide of the hypervisor shows. Then stop the VM and start it again.",
    "agent": "A router that has just booted needs a moment (outofband.chr.wait_for_agent). Otherwise look at its console, and let "
    "it start anew: outofband.chr.power with state: reset.",
    "routeros": "Put the right VM into chr_vm. If it is the right one, its system is not a CHR: bring up a CHR image.",
    "script": "See 'How scripts are handed over' in the guide of the hypervisor.",
    "files": "Use outofband.chr.script, or let the router fetch the file itself (/tool fetch).",
    "license": "Read it on the router: /system license print.",
    "clock": "Set up /system ntp client on the router, or /system clock without a way to a time server.",
    "cards": "Reboot the router (outofband.chr.power with state: rebooted). If the card stays away, give the VM a card of a "
    "model that RouterOS has a driver for, such as virtio, vmxnet3 or e1000.",
}
"""What to do about a check that is wrong, if its error does not tell more."""
NO_AGENT = "Leave the router out of plays that need its agent. There is none to add on this hypervisor."
NO_SWITCH = "Do what the message says before you use outofband.chr.power."
_OF_ERRORS: tuple[tuple[type[ChrError], str, str], ...] = (
    (
        UntrustedCertificate,
        "certificate",
        "Put the file with the certificate of the authority into chr_ca_path, and a name that the certificate has into "
        "chr_api_host.",
    ),
    (
        LoginRefused,
        "login",
        "Correct the user and the password or token of the hypervisor in the inventory's vault or in AWX.",
    ),
    (
        RouterLoginRefused,
        "login",
        "Correct chr_guest_user and chr_guest_password. A list of passwords is tried in its order.",
    ),
    (
        NotPermitted,
        "refused",
        "Check the login. If it is right, give it the permission that the message names, as the guide of the hypervisor shows.",
    ),
    (VmNotFound, "not found", CURES["vm"]),
    (VmAmbiguous, "ambiguous", CURES["vm"]),
    (NotAnAgent, "other system", CURES["routeros"]),
    (InvalidInput, "variables", "Correct the variable that the message names."),
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    """One of TITLES."""
    state: CheckState
    short: str
    """One or two words for a table."""
    said: str = ""
    """A sentence, or several."""
    cure: str = ""
    """What to do. Only what is wrong or worth a note has it."""
    seconds: float | None = None
    """How long it took."""
    hides: bool = True
    """Whether checks that need this one are not made if it is wrong."""

    @property
    def stops(self) -> bool:
        return self.hides and self.state in ("wrong", "skipped")


@dataclass(frozen=True)
class Patient:
    """One router and all that was looked at."""

    name: str
    backend: str
    endpoint: str
    vm: str
    routeros: str
    checks: tuple[Check, ...]

    def of(self, state: CheckState) -> list[Check]:
        """The checks that have *state*, in their order."""
        return [one for one in self.checks if one.state == state]

    @property
    def state(self) -> CheckState:
        """The worst state of the checks that were made."""
        return next((state for state in STATES[:3] if self.of(state)), "skipped")


# -- verdicts --------------------------------------------------------------------------------------


def failed(name: str, error: ChrError) -> Check:
    """The check *name*, which *error* ended."""
    short, cure = next(
        ((short, cure) for kind, short, cure in _OF_ERRORS if isinstance(error, kind)), ("wrong", CURES[name])
    )
    return Check(name, "wrong", short, str(error), cure)


def not_made(name: str, made: t.Mapping[str, Check]) -> Check | None:
    """The check *name* that cannot be made because of those *made*. None if it can be."""
    for needed in NEEDS.get(name, ()):
        if (other := made.get(needed)) is None or not other.stops:
            continue
        why = (
            other.said
            if other.state == "skipped"
            else f"Not looked at, because of what is wrong under {TITLES[needed]}."
        )
        return Check(name, "skipped", "-", why)
    return None


def overdue(name: str, seconds: float) -> Check:
    """The check *name*, which did not end within *seconds*."""
    return Check(name, "wrong", "no end", f"It did not end within {seconds:g} s.", CURES[name])


def privileges(found: t.Sequence[tuple[str, str, bool | None]], wanted: t.Collection[str]) -> Check:
    """The check of privileges, each as (name, task that needs it, whether the login has it).

    *wanted*: the tasks that must be possible.
    """
    missing = [(name, task) for name, task, granted in found if granted is False]
    unknown = [name for name, _task, granted in found if granted is None]
    held = [name for name, _task, granted in found if granted]
    said = [f"{'; '.join(f'{name} is missing, for {task}' for name, task in missing)}."] if missing else []
    said += [f"Held: {', '.join(held)}."] if held else []
    said += [f"The hypervisor does not tell about {', '.join(unknown)}."] if unknown else []
    text = " ".join(said)
    if not missing:
        return Check("privileges", "good", "ok" if held else "not told", text)
    tasks = {task for _name, task in missing}
    cure = f"Give the login {', '.join(dict.fromkeys(name for name, _task in missing))}. The guide of the hypervisor shows how."
    if tasks & set(wanted):
        return Check("privileges", "wrong", "missing", text, cure, hides="script" in tasks)
    return Check("privileges", "note", "some", text, cure)


def files(whole: bool, largest: int | None, why: str, small: int, readable: bool, offered: bool) -> Check:
    """The check of files.

    *whole*: files of any kind can be moved, *largest* bytes of them at most, if that is bounded.
    *why*: why the way for larger ones does not work. *small*: if no such files can be moved, the
    largest one in bytes that scripts write, and *readable* whether they read it, too. *offered*:
    whether the agent offers files.
    """
    if whole and not offered:
        return Check("files", "note", "no", "The guest agent does not offer guest-file-open.", CURES["files"])
    if why:
        return Check(
            "files", "note", "some", f"Large files cannot be moved: {why}", "Correct chr_ssh_host, or leave it out."
        )
    if whole and largest is not None:
        text = (
            f"Files of at most {largest} bytes can be copied and fetched. With chr_ssh_host, larger ones can be, too."
        )
        return Check("files", "good", f"{largest >> 10} KiB", text)
    if whole:
        return Check("files", "good", "yes", "Files can be copied and fetched.")
    if small:
        ways = "copied and fetched" if readable else "copied"
        return Check("files", "good", "small", f"Text files of at most {small} bytes can be {ways}, by scripts.")
    return Check("files", "good", "no", "This backend moves no files.")


def license(state: t.Mapping[str, t.Any]) -> Check:
    """The check of a license, which is *state* as outofband.chr.license_info returns it."""
    level, left = state["level"], state["days_left"]
    short = level if left is None else f"{level} {left:.0f} d"
    cure = "Renew it with the playbook outofband.chr.license_renew."
    if state["expired"]:
        cure = (
            "Assign a prepaid key to the router in the account at mikrotik.com, then run outofband.chr.license_renew."
        )
        return Check("license", "wrong", "expired", f"The license {level} has expired. RouterOS refuses updates.", cure)
    if state["findings"]:
        cure = "Measure the router's speed, reboot it, and read the license again."
        return Check("license", "note", short, " ".join(state["findings"]), cure)
    if state["renewal_due"]:
        return Check("license", "note", short, f"The license {level} should have been renewed by now.", cure)
    if left is not None and left < SOON and level != "free":
        return Check("license", "note", short, f"The license {level} ends in {left:.0f} days.", cure)
    if level == "free":
        return Check("license", "good", short, "The license is free: 1 Mbit/s of upload on each interface.")
    return Check("license", "good", short, f"The license is {level}.")


def clock(ahead: float | None, wrong: bool) -> Check:
    """The check of the clock, which is *ahead* of the controller's by so many seconds."""
    if ahead is None:
        text = "The router does not show its time zone, so its clock cannot be compared with the controller's."
        return Check("clock", "note", "no zone", text, "Look at it: /system clock print.")
    off = round(ahead)
    text = f"The clock is {abs(off)} s {'behind' if off < 0 else 'ahead of'} the controller's."
    if wrong:
        text += " The router judges its license by it."
        return Check("clock", "wrong", _apart(off), text, CURES["clock"])
    return Check("clock", "good", f"{off:+d} s", text)


def _apart(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) > 1.5 * size:
            return f"{seconds / size:+.0f} {unit}"
    return f"{seconds:+d} s"


def cards(addresses: t.Sequence[str] | None, missing: t.Sequence[str], enough: bool) -> Check:
    """The check of network cards.

    *addresses*: the MAC addresses of the VM's cards, None if the hypervisor does not tell.
    *missing*: those that RouterOS does not show. *enough*: whether it has as many cards as the VM.
    """
    if addresses is None:
        if enough:
            return Check(
                "cards", "good", "1 or more", "The router has a card. The hypervisor does not tell how many it has."
            )
        return Check("cards", "wrong", "none", "The router has no Ethernet interface.", CURES["cards"])
    if not addresses:
        return Check("cards", "note", "none", "The VM has no network card.", "Give it one if the router is to route.")
    count = f"{len(addresses)} network card{'' if len(addresses) == 1 else 's'}"
    if enough:
        return Check("cards", "good", str(len(addresses)), f"The router has each of the VM's {count}.")
    named = f" RouterOS does not show {', '.join(missing)}." if missing else ""
    return Check(
        "cards",
        "wrong",
        "missing",
        f"The router has fewer Ethernet interfaces than the VM's {count}.{named}",
        CURES["cards"],
    )


# -- one router as values --------------------------------------------------------------------------


def as_data(patient: Patient) -> dict[str, t.Any]:
    """Return *patient* as values for JSON."""
    return {
        "name": patient.name,
        "state": patient.state,
        "backend": patient.backend,
        "endpoint": patient.endpoint,
        "vm": patient.vm,
        "routeros": patient.routeros,
        "checks": {
            one.name: {
                "state": one.state,
                "short": one.short,
                "said": one.said,
                "cure": one.cure,
                "ms": None if one.seconds is None else round(one.seconds * 1000),
            }
            for one in patient.checks
        },
    }


def from_data(data: t.Mapping[str, t.Any]) -> Patient:
    """Return the router that ``as_data`` has written. Raises KeyError, TypeError, ValueError."""
    checks = tuple(
        Check(
            name,
            _state(one["state"]),
            str(one["short"]),
            str(one["said"]),
            str(one["cure"]),
            None if one["ms"] is None else one["ms"] / 1000,
        )
        for name, one in data["checks"].items()
        if name in TITLES
    )
    name, backend, endpoint, vm, routeros = (
        str(data[key]) for key in ("name", "backend", "endpoint", "vm", "routeros")
    )
    return Patient(name, backend, endpoint, vm, routeros, checks)


def _state(value: str) -> CheckState:
    return next(one for one in STATES if one == value)


def unexamined(name: str, said: str) -> Patient:
    """A router that could not be looked at, for the reason *said*."""
    wrong = Check("settings", "wrong", "wrong", said or "No reason was given.", CURES["settings"])
    others = [
        Check(one, "skipped", "-", "Not looked at, because of what is wrong under Settings.")
        for one in TITLES
        if one != "settings"
    ]
    return Patient(name, "", "", "", "", (wrong, *others))


def problems(patient: Patient) -> str:
    """Return what is wrong with *patient* as one text, with the cures. Empty if nothing is."""
    wrong = patient.of("wrong")
    return " ".join(f"{TITLES[one.name]}: {one.said} Cure: {one.cure}" for one in wrong)


# -- many routers ----------------------------------------------------------------------------------

_ALL_NAMED = 20  # routers that a line names
_QUOTED = 3  # routers whose own words a finding quotes


def summary(patients: t.Sequence[Patient]) -> dict[str, t.Any]:
    """Return how many routers are in which state, and which checks are wrong where."""
    wrong = {name: [one.name for one in patients if name in _names(one, "wrong")] for name in TITLES}
    return {
        "total": len(patients),
        **{state: sum(one.state == state for one in patients) for state in STATES[:3]},
        "wrong_routers": [one.name for one in patients if one.state == "wrong"],
        "wrong_checks": {name: found for name, found in wrong.items() if found},
    }


def _names(patient: Patient, state: CheckState) -> set[str]:
    return {one.name for one in patient.of(state)}


def verdict(patients: t.Sequence[Patient]) -> str:
    """Return a sentence about all routers."""
    counts = summary(patients)
    if not patients:
        return "There is no router to look at."
    if not counts["wrong"]:
        return f"Nothing is wrong with {_routers(len(patients))}."
    checks = ", ".join(f"{TITLES[name]} of {len(found)}" for name, found in counts["wrong_checks"].items())
    return f"Something is wrong with {counts['wrong']} of {_routers(len(patients))}: {checks}."


def _routers(count: int) -> str:
    return f"{count} router{'' if count == 1 else 's'}"


def table(patients: t.Sequence[Patient]) -> list[str]:
    """Return the lines of a table with a row for each router, worst first, and of its findings."""
    shown = [name for name in TITLES if name != "settings" or any(_names(one, "wrong") & {name} for one in patients)]
    rows = [["Router", *(TITLES[name] for name in shown)]]
    for patient in ordered(patients):
        made = {one.name: one for one in patient.checks}
        cells = [_cell(made[name]) if name in made else "-" for name in shown]
        rows.append([line(harmless(patient.name), 60), *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for state in STATES[:2]:
        for finding in findings(patients, state):
            lines += _lines(finding)
    return [*lines, "", verdict(patients)]


def ordered(patients: t.Sequence[Patient]) -> list[Patient]:
    """Return *patients* with the worst first, those that are alike in their own order."""
    return sorted(patients, key=lambda one: STATES.index(one.state))


def _cell(check: Check) -> str:
    mark = {"wrong": "!! ", "note": "! "}.get(check.state, "")
    return f"{mark}{line(harmless(check.short), 24)}"


@dataclass(frozen=True)
class GroupedFinding:
    """One check that is wrong or worth a note on some routers, with one cure."""

    check: str
    state: CheckState
    cure: str
    routers: tuple[tuple[str, str], ...]
    """The name of each router, and what was found there."""


def findings(patients: t.Sequence[Patient], state: CheckState) -> list[GroupedFinding]:
    """Return the findings of *state*, in the order of the checks."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for patient in patients:
        for check in patient.of(state):
            groups.setdefault((check.name, check.cure), []).append((patient.name, check.said))
    found = [GroupedFinding(name, state, cure, tuple(routers)) for (name, cure), routers in groups.items()]
    order = list(TITLES)
    return sorted(found, key=lambda one: order.index(one.check))


def _lines(finding: GroupedFinding) -> list[str]:
    names = ", ".join(line(name, 60) for name, _said in finding.routers[:_ALL_NAMED])
    count = len(finding.routers)
    more = f" and {count - _ALL_NAMED} more" if count > _ALL_NAMED else ""
    return [
        "",
        f"{finding.state.upper()}  {TITLES[finding.check]} of {_routers(count)}: {names}{more}",
        *(f"  {line(name, 60)}: {line(harmless(said), 1000)}" for name, said in finding.routers[:_QUOTED]),
        *([f"  Cure: {finding.cure}"] if finding.cure else []),
    ]


def timed(check: Check, seconds: float) -> Check:
    """Return *check* with the time that it took."""
    return dataclasses.replace(check, seconds=seconds)
