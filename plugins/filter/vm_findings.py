# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vm_findings
short_description: Check a planned VM against the CHR requirements
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Checks the plan of a VM against the vendor's requirements, without contact to a hypervisor.
  - The filter checks memory and disk size, the models of network cards and disks that a CHR can
    use under each hypervisor, the bus of its system disk, and how it boots.
  - The modules of this collection that create a VM make the same checks.
extends_documentation_fragment:
  - outofband.chr.machine
seealso:
  - plugin: outofband.chr.vm_supported
    plugin_type: test
  - plugin: outofband.chr.memory_required
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop if a CHR cannot run in the planned VM
  ansible.builtin.assert:
    that: findings.errors == []
    fail_msg: "{{ findings.errors | join(' ') }}"
  vars:
    findings: "{{ plan | outofband.chr.vm_findings }}"
    plan:
      hypervisor: vmware
      routeros: "7.22"
      cpus: 2
      memory: 512
      disk: 1024
      disk_bus: ide
      nics: [vmxnet3, vmxnet3]
      firmware: bios

- name: Show the warnings
  ansible.builtin.debug:
    msg: "{{ ({'hypervisor': 'proxmox', 'nics': ['e1000']} | outofband.chr.vm_findings).warnings }}"
"""

RETURN = r"""
_value:
  description: The findings.
  type: dict
  contains:
    errors:
      description: Why a CHR cannot run in the VM, one sentence for each reason.
      type: list
      elements: str
    warnings:
      description: What is not recommended, and what is better.
      type: list
      elements: str
"""

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import of_filter
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.planned_vm import findings_of


@of_filter()
def vm_findings(vm):
    found = findings_of(vm)
    return {"errors": found.errors, "warnings": found.warnings}


class FilterModule:
    def filters(self):
        return {"vm_findings": vm_findings}
