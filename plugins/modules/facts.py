# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
author: The outofband.chr authors (@outofband)
short_description: Collect RouterOS facts through the guest agent
version_added: 1.0.0
description:
  - Collects facts of a Cloud Hosted Router with small RouterOS scripts that change nothing.
  - The facts have the names that the C(facts) module of the C(community.routeros) collection uses,
    so playbooks can be used with both. The values come from RouterOS itself, not from tables. A
    menu that this RouterOS does not have gives an empty fact.
options:
  gather_subset:
    description:
      - Which facts to collect, V(all), V(hardware), V(interfaces), V(routing), V(config), or one of
        these with a C(!) before it to leave it out. V(default) is always collected.
      - Backend C(vmware) cannot return output. Only V(default) is possible there, without the load.
        It takes about 250 jobs that succeed or fail.
      - On backend C(xenapi), each script is a boot of the router; V(default) needs four. One that
        is off is started and stays on.
      - Backend C(xenstore) carries 1,536 bytes of output for each script, so menus are read a few
        items at a time. V(config) comes through a file on the router, which is removed again, and
        may have 60 KiB.
    type: list
    elements: str
    default: ["!config"]
  max_items:
    description:
      - The largest number of items that is read of one menu, such as routes. A warning and
        C(ansible_net_incomplete) name the menus that have more.
      - With V(0), all items are read. A full table of the internet's routes takes minutes and
        gigabytes of memory on the controller for each router.
    type: int
    default: 1000
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - Facts are collected in check mode too. On backend C(xenapi), where that needs a boot, the
        task is skipped.
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
      description: How long the router has been up, as C(/system resource print) shows it (V(1w2d3h4m5s)).
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
      description: Free disk space in MiB. Subset V(hardware), like the next three.
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
        - Interfaces by name, with their properties and with V(ipv4) and V(ipv6) lists. Subset
          V(interfaces), like the next three. Here and in all other facts by name, an item without
          a name of its own is kept under its name and its id.
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
      description: All neighbours; C(interface) says where each was seen.
      type: list
      elements: dict
    ansible_net_route:
      description: Lists of routes by routing table. Subset V(routing), like the next five.
      type: dict
    ansible_net_bgp_peer:
      description: BGP peers or connections by name.
      type: dict
    ansible_net_bgp_instance:
      description: BGP instances by name.
      type: dict
    ansible_net_bgp_vpnv4_route:
      description: Lists of BGP vpnv4 routes by interface.
      type: dict
    ansible_net_ospf_instance:
      description: OSPF instances by name.
      type: dict
    ansible_net_ospf_neighbor:
      description: Lists of OSPF neighbours by instance.
      type: dict
    ansible_net_incomplete:
      description: The menus that have more than O(max_items) items.
      type: list
      elements: str
    chr_router:
      description: Which VM the facts were read from, see C(router) in
        RV(outofband.chr.license_info#module:license).
      type: dict
    ansible_net_config:
      description: The output of C(/export verbose). Subset V(config), like the next one. The task
        fails and names the menus if RouterOS says that its export lacks some.
      type: str
    ansible_net_config_nonverbose:
      description: The output of C(/export) without the line that carries the time, so it changes
        only with the configuration.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that the action plugin or the connection does the work."""
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "default": ["!config"]},
            "max_items": {"type": "int", "default": 1000},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="outofband.chr.facts needs ansible_connection: outofband.chr.guest_agent for the router.")


if __name__ == "__main__":
    main()
