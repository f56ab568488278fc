# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend virtualbox."""

    DOCUMENTATION = r"""
options: {}
notes:
  - B(Backend virtualbox) is a VM of VirtualBox, through the program C(VBoxManage), on the controller or on
    O(ssh_host). It has no channel to the guest agent, turns the machine on and off, and
    refuses everything else. Its options are O(ssh_host), O(ssh_args) and
    O(vboxmanage).
"""

    CONNECTION = r"""
options:
  vboxmanage:
    description:
      - For backend V(virtualbox), the path of C(VBoxManage) on that machine.
    type: str
    default: VBoxManage
    vars:
      - name: chr_vboxmanage
"""
