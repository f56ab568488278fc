# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scripts about files, on the lab's interpreter."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import (
    check_file_name,
    import_script,
    look_up_script,
    looked_up,
    removal_script,
    writing,
)
from ansible_collections.outofband.chr.tests.lab.routeros import File, Router

NAMES = ["x.rsc", 'odd "name" $x.txt']


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_looked_up_and_removed_by_its_name(name):
    router = Router()
    router.files = {name: File(b"12345"), "other": File(b"")}
    assert looked_up(router.run(look_up_script(name).decode()).output) == (1, 5)
    assert router.run(removal_script(name, "nobody").decode()).exitcode == 0
    assert looked_up(router.run(look_up_script(name).decode()).output) == (0, 0)
    assert list(router.files) == ["other"]


def test_a_file_is_run():
    router = Router()
    router.files["x.rsc"] = File(b"/system identity set name=ran\n")
    assert router.run(import_script("x.rsc").decode()).exitcode == 0
    assert b"ran" in router.run(":put [/system identity get name]").output


@pytest.mark.parametrize("output", [b"", b"no such item", b"1\r\nlarge\r\n"])
def test_an_answer_that_is_none_is_not_read(output):
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words
        looked_up(output)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "disk1/x.rsc", "a\\b", "x\n"])
def test_names_that_the_agent_does_not_serve_are_refused(name):
    with pytest.raises(InvalidInput):
        check_file_name(name)


@pytest.mark.parametrize("name", ["", " ", "x\0"])
def test_a_script_file_has_a_name(name):
    with pytest.raises(InvalidInput, match="guest_file .* is not a valid file name"):
        import_script(name)


TEXT = 'Größe 10 € $x \\ "{}" [/system reboot]\r\n' * 30


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", [{}, {"other": File(b"")}])
@pytest.mark.parametrize("room", [700, 1500, 100_000])
@pytest.mark.parametrize("data", [b"", b"x", TEXT.encode()], ids=len)
def test_a_file_is_written_whole_by_scripts_that_fit_and_the_variable_is_gone(name, before, room, data):
    router = Router()
    for files in (before, {**before, name: File(b"old")}):
        router.files = dict(files)
        scripts, undo = writing(name, data, room)
        for number, script in enumerate(scripts):
            assert len(script) <= room
            assert router.files == files, number
            assert router.run(script).exitcode == 0, number
        assert router.files[name].data == data
        assert router.globals == {}
        assert bool(undo) == (len(scripts) > 1)


def test_a_file_of_which_a_part_is_lost_is_not_written_and_nothing_is_left():
    router = Router()
    scripts, undo = writing("x", TEXT.encode(), 700)
    outcomes = [router.run(script).exitcode for script in [*scripts[:1], *scripts[2:]]]
    assert set(outcomes[1:]) == {-1}
    assert router.files == {}
    assert router.run(undo).exitcode == 0
    assert router.globals == {}
