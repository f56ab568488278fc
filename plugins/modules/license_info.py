# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: license_info
author: The outofband.chr authors (@outofband)
short_description: Read the license of a router
version_added: 1.0.0
description:
  - Reads the license of a Cloud Hosted Router and the router's clock, which decides what is
    expired, and changes nothing.
  - Works on every backend. C(vmware) cannot return output, so the license is read there by about
    340 jobs that succeed or fail. On C(xenapi) it costs a boot of the router.
  - The router does not show whether its license is a trial or paid. Only the account at
    mikrotik.com shows that.
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - It reads in check mode too. On backend C(xenapi), where that needs a boot, the task is
        skipped.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
seealso:
  - module: outofband.chr.license
  - module: outofband.chr.system_id
"""

EXAMPLES = r"""
- name: Read the license
  outofband.chr.license_info:
  register: license

- name: Stop before an upgrade that RouterOS would refuse
  ansible.builtin.assert:
    that: not license.license.expired
    fail_msg: The license has expired, so RouterOS refuses updates.
"""

RETURN = r"""
license:
  description: The license. Dates are in the router's own time zone, in ISO 8601 without a zone.
  returned: success
  type: dict
  contains:
    system_id:
      description: The id that the account at mikrotik.com knows the router by.
      type: str
    level:
      description: One of V(free), V(p1), V(p10) and V(p-unlimited).
      type: str
    limited_upgrades:
      description: Whether RouterOS refuses updates. Null if the router does not show it, like
        RouterOS 6 and free routers.
      type: bool
    next_renewal_at:
      description: When the router contacts the account server by itself, then every hour. Null
        without such a date.
      type: str
    deadline_at:
      description: When the license counts as expired unless it was renewed. Null without such a
        date.
      type: str
    speed_limit:
      description: Upload of each interface in bit/s. Null means unlimited.
      type: int
    expired:
      description: Whether it has expired, by the router's clock. The tier stays; updates are
        refused. A free router whose trial has ended has expired too, if it still shows that.
      type: bool
    days_left:
      description: Days to the deadline by the router's clock, negative afterwards. Null without a
        deadline.
      type: float
    renewal_due:
      description: Whether the router should have contacted the account server by now.
      type: bool
    next_levels:
      description: The higher levels.
      type: list
      elements: str
    findings:
      description:
        - Sentences about what does not fit together, such as a paid level without a date for its
          next renewal, which may not be in force. Each is a warning as well.
      type: list
      elements: str
    router:
      description:
        - Which VM this was read from. M(outofband.chr.system_id) and M(outofband.chr.license_report)
          refuse a license that is stored for another C(host).
      type: dict
      contains:
        host:
          description: The name in the inventory.
          type: str
        backend:
          description: The C(chr_backend).
          type: str
        endpoint:
          description: The hypervisor's API, URI or machine.
          type: str
        vm:
          description: What names the VM there, whatever C(chr_vm) says - a UUID, an id or a socket.
          type: str
    router_time:
      description: The router's clock.
      type: str
    routeros:
      description: The version of RouterOS as the router shows it. Null on VMware, where reading it
        would take long.
      type: str
    clock_ahead:
      description: Seconds that the router's clock is ahead of the controller's. Null if the
        router does not show its time zone.
      type: float
    clock_wrong:
      description: Whether that is more than five minutes either way. There is a warning then.
      type: bool
  sample:
    system_id: 6lR1ZP/utuJ
    level: p1
    limited_upgrades: false
    next_renewal_at: "2026-01-10T21:59:59"
    deadline_at: "2026-02-09T21:59:59"
    speed_limit: 1000000000
    expired: false
    days_left: 61.5
    renewal_due: false
    next_levels: [p10, p-unlimited]
    findings: []
    router: {host: chr1, backend: proxmox, endpoint: "pve1.example.net:8006", vm: "104"}
    router_time: "2025-12-10T09:59:59"
    routeros: 7.22 (stable)
    clock_ahead: 0.4
    clock_wrong: false
ansible_facts:
  description: C(chr_license), the same as RV(license).
  returned: success
  type: dict
"""
