# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of backups, and what of an export is compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import backup

DIGEST = backup.digest_of(b"x")
NOW = datetime(2026, 11, 30, 2, 15, 0, 5, UTC)


def test_a_backup_is_found_again_by_its_name_whatever_the_time_zone():
    names = backup.Names("chr1")
    made = names.binary(DIGEST, NOW.astimezone(timezone(timedelta(hours=5))))
    assert made.name == f"chr1-20261130T021500Z-{DIGEST}.backup"
    assert names.binaries([made.name]) == [made]


@pytest.mark.parametrize(
    "name",
    [
        f"chr10-20261130T021500Z-{DIGEST}.backup",  # of another host
        f"chr1-2-20261130T021500Z-{DIGEST}.backup",
        f"my-chr1-20261130T021500Z-{DIGEST}.backup",
        f"chr1-20261330T021500Z-{DIGEST}.backup",  # not a date
        f"chr1-20261130T021500Z-{DIGEST}.backup.gpg",
        f"chr1-20261130T021500Z-{DIGEST.upper()}x.backup",
        "chr1-20261130.backup",
        "chr1.backup",
        "chr1.rsc",
    ],
)
def test_no_other_file_counts_as_a_backup_of_the_host(name):
    assert backup.Names("chr1").binaries([name]) == []


@pytest.mark.parametrize("host", ["a.b", "r[1]", "r+"])
def test_the_name_of_a_host_is_not_a_pattern(host):
    names = backup.Names(host)
    made = names.binary(DIGEST, NOW)
    assert names.binaries([made.name, made.name.replace(host, "axb"), made.name.replace(host, "r1")]) == [made]


def test_the_oldest_backup_comes_first():
    names = backup.Names("chr1")
    old, new = names.binary(DIGEST, NOW - timedelta(days=400)), names.binary(DIGEST, NOW)
    assert names.binaries([new.name, old.name]) == [old, new]


@pytest.mark.parametrize("host", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\n", "a\0"])
def test_a_host_whose_name_would_be_another_path_is_refused(host):
    with pytest.raises(InvalidInput, match="cannot be the beginning of a file's name"):
        backup.Names(host)


@pytest.mark.parametrize(
    "first", [b"# 2026-11-30 10:00:00 by RouterOS 7.22\r\n", b"# nov/30/2026 10:00:00 by RouterOS 6.49.18\r\n"]
)
def test_only_the_line_of_the_date_is_left_out(first):
    rest = b"# system id = abc\r\n#\r\n/system identity\r\nset name=a\r\n# 2026-11-30 10:00:00 by RouterOS 7.22\r\n"
    assert backup.without_date(first + rest) == rest.replace(b"\r\n", b"\n")
    assert backup.without_date(rest) == rest.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("version", "argument"),
    [(None, " hide-sensitive"), ("7.22 (stable)", " show-sensitive"), ("6.49.18 (long-term)", "")],
)
def test_secrets_are_exported_in_the_words_of_the_version(version, argument):
    assert backup.export_script(version).endswith(f'\n/export file="outofband-backup"{argument}')


def test_a_password_is_quoted_and_a_backup_without_one_says_so():
    assert backup.save_script('a"$b').endswith('encryption=aes-sha256 password="a\\22\\24b"')
    assert backup.save_script(None).endswith("dont-encrypt=yes")
    assert backup.load_script(None).endswith('password=""')
