# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
author: The outofband.chr authors (@outofband)
short_description: Find out what is wrong with a router or with the way to it
version_added: 1.0.0
description:
  - Looks at a Cloud Hosted Router and at the way to it, step by step, and changes nothing.
  - It looks whether the hypervisor is reached, which includes its certificate and the login; which
    privileges that tasks need are missing; whether the VM is found and on and has the agent channel;
    whether the agent answers and is that of RouterOS; which way a script takes and how long;
    whether files can be moved; at the license, the clock and the network cards.
  - A step that needs another one is not made if that one is wrong. Each step has a deadline of its
    own.
  - The task fails if something is wrong. Its message says what, and how it is cured.
  - On backend C(xenapi), a script needs a boot of the router. So what needs a script is not looked
    at there.
  - On backend C(vmware), a step that reads the router takes many jobs. The files of those that fail
    are removed again.
options:
  tasks:
    description:
      - A missing privilege that one of these tasks needs is wrong. A missing privilege for other
        tasks is only noted.
      - V(script) stands for all modules that run scripts. V(power) and V(snapshot) stand for the
        modules of these names, and V(tools) for M(outofband.chr.vmware_tools).
      - With V(power), a machine that M(outofband.chr.power) cannot turn on and off now is wrong, too,
        such as one that is paused.
    type: list
    elements: str
    choices: [script, power, snapshot, tools]
    default: [script]
  step_timeout:
    description:
      - Seconds for each step. A step that does not end within this time is wrong, and nothing after
        it is looked at. On backend C(vmware), reading the license has four times as many.
      - A connection to the hypervisor or the agent has half of this time, or
        O(outofband.chr.guest_agent#connection:connect_timeout) if that is shorter.
    type: float
    default: 30
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - It looks in check mode, too.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
seealso:
  - module: outofband.chr.doctor_report
  - module: outofband.chr.fleet
"""

EXAMPLES = r"""
- name: Look at a router and the way to it
  outofband.chr.doctor:

- name: Look whether snapshots could be taken and power switched, too
  outofband.chr.doctor:
    tasks: [script, power, snapshot]
  register: looked

- name: Show how long a script takes
  ansible.builtin.debug:
    var: looked.doctor.checks.script.ms
"""

RETURN = r"""
doctor:
  description: What was found.
  returned: success or when something is wrong
  type: dict
  contains:
    name:
      description: The host.
      type: str
    state:
      description: The worst state of the checks, V(wrong), V(note) or V(good).
      type: str
    backend:
      description: The C(chr_backend).
      type: str
    endpoint:
      description: The hypervisor's API, URI or machine. Empty if the VM was not found.
      type: str
    vm:
      description: What names the VM there - a UUID, an id or a socket. Empty if it was not found.
      type: str
    routeros:
      description: The version of RouterOS. Empty if it was not read.
      type: str
    checks:
      description:
        - The checks by name, in their order - C(settings), C(hypervisor), C(vm), C(privileges),
          C(power), C(channel), C(agent), C(routeros), C(script), C(files), C(license), C(clock) and
          C(cards).
        - Each has C(state), which is V(wrong), V(note), V(good) or V(skipped); C(short), a word for
          a table; C(said), what was found; C(cure), what to do, which is empty if nothing is to be
          done; and C(ms), the milliseconds that it took.
      type: dict
  sample:
    name: chr1
    state: wrong
    backend: proxmox
    endpoint: pve1.example.net:8006
    vm: "104"
    routeros: 7.22 (stable)
    checks:
      clock:
        state: wrong
        short: -2 h
        said: The clock is 7200 s behind the controller's. The router judges its license by it.
        cure: Set up /system ntp client on the router, or /system clock without a way to a time server.
        ms: 0
msg:
  description: What is wrong, and how it is cured.
  returned: when something is wrong
  type: str
"""
