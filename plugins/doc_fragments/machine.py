# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The VM as it is planned. What is left out or null is not checked, or has the default that is named. Other keys are refused.
      - Sizes are whole numbers of MiB.
    type: dict
    required: true
    suboptions:
      hypervisor:
        description:
          - What runs the VM. V(esx) is VMware, V(kvm) also Proxmox VE and libvirt, V(xen) also XenServer and XCP-ng.
          - Under V(bhyve), a CHR cannot run at all.
        type: str
        required: true
        choices: [esx, hyperv, kvm, xen, virtualbox, bhyve]
      routeros:
        description: The version of RouterOS, in quotes, such as V("7.22"). When left out, the requirements are those of RouterOS 7.
        type: str
      cpus:
        description: How many CPUs the VM has.
        type: int
        default: 1
      memory:
        description: The VM's memory.
        type: int
      memory_base:
        description:
          - What the formula of the memory begins with. When left out, it is 128 for RouterOS 6, and 256 from 7 on. The vendor's
            newest pages have 512.
        type: int
      disk:
        description: The size of the system disk.
        type: int
      disk_bus:
        description:
          - What the system disk is connected to, V(ide), V(sata), V(virtio), V(scsi), V(sas), V(pvscsi), V(lsisas) or V(lsilogic).
        type: str
      further_disks:
        description: What the other disks are connected to, as in O(_input.disk_bus).
        type: list
        elements: str
      nics:
        description:
          - The network cards. Each is the name of its model, or a dictionary as the modules that import a CHR take it (C(network),
            C(model), C(mac), C(vlan)), of which only C(model) is checked. When left out, there is one.
          - The models are V(vmxnet3), V(e1000), V(synthetic), V(legacy), V(virtio), V(netfront) and V(rtl8139).
        type: list
        elements: raw
      firmware:
        description: V(bios), or another one.
        type: str
      generation:
        description: The generation of a VM of Hyper-V.
        type: int
      virtualization:
        description: V(hvm), or what a domain of Xen is otherwise, V(pv) or V(pvh).
        type: str
      architecture:
        description: The architecture of the VM.
        type: str
        default: x86_64
"""
