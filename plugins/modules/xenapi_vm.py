# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xenapi_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on XenServer or XCP-ng
version_added: 1.0.0
description:
  - Creates a VM from a raw disk image through XenAPI, the interface of XenServer and XCP-ng, or
    removes it with its disks and snapshots.
  - The VM is an HVM guest that boots with BIOS from its first IDE disk, with C(viridian) off. It is
    created from the record of the built-in template C(Other install media).
  - The image is streamed into the pool over HTTPS, by the host that sees the storage. XenAPI has
    no checksums, so the disk is then read back and compared, unless O(verify=false).
  - The guest tools of the router work in every VM there. Backend V(xenapi) hands a script over when
    the VM starts. So with O(running=false), the first script starts the router; on a running one it
    takes C(chr_exec_mode=reboot), or backend V(xenstore).
  - M(community.general.xenserver_guest) creates VMs from templates only and cannot import a disk
    image, so this module has its own code. For other changes of the VM than those of O(reconcile),
    use that module.
  - O(reconcile=true) changes the CPUs, the memory, the boot order, and the number and networks of
    the network cards. The memory needs the role C(vm-power-admin). The address of a card cannot be
    changed there.
options:
  storage:
    description:
      - The storage (SR) for the disk, by its name or uuid. When left out, it is the default storage
        of the pool.
    type: str
  verify:
    description:
      - Whether to read the disk back and compare it with the image. It takes about as long as the
        upload.
    type: bool
    default: true
requirements:
  - XenAPI >= 25 on the controller
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
  - Address and login are those of the connection, C(chr_api_host), C(chr_api_user),
    C(chr_api_password), C(chr_ca_path) and so on. The user needs the role vm-admin or a higher one.
    In a pool, the controller must reach the other hosts by HTTPS at the addresses that the pool
    knows them by, when their storage is used.
  - A network of O(nics) is named by its name, uuid or bridge. The default is that of the bridge
    C(xenbr0).
  - The host gives each network card in two forms, as C(netfront) for guests that know it, and
    emulated. The models V(rtl8139) and V(e1000) choose what the emulated ones are, which is the
    same for all cards of a VM.
  - O(nics[].vlan) cannot be set, since the tag belongs to the network there. Make a network with
    the tag, and name it.
seealso:
  - module: outofband.chr.image
  - module: outofband.chr.wait_for_agent
  - module: community.general.xenserver_guest
"""

EXAMPLES = r"""
- name: Create the router on the pool's default storage, and start it
  outofband.chr.xenapi_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"

- name: Create it with two network cards, to be started by its first script
  outofband.chr.xenapi_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"
    running: false
    cpus: 2
    storage: Local storage
    nics:
      - network: Pool-wide network associated with eth0
      - network: xenbr1
        mac: 02:00:00:00:00:01

- name: Remove the router
  outofband.chr.xenapi_vm:
    state: absent
"""

RETURN = r"""
name:
  description: The name of the VM.
  returned: success
  type: str
  sample: chr1
id:
  description: The uuid of the VM. Null when there is none.
  returned: success
  type: str
  sample: 6e8b1f0c-6d0a-4c2e-9a55-0f6cf1f3f2a7
state:
  description: What the VM is now, or in check mode would be, V(absent), V(stopped) or V(running).
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image that the VM was made of. Null with O(state=absent), and for a
    VM that was adopted.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
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
