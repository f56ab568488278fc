# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of a backend for tests that need no Ansible."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS


def options_for(
    backend: str,
    vm: str,
    connect_timeout: float = 5.0,
    exec_mode: str = "auto",
    runtime_directory: Path = Path("/nonexistent"),
    **values: t.Any,
) -> t.Any:
    """The options of *backend*, an instance of its own class; *connect_timeout* is in seconds."""
    return BACKENDS[backend].options(
        vm=vm,
        connect_timeout=connect_timeout,
        exec_mode=exec_mode,
        runtime_directory=runtime_directory,
        **values,
    )
