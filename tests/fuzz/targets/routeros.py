# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RouterOS prints, and the files that people give for it."""

from __future__ import annotations

import contextlib
import json
import struct
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.ascii import ascii_source
from ansible_collections.outofband.chr.plugins.plugin_utils._report.files import FORMATS
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import (
    export,
    facts,
    files,
    first_login,
    fleet,
    license,
    npk,
    output,
    records,
    renewal,
    upgrade,
    values,
)

from ..target import parts, target, text

_NOW = datetime(2026, 11, 30, tzinfo=UTC)
_RECORDS = (b"@\r\n", b"@\n", b"name 4:evil", b"name ", b"comment 999999:", b"0:", b"3:", b"\r\n", b"\n", b" ", b"\r")
_LICENSE = (
    *(b"system-id", b"level", b"limited-upgrades", b"next-renewal-at", b"deadline-at", b": ", b"6lR1ZP/utuJ", b"p1"),
    *(b"p-unlimited", b"yes", b"2026-01-31 24:00:00", b"feb/30/2026 00:00:00", b"9999-12-31", b"date 10:2026-11-30\n"),
    *(b"time 8:10:00:00\n", b"gmt-offset 6:+02:00\n", b"    ", *_RECORDS),
)
_STATUS = (
    b"status: ",
    b"done",
    b"connecting",
    b"ERROR: Unauthorized",
    b"status=",
    b";.section=",
    b'"status":"',
    b'"},',
)


def _printed(found: list[dict[bytes, bytes]]) -> bytes:
    lines = []
    for one in found:
        lines += [b"@\r\n", *(b"%s %d:%s\r\n" % (name, len(value), value) for name, value in one.items())]
    return b"".join(lines)


@target(*_RECORDS)
def records_of_a_router(data: bytes) -> None:
    """Any output is records or a ValueError, and printed records come back as they were."""
    with contextlib.suppress(ValueError):
        found = records.parse_bytes(data)
        assert records.parse_bytes(_printed(found)) == found
    lenient = records.parse_bytes(data, lenient=True)
    assert records.parse_bytes(data, lenient=True, limit=1) == lenient[:1]
    assert sum(len(value) for one in lenient for value in one.values()) <= len(data)
    records.parse(data, lenient=True)
    values = data.split(b"\0")
    told = [{b"name": value, b".id": b"*1"} for value in values]
    assert records.parse_bytes(_printed(told)) == told
    assert records.parse_bytes(_printed(told), lenient=True) == told


@target(b"1w", b"2d", b"3h", b"4m", b"5s", b"03:04:05", b".5", b"9" * 30, b"\xd9\xa3", b"jan/01/2026", b"-1s")
def times(data: bytes) -> None:
    """Any text is a time or a ValueError, and a time that was written is read as the same."""
    with contextlib.suppress(ValueError):
        assert values.seconds(text(data)) >= 0
    number = int.from_bytes(data[:5], "big")
    assert values.seconds(values.duration(number)) == number


@target(*_LICENSE)
def license_output(data: bytes) -> None:
    """Any output is a license, from which its state follows, or Unreadable."""
    with contextlib.suppress(license.Unreadable):
        found = license.from_print(data)
        assert found.level in license.LEVELS
        license.Reading(found, license.RouterClock(datetime(2026, 11, 30))).state(_NOW)
    with contextlib.suppress(license.Unreadable):
        state = license.from_output(data).state(_NOW, 7.0)
        assert state.clock_ahead is None or state.clock_wrong == (abs(state.clock_ahead) > license.CLOCK_TOLERANCE)


@target(*_STATUS, b"\x1b[2K", b"\r\n", b" ", b"\0")
def renewal_output(data: bytes) -> None:
    """Any output has an outcome, whose text has no control character and no secret."""
    secret = "pa55word-of-account"
    masking.forget()
    masking.protect(secret)
    try:
        outcome = renewal.renewal_outcome(data.replace(b"\0", secret.encode()))
    finally:
        masking.forget()
    assert isinstance(outcome.kind, renewal.Renewal)
    assert secret not in outcome.text
    assert not any(ord(letter) < 32 for letter in outcome.text.replace("\t", ""))


@target(b"# error exporting ", b'"/interface/wifi" (timeout)', b"# interrupted", b"\n", b"\r\n", b" ", b"/ip address")
def export_gaps(data: bytes) -> None:
    """Gaps of an export are a text that is not empty, and one without comments has none."""
    words = data.decode("utf-8", "replace")
    found = export.gaps(words)
    assert (found is None) == (found != "" and not found)
    if "#" not in words:
        assert found is None
    export.says_imported(words)
    upgrade.menus(data)


@target(
    b"7.22.1", b" (stable)", b"7.23rc2", b" 1774276515", b"1", b"\r\n", b" ", b"9" * 20, b"failure: x (line 1 column 2)"
)
def answers_of_a_router(data: bytes) -> None:
    """A version, the look at a file, and an error are read, or they are a ValueError."""
    for read in (upgrade.installed, upgrade.newest, files.looked_up, upgrade.has_packages):
        with contextlib.suppress(ValueError):
            read(data)
    output.not_run(b":put 1", data)
    shown, cut = output.bounded(data)
    assert cut or shown == output.text(data)


@target(*_RECORDS, b"uptime 8:01:02:03", b"free-memory 9:268435456", b"cpu-load 1:x", b"total-memory 3:x\x1b")
def facts_of_a_router(data: bytes) -> None:
    """Any output makes facts that are valid JSON, or a ValueError."""
    with contextlib.suppress(ValueError):
        found = facts.gather(list(facts.SUBSETS), facts.FactSource(lambda _script: data, lambda _script: data, limit=5))
        json.dumps(found, allow_nan=False).encode()


@target(
    *(b'[{"name": "chr1", "license": {', b'"level": "p1"', b'"deadline_at": "2026-12-01T00:00:00"', b'"system_id": "'),
    *(
        b'"expired": true',
        b'"days_left": 1e308',
        b"}}]",
        b"null",
        b"[]",
        b"{}",
        b",",
        b'"findings": [',
        b"]",
        b'"as_of": "',
    ),
)
def fleet_report(data: bytes) -> None:
    """Whatever was collected, now and earlier, each format of the report is written."""
    try:
        one, last = (loads(part or b"null") for part in parts(data, 2))
    except ValueError:
        return
    rows = one if isinstance(one, list) else [one]
    routers = [fleet.read(f"chr{at}", row) for at, row in enumerate(rows[:8])]
    whole = fleet.fleet(routers)
    with contextlib.suppress(ValueError):  # it is not a report
        whole = fleet.compared(whole, last)
    for form in FORMATS.values():
        form(whole).encode()


@target(b"routeros-7.22.1.npk\0", b"routeros-7.22.1-arm64.npk\0", b"\x1e\xf1\xd0\xba", b"\x01\0", b"\x12\0\x20\0\0\0")
def package_header(data: bytes) -> None:
    """Any name and header are a package or a ValueError; they never contradict each other."""
    name, head = parts(data, 2)
    for content in (head, struct.pack("<II", 0xBAD0F11E, max(len(head), 8) - 8) + head[8:]):
        with contextlib.suppress(ValueError):
            found = npk.package(text(name), content, len(content))
            assert found.version in text(name)
            assert found.name in text(name)


@target(
    b"ssh-ed25519 ",
    b"AAAAC3NzaC1lZDI1NTE5AAAAIA==",
    b" ops@example.com",
    b"\n",
    b"\r",
    b"\xc2\x85",
    b"PRIVATE KEY",
    b"=",
)
def public_key(data: bytes) -> None:
    """Any text is one key, with one line for a router, or InvalidInput without a quote."""
    try:
        key = first_login.parse_key(text(data))
    except InvalidInput as error:
        assert len(data) < 24 or text(data) not in str(error)
        return
    assert len(key.line.split()) == 3
    assert len(key.line.splitlines()) == 1
    assert first_login.parse_key(key.line).blob == key.blob
    assert "\n" not in first_login.add_key("admin", key)


@target(b":put ", b'"', b"\xc3\xa9", b"#", b"\n", b"\\", b"$[", b"(", b")", b"{", b"}", b"[", b"]", b" ")
def source_in_ascii(data: bytes) -> None:
    """Any script is rewritten in ASCII, line by line, or it is InvalidInput; ASCII stays."""
    with contextlib.suppress(ChrError):
        written = ascii_source(data)
        assert written.isascii()
        assert written.count("\n") == data.count(b"\n")
        assert not data.isascii() or written.encode() == data
        assert ascii_source(written.encode()) == written
