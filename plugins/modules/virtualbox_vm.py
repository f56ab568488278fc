# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: virtualbox_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on VirtualBox
version_added: 0.1.0
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
  - No collection for VirtualBox is well kept, so this module has its own code. For later changes
    use C(VBoxManage modifyvm) with M(ansible.builtin.command).
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
  description: The SHA-256 of the image file that the VM was made of. Null if there is none.
  returned: success
  type: str
  sample: 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
"""
