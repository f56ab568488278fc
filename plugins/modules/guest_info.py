# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_info
author: The outofband.chr authors (@outofband)
short_description: Show what the guest agent reports about itself and the router
version_added: 1.0.0
description:
  - Asks the guest agent of a Cloud Hosted Router for its version and commands, the operating
    system, host name, interfaces with their addresses, clock and freeze state.
  - No script is run, except for backend C(xenstore), where a script that changes nothing reports
    more than xenstore does.
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - Nothing is changed.
seealso:
  - module: outofband.chr.facts
"""

EXAMPLES = r"""
- name: Ask the agent
  outofband.chr.guest_info:
  register: guest

- name: Show the addresses
  ansible.builtin.debug:
    msg: "{{ guest.interfaces | map(attribute='addresses') | flatten | map(attribute='address') | list }}"
"""

RETURN = r"""
backend:
  description: The way to the agent.
  returned: success
  type: str
  sample: qemu
agent_version:
  description: The agent's version.
  returned: success
  type: str
  sample: 2.10.50
agent_commands:
  description: The agent's commands that are enabled.
  returned: success
  type: list
  elements: str
  sample: [guest-exec, guest-exec-status, guest-ping]
moid:
  description: For backend C(vmware), the VM's managed object id.
  returned: with backend C(vmware)
  type: str
  sample: vm-1204
host:
  description: For backend C(xenapi), the name of the host that the VM runs on. Null when it does
    not run.
  returned: with backend C(xenapi)
  type: str
  sample: xcp1
uuid:
  description: For backends C(xenapi) and C(xenstore), the VM's uuid. Empty where the toolstack of a
    Xen host writes none.
  returned: with backends C(xenapi) and C(xenstore)
  type: str
  sample: 0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d
domid:
  description: For backend C(xenstore), the number of the domain, another one after each boot.
  returned: with backend C(xenstore)
  type: int
  sample: 7
power_state:
  description: For backends C(vmware) and C(xenapi), the VM's power state, in the words of the
    hypervisor.
  returned: with backends C(vmware) and C(xenapi)
  type: str
  sample: poweredOn
tools_status:
  description: For backends C(vmware) and C(xenapi), whether the tools in the guest run. On
    C(xenapi) it is V(live) or V(absent).
  returned: with backends C(vmware) and C(xenapi)
  type: str
  sample: guestToolsRunning
max_age:
  description:
    - For backend C(vmware), how many seconds old the host name and the interfaces can be. RouterOS
      reports them by itself, in the order that the keys C(guestinfo.exclude-nics),
      C(guestinfo.primary-nics) and C(guestinfo.low-priority-nics) of the VM ask for.
  returned: with backend C(vmware)
  type: int
  sample: 30
time_sync:
  description: For backend C(vmware), whether VMware gives the router its host's time. Null where
    VMware does not tell.
  returned: with backend C(vmware)
  type: bool
  sample: false
power_scripts:
  description:
    - For backend C(vmware), which of the router's power scripts VMware lets run, as
      V(after_power_on), V(after_resume), V(before_reboot), V(before_shutdown) and
      V(before_standby).
  returned: with backend C(vmware)
  type: dict
  sample: {after_power_on: true, after_resume: true, before_reboot: true, before_shutdown: true, before_standby: true}
os:
  description: The operating system. V(id) is V(routeros) on a CHR. Null when the agent does not
    report it; the same holds for all values below.
  returned: success
  type: dict
  sample: {id: routeros, kernel_release: 5.6.3-64, machine: x86_64, name: RouterOS, pretty_name: RouterOS 7.22}
host_name:
  description: The router's identity.
  returned: success
  type: str
  sample: MikroTik
freeze_state:
  description: V(thawed), or V(frozen) while a snapshot is taken.
  returned: success
  type: str
  sample: thawed
time:
  description: The router's clock, in seconds since 1970-01-01 UTC.
  returned: success
  type: float
  sample: 1774041353.16041
timezone_offset:
  description: The router's offset from UTC, in seconds.
  returned: success
  type: int
  sample: 0
interfaces:
  description: Interfaces with their addresses.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: RouterOS's name. On backend C(xenapi) the number of the VM's interface, such as
        V(0).
      type: str
      sample: ether1
    mac_address:
      description: The hardware address, or null.
      type: str
      sample: 0e:61:47:d8:43:2a
    addresses:
      description: Its addresses.
      type: list
      elements: dict
      contains:
        address:
          description: The address.
          type: str
          sample: 10.0.2.15
        prefix:
          description: The length of the prefix. Null if the agent or the tools do not tell it.
          type: int
          sample: 24
        family:
          description: V(ipv4) or V(ipv6).
          type: str
          sample: ipv4
"""
