# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a platform as the action of its module makes them."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import VmAction


def settings_of(action: type[VmAction], **options: t.Any) -> t.Any:
    """The settings for a task with these *options* and the defaults of all others."""
    arguments = {name: about.get("default") for name, about in action.SPEC.items()}
    if unknown := options.keys() - arguments.keys():
        raise TypeError(f"the module has no {', '.join(sorted(unknown))}")
    return action.SETTINGS.from_arguments(arguments | options)


def mark(image: str, state: str, vm: str = "chr1") -> str:
    """The notes of a VM made from the image with this sha256.

    *state* is ``importing`` or ``imported``.
    """
    owner = hashlib.sha256(f"outofband.chr\0{vm}\0{image}".encode()).hexdigest()[:16]
    return f"outofband.chr: image {image} {state} for {owner}"
