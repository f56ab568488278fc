# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
notes:
  - Before anything is created, the wanted VM is checked against the vendor's requirements (memory, disk, network cards), and the
    platform is asked for what can be asked (space, rights, networks).
  - What an import makes carries a mark from its first moment on. An import that fails takes away what it made. When it was killed,
    the next run recognises what it left, removes it and begins anew.
  - A VM of that name without this mark belongs to somebody else. It is never changed, started or removed, and the task fails.
  - An existing VM of this collection is left as it is, whatever O(image), O(cpus), O(memory) and O(nics) say, as a router changes
    its disk by itself. Only O(running) has an effect on it. For later changes of the hardware use the collections of the platform.
options:
  name:
    description:
      - The VM's name on its platform. When left out, it is the name of the host.
    type: str
  state:
    description:
      - V(present) makes the VM of O(image), unless it is there.
      - V(absent) stops the VM without asking the router, and removes it with its disks.
    type: str
    default: present
    choices: [present, absent]
  running:
    description:
      - Whether a VM that is present is switched on. A running one is never switched off.
    type: bool
    default: true
  image:
    description:
      - The disk image on the controller, as M(outofband.chr.image) prepares it. It is required with O(state=present).
    type: path
  routeros:
    description:
      - The version of RouterOS in the image, such as V(7.22). It decides which requirements hold; when left out, those of
        RouterOS 7 do.
    type: str
  cpus:
    description: How many CPUs the VM has.
    type: int
    default: 1
  memory:
    description:
      - The VM's memory in MiB. When left out, it is what the vendor's formula requires,
        O(memory_base) + 8 x CPUs x (interfaces - 1).
    type: int
  memory_base:
    description:
      - What the formula begins with, in MiB. When left out, it is 128 for RouterOS 6, and 256 from 7 on.
    type: int
  nics:
    description:
      - The network cards, in the order of C(ether1), C(ether2) and so on.
    type: list
    elements: dict
    default: [{}]
    suboptions:
      network:
        description: What the card is connected to, as the platform calls it. When left out, it is the default of the platform.
        type: str
      model:
        description: The kind of card. When left out, it is the best for the platform.
        type: str
      mac:
        description: The MAC address. When left out, the platform chooses one.
        type: str
      vlan:
        description: The tag that the platform puts on what the card sends and takes off what it receives.
        type: int
"""
