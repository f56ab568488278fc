# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmware_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on a VMware vCenter or ESXi host
version_added: 1.0.0
description:
  - Creates a VM from a disk image through the API of a vCenter or of a single ESXi host. The VM
    boots with BIOS, also on ESXi 8, whose new VMs have EFI; its system disk is the first one on
    IDE, the only bus from which a CHR starts on VMware; its network cards are vmxnet3 or E1000.
    VMware's guest operations, by which backend V(vmware) reaches the router, need no wiring.
  - Address and login are the C(chr_api_*) options of the connection
    P(outofband.chr.guest_agent#connection), with C(chr_validate_certs) and C(chr_ca_path).
  - This module has its own code, because M(vmware.vmware.deploy_content_library_ovf),
    C(community.vmware.vmware_deploy_ovf) and C(vsphere_copy) take a whole OVF package or a single
    file, and leave what a killed run made. For other changes of the VM than those of O(reconcile)
    use M(vmware.vmware.vm) or M(community.vmware.vmware_guest).
  - O(reconcile=true) changes the CPUs, the memory, the boot order, and the number, networks and MAC
    addresses of the network cards. It does not change the model of a card, because that takes a new
    device with another address. It needs the privileges C(VirtualMachine.Config.CPUCount),
    C(VirtualMachine.Config.Memory), C(VirtualMachine.Config.Settings),
    C(VirtualMachine.Config.AddRemoveDevice) and C(VirtualMachine.Config.EditDevice), as far as it
    changes these, and for a restart C(VirtualMachine.Interact.PowerOff).
  - With a free ESXi license, the API is read-only, so nothing can be imported there.
options:
  datacenter:
    description: The datacenter. When left out, the only one that the user sees.
    type: str
  cluster:
    description: The cluster, or a host outside of a cluster. When left out, that of O(esxi_host),
      or the only one.
    type: str
  esxi_host:
    description:
      - The ESXi host. When left out, VMware chooses one in O(cluster), which needs DRS to be on.
    type: str
  resource_pool:
    description: The resource pool by its name. When left out, the root pool of O(cluster).
    type: str
  folder:
    description: The VM folder as a path below the datacenter's, such as V(routers/site1). When left
      out, the VM folder itself.
    type: str
  datastore:
    description:
      - The datastore for the VM. When left out, the only one that O(cluster) or
        O(esxi_host) has.
      - A cluster of datastores is refused; name one of its members.
    type: str
  method:
    description:
      - How the image gets there.
      - V(nfc) takes a streamOptimized vmdk, as M(outofband.chr.image) makes it, or an OVA. It goes
        straight to an ESXi host, whose port 443 must be open for the controller, and only what is
        in the image is sent. That host's certificate must be the one that the vCenter names, or
        be trusted by C(chr_ca_path) if the vCenter names none. What arrived is compared by the
        SHA-1 that VMware computes; the output says so if a server does not compute it.
      - V(datastore) takes a raw image. It goes through the vCenter, is read back and compared, and
        copied to a disk as C(vmkfstools -i) does it. Every byte of the disk is sent, and for a
        while there is space for it twice.
    type: str
    default: nfc
    choices: [nfc, datastore]
  thin:
    description: Whether the disk takes space only as the router fills it.
    type: bool
    default: true
extends_documentation_fragment:
  - outofband.chr.vm
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
notes:
  - The name must be unique in the whole inventory, because the connection finds the router by it.
  - With O(method=nfc), O(image) can be an OVA, as the vendor's newer manual lists one. Its disk is
    checked by the OVA's own manifest, and the VM is created from it as from any other image; the
    description of a VM in it is not used.
  - A network card of VMware has no VLAN tag of its own. Name a port group that has it.
  - >-
    Privileges on the folder: C(VirtualMachine.Inventory.Create),
    C(VirtualMachine.Inventory.Delete), C(VirtualMachine.Config.AddNewDisk) (with
    O(method=datastore) C(VirtualMachine.Config.AddExistingDisk)),
    C(VirtualMachine.Config.Annotation), C(VirtualMachine.Interact.PowerOn),
    C(VirtualMachine.Interact.PowerOff). On the resource pool: C(Resource.AssignVMToPool), and
    C(VApp.Import) with O(method=nfc). On the datastore: C(Datastore.AllocateSpace), with
    O(method=datastore) also C(Datastore.FileManagement) and C(Datastore.Browse). On the networks:
    C(Network.Assign).
requirements:
  - pyvmomi >= 9 on the controller
seealso:
  - module: outofband.chr.wait_for_agent
  - module: vmware.vmware.vm
  - module: community.vmware.vmware_guest
"""

EXAMPLES = r"""
- name: Create the router in a cluster
  outofband.chr.vmware_vm:
    image: chr-7.22-stream.vmdk
    routeros: "7.22"
    cluster: edge
    datastore: ssd1
    folder: routers/site1
    nics:
      - network: uplink
      - network: customers-120

- name: Wait until it answers
  outofband.chr.wait_for_agent:

- name: Create a router on a host that the controller does not reach, through its vCenter
  outofband.chr.vmware_vm:
    name: chr2
    image: chr-7.22.img
    method: datastore
    esxi_host: esx3.example.net
    datastore: local3

- name: Remove the router
  outofband.chr.vmware_vm:
    state: absent
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: Its managed object id, as C(chr_vm) takes it. Null if the VM does not exist, or in
    check mode not yet.
  returned: success
  type: str
  sample: vm-1042
state:
  description: What the VM is now, or in check mode would be.
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image that the VM was made of. Null with O(state=absent), and for a
    VM that was adopted.
  returned: success
  type: str
  sample: 3f5c0a2b7d1e4f60918273645566778899aabbccddeeff00112233445566778a
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
"""
