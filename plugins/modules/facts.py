# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
author: The outofband.chr authors (@outofband)
short_description: RouterOS facts through the guest agent
version_added: 0.1.0
description:
  - Collects facts of a Cloud Hosted Router with small RouterOS scripts that change nothing.
  - The facts have the names that the C(facts) module of the C(community.routeros) collection uses, so playbooks can move over.
    Values are those of RouterOS itself, not cut out of tables. A menu that this RouterOS does not have gives an empty fact.
options:
  gather_subset:
    description:
      - Which facts to collect, V(all), V(hardware), V(interfaces), V(routing), V(config), or one of these with a C(!)
        before it to leave it out. V(default) is always collected.
      - Backend C(vmware) carries no output. Only V(default) can be had there, without the load, by some 250 jobs that succeed or
        fail.
      - On backend C(xenapi), each script is a boot of the router; V(default) needs four. One that is off is started and stays on.
      - Backend C(xenstore) carries 1,536 bytes of output for each script, so menus are read a few items at a time, and
        V(config) cannot be had unless it is that short.
    type: list
    elements: str
    default: ["!config"]
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: full
    details:
      - Facts are collected in check mode too. On backend C(xenapi), where that needs a boot, the task is skipped.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
seealso:
  - module: outofband.chr.guest_info
"""

EXAMPLES = r"""
- name: Collect all facts but the configuration
  outofband.chr.facts:

- name: Collect the basic ones only
  outofband.chr.facts:
    gather_subset: ["!all"]

- name: Collect the configuration
  outofband.chr.facts:
    gather_subset: [config]

- name: Keep it on the controller
  ansible.builtin.copy:
    content: "{{ ansible_facts.net_config_nonverbose }}"
    dest: "configurations/{{ inventory_hostname }}.rsc"
    mode: "0600"
  delegate_to: localhost
  vars:
    ansible_connection: local
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    ansible_net_gather_subset:
      description: The subsets that were collected.
      type: list
      elements: str
    ansible_net_hostname:
      description: The router's identity.
      type: str
    ansible_net_version:
      description: The version of RouterOS.
      type: str
    ansible_net_uptime:
      description: How long the router has been up.
      type: str
    ansible_net_arch:
      description: The CPU architecture.
      type: str
    ansible_net_cpu_load:
      description: The load of the CPU, in percent.
      type: str
    ansible_net_model:
      description: The model, for a CHR its board name.
      type: str
    ansible_net_serialnum:
      description: The serial number, for a CHR its system id.
      type: str
    ansible_net_spacefree_mb:
      description: Free disk space in MiB. Subset V(hardware), as the next three.
      type: float
    ansible_net_spacetotal_mb:
      description: Disk space in MiB.
      type: float
    ansible_net_memfree_mb:
      description: Free memory in MiB.
      type: float
    ansible_net_memtotal_mb:
      description: Memory in MiB.
      type: float
    ansible_net_interfaces:
      description:
        - Interfaces by name, with their properties and with V(ipv4) and V(ipv6) lists. Subset V(interfaces), as the next three.
      type: dict
    ansible_net_all_ipv4_addresses:
      description: All IPv4 addresses.
      type: list
      elements: str
    ansible_net_all_ipv6_addresses:
      description: All IPv6 addresses.
      type: list
      elements: str
    ansible_net_neighbors:
      description: Neighbours by interface.
      type: dict
    ansible_net_route:
      description: Routes by routing table. Subset V(routing), as the next five.
      type: dict
    ansible_net_bgp_peer:
      description: BGP peers or connections by name.
      type: dict
    ansible_net_bgp_instance:
      description: BGP instances by name.
      type: dict
    ansible_net_bgp_vpnv4_route:
      description: BGP vpnv4 routes by interface.
      type: dict
    ansible_net_ospf_instance:
      description: OSPF instances by name.
      type: dict
    ansible_net_ospf_neighbor:
      description: OSPF neighbours by instance.
      type: dict
    ansible_net_config:
      description: The output of C(/export verbose). Subset V(config), as the next.
      type: str
    ansible_net_config_nonverbose:
      description: The output of C(/export) without the line that carries the time, so it changes only with the configuration.
      type: str
"""
