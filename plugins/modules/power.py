# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: power
author: The outofband.chr authors (@outofband)
short_description: Reboot a router or shut it down, through the guest agent
version_added: 0.1.0
description:
  - Reboots a Cloud Hosted Router and waits until it is back with a new uptime, or shuts it down and waits until its agent is gone.
  - A router that is off has no agent. It is started by its hypervisor, and M(outofband.chr.wait_for_agent) waits for it.
options:
  state:
    description:
      - V(rebooted) reboots the router, each time.
      - V(shutdown) shuts it down. A router whose agent does not answer at all is unreachable, not off.
    type: str
    required: true
    choices: [rebooted, shutdown]
  method:
    description:
      - V(script) uses RouterOS's own C(/system reboot) and C(/system shutdown).
      - V(agent) uses the agent's command. That it shuts a CHR down has been observed. That it reboots one is not established, it
        may shut the router down instead.
      - V(auto) is V(script) for a reboot and V(agent) for a shutdown.
      - On VMware, V(agent) has RouterOS run its script C(poweroff) first, where there is one. If it has an error or takes longer
        than 30 seconds, the router stays up and the task fails, as soon as VMware tells of it in an event or after a minute. The
        same task once more ignores the script's errors and goes through. What the script printed is in the router's file
        C(poweroff-script.log).
    type: str
    default: auto
    choices: [auto, script, agent]
  timeout:
    description:
      - Seconds until it must be so.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is no content to compare.
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
