# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image.checksum import parse


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1", "md5"])
def test_a_file_is_compared_by_each_algorithm(tmp_path, algorithm):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    digest = hashlib.new(algorithm, b"content").hexdigest()
    checksum = parse(f"{algorithm}:{digest.upper()}")
    assert str(checksum) == f"{algorithm}:{digest}"
    assert checksum.of(path) == digest


def test_a_checksum_can_be_waived_and_only_by_that_word():
    assert parse("waived") is None
    for text in ("", "none", "Waived", "sha256:", "sha256:waived"):
        with pytest.raises(InvalidInput, match="'waived'"):
            parse(text)


@pytest.mark.parametrize(
    "text", ["ab" * 32, "crc32:12345678", "sha256:" + "a" * 63, "sha256:" + "g" * 64, "sha1:" + "a" * 64]
)
def test_what_is_no_checksum_is_refused_with_the_form_of_one(text):
    with pytest.raises(InvalidInput, match=r"such as 'sha256:0a1b...'"):
        parse(text)
