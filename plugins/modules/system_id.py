# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: system_id
author: The outofband.chr authors (@outofband)
short_description: Give a router a new system id
version_added: 1.0.0
description:
  - Lets a Cloud Hosted Router make a new system id (C(/system license generate-new-id)), and
    verifies it. Routers that were made from one disk image can have the same one, and MikroTik's
    account server then licenses only one of them.
  - Refuses unless the level is V(free). With a trial or a paid license, a new id would make it
    impossible to renew or upgrade the license, and RouterOS itself is not known to refuse that.
options:
  state:
    description:
      - V(unique) makes a new id only if a router before this one in the play has the same one. It
        compares what M(outofband.chr.license_info) has read for all hosts in an earlier task of the
        play, so all hosts come to the same decision. The play needs the strategy C(linear) for
        that.
      - With V(unique), routers that are not in the play (C(--limit)) are compared if a fact cache
        or O(report) has their ids, and keep them. A warning names the routers whose ids are not
        known. Two names of one VM are not duplicates; a warning names them.
      - V(regenerated) makes a new id each time.
    type: str
    default: unique
    choices: [unique, regenerated]
  registered:
    description:
      - The variable in which the task of M(outofband.chr.license_info) was registered on the hosts
        of the play.
      - Without it, the fact C(chr_license) of each host is taken. ansible-core 2.21 mixes the facts
        of all hosts up after a task with C(run_once) that returns facts; such facts are refused.
    type: str
  report:
    description:
      - The JSON file of M(outofband.chr.license_report) with the ids of routers that are not in the
        play. A relative path is relative to the playbook.
    type: path
  timeout:
    description:
      - The seconds in which the new id must appear.
    type: float
    default: 120
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - On backend C(xenapi), where reading needs a boot, V(unique) predicts no change.
  diff_mode:
    support: full
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
seealso:
  - module: outofband.chr.license_info
  - module: outofband.chr.license
"""

EXAMPLES = r"""
- name: Read the ids of all routers
  outofband.chr.license_info:
  register: reading

- name: Make them unique, also among the routers of the last report
  outofband.chr.system_id:
    state: unique
    registered: reading
    report: /srv/reports/chr-licenses.json
"""

RETURN = r"""
system_id:
  description: The system id now.
  returned: success
  type: str
  sample: 6lR1ZP/utuJ
before:
  description: C(system_id), the system id before.
  returned: success
  type: dict
  sample:
    system_id: 7WwsTkLUKQG
duplicate_of:
  description: With O(state=unique), the router that has, or had, the same id and keeps it, or null.
  returned: success
  type: str
  sample: chr1
same_vm_as:
  description: With O(state=unique), other names of this VM in the inventory or in O(report).
  returned: success
  type: list
  elements: str
  sample: []
license:
  description: The license now, as M(outofband.chr.license_info) returns it.
  returned: success
  type: dict
ansible_facts:
  description: C(chr_license), the same as RV(license).
  returned: success
  type: dict
"""
