# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of RouterOS in the options of an action.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import planned_vm


def refuse_number(action: ActionBase, option: str) -> None:
    """Refuse a version without quotes, as YAML has made a number of it. Raises InvalidInput.

    Ansible would convert it to text, and 7.20 to 7.2.
    """
    planned_vm.refuse_number(option, action._task.args.get(option))
