# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The planned VM. A key that is left out or null is not checked, or has its default. Other
        keys are refused.
      - Sizes are whole numbers of MiB.
    type: dict
    required: true
    suboptions:
      hypervisor:
        description:
          - The hypervisor, by the word that this collection uses for it everywhere. V(xenstore) is
            a Xen Project host. The other words of P(outofband.chr.platform#filter) are accepted,
            too.
          - Under V(bhyve), a CHR cannot run at all.
        type: str
        required: true
        choices:
          - proxmox
          - libvirt
          - qemu
          - vmware
          - workstation
          - xenapi
          - xenstore
          - hyperv
          - virtualbox
          - bhyve
          - esx
          - kvm
          - xe
          - xen
          - xl
      routeros:
        description: The version of RouterOS, in quotes, such as V("7.22"). When left out, the
          requirements are those of RouterOS 7.
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
          - The first summand of the formula, in MiB. When left out, it is 128 for RouterOS 6, and
            256 from 7 on. The vendor's newest pages have 512.
        type: int
      disk:
        description: The size of the system disk.
        type: int
      disk_bus:
        description:
          - The bus of the system disk, V(ide), V(sata), V(virtio), V(scsi), V(sas),
            V(pvscsi), V(lsisas) or V(lsilogic).
        type: str
      further_disks:
        description: The buses of the other disks, as in O(_input.disk_bus).
        type: list
        elements: str
      nics:
        description:
          - The network cards. Each is the name of its model, or a dictionary as for the modules
            that create a VM (C(network), C(model), C(mac), C(vlan)), of which only C(model) is
            checked. When left out, there is one.
          - The models are V(vmxnet3), V(e1000), V(synthetic), V(legacy), V(virtio), V(netfront) and
            V(rtl8139).
        type: list
        elements: raw
      firmware:
        description: The firmware, V(bios) or another one.
        type: str
      generation:
        description: The generation of a VM of Hyper-V.
        type: int
      virtualization:
        description: The type of a Xen domain, V(hvm), V(pv) or V(pvh).
        type: str
      architecture:
        description: The architecture of the VM.
        type: str
        default: x86_64
"""
