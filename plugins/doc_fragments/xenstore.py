# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend xenstore."""

    DOCUMENTATION = r"""
options: {}
notes:
  - B(Backend xenstore) is a domain of XenServer, XCP-ng or Xen Project, through xenstore in dom0.
    Its options are O(ssh_host), O(ssh_args) and O(socket).
"""

    CONNECTION = r"""
options: {}
notes:
  - B(Ways of backend xenstore.) V(auto) takes the first of these that works, and remembers it for
    that dom0. V(socket) speaks to xenstored's own socket, so that a script is not in the
    arguments of any program. V(commands) runs C(xenstore-write) and related commands, which shows
    a script in the process list of dom0 for a moment. Script files are run with C(/import).
  - B(Limits of backend xenstore.) A script's output has at most 1,536 bytes. Files cannot be
    transferred, but scripts can write and read text files of up to 60 KiB.
"""
