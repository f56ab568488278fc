# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: provision_agent
author: The outofband.chr authors (@outofband)
short_description: Make the guest agent of a CHR on Proxmox VE reachable over TCP, or undo that
version_added: 1.0.0
description:
  - Carries out the two recipes of the vendor's manual for remote access to the guest agent of a
    Cloud Hosted Router on Proxmox VE. The router is then reached with backend V(qemu) and the
    result's RV(socket) as C(chr_socket), without the REST interface.
  - B(Neither has authentication or encryption.) Anyone who can reach the port controls the router.
    With O(address=127.0.0.1) and C(chr_ssh_host), only those who can log in to the node reach it.
  - Nothing is changed in the router.
options:
  state:
    description:
      - Whether the agent is to be reachable.
    type: str
    default: present
    choices: [present, absent]
  channel:
    description:
      - V(provision) adds a second channel to the VM, C(chr.provision_agent), which Proxmox VE
        itself does not use. It is written into the VM's option C(args), whose other content stays
        as it is. The VM has it after a cold stop and start. Only root@pam may change C(args), and
        an API token is not root@pam. So this needs C(chr_api_user=root@pam) with
        C(chr_api_password), or C(chr_ssh_host), where C(qm set) is used.
      - V(default) relays the agent's own channel with C(socat), as a transient unit
        C(chr-agent-<vmid>) of systemd on the node. It needs C(chr_ssh_host), works at once, and
        ends with a reboot of the node. While somebody uses it, Proxmox VE cannot talk to the agent.
    type: str
    default: provision
    choices: [provision, default]
  address:
    description:
      - The IP address of the node on which it listens. It is required with O(state=present), and
        must be that of one host.
    type: str
  port:
    description:
      - The TCP port. Two VMs of a node need two ports; a VM whose port is taken does not start.
    type: int
    default: 1234
  slot:
    description:
      - With O(channel=provision), the PCI slot of the channel's virtio-serial device. V(9) is the
        manual's, which Proxmox VE uses for SPICE.
    type: int
    default: 9
  restart:
    description:
      - Whether the router may be restarted if the change needs it. It is shut down through its agent,
        and its machine is turned on again and waited for. A router that does not shut down makes
        the task fail; it is not turned off. A machine that is off stays off.
      - Without it, the change takes effect at the next cold start, and the result says so.
    type: bool
    default: false
  restart_timeout:
    description:
      - The seconds for that restart, until the guest agent answers again.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.wait_for_agent
"""

EXAMPLES = r"""
- name: Give the router a channel of its own
  outofband.chr.provision_agent:
    address: 127.0.0.1
    port: 4101
  register: provision

- name: Use it from the next cold start on
  ansible.builtin.add_host:
    name: "{{ inventory_hostname }}-direct"
    ansible_connection: outofband.chr.guest_agent
    chr_backend: qemu
    chr_ssh_host: root@pve1.example.net
    chr_socket: "{{ provision.socket }}"
  when: not provision.restart_required

- name: Give another router one, and restart it at once
  outofband.chr.provision_agent:
    address: 127.0.0.1
    port: 4102
    restart: true

- name: Relay the agent's own channel for a while
  outofband.chr.provision_agent:
    channel: default
    address: 127.0.0.1
    port: 4201
  vars:
    chr_ssh_host: root@pve1.example.net

- name: Remove the relay
  outofband.chr.provision_agent:
    channel: default
    state: absent
  vars:
    chr_ssh_host: root@pve1.example.net
"""

RETURN = r"""
channel:
  description: The value of O(channel).
  returned: success
  type: str
  sample: provision
socket:
  description: Where the node listens, in the form of C(chr_socket). Null with O(state=absent).
  returned: success
  type: str
  sample: tcp://127.0.0.1:4101
restart_required:
  description:
    - Whether the VM must be stopped and started for the change to take effect. A reboot from inside
      is not enough.
  returned: success
  type: bool
  sample: true
restarted:
  description: The router was restarted, or in check mode would be.
  returned: when it was restarted
  type: bool
  sample: true
"""
