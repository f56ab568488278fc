# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: router_hosts
short_description: Find the hosts of the inventory that are routers
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Returns a pattern for C(hosts) of a play that matches all hosts whose connection is
    P(outofband.chr.guest_agent#connection). Hypervisors, Linux hosts and C(localhost) in the same
    inventory are left alone.
  - A host without C(ansible_connection) has the connection of the option C(--connection), or of
    Ansible's configuration.
  - The option C(--limit) holds. If none of the hosts is a router, the playbook ends with an error,
    unless O(no_routers) is V(ok). So it does if a pattern that is given matches no host.
options:
  _terms:
    description:
      - A pattern of hosts that is taken instead, unless it is empty. A playbook can pass a variable
        here, so that its users can choose other hosts.
    type: raw
  no_routers:
    description:
      - What to do if none of the hosts is a router. With V(error), the playbook ends with an error.
        With V(ok), the play has no hosts, and Ansible skips it.
      - V(ok) is for jobs that share an inventory, such as the slices of AWX. Some of them can have
        no router. The variable must be an extra variable or one of the play, because Ansible
        chooses the hosts of a play before it knows their variables.
    type: str
    choices: [error, ok]
    default: error
    vars:
      - name: chr_no_routers
notes:
  - The variables of hosts are known only after a play has begun, so there must be a play before
    the one that uses this plugin. It needs no tasks. C(group_by) would do the same, but starts a
    process for each host.
  - C(--list-hosts) shows all hosts, because Ansible does not read their variables for a list.
seealso:
  - plugin: outofband.chr.guest_agent
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Know the variables of all hosts
  hosts: all
  gather_facts: false

- name: Act on the routers, or on other hosts if my_hosts is set
  hosts: "{{ lookup('outofband.chr.router_hosts', my_hosts | default('')) }}"
  gather_facts: false
  tasks:
    - name: Read the licenses
      outofband.chr.license_info:
"""

RETURN = r"""
_raw:
  description: One pattern of hosts. It is a regular expression of the names, so names with special
    characters are safe. It is C(!all), which matches no host, if there is no router and O(no_routers)
    is V(ok).
  type: list
  elements: str
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import with_topic
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.router_hosts import (
    given_pattern,
    pattern_of_routers,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        given = [one for term in terms for one in (term if isinstance(term, list) else [term]) if one]
        none_is_ok = self.get_option("no_routers") == "ok"
        try:
            if given:
                return [given_pattern(",".join(map(str, given)), variables or {}, none_is_ok=none_is_ok)]
            return [pattern_of_routers(variables or {}, none_is_ok=none_is_ok)]
        except InvalidInput as error:
            raise AnsibleLookupError(with_topic(str(error), type(error))) from None
