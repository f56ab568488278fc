# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The option ``agent`` of a VM. Pure functions."""

from __future__ import annotations


def parse(text: str) -> dict[str, str]:
    """Parse ``1,freeze-fs=0`` into a dictionary. A value without a name is ``enabled``."""
    pairs = [word.partition("=") for word in text.split(",") if word]
    return {(name if equals else "enabled"): (value if equals else name) for name, equals, value in pairs}


def on(value: str) -> bool:
    """Whether *value* is one of Proxmox VE's words for yes."""
    return value.strip().lower() in ("1", "on", "yes", "true")


def enabled(text: str) -> bool:
    """Whether the agent is enabled by the option's value *text*."""
    return on(parse(text).get("enabled", "0"))
