# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Calls of Hyper-V's cmdlets, whose errors say what the user needs."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPermitted, NotPossible

from .powershell import Call, Row, WindowsHost

_PERMISSION = "The user needs to be in the group 'Hyper-V Administrators' or 'Administrators' there, and may need to log in again."


def run(host: WindowsHost, *calls: Call) -> dict[str, list[Row]]:
    """Run *calls* as ``WindowsHost.run`` does, and raise its errors."""
    try:
        return host.run(*calls)
    except NotPermitted as error:
        raise NotPermitted(f"{error} {_PERMISSION}") from None
    except NotPossible as error:
        if "-VM" not in str(error):
            raise
        raise NotPossible(
            f"{error} Hyper-V's PowerShell module is missing. Install it with "
            "Install-WindowsFeature Hyper-V-PowerShell."
        ) from None
