# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend qemu."""

    DOCUMENTATION = r"""
options: {}
notes:
  - B(Backend qemu) is the agent socket of a QEMU process, a unix socket or a TCP port.
"""

    CONNECTION = r"""
options: {}
notes:
  - B(Options of backend qemu) are O(socket), and O(ssh_host) and O(ssh_args) if the socket is on
    another machine.
  - B(Ways of backend qemu.) Script text is always sent inline. V(auto), V(import) and V(inline)
    run script files with C(/import) inline, which every RouterOS knows.
    V(path) gives the agent the name of a script file, as the vendor's manual describes it. Public
    sources disagree on whether a CHR takes that. The agent must name itself RouterOS for that,
    because any other agent would start a program of that name.
"""

    # For an inventory, which looks for the sockets of many VMs.
    INVENTORY = r"""
options:
  sockets:
    description:
      - For backend V(qemu), where the agent channels of the VMs are on the machine, a list of
        absolute paths with the shell's C(*), C(?) and C([...]). A folder stands for all sockets in
        it.
    type: list
    elements: str
    default:
      - /var/lib/outofband.chr/*/agent.sock
notes:
  - B(Options of backend qemu) are O(sockets), and O(ssh_host) and O(ssh_args) if the sockets are on
    another machine.
"""
