# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmware_network
short_description: Allow the traffic of a router on port groups and switches of VMware
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Allows frames with other MAC addresses and with VLAN tags on the port groups of the router's
    network cards, and sets the MTU of their switches. The port groups are found by the VM. Without
    these settings, nothing leaves a router that has a bridge, a VLAN, EoIP or VRRP.
  - A port group of a standard switch is set on every ESXi host that has it. Only what differs is
    changed. An option that is left out changes nothing.
  - The API user needs the privileges C(Host.Config.Network) for standard switches,
    C(DVPortgroup.Modify) and C(DVSwitch.Modify) for distributed ones, and for O(add_again)
    C(VirtualMachine.Config.AddRemoveDevice).
  - The modules of community.vmware for switches and port groups describe a whole object, and
    reset what is not given, such as uplinks and VLAN. Use them to make networks; this
    module changes single settings of existing ones.
notes:
  - The settings hold for all VMs on a port group. With O(promiscuous), each of them can see the
    frames of all others on the switch. Give routers port groups of their own.
options:
  networks:
    description:
      - The port groups. When left out, all that the VM is connected to.
    type: list
    elements: str
  promiscuous:
    description:
      - Whether the cards may get frames for other MAC addresses. The vendor's manual asks for it
        for VLANs.
    type: bool
  forged_transmits:
    description: Whether the cards may send from other MAC addresses than their own.
    type: bool
  mac_changes:
    description: Whether the router may change the MAC address of a card.
    type: bool
  trunk:
    description:
      - The VLANs that reach the router with their tags, as numbers and ranges such as V(100-199),
        or V(all).
      - A port group of a standard switch takes V(all) only.
    type: list
    elements: str
  mtu:
    description:
      - The MTU of the switch in bytes, up to 9000. It holds for everything on the switch, and the
        physical network must carry it, too.
      - Network cards that the VM already had keep the old MTU, see O(add_again).
    type: int
  add_again:
    description:
      - MAC addresses of network cards that are removed and added again as they were, in one step.
        ESXi lets cards that were added before the MTU was raised keep the old one.
      - The VM must be off, or O(restart) be true. Nothing shows that a card has been added again, so
        each run does it. RouterOS may give the card another name.
    type: list
    elements: str
  restart:
    description:
      - Whether a router that runs may be restarted for O(add_again). It is shut down through its tools,
        the cards are added again, and its machine is turned on again and waited for. A router that
        does not shut down makes the task fail; it is not turned off. A machine that is off stays
        off.
      - Without it, O(add_again) is refused for a VM that is on. The other options need no restart.
    type: bool
    default: false
  restart_timeout:
    description:
      - The seconds for that restart, until the guest agent answers again.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: outofband.chr.vmware_tools
"""

EXAMPLES = r"""
- name: Let the router bridge, and get all VLANs with their tags
  outofband.chr.vmware_network:
    networks: [Routers]
    promiscuous: true
    forged_transmits: true
    mac_changes: true
    trunk: [all]

- name: Carry jumbo frames, with the existing card
  outofband.chr.vmware_network:
    networks: [Storage]
    mtu: 9000
    add_again: ["00:50:56:8a:11:22"]
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
      description: The settings as they were.
      type: dict
    after:
      description: The same settings as they are now.
      type: dict
  sample:
    - of: port group Routers on esx1.example.net
      before: {promiscuous: false, vlan: 0}
      after: {promiscuous: true, vlan: 4095}
"""
