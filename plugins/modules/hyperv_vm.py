# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hyperv_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on Hyper-V
version_added: 1.0.0
description:
  - Copies a CHR image (VHDX) to a Windows machine with Hyper-V, verifies it there, creates a VM of
    generation 1 from it, with the disk on IDE and fixed memory, and starts it.
  - B(Delegate the task to the Windows machine.) It works over that host's connection,
    P(ansible.builtin.psrp#connection), P(ansible.builtin.winrm#connection) or
    P(ansible.builtin.ssh#connection), and needs nothing of the router's own.
  - B(No guest agent of RouterOS is known on Hyper-V), so none of this collection's other modules
    reaches the router. M(outofband.chr.power) turns its machine on and off with
    C(chr_backend=hyperv). Success of this module means that the VM runs. Prepare the image with a
    first-boot script (M(outofband.chr.image)), or log in over the network once the router has an
    address.
notes:
  - The user needs to be in C(Hyper-V Administrators) or C(Administrators) of a Windows Server 2012,
    Windows 8, or newer, and to be able to write into O(folder). Hyper-V's PowerShell module must be
    installed. Windows Server 2008 R2 does not have it.
  - With P(ansible.builtin.ssh#connection), set C(ansible_shell_type=powershell). psrp and winrm
    send files in base64, several times slower than ssh does.
  - The networks of O(nics) are names of virtual switches. A card without one is not connected.
  - Automatic checkpoints, which Windows 10 and newer make at each start, are switched off for the
    VM.
  - The mark of this collection is in the VM's notes. Leave it there.
  - C(ansible.windows) and other well-kept collections have no modules for Hyper-V, so this module
    calls Microsoft's cmdlets itself, as M(ansible.windows.win_powershell) can for other changes
    than those of O(reconcile).
  - O(reconcile=true) changes the CPUs, the memory, and the number, switches, VLANs and MAC addresses
    of the network cards, which need names of their own. The model of a card is not changed. A saved
    or paused VM is not changed.
options:
  folder:
    description:
      - The folder in which the VM's own folder is made, such as V(D:\\VMs). When left out, it is
        Hyper-V's default for virtual machines.
    type: str
extends_documentation_fragment:
  - outofband.chr.vm
  - outofband.chr.attributes
  - outofband.chr.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: Windows
seealso:
  - module: outofband.chr.image
  - plugin: ansible.builtin.psrp
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Create the router on a Windows server
  outofband.chr.hyperv_vm:
    name: "{{ inventory_hostname }}"
    image: images/chr-7.22.vhdx
    nics:
      - network: External
      - network: Lab
        vlan: 20
  delegate_to: hyperv1

- name: Remove the router
  outofband.chr.hyperv_vm:
    state: absent
  delegate_to: hyperv1
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The VM's id. Null if there is none, or in check mode, when it would be made.
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
