# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_agent
author: The outofband.chr authors (@outofband)
short_description: Wait until a router's guest agent answers
version_added: 0.1.0
description:
  - Waits until the guest agent of a Cloud Hosted Router answers, for example after its hypervisor has started it.
  - After O(timeout) the host is unreachable, and the message says what was seen last.
  - On backend C(xenapi) the agent are the guest tools, as XAPI sees them. A VM that is halted has none until something starts it;
    M(outofband.chr.script) does that itself.
options:
  timeout:
    description:
      - Seconds to wait.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is waited for in check mode, as what starts the router did not happen. The task is skipped.
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
"""

RETURN = r"""
elapsed:
  description: Seconds it took.
  returned: success
  type: float
  sample: 4.2
tries:
  description: How often the agent was tried.
  returned: success
  type: int
  sample: 1
"""
