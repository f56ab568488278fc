# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """A socket on the machine with the hypervisor."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - For backend V(qemu), the agent channel, V(/path/to.sock) or V(tcp://host:port).
        On Proxmox VE that is C(/run/qemu-server/<vmid>.qga) on the node.
      - For backend V(xenstore), the socket of xenstored in dom0. If it is left out, it is
        C(/run/xenstored/socket) or C(/var/run/xenstored/socket).
    type: str
"""

    CONNECTION = r"""
options:
  socket:
    vars:
      - name: chr_socket
"""
