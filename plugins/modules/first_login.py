# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: first_login
author: The outofband.chr authors (@outofband)
short_description: Set the password, users and services of a new router
version_added: 1.0.0
description:
  - Does what a person does at the first login to a Cloud Hosted Router. It sets a password, adds a
    user and its SSH keys, closes services, sets the identity, and disables or removes C(admin).
  - A second run changes nothing. RouterOS tells neither a password nor a key again, so the module
    marks what it has set. See O(update_password) and O(ssh_keys).
  - Nobody is locked out. C(admin) is touched last, after the module has read on the router that
    the other user is enabled in the group C(full). On backend C(vmware) it has also logged in as
    that user.
  - Passwords go to the router inside a script, which is quoted so that every character is kept.
    They are never in a file of the router, in a command line of the controller, or in the result.
options:
  user:
    description:
      - The user whose password and keys are set. It is added if the router does not have it.
      - C(admin) itself is never added or enabled again.
    type: str
    default: admin
  group:
    description:
      - The group of O(user), which the router must have. A user in another group is put into it.
    type: str
    default: full
  password:
    description:
      - The password of O(user). Without it, the password of a user that exists is left alone, and
        a user that is added has a random one that nobody is told. Such a user needs O(ssh_keys).
    type: str
  update_password:
    description:
      - V(on_create) sets the password once. It is set when the user is added, and also when the
        user exists and this module has not set its password before. The module knows that by the
        words C(password set by outofband.chr.first_login) in the comment of the user, which it
        sets together with the password.
      - V(always) sets it each time. Use it for one run when the password shall be another one.
      - On backend C(vmware), the module can try the login on the router. If RouterOS takes the
        password, both leave it, and nothing is changed. On other backends, V(always) is always a
        change.
    type: str
    choices: [always, on_create]
    default: on_create
  ssh_keys:
    description:
      - Public keys of OpenSSH that O(user) has, each as in a file C(.pub). Other keys are left.
      - RouterOS shows only the comment of a key. So the key gets a comment without blanks, to
        which the beginning of the key's hash is added. A key that was added in another way is not
        recognized, and is added once more.
      - By default, RouterOS refuses password logins through SSH to a user that has a key.
    type: list
    elements: str
    default: []
  admin:
    description:
      - What becomes of the user C(admin). V(disabled) and V(absent) need another O(user), with
        O(group=full).
    type: str
    choices: [present, disabled, absent]
    default: present
  disable_services:
    description:
      - Names in C(/ip service) that are disabled, such as C(telnet). Others are left.
      - It is an error if the router does not have a service of that name.
    type: list
    elements: str
  keep_services:
    description:
      - Names in C(/ip service) that are left as they are. All others are disabled, so an empty list
        closes everything.
      - It is an error if the router does not have a service of that name.
    type: list
    elements: str
  identity:
    description:
      - The name of the router.
    type: str
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - It shows no password and no key, only that they are set.
notes:
  - On backend C(vmware), scripts run with a login. Give C(chr_guest_password) the new and the old
    password as a list, and if C(admin) shall go, C(chr_guest_user) the new user and C(admin). The
    module refuses a change after which the next task could not log in.
  - It is not possible on backend C(xenapi).
  - Whether the agent of every RouterOS version may set passwords is not known. One source says
    that its scripts do not have the policy C(password) of RouterOS. If that is so, the task fails
    with RouterOS's own words, and services and C(admin) are not touched.
  - RouterOS from 7.9 on takes a key in a command. For an older one, the module writes the public
    key into a file for a moment.
seealso:
  - module: outofband.chr.wait_for_agent
  - module: outofband.chr.script
"""

EXAMPLES = r"""
- name: Set the password of a new router
  outofband.chr.first_login:
    password: "{{ vault_router_password }}"

- name: Set up a new router
  outofband.chr.first_login:
    user: ops
    password: "{{ vault_router_password }}"
    ssh_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB ops@example.com
    admin: absent
    keep_services: [ssh, winbox]
    identity: "{{ inventory_hostname }}"

- name: Change the password later
  outofband.chr.first_login:
    user: ops
    password: "{{ vault_new_router_password }}"
    update_password: always
"""

RETURN = r"""
user:
  description: The user that the task was about.
  returned: success
  type: str
  sample: ops
login_works:
  description:
    - Whether RouterOS took O(user) with O(password), as far as the module has tried it. V(null)
      without O(password), and on backends where a login cannot be tried.
    - In check mode, and if nothing was changed, it tells about the router as it was found.
  returned: success
  type: bool
  sample: true
changes:
  description: What was changed, or in check mode would be, in this order.
  returned: success
  type: list
  elements: dict
  contains:
    of:
      description: What was changed.
      type: str
    before:
      description: How it was.
      type: dict
    after:
      description: How it is now. A password or a key is not shown.
      type: dict
  sample:
    - of: user ops
      before: {state: absent}
      after: {state: enabled, group: full, password: set}
    - of: services
      before: {telnet: enabled}
      after: {telnet: disabled}
"""
