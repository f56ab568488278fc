# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: platform
short_description: Get this collection's word for a platform
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - All parts of this collection use one word for what a router runs on. It is that of
    O(outofband.chr.guest_agent#connection:backend) where there is a guest agent.
  - The filter returns V(vmware) for V(esx), V(qemu) for V(kvm) and V(linux_bridge), V(xenapi) for
    V(xe), V(xenstore) for V(xen) and V(xl), V(workstation) for V(vmrun), and its input for this
    collection's own words. It fails for all others.
options:
  _input:
    description: A word for a platform.
    type: str
    required: true
    choices:
      - proxmox
      - libvirt
      - qemu
      - vmware
      - workstation
      - xenapi
      - xenstore
      - hyperv
      - virtualbox
      - rescue
      - esx
      - kvm
      - linux_bridge
      - vmrun
      - xe
      - xen
      - xl
seealso:
  - plugin: outofband.chr.vm_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Group routers by what they run on
  ansible.builtin.group_by:
    key: on_{{ my_platform | outofband.chr.platform }} # on_xenstore for xl
"""

RETURN = r"""
_value:
  description: This collection's word.
  type: str
"""

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import of_filter
from ansible_collections.outofband.chr.plugins.plugin_utils._core import platforms


@of_filter()
def platform(word):
    return platforms.platform(word)


class FilterModule:
    def filters(self):
        return {"platform": platform}
