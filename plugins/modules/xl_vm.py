# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xl_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on Xen Project
version_added: 1.0.0
description:
  - Creates a domain from a raw disk image with C(xl), the toolstack of Xen Project, on a dom0, or
    removes it with its disk. It needs Xen 4.6 or newer. For XenServer and XCP-ng, use
    M(outofband.chr.xenapi_vm).
  - The domain is an HVM guest that boots with BIOS from its first IDE disk, with C(viridian) off
    and a serial console (C(xl console)). Its uuid and MAC addresses stay the same over all starts.
  - While it is off, it consists of two files on dom0, C(<name>.cfg) in O(config_directory) and
    C(<name>.img) in O(directory).
  - The SHA-256 of the disk is computed on dom0 too, so it arrives whole or not at all.
  - Its guest tools are reached with backend V(xenstore). They need a part of xenstore (C(vm-data))
    that C(xl) does not make. A start by this module makes it before the router boots; later, the
    backend makes it when it is needed. Whether a router notices that while it runs has not been
    proven.
  - No other collection uses C(xl). If libvirt manages the domains, use M(community.libvirt.virt).
    For other changes of the VM than those of O(reconcile), edit its configuration file, for example
    with M(ansible.builtin.lineinfile).
  - O(reconcile=true) changes the CPUs, the memory, the network cards and the boot order in that
    file, and keeps what else is there. What is compared is the file, as the next start uses it.
  - O(adopt=true) needs that file, with the domain's name and its uuid.
options:
  directory:
    description:
      - The folder on dom0 for the disk, as an absolute path. It is created if it does not exist.
    type: str
    default: /var/lib/xen/images
  config_directory:
    description:
      - The folder on dom0 for the configuration file, as an absolute path.
    type: str
    default: /etc/xen
  autostart:
    description:
      - Whether dom0 starts the domain when it boots, by a link in C(auto) below
        O(config_directory), where C(xendomains) looks.
    type: bool
    default: false
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
  - dom0 is the machine of C(chr_ssh_host), or the controller itself where that is not set. The user
    there must be root. The programs C(xl), C(xenstore-write) and C(xenstore-chmod) must be there,
    and C(openssl) or C(sha256sum).
  - The network of O(nics) is a bridge of dom0. When left out, it is the default of C(xl)
    (C(vif.default.bridge) in C(xl.conf), else C(xenbr0)).
  - The card V(netfront) is paravirtualised only. With V(rtl8139) or V(e1000) the domain has an
    emulated card, too.
  - O(nics[].vlan) cannot be set. Name a bridge on the tagged interface.
seealso:
  - module: outofband.chr.image
  - module: outofband.chr.wait_for_agent
  - module: outofband.chr.xenapi_vm
"""

EXAMPLES = r"""
- name: Create the router in the default folders, and start it
  outofband.chr.xl_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"

- name: Create it with two network cards, and start it with dom0
  outofband.chr.xl_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"
    cpus: 2
    directory: /srv/xen
    autostart: true
    nics:
      - network: xenbr0
      - network: xenbr1
        mac: 00:16:3e:00:00:01

- name: Remove the router
  outofband.chr.xl_vm:
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
