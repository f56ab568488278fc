# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a package file of RouterOS (``.npk``) says about itself, in its name and in its header.

Pure functions; the file is untrusted. The vendor does not document the format. Several public
programs read it alike: a magic number, the size of the rest, and parts with a type and a length.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

HEAD = 64 * 1024
"""How many bytes from the beginning of a file are enough to read its header."""
_MAGIC = 0xBAD0F11E
_INFO = (0x01, 0x12)  # the parts with the name and the version, in old and in new packages
_ARCHITECTURE = 0x10
_STAGES = {"a": "alpha", "b": "beta", "c": "rc"}
_X86 = ("x86_64", "x86", "i386")
_ARCHITECTURES = (*_X86, "arm64", "arm", "mipsbe", "mipsle", "mmips", "smips", "ppc", "tile")
_WORD = "|".join(_ARCHITECTURES)
# routeros-7.22.1.npk, routeros-7.22.1-arm64.npk, routeros-x86-6.49.18.npk
_NAME = re.compile(rf"([a-z][a-z0-9_-]*?)(?:-({_WORD}))?-(\d+\.\d+[a-z0-9.]*?)(?:-({_WORD}))?\.npk")


@dataclass(frozen=True)
class Package:
    """A package, and for which architecture it is. None if that is not known."""

    name: str
    version: str
    architecture: str | None


def package(file_name: str, head: bytes, size: int) -> Package:
    """Read what a file of *size* bytes is, from its name and its first bytes (HEAD of them).

    Raises ValueError if it is not a package or not a whole one, or if name and header contradict
    each other.
    """
    match = _NAME.fullmatch(file_name)
    if not match:
        raise ValueError("its name is not that of a package, such as routeros-7.22.1.npk")
    if len(head) < 8 or struct.unpack_from("<I", head)[0] != _MAGIC:
        raise ValueError("it does not begin as a package of RouterOS")
    told = struct.unpack_from("<I", head, 4)[0] + 8
    if told != size:
        raise ValueError(f"it has {size} bytes, and its header says {told}: it is damaged or not whole")
    named = Package(match[1], match[3], family(match[2] or match[4] or "x86"))
    parts = _parts(head)
    info = next((parts[kind] for kind in _INFO if len(parts.get(kind, b"")) >= 20), None)
    inside = family(parts[_ARCHITECTURE].rstrip(b"\0").decode("latin-1")) if _ARCHITECTURE in parts else None
    if inside and inside != named.architecture:
        raise ValueError(f"it is for {inside}, and its name says {named.architecture}")
    if info and (version := _version(info[16:20])) and version != named.version:
        raise ValueError(f"it is version {version}, and its name says {named.version}")
    return named


def family(architecture: str) -> str | None:
    """Return the same word for all names of an architecture, or None for an unknown one."""
    return _X86[0] if architecture in _X86 else architecture if architecture in _ARCHITECTURES else None


def _parts(head: bytes) -> dict[int, bytes]:
    """The parts that are whole in *head*, by their type; the first one of each."""
    found: dict[int, bytes] = {}
    position = 8
    while position + 6 <= len(head):
        kind, length = struct.unpack_from("<HI", head, position)
        position += 6
        if position + length > len(head):
            break
        found.setdefault(kind, head[position : position + length])
        position += length
    return found


def _version(data: bytes) -> str | None:
    """The version in four bytes of the header, or None if they are not understood."""
    revision, stage, minor, major = data
    if chr(stage) in _STAGES:
        return f"{major}.{minor}{_STAGES[chr(stage)]}{revision}"
    if chr(stage) != "f" or revision & 0x80:
        return None
    return f"{major}.{minor}.{revision}" if revision else f"{major}.{minor}"
