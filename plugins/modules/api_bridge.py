# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_bridge
author: The outofband.chr authors (@outofband)
short_description: Give clients of the RouterOS API a way to a router without an IP path
version_added: 1.0.0
description:
  - Opens a port of the controller that speaks the RouterOS API, and carries each command to the
    router over the guest agent of its hypervisor. Modules such as C(community.routeros.api_modify)
    and other clients of the API work there unchanged. The router needs no address, no user and no
    password for it.
  - The port listens on the loopback address only, and takes only the login that the module returns,
    which is random for each router and each run.
  - A bridge is a part of the run, as a connection is. One process of the controller serves all
    routers of a run, and ends with it. So there is nothing to clean up, and the module reports no
    change. Opening the bridge of a router again returns the same port and login.
  - B(Commands.) C(print) and C(getall) with C(.proplist), query words, C(count-only), C(detail) and
    the like; C(get), C(find), C(add), C(set), C(remove), C(enable), C(disable), C(move),
    C(comment), C(unset), and actions such as C(/system/script/run). C(cancel) takes back commands
    that wait. One command at a time runs on a router.
  - B(What does not work.) Commands that go on until the client ends them, such as C(listen),
    C(monitor) without C(once), or C(/tool/torch), are refused with a message. A guest agent runs
    scripts that end.
  - B(Limits.) On backend C(xenstore), an answer takes several scripts, and a single item of more
    than 1,536 bytes is refused. Raise the C(timeout) of the client there, which is 10 seconds in
    C(community.routeros). On backends C(vmware), which returns no output, and C(xenapi), which
    would restart the router for each command, no bridge is opened.
options:
  state:
    description:
      - V(started) opens the bridge of this router, or returns the one that is open.
      - V(stopped) closes it. A command that runs on the router ends there first.
    type: str
    choices: [started, stopped]
    default: started
  timeout:
    description:
      - Seconds to wait for one command on the router. The default is that of the connection
        (C(chr_script_timeout)).
    type: float
  idle_timeout:
    description:
      - Close the bridge after so many seconds without a command. Clients that are still connected
        are disconnected then.
    type: float
    default: 600
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - The bridge is opened in check mode, too, so that the tasks that use it can predict what they
        would change. Opening it changes nothing.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
notes:
  - The result holds the login of the bridge, so Ansible does not show it at any verbosity. The
    variable that O(ignore:register) names has it.
  - Use the bridge with C(delegate_to=localhost), because the clients run on the controller.
  - Modules of C(community.routeros) need the Python library librouteros on the controller. Set
    their O(ignore:encoding) to V(utf-8) if comments or names have other characters than ASCII.
  - RouterOS shows values in scripts in another form than in its API. The bridge converts times and
    lists. Whether it meets the form of every property of every version is not known.
seealso:
  - module: outofband.chr.script
  - module: community.routeros.api_modify
"""

EXAMPLES = r"""
- name: Open a way to the API of the router, which may have no address yet
  outofband.chr.api_bridge:
  register: bridge

- name: Bring the firewall into this form
  community.routeros.api_modify:
    hostname: "{{ bridge.hostname }}"
    port: "{{ bridge.port }}"
    username: "{{ bridge.username }}"
    password: "{{ bridge.password }}"
    tls: "{{ bridge.tls }}"
    path: ip firewall filter
    ensure_order: true
    handle_absent_entries: remove
    handle_entries_content: remove_as_much_as_possible
    data:
      - {chain: input, action: accept, connection-state: "established,related"}
      - {chain: input, action: drop, in-interface: ether1}
  delegate_to: localhost
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"

- name: Close it before the end of the run
  outofband.chr.api_bridge:
    state: stopped
"""

RETURN = r"""
hostname:
  description: The address of the port, which is always 127.0.0.1.
  returned: when O(state=started)
  type: str
  sample: 127.0.0.1
port:
  description: The port.
  returned: when O(state=started)
  type: int
  sample: 40123
username:
  description: The user name of the bridge. It is not a user of the router.
  returned: when O(state=started)
  type: str
  sample: bridge
password:
  description: The password of the bridge, which is random.
  returned: when O(state=started)
  type: str
tls:
  description: Whether the port speaks TLS, which it never does.
  returned: when O(state=started)
  type: bool
  sample: false
stopped:
  description: Whether there was a bridge to close.
  returned: when O(state=stopped)
  type: bool
  sample: true
"""
