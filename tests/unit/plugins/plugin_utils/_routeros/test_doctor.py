# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdicts of the doctor, and its table."""

from __future__ import annotations

import json

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core import errors
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import CURES, NEEDS, TITLES, Check, Patient

LICENSE = {"level": "p1", "days_left": 61.5, "expired": False, "renewal_due": False, "findings": []}


def patient(name: str, **states: str) -> Patient:
    checks = tuple(Check(one, states.get(one, "good"), "ok", f"{one} of {name}", "Do it.") for one in TITLES)
    return Patient(name, "qemu", "the controller", "/run/x.sock", "7.22", checks)


def test_each_check_has_a_cure_and_needs_only_earlier_ones():
    assert set(CURES) == set(TITLES)
    order = list(TITLES)
    for name, needed in NEEDS.items():
        assert all(order.index(one) < order.index(name) for one in needed)


@pytest.mark.parametrize(
    ("error", "short", "cure"),
    [
        (errors.UntrustedCertificate("x"), "certificate", "chr_ca_path"),
        (errors.LoginRefused("x"), "login", "password"),
        (errors.RouterLoginRefused("x"), "login", "chr_guest_password"),
        (errors.NotPermitted("x"), "refused", "permission"),
        (errors.VmNotFound("x"), "not found", "chr_vm"),
        (errors.VmAmbiguous("x"), "ambiguous", "chr_vm"),
        (errors.NotAnAgent("x"), "other system", "CHR"),
        (errors.InvalidInput("x"), "variables", "variable"),
        (errors.Unreachable("x"), "wrong", "address"),
        (errors.NotPossible("x"), "wrong", "address"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_has_the_cure_of_its_kind_or_of_the_check(error, short, cure):
    check = doctor.failed("hypervisor", error)
    assert (check.state, check.short, check.said) == ("wrong", short, "x")
    assert cure in check.cure


def test_a_check_is_not_made_without_what_it_needs_and_says_which():
    made = {"hypervisor": Check("hypervisor", "wrong", "login", "refused")}
    for name in list(TITLES)[2:]:
        made[name] = doctor.not_made(name, made)
        assert made[name].state == "skipped"
        assert made[name].said == "Not looked at, because of what is wrong under Hypervisor."


def test_a_note_hides_nothing():
    made = {name: Check(name, "note", "x") for name in TITLES}
    assert all(doctor.not_made(name, made) is None for name in TITLES)


@pytest.mark.parametrize(
    ("found", "tasks", "state", "hides"),
    [
        ([("A", "script", True), ("P", "power", True)], ["script"], "good", True),
        ([("A", "script", False), ("P", "power", True)], ["script"], "wrong", True),
        ([("A", "script", True), ("P", "power", False)], ["script"], "note", True),
        ([("A", "script", True), ("P", "power", False)], ["script", "power"], "wrong", False),
        ([("A", "script", False), ("P", "power", False)], ["script", "power"], "wrong", True),
        ([("A", "script", None)], ["script"], "good", True),
    ],
)
def test_a_missing_privilege_is_wrong_if_a_task_that_is_meant_needs_it(found, tasks, state, hides):
    check = doctor.privileges(found, tasks)
    assert (check.state, check.hides) == (state, hides)
    for name, task, granted in found:
        assert (f"{name} is missing, for {task}" in check.said) == (granted is False)
        assert (name in check.cure) == (granted is False)


def test_a_login_without_a_privilege_for_power_still_runs_scripts():
    check = doctor.privileges([("A", "script", True), ("P", "power", False)], ["power"])
    assert doctor.not_made("agent", {"privileges": check}) is None


@pytest.mark.parametrize(
    ("changes", "state", "short"),
    [
        ({}, "good", "p1 62 d"),
        ({"days_left": None}, "good", "p1"),
        ({"days_left": 12.4}, "note", "p1 12 d"),
        ({"renewal_due": True}, "note", "p1 62 d"),
        ({"findings": ["Odd."]}, "note", "p1 62 d"),
        ({"expired": True, "days_left": -3.0}, "wrong", "expired"),
        ({"level": "free", "days_left": None}, "good", "free"),
    ],
)
def test_the_verdict_on_a_license(changes, state, short):
    check = doctor.license(LICENSE | changes)
    assert (check.state, check.short) == (state, short)
    assert bool(check.cure) == (state != "good")


@pytest.mark.parametrize(
    ("ahead", "wrong", "state", "short", "said"),
    [
        (0.4, False, "good", "+0 s", "0 s ahead of"),
        (-0.4, False, "good", "+0 s", "0 s ahead of"),
        (-12.0, False, "good", "-12 s", "12 s behind"),
        (7200.0, True, "wrong", "+2 h", "7200 s ahead of"),
        (-400.0, True, "wrong", "-7 min", "400 s behind"),
        (864000.0, True, "wrong", "+10 d", "864000 s ahead of"),
        (None, False, "note", "no zone", "time zone"),
    ],
)
def test_the_verdict_on_a_clock(ahead, wrong, state, short, said):
    check = doctor.clock(ahead, wrong)
    assert (check.state, check.short) == (state, short)
    assert said in check.said


@pytest.mark.parametrize(
    ("addresses", "missing", "enough", "state", "said"),
    [
        (("A", "B"), (), True, "good", "2 network cards"),
        (("A", "B"), ("B",), False, "wrong", "does not show B"),
        (("A",), (), False, "wrong", "1 network card."),
        ((), (), True, "note", "no network card"),
        (None, (), True, "good", "does not tell how many"),
        (None, (), False, "wrong", "no Ethernet interface"),
    ],
)
def test_the_verdict_on_cards(addresses, missing, enough, state, said):
    check = doctor.cards(addresses, missing, enough)
    assert check.state == state
    assert said in check.said


@pytest.mark.parametrize(
    ("arguments", "state", "short"),
    [
        ((True, None, "", 0, True, True), "good", "yes"),
        ((True, 61440, "", 0, True, True), "good", "60 KiB"),
        ((True, None, "ssh failed.", 0, True, True), "note", "some"),
        ((True, None, "", 0, True, False), "note", "no"),
        ((False, None, "", 4095, True, True), "good", "small"),
        ((False, None, "", 0, True, True), "good", "no"),
    ],
)
def test_the_verdict_on_files(arguments, state, short):
    check = doctor.files(*arguments)
    assert (check.state, check.short) == (state, short)


def test_a_router_survives_the_way_through_json():
    before = patient("chr1", agent="wrong", clock="note")
    after = doctor.from_data(json.loads(json.dumps(doctor.as_data(before))))
    assert after == before


@pytest.mark.parametrize("broken", [{}, {"checks": {"agent": {}}}, {"checks": None}])
def test_other_data_is_refused(broken):
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        doctor.from_data({"name": "a", "backend": "b", "endpoint": "c", "vm": "d", "routeros": "e", **broken})


def test_the_table_has_a_row_for_each_router_and_the_worst_first():
    lines = doctor.table([patient("good1"), patient("noted", clock="note"), patient("bad", agent="wrong")])
    assert [one.split()[0] for one in lines[:4]] == ["Router", "bad", "noted", "good1"]
    assert "Settings" not in lines[0]
    assert "WRONG  Agent of 1 router: bad" in lines
    assert "NOTE  Clock of 1 router: noted" in lines
    assert "  Cure: Do it." in lines
    assert lines[-1] == "Something is wrong with 1 of 3 routers: Agent of 1."


def test_a_router_that_could_not_be_looked_at_has_a_row_that_says_why():
    lines = doctor.table([patient("good"), doctor.unexamined("broken", "'x' is undefined")])
    assert "Settings" in lines[0]
    assert lines[1].split()[:3] == ["broken", "!!", "wrong"]
    assert "  broken: 'x' is undefined" in lines


def test_one_fault_of_many_routers_is_one_finding():
    lines = doctor.table([patient(f"r{number:03d}", hypervisor="wrong") for number in range(300)])
    assert len(lines) < 320
    (head,) = [one for one in lines if one.startswith("WRONG")]
    assert head.startswith("WRONG  Hypervisor of 300 routers: r000, ")
    assert head.endswith(" and 280 more")


def test_words_of_others_cannot_break_the_table():
    evil = Patient("a\nb", "", "", "", "", (Check("agent", "wrong", "x\x1b[2J", "said\x1b[31m\nmore", "Do it."),))
    lines = doctor.table([evil])
    assert not any("\n" in one or "\x1b" in one for one in lines)


def test_nothing_is_wrong():
    assert doctor.verdict([patient("a")]) == "Nothing is wrong with 1 router."
    assert doctor.summary([patient("a")])["wrong_checks"] == {}
    assert doctor.verdict([]) == "There is no router to look at."
