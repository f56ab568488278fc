# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: virtualbox_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on VirtualBox
version_added: 1.0.0
description:
  - Copies a CHR image (VDI) to a machine with VirtualBox, verifies it there, creates a VM from it
    that boots with BIOS, and starts it without a window.
  - B(There is no guest agent on VirtualBox), so no other module of this collection reaches the
    router. Success of this module means that the VM runs. Prepare the image with a first-boot
    script (M(outofband.chr.image)), use the serial console (O(serial)), or log in over the network
    once the router has an address.
notes:
  - It runs C(VBoxManage) of VirtualBox 5 or newer on the controller, or on C(chr_ssh_host), which
    can be Linux or macOS. No rights are needed other than to use VirtualBox; a bridged network
    needs its kernel modules.
  - The networks of O(nics) are V(nat), which is the default, V(bridged:INTERFACE),
    V(hostonly:INTERFACE), V(natnetwork:NAME), V(intnet:NAME), and V(hostonlynet:NAME) on macOS. A
    network that does not exist is refused, except an internal one, which VirtualBox creates.
  - Each user of a machine has VMs of its own. The VM is that of the user who logs in.
  - VirtualBox refuses two disks with the same UUID, which copies of an image have. So each VM's
    disk is given a new UUID.
  - VirtualBox has no VLANs and does not emulate rtl8139, which the vendor's manual names; both are
    refused.
  - No collection for VirtualBox is well kept, so this module has its own code. For other changes
    than those of O(reconcile) use C(VBoxManage modifyvm) with M(ansible.builtin.command).
  - O(reconcile=true) changes the CPUs, the memory, the network cards and the boot order. A VM with
    a saved state is not changed.
options:
  folder:
    description:
      - The folder in which the VM's own folder is made. When left out, it is VirtualBox's default
        machine folder.
    type: str
  disk_bus:
    description:
      - The controller that has the disk.
    type: str
    default: ide
    choices: [ide, sata]
  serial:
    description:
      - The path of a unix socket on the machine with VirtualBox, at which the router's serial
        console is served while the VM runs. Anyone who can open it has the console.
    type: str
  vboxmanage:
    description:
      - The program, if it is not on PATH. On macOS it is C(/usr/local/bin/VBoxManage).
    type: str
    default: VBoxManage
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
  - module: outofband.chr.image
"""

EXAMPLES = r"""
- name: Create the router on the VirtualBox of another machine
  outofband.chr.virtualbox_vm:
    image: images/chr-7.22.vdi
    nics:
      - network: bridged:eth0
      - network: intnet:lab
    serial: /home/lab/chr1.console
  vars:
    chr_ssh_host: lab@workstation.example.net

- name: Remove the router
  outofband.chr.virtualbox_vm:
    state: absent
  vars:
    chr_ssh_host: lab@workstation.example.net
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The VM's UUID. Null if there is none, or in check mode, when it would be made.
  returned: success
  type: str
  sample: 0b3a7f0e-6a9c-4d6c-9a44-7c1d5be0a1f2
state:
  description: What the VM is now, or would be after a check; V(absent), V(stopped) or V(running).
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image that the VM was made of. Null with O(state=absent), and for a
    VM that was adopted.
  returned: success
  type: str
  sample: 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
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
