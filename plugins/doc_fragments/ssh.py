# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """A machine that is reached with the OpenSSH client."""

    DOCUMENTATION = r"""
options:
  ssh_host:
    description:
      - For backends V(qemu), V(proxmox), V(xenstore), V(vmrun), V(virtualbox) and V(hyperv), the
        machine with the hypervisor, as in C(ssh <ssh_host>). Without it, V(qemu), V(xenstore),
        V(vmrun) and V(virtualbox) work on the controller itself.
      - The OpenSSH client is used, so its configuration, keys, agent and jump hosts apply. One
        connection is kept and shared by all tasks and routers. It asks no questions
        (C(BatchMode=yes)).
      - For backend V(proxmox), it is the node that runs the VM, with the user root. For
        backend V(xenstore), it is the dom0 of the host that runs the VM, with the user root.
    type: str
    env:
      - name: OUTOFBAND_SSH_HOST
  ssh_args:
    description:
      - Further arguments for C(ssh), for example C(-J jump@gateway -i ~/.ssh/lab).
    type: str
    default: ""
    env:
      - name: OUTOFBAND_SSH_ARGS
"""

    CONNECTION = r"""
options:
  ssh_host:
    vars:
      - name: chr_ssh_host
  ssh_args:
    vars:
      - name: chr_ssh_args
"""
