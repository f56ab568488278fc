# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
author: The outofband.chr authors (@outofband)
short_description: Take a quiesced snapshot of a router's VM, or remove a snapshot
version_added: 0.1.0
description:
  - Has the hypervisor take a snapshot of the disks of a Cloud Hosted Router's VM while its guest agent holds the file systems
    still, and fails when it did not. Memory is not part of it.
  - Backends V(proxmox), V(libvirt) and V(vmware). With the others it fails and says so.
options:
  state:
    description:
      - Whether the snapshot is to be there. One of that name that is there already is left as it is.
    type: str
    default: present
    choices: [present, absent]
  name:
    description:
      - Its name. On Proxmox VE 2 to 40 letters, digits, C(-) and C(_), beginning with a letter.
    type: str
    required: true
  description:
    description:
      - A text to keep with it.
    type: str
    default: ""
  quiesce:
    description:
      - Whether the file systems must be at rest. They are when the VM is off.
      - On VMware and libvirt they are frozen only if this is V(true). Proxmox VE freezes them whenever the agent is enabled and
        answers; V(false) only means that it need not work.
    type: bool
    default: true
  on_unquiesced:
    description:
      - What to do when O(quiesce=true) and the file systems were not at rest. Where that is known before, V(remove) and V(fail)
        take no snapshot at all.
      - V(remove) removes the snapshot again and fails.
      - V(fail) keeps it and fails. The next run finds it and is content.
      - V(warn) keeps it with a warning.
    type: str
    default: remove
    choices: [remove, fail, warn]
  timeout:
    description:
      - Seconds until the hypervisor must have done it.
    type: float
    default: 600
notes:
  - On Proxmox VE, it needs the privileges C(VM.Snapshot) and C(VM.Audit), and those to ask the agent (C(VM.Monitor) up to
    version 8; C(VM.GuestAgent.Audit) and C(VM.GuestAgent.FileSystemMgmt), or C(VM.GuestAgent.Unrestricted), in 9). Proxmox VE takes
    the snapshot although freezing or thawing failed, and says so in the task's log only, which this module reads.
  - A guest that stays frozen after a failed thaw is thawed; where that fails too, the task fails and says so.
  - On VMware, RouterOS runs its scripts C(freeze) before its file systems are frozen, C(thaw) after the snapshot was taken, and
    C(freeze-fail) when the hypervisor could not prepare it or C(freeze) failed. Each may take 60 seconds. A C(freeze) that fails or
    takes longer aborts the snapshot. The output of one that failed is then in C(freeze-script.log), C(freeze-fail-script.log) or
    C(thaw-script.log) on the router. FAT32 disks are not quiesced.
  - On VMware, it needs the privileges C(VirtualMachine.State.CreateSnapshot) and C(VirtualMachine.State.RemoveSnapshot).
  - With libvirt, it is an external snapshot of the disks. libvirt 9.0 and newer can remove one.
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: full
    details:
      - It is checked whether anything is known to stand against quiescing.
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.guest_info
"""

EXAMPLES = r"""
- name: Keep the router as it is before the upgrade
  outofband.chr.snapshot:
    name: before_upgrade
    description: Before RouterOS 7.22

- name: Remove the snapshot when all went well
  outofband.chr.snapshot:
    name: before_upgrade
    state: absent
"""

RETURN = r"""
name:
  description: The name of the snapshot.
  returned: success
  type: str
  sample: before_upgrade
quiesced:
  description: Whether its file systems were at rest. False where that was not asked for.
  returned: when it was taken
  type: bool
  sample: true
snapshots:
  description: The names of the VM's snapshots.
  returned: success
  type: list
  elements: str
  sample: [before_upgrade]
"""
