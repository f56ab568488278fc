# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: license_report
author: The outofband.chr authors (@outofband)
short_description: Report on the licenses of all routers, and raise the alarm
version_added: 1.0.0
description:
  - Makes a report from what M(outofband.chr.license_info) found on many routers, as HTML, JSON, CSV
    and metrics. The report says what there is to do for each router and what changed since the last
    report. It shows the levels, the deadlines on a timeline, the licenses that expire within 7, 30
    and 60 days, system ids of more than one router, wrong clocks, the routers that were not read
    with the reason, and what higher levels cost at list prices.
  - Every paid license expires within 60 days, because a router renews it 30 days before its
    deadline. So look at RV(summary.renewal_due) first, the routers that should have renewed by now.
  - A report is compared with the last one of an earlier day in O(dest), so all reports of one day
    tell the same changes. This needs C(json) among the O(formats). Reports on different routers
    need different names.
  - It asks no router and needs no connection. Run it once, on the controller.
  - The HTML file is complete in itself and loads nothing. In the CSV file, text that a spreadsheet
    would take for a formula begins with an apostrophe; system ids can begin with C(+), so programs
    had better read the JSON file.
  - Days are calendar days by each router's own clock. So a report changes when the licenses or the
    day do, not with each run.
notes:
  - The playbook C(outofband.chr.license_audit) reads the routers and then runs this module.
options:
  dest:
    description:
      - The folder for the files. It is created if it does not exist. A relative one is relative to
        the playbook.
    type: path
    required: true
  name:
    description:
      - The name of the files without their ending.
    type: str
    default: chr-licenses
  formats:
    description:
      - Which files to write, at least one.
      - V(openmetrics) is a file for the textfile collector of a Prometheus node exporter, which
        reads files that end in C(.prom). It is replaced as a whole and has no timestamps. The node
        exporter must be allowed to read it, for example with O(mode=0644).
    type: list
    elements: str
    choices: [html, json, csv, openmetrics]
    default: [html, json, csv]
  mode:
    description:
      - The mode of the files, as octal digits in quotes.
    type: raw
    default: "0600"
  fail_within_days:
    description:
      - If a license has expired, or its deadline is at most that many days away, the task fails
        after the report is written, so that a scheduled job turns red. The message names the
        routers and what to do.
      - The task also fails if a router was not read, or if the report has no routers, because
        nobody knows then when these licenses end. The message names those routers, too, and gives
        the reason of the first one.
      - The task also fails if the last report of an earlier day in O(dest) has a router that this one
        does not have, because a whole hypervisor may be missing in the inventory. If the router was
        removed on purpose, this holds for the reports of one day only. It needs V(json) in
        O(formats). A run with C(--limit) does not look for such routers.
      - It must be a number from 0. Use less than 30, because every paid license has a deadline
        within 60 days and is renewed 30 days before it. When left out, the task does not fail.
    type: float
  hosts:
    description:
      - The routers to report on, as names of the inventory. Without it, these are all hosts of the
        play, also those that failed. Hosts that M(outofband.chr.fleet) left alone, because they are
        not routers, are not reported.
    type: list
    elements: str
  registered:
    description:
      - The variable in which the result of M(outofband.chr.fleet) or M(outofband.chr.license_info)
        was registered on the hosts. With it, the report says why a router was not read, and takes
        nothing from a fact cache. The result of M(outofband.chr.license) is possible, too. It shows
        which licenses are trials.
      - Without it, the fact C(chr_license) of each host is taken. A license that was read from the
        router of another host is not reported (ansible-core 2.21 mixes the facts of all hosts up
        after a task with C(run_once) that returns facts).
    type: str
  routers:
    description:
      - What was read of each router, instead of O(hosts). For example, it can be collected by runs
        at several sites.
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
          - What M(outofband.chr.license_info) returned as
            RV(outofband.chr.license_info#module:license).
        type: raw
      reason:
        description:
          - Why O(routers[].license) is missing.
        type: str
      unreachable:
        description:
          - Whether the reason is that the router was not reached.
        type: bool
        default: false
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details:
      - Shows what changes in the CSV file.
seealso:
  - module: outofband.chr.fleet
  - module: outofband.chr.license_info
"""

EXAMPLES = r"""
- name: Read the licenses
  outofband.chr.fleet:
    read: license
  register: fleet
  failed_when: false
  delegate_to: localhost

- name: Write the report
  outofband.chr.license_report:
    dest: /srv/reports
    registered: fleet
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

- name: Write the metrics for a node exporter, and fail if a license expires within two weeks
  outofband.chr.license_report:
    dest: /var/lib/prometheus/node-exporter
    formats: [openmetrics]
    mode: "0644"
    registered: fleet
    fail_within_days: 14
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
paths:
  description: The file of each of O(formats).
  returned: success, and if O(fail_within_days) makes the task fail
  type: dict
  sample:
    html: /srv/reports/chr-licenses.html
    json: /srv/reports/chr-licenses.json
    csv: /srv/reports/chr-licenses.csv
summary:
  description:
    - What the report says of the whole fleet. The JSON file has the same keys, before them
      C(schema) with the text C(outofband.chr.license_report) and C(version) with the number 1, and
      after them C(routers) and C(compared_with), from which the changes follow.
    - C(version) increases when a key is removed or changes its meaning, not when one is added.
    - C(routers) has a dictionary for each router, with C(name), C(band) (the one of
      RV(summary.bands) that it is counted in), C(system_id), C(level), C(limited_upgrades),
      C(next_renewal_at), C(deadline_at), C(days_left) (calendar days), C(expired), C(renewal_due),
      C(findings), C(clock_wrong), C(clock_ahead) (seconds, in whole minutes, of a wrong clock),
      C(upgrades) (US dollars to each higher level), C(backend), C(endpoint) and C(vm) (which VM it
      is), C(unreachable) and C(reason) (null for a router that was read), C(hypervisor) (the same
      as C(endpoint)), C(groups) (of the inventory), C(routeros) (its version) and C(to_do).
      The CSV file has the same columns, with C(upgrades) as C(cost_p1), C(cost_p10) and
      C(cost_p-unlimited).
    - Where a router was not read, C(backend), C(hypervisor) and C(vm) are those of its variables.
      Where the license does not tell C(routeros), it is that of the facts of
      M(outofband.chr.facts).
    - C(to_do) is C(renew) if the router should have renewed by now; C(renew, or buy before
      2026-12-11) if it should have renewed two days ago or earlier, so that it does not reach the
      account server or has a trial; C(buy before 2026-12-11) if M(outofband.chr.license) renewed it
      and its dates stayed the same, so that it is a trial; C(prepaid key) if it has expired;
      C(reboot) if its level may not be in force;
      C(new id) if it is free and shares its system id; C(set clock) if its clock is wrong by a day
      or more; and null otherwise.
    - The metrics are C(chr_licenses_routers), C(chr_licenses_renewal_due), C(chr_licenses_expired),
      C(chr_licenses_not_read), C(chr_licenses_duplicate_ids), C(chr_licenses_wrong_clocks),
      C(chr_licenses_as_of_timestamp_seconds) and C(chr_licenses_to_do) with the label C(task) for
      the fleet, and for each router, with the label C(router), C(chr_license_read),
      C(chr_license_days_left), C(chr_license_renewal_due), C(chr_license_expired) and
      C(chr_license_router), whose labels tell what it is.
  returned: success, and if O(fail_within_days) makes the task fail
  type: dict
  contains:
    as_of:
      description: The date that most routers have; null if none was read.
      type: str
      sample: "2026-11-23"
    total:
      description: How many routers the report is about.
      type: int
      sample: 3
    renewal_due:
      description: The routers that should have renewed by now. They try it by themselves if they can.
      type: list
      elements: str
      sample: ["chr2"]
    to_do:
      description: What there is to do, and the routers for which it is.
      type: dict
      sample: {"renew": ["chr2"], "buy": [], "prepaid_key": [], "reboot": [], "new_id": [], "set_clock": []}
    changes:
      description:
        - What changed since the last report of an earlier day. It is null if there is none.
        - C(since) is its date. C(new) and C(gone) are routers that only one of the reports has,
          C(newly_due) those that were not due for renewal then. C(renewed) are those with a later
          deadline or a higher level, with the deadlines in C(from) and C(to), and C(id_changed)
          those with another system id. A router that was not read this time can only be new or gone.
          One that was not read last time is compared with what was known before that.
      type: dict
      sample: {"since": "2026-11-16", "new": ["chr9"], "gone": [], "renewed": [], "newly_due": ["chr2"], "id_changed": []}
    levels:
      description: How many routers have each level.
      type: dict
      sample: {"free": 1, "p1": 1, "p10": 0, "p-unlimited": 0}
    bands:
      description: How many routers are in each state. Every router is in one, so C(within_30) has
        those of 8 to 30 days.
      type: dict
      sample: {"expired": 0, "within_7": 1, "within_30": 0, "within_60": 0, "later": 0, "no_deadline": 1, "not_read": 1}
    expired:
      description: The routers whose license has expired.
      type: list
      elements: str
      sample: []
    expiring:
      description: The routers whose license expires within 7, 30 and 60 days, those of 7 days in
        all three.
      type: dict
      sample: {"7": ["chr2"], "30": ["chr2"], "60": ["chr2"]}
    findings:
      description: Routers whose license has findings, see RV(outofband.chr.license_info#module:license).
      type: list
      elements: dict
      sample: []
    aliases:
      description: VMs that have more than one name among the routers. Their system ids are not
        duplicates.
      type: list
      elements: dict
      sample: [{"vm": "104 of pve1.example.net:8006 (backend proxmox)", "routers": ["chr4", "edge4"]}]
    duplicates:
      description: System ids of more than one VM.
      type: list
      elements: dict
      sample: [{"system_id": "jZBX6bKzYKJ", "routers": ["chr1", "chr2"]}]
    not_read:
      description: Routers that were not read, and why.
      type: list
      elements: dict
      sample: [{"name": "chr3", "unreachable": true, "reason": "The guest agent did not answer."}]
    wrong_clocks:
      description: Routers whose clock is wrong, with the seconds that it is ahead, rounded to
        minutes.
      type: list
      elements: dict
      sample: [{"name": "chr2", "ahead": 7200}]
    upgrades:
      description: What it costs in US dollars, at list price, to bring all routers of one level to
        another.
      type: list
      elements: dict
      sample: [{"from": "free", "to": "p1", "routers": 1, "cost": 45}]
"""
