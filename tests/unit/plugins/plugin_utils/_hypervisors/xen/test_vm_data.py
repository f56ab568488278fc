# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts through xenstore: what is written, and what the store says of them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import TooLarge
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import vm_data
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm_data import Phase, busy, plan, progress
from ansible_collections.outofband.chr.tests.lab.routeros import Outcome, Router

LARGEST = vm_data.MAX_STEP - len('\n:put "0123456789abcdef"')


def run(router: Router, source: bytes) -> Outcome:
    """As a client does it: each step only after the one before ended well."""
    parts = plan(source)
    for step in parts.steps:
        assert len(step.value) <= vm_data.MAX_VALUE
        outcome = router.run(base64.b64decode(step.value))
        if outcome.exitcode:
            break
        assert outcome.output.endswith(step.nonce.encode() + b"\r\n")
        outcome = Outcome(0, outcome.output.removesuffix(step.nonce.encode() + b"\r\n"))
    return outcome


def test_the_largest_script_of_one_step_fills_a_value_of_2048_bytes():
    (step,) = plan(b"#" * LARGEST).steps
    assert len(step.value) == 2048
    assert plan(b"#" * LARGEST).undo is None


def test_one_byte_more_is_split():
    parts = plan(b"#" * (LARGEST + 1))
    assert len(parts.steps) > 2
    assert parts.undo


def test_a_bound_for_long_scripts_is_told():
    assert plan(b"#" * vm_data.MAX_SOURCE)
    with pytest.raises(TooLarge, match="32769 bytes"):
        plan(b"#" * (vm_data.MAX_SOURCE + 1))


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from('aé€😀 \\"$?{}[]#;\n\r\t%&'), min_size=1, max_size=60))
def test_any_text_arrives_byte_by_byte(piece):
    text = (piece * 4000).encode()[:6000].decode(errors="ignore").encode()
    router = Router()
    for step in plan(text).steps[:-1]:
        assert len(step.source) <= vm_data.MAX_STEP
        assert router.run(step.source).exitcode == 0
    (item,) = router.items("system script")
    assert str(item.value("source")).encode("latin-1") == text


@pytest.mark.parametrize("length", range(LARGEST - 2, LARGEST + 3))
def test_scripts_around_the_boundary_do_the_same(length):
    source = b':put "end"\n'.rjust(length, b"#").replace(b"#:put", b"\n:put")
    router = Router()
    assert run(router, source) == Outcome(0, b"end\r\n")
    assert router.items("system script") == []


def test_a_long_script_that_fails_leaves_nothing_on_the_router_and_keeps_its_words():
    router = Router()
    outcome = run(router, b"#" * 5000 + b'\n:put "before"\n:error "no such luck"\n')
    assert outcome.exitcode == -1
    assert outcome.output == b"before\r\nno such luck\r\n"
    assert router.items("system script") == []


def test_a_long_script_with_a_syntax_error_leaves_nothing_either():
    router = Router()
    outcome = run(router, b"#" * 5000 + b"\n/nonsense {\n")
    assert (outcome.exitcode, router.items("system script")) == (-1, [])
    assert b"line 2" in outcome.output


def test_undo_removes_what_was_begun_and_can_be_run_in_vain():
    router = Router()
    parts = plan(b"#" * 5000)
    assert router.run(parts.steps[0].source).exitcode == 0
    assert len(router.items("system script")) == 1
    for _unused in range(2):
        assert router.run(parts.undo.source).exitcode == 0
        assert router.items("system script") == []


def test_a_piece_that_runs_twice_or_is_missing_ends_the_making():
    router = Router()
    first, second, third, *_more, last = plan(b"#" * 8000).steps
    assert router.run(first.source).exitcode == 0
    assert router.run(third.source).exitcode == -1
    assert router.run(second.source).exitcode == 0
    assert router.run(second.source).exitcode == -1
    assert b"another length" in router.run(last.source).output


# -- what the store says ---------------------------------------------------------------------------

(STEP,) = plan(b":put 1").steps


def store(status: str | None = None, otuput: bytes | None = None, output: bytes | None = None) -> dict[str, str]:
    nodes = {vm_data.SCRIPT: STEP.value, vm_data.STATUS: status}
    for key, value in zip(vm_data.OUTPUTS, (otuput, output), strict=True):
        nodes[key] = None if value is None else base64.b64encode(value).decode()
    return {key: value for key, value in nodes.items() if value is not None}


WHOLE = f"1\r\n{STEP.nonce}\r\n".encode()


@pytest.mark.parametrize(
    ("values", "ran", "expected"),
    [
        (store(), False, (Phase.WAITING, None, b"", False, False)),
        (store("ready"), False, (Phase.WAITING, None, b"", False, False)),
        (store("running"), True, (Phase.RUNNING, None, b"", False, False)),
        (store("running", WHOLE), True, (Phase.ENDED, 0, b"1\r\n", True, False)),
        (store("ready", WHOLE), False, (Phase.ENDED, 0, b"1\r\n", True, True)),
        (store("ready", None, WHOLE), False, (Phase.ENDED, 0, b"1\r\n", True, True)),
        (store("ready", b"", WHOLE), False, (Phase.ENDED, 0, b"1\r\n", True, True)),
        (store(None, WHOLE), False, (Phase.ENDED, 0, b"1\r\n", True, True)),
        (store("ready", b"1\r\n"), True, (Phase.ENDED, 0, b"1\r\n", False, True)),
        (store(None, b"1\r\n"), False, (Phase.ENDED, None, b"1\r\n", False, False)),
        (store("ready"), True, (Phase.ENDED, 0, b"", False, False)),
        (store(None), True, (Phase.ENDED, None, b"", False, False)),
        (store("error"), True, (Phase.ENDED, -1, b"", False, False)),
        (store("error", b"no\r\n"), True, (Phase.ENDED, -1, b"no\r\n", False, True)),
        (store("error", None, b"no\r\n"), False, (Phase.ENDED, -1, b"no\r\n", False, True)),
    ],
)
def test_each_state_of_the_store_means_one_thing(values, ran, expected):
    """The manual's section "Guest tools: Xen": ready, running, error; otuput or output; an absent
    status is not running."""
    seen = progress(values, STEP, ran)
    assert (seen.phase, seen.rc, seen.output, seen.whole, seen.final) == expected


def test_a_script_is_accepted_only_while_the_status_is_not_running():
    assert [busy(store(status)) for status in (None, "ready", "error", "running", "running\n")] == [
        *(False, False, False),
        *(True, True),
    ]


@pytest.mark.parametrize("value", ["", "!!!", "YWJj\0", "YWJjZ", "é"])
def test_an_output_that_is_no_base64_is_not_trusted_and_not_fatal(value):
    seen = progress({vm_data.STATUS: "ready", vm_data.OUTPUTS[0]: value}, STEP, True)
    assert (seen.phase, seen.rc, seen.whole) == (Phase.ENDED, 0, False)
