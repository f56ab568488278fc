# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
notes:
  - Before anything is created, the VM is checked against the vendor's requirements (memory, disk,
    network cards), and the platform is checked as far as possible (space, rights, networks).
  - Everything that an import creates has a mark of this collection from the start. An import that
    fails removes what it created. If it was killed, the next run finds what is left by the mark,
    removes it and starts again.
  - A VM of that name without this mark was not created by this collection. It is never changed,
    started or removed, and the task fails.
  - An existing VM of this collection is not changed, even if O(image), O(cpus), O(memory) or
    O(nics) differ, because a router changes its disk by itself. Only O(running) has an effect on
    it. Use the collections of the platform for later changes of the hardware.
options:
  name:
    description:
      - The VM's name on its platform. When left out, it is the name of the host.
    type: str
  state:
    description:
      - V(present) creates the VM from O(image), unless it exists.
      - V(absent) switches the VM off without a shutdown, and removes it with its disks.
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
      - The disk image on the controller, as M(outofband.chr.image) prepares it. It is required with
        O(state=present).
    type: path
  routeros:
    description:
      - The version of RouterOS in the image, such as V(7.22). It decides which requirements apply.
        When left out, those of RouterOS 7 apply.
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
      - The first summand of the formula, in MiB. When left out, it is 128 for RouterOS 6, and 256
        from 7 on.
    type: int
  nics:
    description:
      - The network cards, in the order of C(ether1), C(ether2) and so on.
    type: list
    elements: dict
    default: [{}]
    suboptions:
      network:
        description: The network of the card, by its name on the platform. When left out, it is
          the default of the platform.
        type: str
      model:
        description: The kind of card. When left out, it is the best for the platform.
        type: str
      mac:
        description: The MAC address. When left out, the platform chooses one.
        type: str
      vlan:
        description: The VLAN tag that the platform adds to what the card sends and removes from
          what it receives.
        type: int
"""
