# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: license_report
author: The outofband.chr authors (@outofband)
short_description: Report on the licences of all routers, as HTML, JSON and CSV
version_added: 0.1.0
description:
  - Makes a report of what M(outofband.chr.license_info) found on many routers. It has the levels, the deadlines on a timeline,
    what expires within 7, 30 and 60 days, system ids of more than one router, wrong clocks, routers that were not read with the
    reason, and what higher levels cost at list prices.
  - It asks no router and needs no connection. Run it once, on the controller.
  - The HTML file is complete in itself and loads nothing. In the CSV file, text that a spreadsheet would take for a formula begins
    with an apostrophe; system ids can begin with C(+), so programs had better read the JSON file.
  - Days are calendar days by each router's own clock. So a report changes when the licences or the day do, not with each run.
notes:
  - The playbook C(outofband.chr.license_audit) reads the routers and then runs this module.
options:
  dest:
    description:
      - The folder for the files, made where it is missing. A relative one is looked for beside the playbook.
    type: path
    required: true
  name:
    description:
      - The name of the files without their ending.
    type: str
    default: chr-licenses
  formats:
    description:
      - Which files to write.
    type: list
    elements: str
    choices: [html, json, csv]
    default: [html, json, csv]
  mode:
    description:
      - The mode of the files, as octal digits in quotes.
    type: raw
    default: "0600"
  hosts:
    description:
      - The routers to report on, as names of the inventory. Without it, all hosts of the play, those that failed included.
    type: list
    elements: str
  registered:
    description:
      - The variable in which a task of M(outofband.chr.license_info) was registered on the hosts. With it, the report knows why a
        router was not read, and takes nothing from a fact cache.
      - Without it, the fact C(chr_license) of each host is taken.
    type: str
  routers:
    description:
      - The routers themselves, in place of O(hosts), for example as runs at several sites have collected them.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The router's name.
        type: str
        required: true
      license:
        description:
          - What M(outofband.chr.license_info) returned as RV(outofband.chr.license_info#module:license).
        type: raw
      reason:
        description:
          - Why there is no O(routers[].license).
        type: str
      unreachable:
        description:
          - Whether the reason is that the router was not reached.
        type: bool
        default: false
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  action_group:
    description: Use C(group/outofband.chr.chr) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - outofband.chr.chr
  async:
    description: Supports being used with the C(async) keyword.
    support: none
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: partial
    details:
      - Shows what changes in the CSV file.
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: posix
seealso:
  - module: outofband.chr.license_info
"""

EXAMPLES = r"""
- name: Read the licences
  outofband.chr.license_info:
  register: reading
  ignore_errors: true
  ignore_unreachable: true

- name: Write the report
  outofband.chr.license_report:
    dest: /srv/reports
    registered: reading
    mode: "0644"
  delegate_to: localhost
  run_once: true
  register: report

- name: Report on one group, from the facts, to a folder of the day
  outofband.chr.license_report:
    dest: /srv/reports/{{ now().strftime('%Y-%m-%d') }}
    hosts: "{{ groups['edge'] }}"
    name: edge
    formats: [html]
  delegate_to: localhost
  run_once: true

- name: Stop where something expires within a week
  ansible.builtin.fail:
    msg: "{{ report.summary.expiring['7'] | join(', ') }}"
  when: report.summary.expiring['7'] | length > 0
  run_once: true
"""

RETURN = r"""
paths:
  description: The file of each of O(formats).
  returned: success
  type: dict
  sample:
    html: /srv/reports/chr-licenses.html
    json: /srv/reports/chr-licenses.json
    csv: /srv/reports/chr-licenses.csv
summary:
  description:
    - What the report says of the whole fleet. The JSON file has the same keys, before them C(schema) with the text
      C(outofband.chr.license_report) and C(version) with the number 1, and after them C(routers).
    - C(version) grows when a key goes away or changes its meaning, not when one is added.
    - C(routers) has a dictionary for each router, with C(name), C(band) (the one of RV(summary.bands) that it is counted in),
      C(system_id), C(level), C(limited_upgrades), C(next_renewal_at), C(deadline_at), C(days_left) (calendar days), C(expired),
      C(renewal_due), C(clock_wrong), C(clock_ahead) (seconds, in whole minutes, of a wrong clock), C(upgrades) (US dollars to each
      higher level), C(unreachable) and C(reason) (null for a router that was read). The CSV file has the same columns, with
      C(upgrades) as C(cost_p1), C(cost_p10) and C(cost_p-unlimited).
  returned: success
  type: dict
  contains:
    as_of:
      description: The date that most routers have; null where none was read.
      type: str
      sample: "2026-11-23"
    total:
      description: How many routers the report is about.
      type: int
      sample: 3
    levels:
      description: How many routers have each level.
      type: dict
      sample: {"free": 1, "p1": 1, "p10": 0, "p-unlimited": 0}
    bands:
      description: How many routers are in each state. Every router is in one, so C(within_30) has those of 8 to 30 days.
      type: dict
      sample: {"expired": 0, "within_7": 1, "within_30": 0, "within_60": 0, "later": 0, "no_deadline": 1, "not_read": 1}
    expired:
      description: The routers whose licence has expired.
      type: list
      elements: str
      sample: []
    expiring:
      description: The routers whose licence expires within 7, 30 and 60 days, those of 7 days in all three.
      type: dict
      sample: {"7": ["chr2"], "30": ["chr2"], "60": ["chr2"]}
    renewal_due:
      description: The routers that try to renew by themselves now, or would if they could.
      type: list
      elements: str
      sample: ["chr2"]
    duplicates:
      description: System ids of more than one router.
      type: list
      elements: dict
      sample: [{"system_id": "jZBX6bKzYKJ", "routers": ["chr1", "chr2"]}]
    not_read:
      description: Routers that were not read, and why.
      type: list
      elements: dict
      sample: [{"name": "chr3", "unreachable": true, "reason": "No guest agent within 30 s."}]
    wrong_clocks:
      description: Routers whose clock is wrong, with the seconds that it is ahead, rounded to minutes.
      type: list
      elements: dict
      sample: [{"name": "chr2", "ahead": 7200}]
    upgrades:
      description: What it costs in US dollars, at list price, to bring all routers of one level to another.
      type: list
      elements: dict
      sample: [{"from": "free", "to": "p1", "routers": 1, "cost": 45}]
"""
