# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of every backend."""

    # For every plugin that reaches a hypervisor.
    DOCUMENTATION = r"""
options:
  backend:
    description:
      - The way to the hypervisor, V(qemu), V(libvirt), V(proxmox), V(vmware), V(xenapi),
        V(xenstore), V(vmrun), V(virtualbox) or V(hyperv). The notes describe them.
      - It must be set.
    type: str
    env:
      - name: OUTOFBAND_BACKEND
  connect_timeout:
    description:
      - The seconds to wait for the hypervisor and for the guest agent, that is for a socket to
        appear, for another client to leave it, and for the first answer.
    type: float
    default: 30
    env:
      - name: OUTOFBAND_CONNECT_TIMEOUT
"""

    # For a connection: the variables, and the options of one router.
    CONNECTION = r"""
options:
  backend:
    vars:
      - name: chr_backend
  connect_timeout:
    vars:
      - name: chr_connect_timeout
  vm:
    description:
      - The VM, as its hypervisor knows it. It must not be empty.
      - For backend V(qemu), it is only a name in messages.
      - For backend V(libvirt), it is the name or the UUID of the domain.
      - For backend V(proxmox), it is the vmid or the name.
      - For backend V(vmware), it is the name, the BIOS or instance uuid, the managed object id
        (V(vm-123)) or the path (V([datastore] chr/chr.vmx)).
      - For backend V(xenapi), it is the uuid or the name. Templates and snapshots are ignored.
      - For backend V(xenstore), it is the domid, the name or the uuid of the domain. The domid
        changes with each boot, so a name or a uuid is better.
      - For backend V(vmrun), it is the path of the C(.vmx) file, or the name of a VM in the product's
        default folder.
      - For backend V(virtualbox), it is the name or the UUID, and for backend V(hyperv) the name or
        the id.
      - If two VMs match, nothing is sent and the task fails.
    type: str
    vars:
      - name: inventory_hostname
      - name: chr_vm
  exec_mode:
    description:
      - How a script is handed over, and how a script file on the router is run, if a backend has
        more than one way.
      - Every backend takes V(auto), and some of the other values. The notes list them for each
        backend. Any other value is refused before anything is sent.
      - V(reboot), for backend V(xenapi), is a permission to restart the router.
    type: str
    default: auto
    choices: [auto, inline, import, path, json, file, qm, socket, console, start, reboot, commands]
    vars:
      - name: chr_exec_mode
    env:
      - name: OUTOFBAND_EXEC_MODE
"""
