# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: memory_required
short_description: Calculate the memory that a CHR needs
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Calculates the memory by the vendor's formula, O(_input.memory_base) + 8 x O(_input.cpus) x
    (O(_input.nics) - 1). The vendor calls it an approximation.
  - All other keys are allowed, so that the same dictionary can be used as for the filter
    P(outofband.chr.vm_findings#filter).
extends_documentation_fragment:
  - outofband.chr.machine
seealso:
  - plugin: outofband.chr.vm_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what four CPUs and ten network cards need
  ansible.builtin.debug:
    msg: "{{ {'hypervisor': 'proxmox', 'cpus': 4, 'nics': ['virtio'] * 10} | outofband.chr.memory_required }} MiB" # 544
"""

RETURN = r"""
_value:
  description: MiB of memory.
  type: int
"""

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import of_filter
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.planned_vm import memory_of


@of_filter()
def memory_required(vm):
    return memory_of(vm)


class FilterModule:
    def filters(self):
        return {"memory_required": memory_required}
