# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words for what routers run on.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

from .errors import InvalidInput

PLATFORMS = (
    "proxmox",
    "libvirt",
    "qemu",
    "vmware",
    "workstation",
    "xenapi",
    "xenstore",
    "hyperv",
    "virtualbox",
    "rescue",
)
"""Those of ``chr_backend``, except for its ``vmrun``, and those without a backend."""
OTHER_WORDS = {
    "esx": "vmware",
    "kvm": "qemu",
    "linux_bridge": "qemu",
    "vmrun": "workstation",
    "xe": "xenapi",
    "xen": "xenstore",
    "xl": "xenstore",
}
"""Words that are accepted, too. Where one stands for several platforms, these are alike in what the
word is used for: ``kvm`` and ``xen`` for requirements, ``linux_bridge`` for a host of VMs whose
network consists of Linux bridges."""


def canonical(word: object) -> str:
    """Return the word of this collection for *word*; what is not known stays as it is."""
    return OTHER_WORDS.get(str(word), str(word))


def platform(word: object) -> str:
    """Return the word of this collection for *word*. Raises InvalidInput if there is none."""
    found = canonical(word)
    if found not in PLATFORMS:
        raise InvalidInput(f"{word!r} is not a platform: it must be one of {', '.join(PLATFORMS)}.")
    return found
