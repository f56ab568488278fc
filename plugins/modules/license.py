# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: license
author: The outofband.chr authors (@outofband)
short_description: License a router or renew its license
version_added: 1.0.0
description:
  - Makes sure that a Cloud Hosted Router has at least a certain level, or that its license is
    renewed. The router contacts MikroTik's account server (C(/system license renew)), and the
    module reads the license until it shows the change.
  - A free router gets a 60 day trial of O(level), one of those that the account still has, unless
    the account has a license for it. On a licensed router the account server decides the level, and
    the renewal makes the router learn what was bought.
  - What MikroTik's rules forbid is refused before the router is told anything. It is safe to run
    again after any failure, because the module reads the license first.
options:
  account:
    description:
      - The account at mikrotik.com.
    type: str
    required: true
  password:
    description:
      - Its password. It goes to the router only, as text in which nothing can be expanded, and is
        never in a file there.
    type: str
    required: true
  level:
    description:
      - V(p1), V(p10) or V(p-unlimited). Without it, a license is only renewed, and a free router is
        not changed. Required with O(state=present), unless there is O(renew_before).
      - A router with a trial or a paid license is not brought to a higher level by this alone, see
        O(purchased).
    type: str
  state:
    description:
      - V(present) makes sure of at least O(level). A router that has it, or a higher one, is not
        changed.
      - V(renewed) contacts the account server each time, or with O(renew_before) when that says so.
        A lower O(level) than the router's is refused.
    type: str
    default: present
    choices: [present, renewed]
  renew_before:
    description:
      - A number of days from 0. The license is renewed when the deadline is nearer than that or has
        passed, when the router's own date for the renewal has passed, or when upgrades are limited.
      - A license that was renewed and ends within these days all the same gives a warning, see
        RV(ends_soon). The end of a trial cannot be moved.
    type: float
  purchased:
    description:
      - The higher level was bought in the account for this router, and it only has to learn that.
    type: bool
    default: false
  timeout:
    description:
      - The seconds in which the license must show the change.
    type: float
    default: 120
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - Predicts from the license whether the account server would be contacted. On backend
        C(xenapi), where reading needs a boot, it predicts a change.
  diff_mode:
    support: full
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
notes:
  - On Proxmox VE, the way V(file) of C(chr_exec_mode) is not used, because it would put the
    password into a file of the router. V(commands) of backend C(xenstore) is not used either,
    because it would show the password in dom0's process list.
  - On backend C(vmware), where a script has no output, the reason of a failure is looked up in a
    file C(outofband-renewal) that the router writes its status into; RouterOS before 7.9 may have
    none.
seealso:
  - module: outofband.chr.license_info
  - module: outofband.chr.system_id
"""

EXAMPLES = r"""
- name: Give the router a license of at least 1 Gbit/s, and renew it in its last two weeks
  outofband.chr.license:
    account: "{{ vault_mikrotik_account }}"
    password: "{{ vault_mikrotik_password }}"
    level: p1
    renew_before: 14

- name: Only renew, and leave free routers free
  outofband.chr.license:
    account: "{{ vault_mikrotik_account }}"
    password: "{{ vault_mikrotik_password }}"
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
    - The license afterwards, as M(outofband.chr.license_info) returns it. Null if it could not be
      read any more.
  returned: unless it could not be read at first
  type: dict
before:
  description: The license before, in the same form.
  returned: unless it could not be read at first
  type: dict
renewal:
  description: The outcome of the contact with the account server. Null without a contact.
  returned: unless it could not be read at first
  type: dict
  contains:
    outcome:
      description:
        - V(done), V(already_renewed); V(unauthorized), V(too_many_trials), V(expired),
          V(unreachable), V(connecting), V(missing_argument), V(failed); V(renewing) where the
          answer did not come in time and may still; V(silent) where the router said nothing.
      type: str
    text:
      description: The router's own last words.
      type: str
  sample:
    outcome: done
    text: done
needed:
  description:
    - Whether the account server had to be asked. In check mode, whether it would be; a router that
      cannot be read without a boot counts as one.
  returned: unless it could not be read at first
  type: bool
ends_soon:
  description:
    - Whether the license was renewed and its deadline is nearer than O(renew_before) all the same,
      so that a license must be bought in the account.
  returned: unless it could not be read at first
  type: bool
account_refused:
  description:
    - Whether the account server will refuse other routers as well, for V(unauthorized) and
      V(too_many_trials). With RV(renewal) null, it refused this account earlier in this run, and was
      not asked again.
  returned: unless it could not be read at first
  type: bool
ansible_facts:
  description: C(chr_license), the same as RV(license).
  returned: success
  type: dict
"""
