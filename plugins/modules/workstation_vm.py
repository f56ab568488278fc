# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workstation_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on VMware Workstation or Fusion
version_added: 0.1.0
description:
  - Copies a CHR image (VMDK) to a machine with VMware Workstation (Linux) or Fusion (macOS),
    verifies it there, writes a C(.vmx) next to it for a VM that boots with BIOS from IDE, and
    starts it without a window.
  - No other module of this collection reaches a router there. The vendor's way is C(vmrun
    runScriptInGuest), which shows the router's password to anyone who can list the processes of
    that machine, so this collection does not use it. Prepare the image with a first-boot script
    (M(outofband.chr.image)), or log in over the network once the router has an address.
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
    later changes use the window, or edit the C(.vmx) of a VM that is off.
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
  description: The SHA-256 of the image file that the VM was made of. Null if there is none.
  returned: success
  type: str
  sample: 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
"""
