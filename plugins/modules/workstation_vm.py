# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workstation_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on VMware Workstation or Fusion
version_added: 1.0.0
description:
  - Copies a CHR image (VMDK) to a machine with VMware Workstation (Linux) or Fusion (macOS),
    verifies it there, writes a C(.vmx) next to it for a VM that boots with BIOS from IDE, and
    starts it without a window.
  - Other modules reach the router with C(chr_backend=vmrun), as far as C(vmrun runScriptInGuest)
    goes. A script succeeds or fails, and there is no output. C(vmrun) takes the script and the
    router's password as arguments, which anyone can see who lists the processes of that machine.
    So scripts with secrets are refused, and a password needs your consent.
notes:
  - It runs C(vmrun) on the controller, or on C(chr_ssh_host). No rights are needed other than to
    use the product. Fusion on Apple silicon cannot run a CHR.
  - Each user of a machine has VMs of its own. The VM is that of the user who logs in. It does not
    appear in the library of the window until its C(.vmx) is opened there, and cannot be removed
    while it is open there.
  - The networks of O(nics) are V(nat), which is the default, V(bridged), V(hostonly), or one of
    C(vmrun listHostNetworks), such as V(vmnet2). There are no VLANs.
  - The mark of this collection is in the VM's notes. Leave it there.
  - No collection for Workstation and Fusion is well kept, so this module has its own code. For
    other changes than those of O(reconcile) use the window, or edit the C(.vmx) of a VM that is
    off.
  - O(reconcile=true) changes the CPUs, the memory, the network cards and the boot order in the
    C(.vmx), and keeps what else is there. A suspended VM is not changed.
  - O(adopt=true) needs a VM that is off, because VMware writes the C(.vmx) of a running one anew
    when it is turned off.
options:
  product:
    description:
      - V(ws) is Workstation, V(fusion) is Fusion.
    type: str
    default: ws
    choices: [ws, fusion]
  folder:
    description:
      - The folder in which the VM's own folder is made. When left out, it is C(vmware) for V(ws),
        and C(Virtual Machines.localized) for V(fusion), in the home of the user.
    type: str
  hardware_version:
    description:
      - The version of VMware's virtual hardware. The default is that of Workstation 11 and Fusion
        7, which all later ones take.
    type: int
    default: 11
  wait_for_tools:
    description:
      - The seconds in which the router's guest tools must report, which is its first sign of life.
        With V(0) the module does not wait.
    type: float
    default: 0
  vmrun:
    description:
      - The program. When left out, it is C(vmrun) on PATH for V(ws), and the one in
        C(/Applications/VMware Fusion.app) for V(fusion).
    type: str
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
- name: Create the router on the Fusion of a Mac, and wait for its tools
  outofband.chr.workstation_vm:
    product: fusion
    image: images/chr-7.22.vmdk
    nics:
      - network: bridged
      - network: vmnet2
    wait_for_tools: 180
  vars:
    chr_ssh_host: lab@mac.example.net

- name: Remove the router
  outofband.chr.workstation_vm:
    product: fusion
    state: absent
  vars:
    chr_ssh_host: lab@mac.example.net
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The path of its C(.vmx). Null if there is none, or in check mode, when it would be
    made.
  returned: success
  type: str
  sample: /home/lab/vmware/chr1/chr1.vmx
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
