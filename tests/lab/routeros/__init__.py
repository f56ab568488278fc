# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated RouterOS device: it parses and runs RouterOS script source and keeps device state."""

from __future__ import annotations

from .clock import Clock
from .device import Outcome, Router
from .files import File
from .license import License

__all__ = ["Clock", "File", "License", "Outcome", "Router"]
