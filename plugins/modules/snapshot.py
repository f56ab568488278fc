# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
author: The outofband.chr authors (@outofband)
short_description: Take or remove a quiesced snapshot of a router's VM
version_added: 1.0.0
description:
  - Lets the hypervisor take a snapshot of the disks of a Cloud Hosted Router's VM while the guest
    agent has frozen the file systems, and fails if they were not frozen. Memory is not included.
  - It works with backends V(proxmox), V(libvirt) and V(vmware). With the others it fails and says
    so.
options:
  state:
    description:
      - Whether the snapshot shall exist. An existing one with that name is not changed.
      - One that Proxmox VE shows as unfinished (C(snapstate)) does not count. The task fails, and
        says what to do.
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
      - On VMware and libvirt they are frozen only if this is V(true). Proxmox VE freezes them
        whenever the agent is enabled and answers; V(false) only means that this may fail.
    type: bool
    default: true
  on_unquiesced:
    description:
      - What to do when O(quiesce=true) and the file systems were not at rest. If that is known
        before, V(remove) and V(fail) do not take a snapshot.
      - V(remove) removes the snapshot again and fails.
      - V(fail) keeps it and fails. The next run finds it and does nothing.
      - V(warn) keeps it with a warning.
    type: str
    default: remove
    choices: [remove, fail, warn]
  timeout:
    description:
      - The seconds in which the hypervisor must finish.
    type: float
    default: 600
  restart:
    description:
      - Whether a router that stays frozen after a snapshot may be reset. It may be unable to write, so
        it cannot be shut down. Its machine is reset through the hypervisor, as
        M(outofband.chr.power) does, and waited for, and a warning says so.
      - Without it, such a router stays frozen, and the task fails and says so. A snapshot itself never
        needs a restart.
    type: bool
    default: false
  restart_timeout:
    description:
      - The seconds for that restart, until the guest agent answers again.
    type: float
    default: 300
notes:
  - On Proxmox VE, it needs the privileges C(VM.Snapshot) and C(VM.Audit), and those to ask the
    agent (C(VM.Monitor) up to version 8; C(VM.GuestAgent.Audit) and
    C(VM.GuestAgent.FileSystemMgmt), or C(VM.GuestAgent.Unrestricted), in 9). Proxmox VE takes the
    snapshot although freezing or thawing failed. It says so in the task's log only, which this
    module reads. Before version 9.1 the log has nothing about an agent that refuses, so there the
    module freezes the file systems itself, just before Proxmox VE does. They are then frozen as
    long as the task of the snapshot takes, at most for O(timeout).
  - After each snapshot of a running VM with an agent, the module asks the agent of Proxmox VE or
    libvirt whether the file systems are frozen. A guest that stays frozen after a failed thaw is
    thawed. If that fails, too, the task fails and says so, or resets it with O(restart=true). A guest that was frozen before, by
    somebody else, stays as it was, with a warning.
  - On VMware, RouterOS runs its scripts C(freeze) before its file systems are frozen, C(thaw) after
    the snapshot was taken, and C(freeze-fail) when the hypervisor could not prepare it or C(freeze)
    failed. Each may take 60 seconds. A C(freeze) that fails or takes longer aborts the snapshot.
    The output of one that failed is then in C(freeze-script.log), C(freeze-fail-script.log) or
    C(thaw-script.log) on the router. FAT32 disks are not quiesced.
  - On VMware, it needs the privileges C(VirtualMachine.State.CreateSnapshot) and
    C(VirtualMachine.State.RemoveSnapshot).
  - With libvirt, it is an external snapshot of the disks. libvirt 9.0 and newer can remove one.
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - The module checks whether anything is known that would prevent quiescing.
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.guest_info
"""

EXAMPLES = r"""
- name: Take a snapshot before the upgrade
  outofband.chr.snapshot:
    name: before_upgrade
    description: Before RouterOS 7.22

- name: Remove the snapshot when all went well
  outofband.chr.snapshot:
    name: before_upgrade
    state: absent
"""

RETURN = r"""
restarted:
  description: A router that stayed frozen was reset.
  returned: when it was reset
  type: bool
  sample: true
name:
  description: The name of the snapshot.
  returned: success
  type: str
  sample: before_upgrade
quiesced:
  description: Whether its file systems were at rest. False if that was not requested.
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
