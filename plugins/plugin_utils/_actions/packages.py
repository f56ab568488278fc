# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of RouterOS on the controller, and the look-up of the newest version.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, TransferFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._image import checksum
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Download, Trust, shown
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import npk, upgrade
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import check_file_name

from . import local_file

_LARGEST = 4096  # bytes of the answer about the newest version


@dataclass(frozen=True)
class LocalPackage:
    """A package file on the controller, whose checksum was verified or waived."""

    path: Path
    package: npk.Package
    size: int


def local(action: ActionBase, given: dict[str, t.Any]) -> LocalPackage:
    """Find one item of the option ``packages`` and verify it. Raises InvalidInput."""
    path = local_file.find(action, "src", given["src"])
    expected = checksum.parse(given["checksum"])
    check_file_name(path.name)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            package = npk.package(path.name, file.read(npk.HEAD), size)
        found = expected.of(path) if expected else None
    except ValueError as error:
        raise InvalidInput(f"src {given['src']!r} is not a package that can be used: {error}.") from None
    except OSError as error:
        raise InvalidInput(f"src {given['src']!r} cannot be read: {error.strerror or error}.") from error
    if expected and found != expected.digest:
        raise InvalidInput(
            f"src {given['src']!r} has the checksum {expected.algorithm}:{found}, not {expected}. Nothing was done."
        )
    return LocalPackage(path, package, size)


def newest(url: str, trust: Trust, deadline: Deadline, say: t.Callable[[str], None]) -> upgrade.Version:
    """Ask the server at *url* for the newest version. Raises TransferFailed, InvalidInput."""
    with tempfile.TemporaryDirectory(prefix="outofband-chr-") as folder:
        target = Path(folder) / "newest"
        Download(url, target, None, trust, deadline, say, _LARGEST, "the name of a version").run()
        answer = target.read_bytes()
    try:
        return upgrade.newest(answer)
    except ValueError as error:
        raise TransferFailed(f"{shown(url)} did not name the newest version of RouterOS: {error}.") from None
