# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend vmware."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - The Python package C(pyvmomi) on the controller, for backend V(vmware).
notes:
  - B(Backend vmware) is a vCenter or an ESXi host. Its options are O(api_host), O(api_port),
    O(api_user), O(api_password), O(validate_certs) and O(ca_path).
  - B(Environment of backend vmware.) Options that are left out come from the variables
    E(VMWARE_HOST), E(VMWARE_PORT), E(VMWARE_USER), E(VMWARE_PASSWORD),
    E(VMWARE_VALIDATE_CERTS), E(OUTOFBAND_VMWARE_CA_PATH) and E(OUTOFBAND_CA_PATH).
"""

    CONNECTION = r"""
options:
  guest_user:
    description:
      - For backend V(vmware), the RouterOS user that scripts run as.
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
      - For backend V(vmware), the password of O(guest_user). It is empty on a new router.
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
notes:
  - B(Ways of backend vmware.) Scripts are guest operations, with the login O(guest_user) and
    O(guest_password). V(inline) and V(console) are the two program names that the vendor's manual
    has for script text, and V(import) its program for files. V(auto) takes V(inline) and
    V(import). If the guest refuses the name, so that nothing was started, the other way is taken,
    and remembered for that VM.
  - B(Limits of backend vmware.) The output of a script cannot be read, and files cannot be
    transferred. Values, conditions and some facts can still be read, by jobs that succeed or fail,
    and scripts can write text files of up to 60 KiB.
  - B(Rights for backend vmware.) On the VM, O(api_user) needs
    C(VirtualMachine.GuestOperations.Execute) and C(VirtualMachine.GuestOperations.Query), and
    C(VirtualMachine.Interact.PowerOff) to shut it down.
"""
