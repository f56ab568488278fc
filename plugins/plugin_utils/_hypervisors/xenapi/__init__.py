# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""XenServer and XCP-ng, through XenAPI. Backend ``xenapi``."""

from __future__ import annotations

import contextlib
import importlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible

SESSIONS = "xenapi"
"""The kind of the sessions that tasks share; see ``log_out``."""


def preload() -> None:
    """Import what every task of this backend needs, before Ansible forks its processes."""
    importlib.import_module(".guest", __package__)
    with contextlib.suppress(NotPossible):  # the hosts that need it are told
        importlib.import_module(".api", __package__).library()


def log_out(session: dict[str, t.Any], server: dict[str, t.Any]) -> None:
    """End a session that is kept as kind SESSIONS. Raises ChrError."""
    module = importlib.import_module(".api", __package__)
    module.Xapi(module.XenapiLogin.of_server(server)).log_out(session)
