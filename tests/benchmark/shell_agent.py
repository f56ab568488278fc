# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An agent for peers that start programs: ``sh -c TEXT`` runs the text as the router's script."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.outofband.chr.tests.lab.qga.agent import Agent


class ShellAgent(Agent):
    """It does the same work for a peer as for ours, which a real CHR would not."""

    def _guest_exec(self, path: t.Any = None, arg: list[str] | None = None, **others: t.Any) -> dict[str, t.Any]:
        if path == "/bin/sh" and arg:
            others["input_data"] = base64.b64encode(arg[-1].encode()).decode()
        return super()._guest_exec(**others)
