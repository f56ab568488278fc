# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of several hypervisors' APIs share."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.prepared import PreparedServer


@pytest.fixture
def prepared(tmp_path: Path) -> t.Iterator[PreparedServer]:
    """An HTTPS server with prepared answers."""
    with PreparedServer(tmp_path) as server:
        yield server
