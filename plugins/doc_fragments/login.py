# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The RouterOS user that runs scripts."""

    DOCUMENTATION = r"""
options: {}
"""

    CONNECTION = r"""
options:
  guest_user:
    description:
      - For backends V(vmware) and V(vmrun), the RouterOS user that scripts run as.
      - It can be a list, or a text with one user on each line. All users are tried in order, each
        with every O(guest_password), until the router takes one of these logins.
    type: raw
    default: admin
    vars:
      - name: chr_guest_user
    env:
      - name: OUTOFBAND_GUEST_USER
  guest_password:
    description:
      - For backends V(vmware) and V(vmrun), the password of O(guest_user). It is empty on a new
        router.
      - It can be a list. The passwords are tried in order, and the one that the router took last
        comes first in the next tasks. So C(["{{ vault_router_password }}", ""]) serves a new router
        and, after M(outofband.chr.first_login) has set its password, the same router again.
      - The router logs each password that it refuses.
      - In a text, each line is a password. This is how E(OUTOFBAND_GUEST_PASSWORD) has a list; an
        empty last line is the empty password of a new router.
    type: raw
    default: ""
    vars:
      - name: chr_guest_password
    env:
      - name: OUTOFBAND_GUEST_PASSWORD
"""
