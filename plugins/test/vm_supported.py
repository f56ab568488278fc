# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vm_supported
short_description: Check whether a planned VM can run a CHR
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Is true if the filter P(outofband.chr.vm_findings#filter) finds no error in the plan of a VM.
    Warnings are ignored.
extends_documentation_fragment:
  - outofband.chr.machine
seealso:
  - plugin: outofband.chr.vm_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check a plan
  ansible.builtin.assert:
    that: plan is outofband.chr.vm_supported
  vars:
    plan:
      hypervisor: hyperv
      generation: 1
      disk_bus: ide
      nics: [synthetic]
"""

RETURN = r"""
_value:
  description: Whether a CHR can run in the VM.
  type: bool
"""

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import of_filter
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.planned_vm import findings_of


@of_filter()
def vm_supported(vm):
    return not findings_of(vm).errors


class TestModule:
    def tests(self):
        return {"vm_supported": vm_supported}
