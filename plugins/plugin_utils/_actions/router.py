# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection that names the router and its hypervisor.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible

TRANSPORT = "outofband.chr.guest_agent"


def router_connection(action: ActionBase, what: str) -> t.Any:
    """Return the connection of *action*'s host.

    Raises NotPossible if the host has another connection than that of this collection. *what* is
    the message's text after the action's name: ``works over the connection {transport} only``.
    """
    connection: t.Any = action._connection
    if connection.transport != TRANSPORT:
        raise NotPossible(
            f"{action._task.action} {what.format(transport=TRANSPORT)}; this host has {connection.transport!r}. Set "
            f"ansible_connection: {TRANSPORT} for the router."
        )
    return connection
