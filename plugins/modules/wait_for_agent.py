# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_agent
author: The outofband.chr authors (@outofband)
short_description: Wait until a router's guest agent answers, or the router is ready
version_added: 1.0.0
description:
  - Waits until the guest agent of a Cloud Hosted Router answers, for example after its hypervisor
    has started it.
  - The agent may answer seconds before the network cards show in RouterOS. With O(interfaces) and
    O(until), the module also waits until the router is ready for the next task.
  - If the agent does not answer within O(timeout), the host is unreachable, and the message has the
    last error. If the agent answers and the router is not ready, the task fails.
  - On backend C(vmware), where scripts need a login, the router must also take it. If it refuses
    the login, the task fails at once. The module runs a harmless script for that, so the user of
    the API needs the privileges for scripts.
  - On backend C(xenapi) the module waits for the guest tools, as XAPI reports them. In a halted VM
    they do not run until something starts it; M(outofband.chr.script) does that itself.
options:
  interfaces:
    description:
      - The names of interfaces that RouterOS must have, or how many Ethernet interfaces it must
        have at least. Text of digits only is a number.
      - On backend C(xenapi), where a script runs only when the router boots, it is refused, as is
        O(until).
    type: raw
  until:
    description:
      - A RouterOS expression that must be true, such as V([/interface get ether1 running]). An
        error counts as not true yet.
    type: str
  timeout:
    description:
      - Seconds to wait, in all.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: partial
    details:
      - The task is skipped in check mode, because the router may not have been started.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
seealso:
  - module: outofband.chr.power
"""

EXAMPLES = r"""
- name: Wait for the router
  outofband.chr.wait_for_agent:
    timeout: 120

- name: Wait until both cards are there
  outofband.chr.wait_for_agent:
    interfaces: 2

- name: Wait until the router has an address from DHCP
  outofband.chr.wait_for_agent:
    interfaces: [ether1]
    until: '[:len [/ip address find interface="ether1"]] > 0'
"""

RETURN = r"""
elapsed:
  description: Seconds it took.
  returned: success
  type: float
  sample: 4.2
tries:
  description: The number of attempts.
  returned: success
  type: int
  sample: 1
"""
