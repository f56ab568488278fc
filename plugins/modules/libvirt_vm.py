# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on libvirt (QEMU/KVM)
version_added: 1.0.0
description:
  - Uploads a prepared disk image of a Cloud Hosted Router into a storage pool of libvirt, reads it
    back to compare its SHA-256, and defines a domain that boots from it with BIOS. The channel of
    the guest agent is wired, so backend V(libvirt) of P(outofband.chr.guest_agent#connection)
    reaches the router with the same variables.
  - The libvirt is the one of C(chr_libvirt_uri), local or behind SSH
    (C(qemu+ssh://user@host/system)). That host needs libvirt and QEMU only; the controller needs
    libvirt-python.
  - Holes of the image stay holes. The volume has the image's format, raw or qcow2, and a name that
    begins with the VM's.
  - The domain is of the type C(kvm) if the host has KVM, and otherwise C(qemu) with a warning,
    because RouterOS is only known to start its guest agent under KVM.
  - C(community.libvirt.virt_volume) makes volumes and uploads nothing into them, and neither that
    collection's modules nor C(virt-install) recognise an import that was left unfinished; so this
    module has code of its own for the import. For other changes of the VM than those of
    O(reconcile) use M(community.libvirt.virt).
  - O(reconcile=true) defines the domain again with other CPUs, memory, network cards, agent channel
    and boot order. All else in its definition stays. A transient domain, and one with a saved
    state, is not changed. The disk of a domain that was adopted is removed with it if it is a
    volume of a storage pool; otherwise it stays, with a warning.
options:
  storage:
    description:
      - The storage pool for the disk. It must be active, and of a type whose volumes are files or
        block devices (V(dir), V(fs), V(netfs), V(logical)). The latter hold raw images only.
    type: str
    default: default
  disk_bus:
    description:
      - What the system disk is connected to.
    type: str
    default: virtio
    choices: [virtio, sata, ide]
  provision_socket:
    description:
      - The absolute path of a unix socket on the host, where QEMU offers a second channel of the
        agent, C(chr.provision_agent), which libvirt itself does not use. Backend V(qemu) reaches it
        with this path as C(chr_socket).
      - Anyone who can open it controls the router. QEMU must be allowed to create it, also by
        SELinux or AppArmor. When left out, there is no such channel.
    type: str
  autostart:
    description:
      - Whether the VM is started with the host.
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
requirements:
  - libvirt-python on the controller
  - libvirt 3.4 or newer on the host
notes:
  - O(nics[].network) is the name of a libvirt network (V(default) or V(network:default), for
    example), V(bridge:br0) for a Linux bridge of the host, V(ovs:br0) for one of Open vSwitch, or
    V(user) for QEMU's user-mode network. When left out, it is V(default). A missing bridge is
    noticed only when the VM is started.
  - O(nics[].vlan) needs Open vSwitch, or libvirt 11 on the host.
  - 'Rights: a user who may write to libvirt (group C(libvirt), or root). With polkit access control
    these are the permissions C(domain.write), C(domain.save), C(domain.start), C(domain.stop),
    C(domain.delete), C(storage-pool.refresh), C(storage-vol.create), C(storage-vol.data-write),
    C(storage-vol.data-read), C(storage-vol.delete), and the right to read what is asked.'
  - With O(state=absent) the overlays that external snapshots have put on the disk are removed with
    it. Disks that were added to the VM later are not.
seealso:
  - module: outofband.chr.wait_for_agent
  - module: community.libvirt.virt
"""

EXAMPLES = r"""
- name: Create a router on a KVM host
  outofband.chr.libvirt_vm:
    image: /srv/images/chr-7.22.qcow2
    routeros: "7.22"
    cpus: 2
    nics:
      - network: bridge:br-wan
      - network: default
    autostart: true
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: libvirt
    chr_libvirt_uri: qemu+ssh://root@kvm1.example.net/system

- name: Wait until it answers
  outofband.chr.wait_for_agent:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: libvirt
    chr_libvirt_uri: qemu+ssh://root@kvm1.example.net/system

- name: Remove it with its disk
  outofband.chr.libvirt_vm:
    state: absent
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: libvirt
    chr_libvirt_uri: qemu+ssh://root@kvm1.example.net/system
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The domain's UUID. Null if it does not exist, or in check mode not yet.
  returned: success
  type: str
  sample: 3f2a91bc-6f0c-4d1e-9d0f-6f0c4d1e9d0f
state:
  description: The state of the VM after the task, V(running), V(stopped) or V(absent).
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image that the VM was made of. Null with O(state=absent), and for a
    VM that was adopted.
  returned: success
  type: str
  sample: 0a749228b06ac7c2eced5fa07041d1d305ec3b907826e5081a4c793eb11661d1
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
