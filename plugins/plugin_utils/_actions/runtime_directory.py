# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder on the controller where sockets, locks and kept sessions lie while plays run.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

from pathlib import Path

from ansible import constants as C


def runtime_directory() -> Path:
    """Return the folder, in which Ansible's own connections have their sockets, too."""
    return Path(str(C.config.get_config_value("ANSIBLE_HOME"))).expanduser() / "cp"
