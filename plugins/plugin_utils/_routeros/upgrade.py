# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Versions of RouterOS, and the scripts and rules of an upgrade.

Pure functions; what a router or a server says is untrusted.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, readable

from . import records
from .background import in_background
from .npk import Package, family
from .quoting import quote

CHANNELS = ("stable", "long-term", "testing", "development")
_STAGES = ("alpha", "beta", "rc", ".")  # the earliest first
_VERSION = re.compile(r"(\d{1,2})\.(\d{1,3})(?:(alpha|beta|rc|\.)(\d{1,3}))?")
_COMMAND = re.compile(r"\b(?:add|set|remove)\b")
_LONGEST = 100  # bytes of the answer about the newest version

_UPDATE = "/system package update"
VERSION = "[/system resource get version]"
ARCHITECTURE = "[/system resource get architecture-name]"
FREE_SPACE = "[/system resource get free-hdd-space]"
STATUS = f"[:tostr [{_UPDATE} get status]]"
LATEST = f"[:tostr [{_UPDATE} get latest-version]]"
CHANNEL = f"[{_UPDATE} get channel]"
"""Expressions for what a router says about itself."""
CHECK = f"{_UPDATE} check-for-updates once"
DOWNLOAD = in_background(f"{_UPDATE} download")
CANCEL = f"{_UPDATE} cancel"
REBOOT = "/system reboot"
DOWNGRADE = "/system package downgrade"
"""Commands."""
DOWNLOADED = f'[:typeof [:find {STATUS} "ownloaded"]] = "num"'
DOWNLOAD_FAILED = f'[:typeof [:find {STATUS} "ERROR"]] = "num"'
"""Conditions. Several programs of others wait for "Downloaded, please reboot router to upgrade it",
and all errors that they show begin with "ERROR"."""
INTERFACES = "[:len [/interface find where dynamic=no]]"
INTERFACES_SCRIPT = """\
:foreach i in=[/interface find where dynamic=no] do={ :local t [/interface get $i name]; :put "@"; \
:put ("name " . [:len $t] . ":" . $t) }"""


@dataclass(frozen=True, order=True)
class Version:
    """A version of RouterOS, such as 7.22.1 or 7.23rc2, in the order of their release."""

    key: tuple[int, int, int, int]
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Version:
        """Raises ValueError."""
        found = _VERSION.fullmatch(text)
        if not found:
            raise ValueError(f"{excerpt(text, 40)} is not a valid version of RouterOS, such as 7.22.1")
        stage = _STAGES.index(found[3] or ".")
        return cls((int(found[1]), int(found[2]), stage, int(found[4] or 0)), text)

    @property
    def major(self) -> int:
        return self.key[0]

    def __str__(self) -> str:
        return self.text


def installed(output: bytes) -> Version:
    """Return the version in the value of VERSION, such as ``7.22 (stable)``. Raises ValueError."""
    return Version.parse(readable(output).partition(" ")[0])


def newest(answer: bytes) -> Version:
    """Return the version that the vendor's server names as the newest: ``7.22.1 1774276515``.

    Raises ValueError.
    """
    words = answer[:_LONGEST].split()
    if len(answer) > _LONGEST or len(words) != 2 or not words[1].isdigit():
        raise ValueError(f"{excerpt(readable(answer[:_LONGEST]), 40)} is not a version and a time")
    return Version.parse(readable(words[0]))


def why_not(before: Version, wanted: Version, *, downgrade: bool, major: bool) -> str | None:
    """Return why the step from *before* to *wanted* needs an option that is not set, or None."""
    if wanted < before and not downgrade:
        return f"{wanted} is older than the installed {before}. Set downgrade: true if it should be installed."
    if wanted.major != before.major and not major:
        return (
            f"The step from RouterOS {before.major} to {wanted.major} converts the configuration, and some of it may be "
            "lost. Set major: true if it should be done."
        )
    return None


def why_not_packages(
    packages: t.Sequence[Package], wanted: Version, architecture: str, needed: t.Collection[str]
) -> str | None:
    """Return why *packages* do not upgrade a router of *architecture* to *wanted*, or None.

    *needed* are the names of the packages that the router has.
    """
    for one in packages:
        if one.version != wanted.text:
            return f"The package {one.name} has version {one.version}, not {wanted}."
        if one.architecture is None or one.architecture != family(architecture):
            return f"The package {one.name} is for {one.architecture}, and the router is {excerpt(architecture, 20)}."
    given = {one.name for one in packages}
    if missing := sorted({_bare(name) for name in needed} - given):
        return (
            f"The router has the package(s) {', '.join(missing)}, which are not in packages. RouterOS disables a package of "
            "another version."
        )
    return None


def _bare(name: str) -> str:
    """The name of a package without its architecture: RouterOS 6 calls one ``routeros-x86``."""
    first, _dash, last = name.rpartition("-")
    return first if first and family(last) else name


def has_packages(output: bytes) -> set[str]:
    """Return the names of the packages that a router has, from the items of ``/system package``.

    A package that is part of another one, is disabled, or is only available is left out.
    """
    return {
        one["name"]
        for one in records.parse(output, lenient=True)
        if one.get("name")
        and one.get("version")
        and not one.get("bundle")
        and all(one.get(flag) not in ("true", "yes") for flag in ("disabled", "available"))
    }


def lying_about(wanted: Version) -> str:
    """Return the expression for the number of package files that a reboot would install.

    Those of *wanted* do not count.
    """
    other = quote(f"-{wanted.text}".replace(".", "\\."))
    return f'[:len [/file find where name~"\\\\.npk\\$" and !(name~{other})]]'


def has(wanted: Version) -> str:
    """Return the condition that *wanted* is the installed version."""
    return f"[:find ({VERSION} . {quote(' ')}) {quote(f'{wanted} ')}] = 0"


def offered(wanted: Version) -> str:
    """Return the condition that the router's own update has found *wanted*."""
    return f"{LATEST} = {quote(wanted.text)}"


def set_channel(channel: str) -> str:
    return f"{_UPDATE} set channel={channel}"


def menus(export: bytes) -> set[str]:
    """Return the menus in *export*, such as ``ip address``."""
    lines = [line for line in readable(export).split("\n") if line.startswith("/")]
    found = [_COMMAND.split(line, maxsplit=1)[0] for line in lines]
    return {" ".join(menu.replace("/", " ").split()) for menu in found} - {""}
