# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.upgrade import UpgradeAction
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.upgrade import CHANNELS


class ActionModule(UpgradeAction):
    """Bring a router to a version of RouterOS."""

    SPEC = {
        "version": {"type": "str"},
        "channel": {"type": "str", "choices": list(CHANNELS)},
        "newest_url": {"type": "str", "default": "https://upgrade.mikrotik.com/routeros/NEWESTa7.{channel}"},
        "packages": {
            "type": "list",
            "elements": "dict",
            "options": {
                "src": {"type": "path", "required": True},
                "checksum": {"type": "str", "required": True},
            },
        },
        "downgrade": {"type": "bool", "default": False},
        "major": {"type": "bool", "default": False},
        "min_free": {"type": "str", "default": "32M"},
        "snapshot": {"type": "str"},
        "rollback": {"type": "bool", "default": False},
        "on_missing": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
        "backup_dest": {"type": "path"},
        "max_size": {"type": "str", "default": "256M"},
        "timeout": {"type": "float", "default": 900.0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }
    REQUIRED_ONE_OF = [("version", "channel")]
