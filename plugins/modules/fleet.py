# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet
author: The outofband.chr authors (@outofband)
short_description: Run a script, or read licenses or facts, on all routers of a play at once
version_added: 1.0.0
description:
  - One task does for all routers of the play what M(outofband.chr.script),
    M(outofband.chr.license_info), M(outofband.chr.facts) or M(outofband.chr.doctor) does for one. It works on them side by
    side in one process, so 1,000 routers take seconds, and there is one login for each server of a
    hypervisor.
  - The result has what that module returns for each router, under RV(results). A router that
    fails or is not reached does not stop the work on the others. It is named in RV(failed_hosts) or
    RV(unreachable_hosts).
  - The task fails at its end if a router failed or was not reached. It is one task for all hosts of
    the play, so Ansible then ends the play for all of them, also for the routers that are done. A
    C(rescue) runs on the first host only, and C(ignore_unreachable) makes no difference.
  - To go on with the other routers, set C(failed_when) or C(ignore_errors). Then no router leaves
    the play, and a second task fails for those that failed. The examples show it.
  - Each router has the connection options that Ansible finds for it, wherever they are set. Hosts
    of the play that have another connection are left alone and named in RV(other_hosts).
options:
  read:
    description:
      - What to read on each router.
      - V(license) does what M(outofband.chr.license_info) does, V(facts) what
        M(outofband.chr.facts) does, and V(doctor) what M(outofband.chr.doctor) does.
      - Exactly one of O(read), O(source), O(src) and O(guest_file) is required.
    type: str
    choices: [license, facts, doctor]
  source:
    description:
      - A script, see O(outofband.chr.script#module:source). Each router gets the script that its
        own variables make of a template.
    type: raw
  src:
    description:
      - A script file on the controller, see O(outofband.chr.script#module:src).
    type: path
  guest_file:
    description:
      - A script file on the routers, see O(outofband.chr.script#module:guest_file).
    type: str
  unless:
    description:
      - Do not run the script on a router where this is true, see
        O(outofband.chr.script#module:unless).
    type: str
  only_if:
    description:
      - Do not run the script on a router where this is false, see
        O(outofband.chr.script#module:only_if).
    type: str
  read_error:
    description:
      - Read why a script failed on backend C(vmware), see
        O(outofband.chr.script#module:read_error).
    type: bool
    default: false
  gather_subset:
    description:
      - Which facts to read, see O(outofband.chr.facts#module:gather_subset).
    type: list
    elements: str
    default: ["!config"]
  max_items:
    description:
      - The largest number of items that is read of one menu, see
        O(outofband.chr.facts#module:max_items).
    type: int
    default: 1000
  tasks:
    description:
      - The tasks for which a missing privilege is wrong, see O(outofband.chr.doctor#module:tasks).
    type: list
    elements: str
    choices: [script, power, snapshot, tools]
    default: [script]
  step_timeout:
    description:
      - Seconds for each step of a look at a router, see
        O(outofband.chr.doctor#module:step_timeout).
    type: float
    default: 30
  timeout:
    description:
      - Seconds to wait for the end of a script on each router, instead of the connection's
        O(outofband.chr.guest_agent#connection:script_timeout). A slow router holds up no other.
      - A script that reads a license has 30 s.
    type: float
  concurrency:
    description:
      - How many routers are worked on at the same time. It is independent of C(forks) and
        C(throttle).
      - Each of them can hold a connection to its hypervisor. An SSH server, for example, may refuse
        so many at once.
    type: int
    default: 50
  max_fail_percentage:
    description:
      - If more than this percentage of the routers have failed or were not reached, the task begins
        no further router. It finishes those that it has begun, and RV(not_begun_hosts) names the
        others.
      - With V(0), the first failure stops the task. With V(100), nothing stops it.
    type: float
    default: 100
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - Does on each router what the module for one router does in check mode.
  diff_mode:
    support: partial
    details:
      - Shows the scripts that run or would run, as M(outofband.chr.script) does. Reading changes
        nothing.
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: none
    details:
      - Ansible lets a task set the facts of one host only. The facts of each router are in its
        result, and M(ansible.builtin.set_fact) makes them variables of the hosts.
  bypass_host_loop:
    description: Forces a C(global) task that does not execute per host, this bypasses per host
      templating and serial, throttle and other loop considerations.
    support: partial
    details:
      - Templates in the options and in the variables of the connection are resolved for each
        router. Those of O(read), O(concurrency), O(max_fail_percentage), of C(when), of
        C(module_defaults) and of other keywords are resolved for the first host of the play. So a
        script in C(module_defaults) is refused.
      - C(serial) and C(--limit) work, and each batch is a task of its own. The strategies C(free)
        and C(host_pinned) are refused by Ansible.
      - The result is registered on all hosts of the play.
      - C(run_once) makes no difference. The task can be delegated to C(localhost) only, see the
        notes.
notes:
  - A failed task shows its whole result on the terminal, with the results of all routers. With
    C(failed_when), or with C(no_log), it does not.
  - Before the task begins, Ansible sets up the connection of the first host of the play. If a
    variable of that host cannot be resolved, Ansible fails the task before any router is worked on.
    With C(delegate_to) set to C(localhost), that host fails like any other, and alone.
  - The memory that the task needs grows with what the routers return, and not with their number.
seealso:
  - module: outofband.chr.script
  - module: outofband.chr.license_info
  - module: outofband.chr.facts
  - module: outofband.chr.license_report
  - module: outofband.chr.doctor
  - module: outofband.chr.doctor_report
"""

EXAMPLES = r"""
- name: Read the licenses of all routers
  outofband.chr.fleet:
    read: license
  register: fleet
  failed_when: false
  delegate_to: localhost

- name: Report on them
  outofband.chr.license_report:
    dest: /srv/reports
    registered: fleet
  delegate_to: localhost
  run_once: true

- name: Give each router its address, and begin no further one if more than one in twenty fails
  outofband.chr.fleet:
    source: /ip address add address={{ router_address }} interface=ether1
    unless: '[:len [/ip address find address="{{ router_address }}"]] > 0'
    concurrency: 20
    max_fail_percentage: 5
  register: fleet
  failed_when: fleet.results is not defined # a mistake in the task itself

- name: Fail for the routers that failed, so that only the others go on
  ansible.builtin.fail:
    msg: "{{ fleet.results[inventory_hostname].msg | default('It was not begun.') }}"
  when: inventory_hostname in fleet.failed_hosts + fleet.unreachable_hosts + fleet.not_begun_hosts

- name: Read the basic facts
  outofband.chr.fleet:
    read: facts
    gather_subset: ["!all"]
  register: fleet

- name: Keep the version of each router as a variable
  ansible.builtin.set_fact:
    routeros_version: "{{ fleet.results[inventory_hostname].ansible_facts.ansible_net_version }}"
"""

RETURN = r"""
results:
  description:
    - What the module for one router returned, by the name of the host. RV(ignore:changed),
      RV(ignore:failed), RV(ignore:unreachable) and RV(ignore:msg) are among it. With
      O(read=license), there is no C(ansible_facts), which would be the license once more.
    - Routers on which nothing was begun have no result.
  returned: success or when a router failed
  type: dict
  sample:
    chr1: {changed: false, license: {level: p1, days_left: 61.5}}
    chr2: {changed: false, unreachable: true, msg: The guest agent did not answer.}
failed_hosts:
  description: The routers that failed.
  returned: success or when a router failed
  type: list
  elements: str
  sample: []
unreachable_hosts:
  description: The routers that were not reached.
  returned: success or when a router failed
  type: list
  elements: str
  sample: [chr2]
not_begun_hosts:
  description: The routers on which nothing was done because of O(max_fail_percentage).
  returned: success or when a router failed
  type: list
  elements: str
  sample: []
other_hosts:
  description: The hosts of the play that are not routers, because they have another connection.
  returned: success or when a router failed
  type: list
  elements: str
  sample: [pve1]
msg:
  description: How many routers are done, and which failed, were not reached or were not begun.
  returned: success or when a router failed
  type: str
  sample: 1 of 2 routers done, 1 unreachable (chr2).
"""
