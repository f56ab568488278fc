# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on a machine with QEMU alone
version_added: 1.0.0
description:
  - Uploads a prepared disk image of a Cloud Hosted Router to a machine that has QEMU and neither
    libvirt nor Proxmox VE, checks its SHA-256 there, and makes a VM that boots from it with BIOS.
    The channel of the guest agent is wired, so backend V(qemu) of
    P(outofband.chr.guest_agent#connection) reaches the router with RV(socket) as C(chr_socket).
  - The machine is the controller itself, or that of C(chr_ssh_host), which is reached through the
    OpenSSH client (C(chr_ssh_args)). It needs a shell, C(openssl) or C(sha256sum), and QEMU, and no
    Python.
  - All that a VM consists of is in the folder O(directory)C(/NAME). The shell script C(start) there
    has the whole command line of QEMU, and C(console.sock) is the router's serial console.
  - No other collection makes VMs with QEMU alone, so this module has code of its own. On a
    machine with libvirt, M(outofband.chr.libvirt_vm) is the better choice.
  - O(reconcile=true) changes the CPUs, the memory, the network cards, the agent channel and the
    boot order in C(start), and keeps what else is there. For other changes, switch the router off
    and edit C(start). A C(start) with variables or with more than one command is not changed.
  - O(adopt=true) needs a folder with a C(start) such as this module writes it, for example after
    its file C(notes) was lost.
options:
  directory:
    description:
      - The absolute path of the folder on the machine in which each VM has a folder. It is
        created if it does not exist.
      - Together with the VM's name it may have about 90 characters, because the paths of sockets
        are limited.
    type: str
    default: /var/lib/outofband.chr
  disk_bus:
    description:
      - What the system disk is connected to.
    type: str
    default: virtio
    choices: [virtio, ide, sata]
  accelerator:
    description:
      - V(auto) uses KVM, or emulation if KVM is not available when the VM is started. V(kvm) and
        V(tcg) (emulation) allow only one of them.
      - RouterOS is only known to start its guest agent under KVM. There is a warning if the VM
        would be emulated.
    type: str
    default: auto
    choices: [auto, kvm, tcg]
  agent_port:
    description:
      - The name of the agent's virtio-serial port. V(chr.provision_agent) is the other one that is
        known to work.
    type: str
    default: org.qemu.guest_agent.0
  service:
    description:
      - Whether the VM is started by systemd, as the unit C(outofband-chr-NAME), and so also with
        the machine. It needs root.
      - When left out, it is V(true) if systemd runs the machine and the user is root.
      - With V(false), the VM is a process in the background, which ends with a reboot of the
        machine.
    type: bool
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
  - QEMU 6.0 or newer with C(qemu-system-x86_64) or C(qemu-kvm) on the machine
notes:
  - O(name) has at most 64 letters, digits, and C(_), C(.), C(-).
  - O(image) is a raw or a qcow2 image.
  - O(nics[].network) is V(bridge:br0) for a Linux bridge, which QEMU's bridge helper must be
    allowed to use (C(allow br0) in C(/etc/qemu/bridge.conf)), V(tap:tap0) for an existing tap
    device, V(user) for QEMU's user-mode network, in which the router can reach others but cannot be
    reached, or V(none) for a card without a network. When left out, it is V(user).
  - QEMU does not tag frames, so O(nics[].vlan) is refused.
  - 'Rights: a user who may write to O(directory) and use C(/dev/kvm); for V(tap:NAME), and for
    O(service), root.'
  - When the machine is shut down, the router is switched off without a shutdown. Shut it down
    first with M(outofband.chr.power).
seealso:
  - module: outofband.chr.wait_for_agent
  - module: outofband.chr.power
"""

EXAMPLES = r"""
- name: Create a router on a machine with QEMU
  outofband.chr.qemu_vm:
    name: chr1
    image: /srv/images/chr-7.22.qcow2
    routeros: "7.22"
    cpus: 2
    nics:
      - network: bridge:br-wan
      - network: bridge:br-lan
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: qemu
    chr_ssh_host: root@kvm1.example.net

- name: Wait until it answers
  outofband.chr.wait_for_agent:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: qemu
    chr_ssh_host: root@kvm1.example.net
    chr_socket: /var/lib/outofband.chr/chr1/agent.sock

- name: Remove it with its disk
  outofband.chr.qemu_vm:
    name: chr1
    state: absent
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: qemu
    chr_ssh_host: root@kvm1.example.net
"""

RETURN = r"""
name:
  description: The VM's name.
  returned: success
  type: str
  sample: chr1
id:
  description: The VM's folder. Null if it does not exist, or in check mode not yet.
  returned: success
  type: str
  sample: /var/lib/outofband.chr/chr1
socket:
  description: The socket of the agent on the machine, for C(chr_socket). Null with O(state=absent).
  returned: success
  type: str
  sample: /var/lib/outofband.chr/chr1/agent.sock
state:
  description: What there is after the task, V(running), V(stopped) or V(absent).
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
