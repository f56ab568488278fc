# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: proxmox_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on Proxmox VE
version_added: 1.0.0
description:
  - Imports a disk image of a Cloud Hosted Router into a cluster of Proxmox VE and creates a VM from
    it, whole or not at all. The VM boots with SeaBIOS from its first disk, and has the channel of
    the guest agent (C(agent) with type C(virtio)).
  - The image is sent while it is read, with its progress. The far side computes its SHA-256 before
    anything is made of it.
  - It uses C(chr_api_host), C(chr_api_user) or C(chr_api_token_id) and the other options of the
    connection. All tasks share a login.
  - There are three ways for the disk, see O(import_mode). Which one was used is in RV(import_mode).
  - "B(Privileges.) On C(/vms) or the O(pool): C(VM.Allocate), C(VM.Audit), C(VM.Config.CPU),
    C(VM.Config.Disk), C(VM.Config.Memory), C(VM.Config.Network), C(VM.Config.Options) and
    C(VM.PowerMgmt), with O(serial) also C(VM.Config.HWType). On the O(storage):
    C(Datastore.AllocateSpace). With O(import_mode=upload), on the O(import_storage):
    C(Datastore.AllocateTemplate), and C(Datastore.Allocate) to delete the uploaded image again.
    From Proxmox VE 8 on, C(SDN.Use) on each bridge, as in C(/sdn/zones/localnetwork/vmbr0). Missing
    privileges are reported before anything is created."
  - A VM that the user may not see (C(VM.Audit)) cannot be seen to have the same name.
  - This module has its own code, because M(community.proxmox.proxmox_template) uploads without a
    checksum, and neither it nor M(community.proxmox.proxmox_kvm) knows the other's half of the
    work, so that a broken run leaves an image or half a VM behind. For other changes of the VM than
    those of O(reconcile), M(community.proxmox.proxmox_kvm) is the right module.
  - O(reconcile=true) changes the CPUs, the memory, all of the network cards, the option C(agent)
    and the boot order. The other properties of these options stay as they are.
options:
  node:
    description:
      - The node that gets the VM. When left out, it is C(chr_node), or else the only node of the
        cluster.
    type: str
  vmid:
    description:
      - The number of the VM. When left out, it is the next one that is free.
    type: int
  storage:
    description:
      - The storage for the disk. It must take the content type C(images). When left out, it is the
        only such storage of the node.
    type: str
  import_mode:
    description:
      - How the image becomes the disk. V(auto) takes the first of the other ways that is possible
        with the version of the server, its storages, and the login.
      - V(upload) uploads it through the API as content C(import) and imports it from there. It
        needs Proxmox VE 8.4 (pve-storage 8.3.6) and a file-based storage with that content type,
        and no root. The uploaded image is deleted when the disk is made.
      - V(path) copies it through C(chr_ssh_host), which must be O(node) as root, to O(node_folder),
        and has Proxmox VE 7.2 or later import it from that path. Proxmox VE allows that to
        C(root@pam) with a password only, not to an API token.
      - V(importdisk) copies it in the same way, and runs C(qm importdisk) there. It works with
        every version, and with API tokens.
    type: str
    default: auto
    choices: [auto, upload, path, importdisk]
  import_storage:
    description:
      - With O(import_mode=upload), the storage for the uploaded image. When left out, it is
        O(storage) if that takes the content type C(import), or else the first by name that does.
    type: str
  node_folder:
    description:
      - With O(import_mode=path) and V(importdisk), the folder of the node in which the image lies
        until the disk is made.
    type: str
    default: /var/tmp
  disk_bus:
    description: What the disk is connected to.
    type: str
    default: virtio
    choices: [virtio, sata, ide]
  pool:
    description: The resource pool that the VM is put into. It must exist.
    type: str
  tags:
    description: Tags of the VM.
    type: list
    elements: str
    default: []
  onboot:
    description: Whether the VM is started when its node boots.
    type: bool
    default: false
  serial:
    description: Whether the VM has a serial port (C(serial0) as a socket), for C(qm terminal).
    type: bool
    default: false
  timeout:
    description:
      - How many seconds one task of Proxmox VE may take, such as the import. The upload itself has
        no limit as long as it makes progress.
    type: float
    default: 600
requirements:
  - proxmoxer >= 2 on the controller
extends_documentation_fragment:
  - outofband.chr.vm
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.wait_for_agent
  - module: community.proxmox.proxmox_kvm
notes:
  - As O(nics[].network) it takes the name of a bridge or of a VNet, C(vmbr0) when left out.
  - Proxmox VE puts an upload into C(/var/tmp) of the node that is asked (C(chr_api_host)) first,
    which must have room for it.
"""

EXAMPLES = r"""
- name: Create a router
  outofband.chr.proxmox_vm:
    image: chr-7.22.img
    node: pve1
    storage: local-lvm

- name: Create a router with two network cards, one of them in VLAN 40, in a pool
  outofband.chr.proxmox_vm:
    image: chr-7.22.img
    routeros: "7.22"
    node: pve1
    storage: local-lvm
    import_storage: local
    pool: routers
    tags: [chr]
    onboot: true
    nics:
      - network: vmbr0
      - network: vmbr1
        vlan: 40

- name: Wait for its agent
  outofband.chr.wait_for_agent:

- name: Create a router on an older Proxmox VE, through the node
  outofband.chr.proxmox_vm:
    image: chr-7.22.img
    node: pve1
    storage: local-lvm
    import_mode: importdisk
  vars:
    chr_ssh_host: root@pve1.example.net

- name: Take over a router that was made by hand, after a look at it in check mode
  outofband.chr.proxmox_vm:
    image: chr-7.22.img
    adopt: true

- name: Give the router two CPUs and the channel of the guest agent, with a restart
  outofband.chr.proxmox_vm:
    image: chr-7.22.img
    cpus: 2
    reconcile: true
    restart: true

- name: Remove a router
  outofband.chr.proxmox_vm:
    state: absent
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The VM's number (vmid). Null if it does not exist.
  returned: success
  type: str
  sample: "105"
state:
  description: What the VM is now, C(running), C(stopped) or C(absent); in check mode, what it would
    be.
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image that the VM was made of. Null with O(state=absent), and for a
    VM that was adopted.
  returned: success
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
found:
  description: What an existing VM had before this task. Null if none existed, or if that could not
    be read. What the platform does not tell is null.
  returned: success and O(state=present)
  type: dict
  contains:
    state:
      description: Its state, C(running) or C(stopped).
      type: str
    cpus:
      description: The number of CPUs.
      type: int
    memory:
      description: The memory in MiB.
      type: int
    nics:
      description: The network cards, each with C(model), C(mac), C(network) and C(vlan). The VLAN 0
        stands for a card without a tag.
      type: list
      elements: dict
    agent:
      description: Whether it had the channel of the guest agent.
      type: bool
    boot:
      description: What it booted from first, C(disk) or something else.
      type: str
  sample: {state: running, cpus: 1, memory: 256, nics: [], agent: true, boot: disk}
differences:
  description: What an existing VM had in another way than the task asks for.
  returned: success and O(state=present)
  type: list
  elements: dict
  contains:
    what:
      description: C(cpus), C(memory), C(agent), C(boot), C(image), C(nics) for the number of cards,
        or C(model), C(mac), C(network) or C(vlan) of a card.
      type: str
    interface:
      description: The card, by RouterOS's name. Null if it is not about one card.
      type: str
    is:
      description: What it was.
      type: raw
    asked:
      description: What the task asks for.
      type: raw
    reconciled:
      description: Whether it was changed, or would be without check mode.
      type: bool
  sample: [{what: cpus, interface: null, is: 1, asked: 2, reconciled: false}]
adopted:
  description: Whether the VM was taken over, see O(adopt).
  returned: success and O(state=present)
  type: bool
  sample: false
license:
  description: The license of the router that is removed. Null if it could not be read.
  returned: O(state=absent) and the VM was complete
  type: dict
  contains:
    level:
      description: Its level.
      type: str
    system_id:
      description: Its system id, by which the account knows it. Null for a free license.
      type: str
  sample: {level: p1, system_id: 6lR1ZP/utuJ}
import_mode:
  description: The way in which the image became the disk, C(upload), C(path) or C(importdisk). Null
    when nothing was imported.
  returned: success
  type: str
  sample: upload
"""
