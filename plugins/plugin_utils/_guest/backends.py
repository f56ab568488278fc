# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""From options to a guest. A backend's module, and the libraries it needs, are imported when a host uses it."""

from __future__ import annotations

import importlib

from .base import Guest, GuestOptions
from .deadline import positive_seconds
from .errors import InvalidInput

BACKENDS = ("qemu", "libvirt", "proxmox", "vmware", "xenapi", "xenstore")


def open_guest(options: GuestOptions) -> Guest:
    """The guest that *options* name. Nothing is sent yet. Raises InvalidInput."""
    if not options.backend:
        raise InvalidInput(f"chr_backend is not set for {options.vm!r}: it is one of {', '.join(BACKENDS)}.")
    if options.backend not in BACKENDS:
        raise InvalidInput(
            f"Unknown chr_backend {options.backend!r} for {options.vm!r}: it is one of {', '.join(BACKENDS)}."
        )
    positive_seconds("chr_connect_timeout", options.connect_timeout)
    backend = importlib.import_module(f".{options.backend}", __package__)
    guest: Guest = backend.open_guest(options)
    return guest
