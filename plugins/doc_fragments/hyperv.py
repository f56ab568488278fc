# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend hyperv."""

    DOCUMENTATION = r"""
options: {}
notes:
  - B(Backend hyperv) is a VM of Hyper-V on the Windows machine O(ssh_host), whose OpenSSH server is
    used. It has no channel to the guest agent, turns the machine on and off, and refuses
    everything else. Its options are O(ssh_host) and O(ssh_args).
"""

    CONNECTION = r"""
options: {}
"""
