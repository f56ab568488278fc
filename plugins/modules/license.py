# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: license
author: The outofband.chr authors (@outofband)
short_description: License a router, or have it renew its licence
version_added: 0.1.0
description:
  - Makes sure that a Cloud Hosted Router has at least a level, or that its licence is renewed, by having it contact MikroTik's
    account server (C(/system license renew)), and reads the licence back until it shows.
  - A free router gets a 60 day trial of O(level), one of those that the account still has, unless the account has a licence for it.
    On a licensed router the account server decides the level, and the renewal makes the router learn what was bought.
  - What MikroTik's rules forbid is refused before the router is told anything. It is safe to run again after any failure, as it
    looks at the licence first.
options:
  account:
    description:
      - The account at mikrotik.com.
    type: str
    required: true
  password:
    description:
      - Its password. It goes to the router only, as text in which nothing can be expanded, and is never in a file there.
    type: str
    required: true
  level:
    description:
      - V(p1), V(p10) or V(p-unlimited). Required with O(state=present), unless O(renew_before) is all that is wanted, and for a
        free router.
      - A router with a trial or a paid licence is not brought to a higher level by this alone, see O(purchased).
    type: str
  state:
    description:
      - V(present) makes sure of at least O(level). A router that has it, or more, is left alone.
      - V(renewed) contacts the account server each time, or with O(renew_before) when that says so. A lower O(level) than the
        router's is refused.
    type: str
    default: present
    choices: [present, renewed]
  renew_before:
    description:
      - Days. Renew when the deadline is nearer than that or past, when the router is past its own date for that, or when upgrades
        are limited.
    type: float
  purchased:
    description:
      - The higher level was bought in the account for this router, and it only has to learn that.
    type: bool
    default: false
  timeout:
    description:
      - Seconds until the licence must show it.
    type: float
    default: 120
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: full
    details:
      - Predicts from the licence whether the account server would be contacted. On backend C(xenapi), where reading needs a boot,
        it predicts a change.
  diff_mode:
    support: full
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
notes:
  - On Proxmox VE, the way V(file) of C(chr_exec_mode) is not used, as it would put the password into a file of the router; nor is
    V(commands) of backend C(xenstore), which would show it in dom0's process list.
  - On backend C(vmware), where a script has no output, the reason of a failure is looked up in a file C(outofband-renewal) that the
    router writes its status into; RouterOS before 7.9 may have none.
seealso:
  - module: outofband.chr.license_info
  - module: outofband.chr.system_id
"""

EXAMPLES = r"""
- name: Give the router a licence of at least 1 Gbit/s, and renew it in its last two weeks
  outofband.chr.license:
    account: "{{ vault_mikrotik_account }}"
    password: "{{ vault_mikrotik_password }}"
    level: p1
    renew_before: 14

- name: Let the router learn the upgrade that was bought in the account
  outofband.chr.license:
    account: "{{ vault_mikrotik_account }}"
    password: "{{ vault_mikrotik_password }}"
    level: p10
    purchased: true
"""

RETURN = r"""
license:
  description:
    - The licence afterwards, as M(outofband.chr.license_info) returns it. Null where it could not be read any more.
  returned: unless it could not be read at first
  type: dict
before:
  description: The licence before, alike.
  returned: unless it could not be read at first
  type: dict
renewal:
  description: What came of the contact with the account server. Null where there was none.
  returned: unless it could not be read at first
  type: dict
  contains:
    outcome:
      description:
        - V(done), V(already_renewed); V(unauthorized), V(too_many_trials), V(expired), V(unreachable), V(connecting),
          V(missing_argument), V(failed); V(renewing) where the answer did not come in time and may still; V(silent) where the
          router said nothing.
      type: str
    text:
      description: The router's own last words.
      type: str
  sample:
    outcome: done
    text: done
needed:
  description:
    - Whether the account server had to be asked. In check mode, whether it would be; a router that cannot be read without a boot
      counts as one.
  returned: unless it could not be read at first
  type: bool
account_refused:
  description: Whether the account server will refuse other routers as well, for V(unauthorized) and V(too_many_trials).
  returned: unless it could not be read at first
  type: bool
ansible_facts:
  description: C(chr_license), the same as RV(license).
  returned: success
  type: dict
"""
