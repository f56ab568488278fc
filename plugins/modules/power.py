# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: power
author: The outofband.chr authors (@outofband)
short_description: Reboot or shut down a router
version_added: 0.1.0
description:
  - Reboots a Cloud Hosted Router and waits until it is back with a new uptime, or shuts it down and
    waits until its hypervisor says that the machine is off.
  - A router that is off has no agent. It is started by its hypervisor, and
    M(outofband.chr.wait_for_agent) waits for it.
options:
  state:
    description:
      - V(rebooted) reboots the router, each time.
      - V(shutdown) shuts it down. Only the state of the machine ends the task successfully. An
        agent that has become silent, or a hypervisor that cannot be reached, does not. Before the
        order, the module looks whether it can see that state, and does nothing if it cannot.
      - A router whose agent does not answer before the order is unreachable, not off.
    type: str
    required: true
    choices: [rebooted, shutdown]
  method:
    description:
      - V(script) uses RouterOS's own C(/system reboot) and C(/system shutdown).
      - V(agent) uses the agent's command. It has been observed to shut a CHR down. It is not
        known to reboot one; it may shut the router down instead.
      - On backend C(xenapi), V(agent) is XAPI's clean reboot or clean shutdown, and V(script) is
        refused.
      - For backend C(xenstore), V(agent) is Xen's own request in C(control/shutdown), which is
        withdrawn when the router does not take it within 10 s; and V(script) starts the command in
        the background, 2 s later, so that no toolstack can hand it to the router again when it
        boots.
      - V(auto) is V(script) for a reboot and V(agent) for a shutdown; on backend C(xenapi) it is
        V(agent) for both.
      - On VMware, V(agent) has RouterOS run its script C(poweroff) first, if there is such a
        script. If it has an error or takes longer than 30 seconds, the router stays up and the task
        fails, as soon as VMware reports it in an event, or after a minute. A second run of the same
        task ignores the script's errors and succeeds. What the script printed is in the router's
        file C(poweroff-script.log).
    type: str
    default: auto
    choices: [auto, script, agent]
  timeout:
    description:
      - The seconds in which the router must be back, or off.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is no content that could be compared.
notes:
  - The state of the machine is the one that Proxmox VE, libvirt, VMware or XAPI shows. On backend
    C(xenstore) it is the end of the domain. On backend C(qemu) it is the end of the process that
    listens at C(chr_socket); behind SSH, the module reads it from C(/proc/net)
    of that machine.
seealso:
  - module: outofband.chr.wait_for_agent
"""

EXAMPLES = r"""
- name: Reboot the router
  outofband.chr.power:
    state: rebooted

- name: Shut it down
  outofband.chr.power:
    state: shutdown
    timeout: 60
"""

RETURN = r"""
state:
  description: What was asked for.
  returned: success
  type: str
  sample: rebooted
method:
  description: How it was done.
  returned: success, not in check mode
  type: str
  sample: script
elapsed:
  description: Seconds it took.
  returned: success, not in check mode
  type: float
  sample: 21.4
"""
