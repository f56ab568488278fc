# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action_group:
    description: Use C(group/outofband.chr.chr_vm) in C(module_defaults) to set defaults for the
      modules that make VMs, or C(group/outofband.chr.chr) for all modules.
    support: full
    details:
      - The modules of C(chr_vm) share the options that are the same on every platform, such as
        O(image), O(memory), O(nics) and O(reconcile). Options of one platform are refused by the
        modules of the others.
    membership:
      - outofband.chr.chr
      - outofband.chr.chr_vm
notes:
  - Before anything is created, the VM is checked against the vendor's requirements (memory, disk,
    network cards), and the platform is checked as far as possible (space, rights, networks).
  - Everything that an import creates has a mark of this collection from the start. An import that
    fails removes what it created. If it was killed, the next run finds what is left by the mark,
    removes it and starts again.
  - A VM of that name without this mark was not created by this collection. It is never changed,
    started or removed, and the task fails, unless O(adopt=true) takes it over.
  - An existing VM is compared with what the task asks for. Each difference is in the result
    (C(differences)) and in a warning, and O(reconcile=true) removes it. The O(image) is compared,
    too, but the disk of an existing VM is never changed, because a router changes its disk by
    itself.
  - What the task does not set is not compared, so that a VM which was tuned by hand stays as it is.
    This holds for O(cpus), O(memory), O(nics), and each key of a card. If a card has
    O(nics[].network) and no O(nics[].vlan), it is asked for without a VLAN tag. If O(memory) is not
    set, only less than the formula requires is a difference. The channel of the guest agent, and
    that the VM boots from its disk, are always compared. What the platform does not tell is not
    compared.
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
  reconcile:
    description:
      - Whether to change an existing VM to what the task asks for, as far as the platform lets it
        be changed. It is changed while it is off. One that runs is only changed with
        O(restart=true).
      - A network card beyond those in O(nics) is removed, and a card that is missing is added.
      - In check mode, and with C(--diff), the changes are shown and not made.
    type: bool
    default: false
  restart:
    description:
      - Whether O(reconcile=true) may turn a running VM off, and on again after the change. The router
        is asked through its agent to shut down. If it does not answer, or is not off after 60
        seconds, the VM is turned off as if its power was cut.
      - It is turned on again also if the change fails.
    type: bool
    default: false
  adopt:
    description:
      - Whether to take over a VM of that name which this collection did not create, or which was
        renamed. It gets the mark of this collection, beside the notes that it has, and is from then
        on started, changed and removed like any other. The result (C(found)) shows what it is. In
        check mode it is shown and not marked.
      - Whether there is RouterOS on its disk is not checked. Look at C(found) in check mode first.
    type: bool
    default: false
  confirm_licensed:
    description:
      - With O(state=absent), whether a router with a paid license or a trial may be removed. The
        key stays in the MikroTik account, and the warning says how it is transferred. A router does
        not show whether its license is paid or a trial, so a trial counts as paid.
      - The license is read through the guest agent. Where it cannot be read, for example because
        the VM is off or the platform has no agent, there is a warning with the reason, and the VM
        is removed.
    type: bool
    default: false
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
