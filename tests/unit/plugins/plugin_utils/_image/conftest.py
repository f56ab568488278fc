# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.outofband.chr.tests.lab.chr_image import build_chr_image, pack
from ansible_collections.outofband.chr.tests.lab.web import WebServer


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """An image as it is published for x86_64. Tests only read it."""
    return build_chr_image(tmp_path_factory.mktemp("image") / "chr-7.22.img")


@pytest.fixture(scope="session")
def archive(published):
    """The published image in its archive. Tests only read it."""
    return pack(published, published.with_name("chr-7.22.img.zip"))


@pytest.fixture
def image(published, tmp_path):
    """A copy of the published image, to be changed."""
    copy = tmp_path / "copy.img"
    subprocess.run(["cp", "--sparse=always", published, copy], check=True)
    return copy


@pytest.fixture
def web():
    with WebServer() as server:
        yield server
