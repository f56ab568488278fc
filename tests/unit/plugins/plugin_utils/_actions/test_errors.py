# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import (
    ansible_error,
    failed,
    failure,
    outcome,
    result_of,
    topic,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core import errors, masking

SECRET = "password=s3cret"
UNREACHABLE = (errors.Unreachable(SECRET), AnsibleConnectionFailure(SECRET))
UNKNOWN = errors.OutcomeUnknown(SECRET, left="Remove x.rsc.")
FAILED = (
    UNKNOWN,
    errors.NoSecretWay(SECRET),
    errors.AgentRefused("chr1", "guest-exec", SECRET),
    AnsibleError(SECRET),
    *(
        kind(SECRET)
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.ChrError)
        and not issubclass(kind, (errors.Unreachable, errors.OutcomeUnknown, errors.AgentRefused, errors.NoSecretWay))
    ),
)


def told(error: Exception) -> str:
    """The text of *error*, and the section of the guide for an error of the collection."""
    section = f" See '{topic(type(error))}' in the troubleshooting guide."
    return f"{str(error).rstrip('.')}.{section}" if isinstance(error, errors.ChrError) else str(error)


@pytest.mark.parametrize("no_log", [False, True])
@pytest.mark.parametrize("error", [*UNREACHABLE, *FAILED], ids=lambda error: type(error).__name__)
def test_an_action_and_the_connection_say_the_same(error, no_log):
    result = result_of(error, no_log=no_log)
    raised = ansible_error(error, no_log=no_log)
    assert isinstance(raised, AnsibleConnectionFailure) == bool(result.get("unreachable"))
    assert str(raised) == result["msg"]


@pytest.mark.parametrize("error", UNREACHABLE, ids=lambda error: type(error).__name__)
def test_what_was_not_reached_is_unreachable_and_unchanged(error):
    assert result_of(error, no_log=False) == {"unreachable": True, "changed": False, "msg": told(error)}
    hidden = result_of(error, no_log=True)
    assert (hidden["unreachable"], SECRET in hidden["msg"]) == (True, False)


@pytest.mark.parametrize("error", FAILED, ids=lambda error: type(error).__name__)
def test_everything_else_fails_and_has_changed_something_only_if_nobody_knows(error):
    result = result_of(error, no_log=False)
    assert (result["failed"], result["changed"]) == (True, error is UNKNOWN)
    assert SECRET in result["msg"]


@pytest.mark.parametrize("error", FAILED, ids=lambda error: type(error).__name__)
def test_no_log_hides_the_reason(error):
    said = result_of(error, no_log=True)["msg"]
    assert (SECRET in said) == isinstance(error, errors.NoSecretWay)
    assert ("Remove x.rsc." in said) == (error is UNKNOWN)


@pytest.fixture
def password():
    masking.forget()
    masking.protect("pa$$w\u00f6rd", "s3cret-token")
    yield "pa$$w\u00f6rd"
    masking.forget()


def fail(error):
    def perform():
        raise error

    return perform


ECHOES = [
    "pa$$w\u00f6rd",
    "pa%24%24w%C3%B6rd",
    r"pa\\24\\24w\\C3\\B6rd",
    "pa$$w\xc3\xb6rd",
    "cGEkJHfDtnJk",
    "s3cret-token",
]


@pytest.mark.parametrize("echo", ECHOES)
def test_no_result_of_an_action_shows_a_secret_or_moves_the_cursor(password, echo):
    said = f"\x1b]0;evil\x07 {echo} \x9b2J\u202e\udc9b"
    shown = outcome({}, fail(errors.ChrError(said)), no_log=False)
    good = outcome(
        {}, lambda: {"warnings": [said], "stdout": f"x {echo} y", "ansible_facts": {"f": [echo]}}, no_log=False
    )
    bad = outcome({}, fail(KeyError(said)), no_log=False)
    for text in (shown["msg"], *good["warnings"], bad["msg"], bad["exception"]):
        assert echo not in text and "********" in text
        assert text.replace("\n", "").isprintable()
        assert text.encode()
    assert (good["stdout"], good["ansible_facts"]["f"]) == ("x ******** y", ["********"])


@pytest.mark.parametrize("error", [KeyError(SECRET), errors.Unreachable(SECRET), errors.ChrError(SECRET)])
def test_under_no_log_nothing_of_the_far_side_is_shown(error):
    result = outcome({}, fail(error), no_log=True)
    assert SECRET not in str(result)
    quiet = outcome({}, lambda: {"failed": True, "msg": SECRET, "warnings": [SECRET]}, no_log=True)
    assert (quiet["failed"], SECRET in quiet["msg"] + quiet["warnings"][0]) == (True, False)
    with_reason = ansible_error(error, no_log=True)
    assert SECRET not in str(with_reason)


def test_a_fault_of_the_collection_is_a_failed_task_with_a_traceback():
    result = outcome({"changed": True}, fail(RecursionError("deep")), no_log=False)
    assert (result["failed"], result["changed"]) == (True, True)
    assert "unexpected way (RecursionError: deep)" in result["msg"]
    assert "RecursionError" in result["exception"] and "perform" in result["exception"]


@pytest.mark.parametrize("before", [{}, {"changed": False}, {"changed": True}])
@pytest.mark.parametrize("error", [*UNREACHABLE, *FAILED], ids=lambda error: type(error).__name__)
def test_what_had_changed_before_an_error_stays_changed(error, before):
    result = failed({**before, "path": "x"}, error, no_log=False)
    assert result["changed"] == (before.get("changed", False) or error is UNKNOWN)
    assert (result["path"], result["msg"]) == ("x", told(error))


@pytest.mark.parametrize("no_log", [False, True])
def test_the_last_words_name_the_section_of_the_troubleshooting_guide(no_log):
    class VmOff(errors.Unreachable):
        """As in the package of one hypervisor."""

    for error, section in (
        (VmOff("chr1 is off."), "Unreachable"),
        (errors.VmNotFound("The VM chr1 was not found"), "VM not found"),
        (errors.NotAnAgent("A web server?"), "Not an agent"),
        (errors.ChrError("qm said: no!"), "Other failure"),
    ):
        said = result_of(error, no_log=no_log)["msg"]
        assert re.search(f"[.?!] See '{section}' in the troubleshooting guide.$", said), said
    assert "guide" not in result_of(AnsibleError("of Ansible itself"), no_log=no_log)["msg"]


@pytest.mark.parametrize("no_log", [False, True])
def test_a_result_that_is_needed_as_a_whole_names_its_section_too(no_log):
    result = outcome({}, lambda: {"rc": -1, **failure(SECRET, errors.ScriptFailed)}, no_log=no_log)
    assert (result["failed"], result["rc"], SECRET in result["msg"]) == (True, -1, not no_log)
    assert result["msg"].endswith(" See 'Script failed' in the troubleshooting guide.")
    assert set(result) <= {"failed", "rc", "msg"}
