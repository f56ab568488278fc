# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failure says under no_log. PRIVATE to the collection: may change in any release.

Ansible shows the reason of a failure even then, and ours can quote a script, an option or the router.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import NoSecretWay, OutcomeUnknown

HIDDEN = "The task failed. The reason is not shown because no_log is set."
HIDDEN_OUTCOME = (
    "The agent was lost after a request was sent, so what became of it on the router is unknown; it was not repeated. "
    "The details are not shown because no_log is set."
)


def hidden(error: Exception | None) -> str:
    """In place of the text of *error*, with what the operator must clear away."""
    if isinstance(error, OutcomeUnknown):
        return f"{HIDDEN_OUTCOME} {error.left}".rstrip()
    if isinstance(error, NoSecretWay):
        return str(error)
    return HIDDEN
