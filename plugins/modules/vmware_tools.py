# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmware_tools
short_description: Set what VMware allows the guest tools of RouterOS to do
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Sets, for the router's VM, whether RouterOS gets the host's time, which of the router's power
    scripts run, and what its tools report. It works on VMware only, also while the router is off.
  - An option that is left out changes nothing. M(outofband.chr.guest_info) shows what is set.
  - The API user needs the privileges C(VirtualMachine.Config.Settings) and
    C(VirtualMachine.Config.AdvancedConfig) on the VM.
  - The collections for VMware have a module for the keys of a VM's configuration,
    M(vmware.vmware.vm_advanced_settings), but none for time synchronization and power scripts.
options:
  time_sync:
    description:
      - Whether VMware's tools synchronize the router's clock with that of the host. A router whose
        clock is more than about 5 seconds ahead stays ahead.
    type: bool
  power_scripts:
    description:
      - Which power scripts VMware lets the tools run.
      - RouterOS runs C(poweron) after power-on, C(resume) after a resume, C(poweroff) before it is
        shut down, and C(suspend) before standby, if it has a script of that name. A script that
        takes longer than 30 seconds, or fails, makes the power operation fail; the second attempt
        ignores that.
    type: dict
    suboptions:
      after_power_on:
        description: After the VM was switched on.
        type: bool
      after_resume:
        description: After the VM was resumed.
        type: bool
      before_reboot:
        description: Before the guest is restarted.
        type: bool
      before_shutdown:
        description: Before the guest is shut down.
        type: bool
      before_standby:
        description: Before the guest is suspended.
        type: bool
  statistics:
    description:
      - Whether the tools report statistics of the memory, which is off by default. The key is
        C(guestinfo.disable-perfmon).
    type: bool
  exclude_nics:
    description:
      - Patterns such as V(pppoe*) of the interfaces that the tools do not report. The key is
        C(guestinfo.exclude-nics).
      - The vendor's manual does not say how several patterns are written; they are joined with
        commas, as VMware's own tools read them. An empty list removes the key.
    type: list
    elements: str
  primary_nics:
    description:
      - Patterns of the interfaces that the tools report first, as in O(exclude_nics). The key is
        C(guestinfo.primary-nics).
    type: list
    elements: str
  low_priority_nics:
    description:
      - Patterns of the interfaces that the tools report last, as in O(exclude_nics). The key is
        C(guestinfo.low-priority-nics).
    type: list
    elements: str
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.guest_info
  - module: outofband.chr.vmware_network
"""

EXAMPLES = r"""
- name: Keep the router's clock right, and report the interface to the Internet first
  outofband.chr.vmware_tools:
    time_sync: true
    statistics: true
    primary_nics: [ether1]
    exclude_nics: ["pppoe*", "vlan*"]

- name: Let no script of the router hold up a shutdown
  outofband.chr.vmware_tools:
    power_scripts:
      before_shutdown: false
      before_reboot: false
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    of:
      description: The object that was changed.
      type: str
    before:
      description: The settings as they were. A key that did not exist is empty.
      type: dict
    after:
      description: The same settings as they are now.
      type: dict
  sample:
    - of: the tools' settings of 'chr1'
      before: {time_sync: false}
      after: {time_sync: true}
"""
