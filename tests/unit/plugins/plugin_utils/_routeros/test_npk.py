# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a package is comes from its name and its header, and both must say the same."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.npk import HEAD, Package, package
from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk


def read(name, content):
    return package(name, content[:HEAD], len(content))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("routeros-7.22.1.npk", npk("routeros", "7.22.1"), Package("routeros", "7.22.1", "x86_64")),
        ("routeros-7.22.npk", npk("routeros", "7.22", "i386"), Package("routeros", "7.22", "x86_64")),
        ("routeros-7.23rc2-arm64.npk", npk("routeros", "7.23rc2", "arm64"), Package("routeros", "7.23rc2", "arm64")),
        ("routeros-x86-6.49.18.npk", npk("routeros", "6.49.18", "i386"), Package("routeros", "6.49.18", "x86_64")),
        (
            "user-manager-7.23beta1.npk",
            npk("user-manager", "7.23beta1"),
            Package("user-manager", "7.23beta1", "x86_64"),
        ),
        ("dude-7.22.1.npk", npk("dude", "7.22.1", size=HEAD * 2), Package("dude", "7.22.1", "x86_64")),
        ("dude-7.22.1.npk", npk("dude", "7.22.1", "riscv"), Package("dude", "7.22.1", "x86_64")),
    ],
)
def test_name_version_and_architecture_are_read(name, content, expected):
    assert read(name, content) == expected


WHOLE = npk("routeros", "7.22.1")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("image.npk", WHOLE, "its name is not that of a package"),
        ("routeros-7.22.1.npk.txt", WHOLE, "its name is not that of a package"),
        ("routeros-7.22.1.npk", b"<html>", "does not begin as a package"),
        ("routeros-7.22.1.npk", b"", "does not begin as a package"),
        ("routeros-7.22.1.npk", WHOLE[:-1], "it is damaged or not whole"),
        ("routeros-7.22.1.npk", WHOLE + b"x", "it is damaged or not whole"),
        ("routeros-7.23.npk", WHOLE, "it is version 7.22.1, and its name says 7.23"),
        ("routeros-7.22.1-arm64.npk", WHOLE, "it is for x86_64, and its name says arm64"),
    ],
)
def test_what_is_not_a_whole_package_or_contradicts_itself_is_refused(name, content, told):
    with pytest.raises(ValueError, match=told):
        read(name, content)


def test_a_header_without_known_parts_leaves_the_name():
    content = struct.pack("<IIHI", 0xBAD0F11E, 8, 0x77, 2) + b"xy"
    assert read("routeros-7.22.1.npk", content) == Package("routeros", "7.22.1", "x86_64")
