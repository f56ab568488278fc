# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMware vCenter Server and ESXi. Backend ``vmware``."""

from __future__ import annotations

import contextlib
import importlib
import typing as t

SESSIONS = "vsphere"
"""The kind of the sessions that tasks share; see ``log_out``."""


def preload() -> None:
    """Import pyvmomi if it is installed, with the types that a task uses.

    Otherwise each task would spend 0.13 s on it.
    """
    with contextlib.suppress(ImportError):  # a host that needs it is told
        importlib.import_module(".vsphere", __package__).warm_up()


def log_out(session: dict[str, t.Any], server: dict[str, t.Any]) -> None:
    """End a session that is kept as kind SESSIONS. Raises ChrError."""
    module = importlib.import_module(".vsphere", __package__)
    module.Vsphere(module.PasswordLogin.of_server(server)).log_out(session)
