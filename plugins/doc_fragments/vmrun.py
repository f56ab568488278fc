# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend vmrun."""

    DOCUMENTATION = r"""
options: {}
notes:
  - B(Backend vmrun) is a VM of VMware Workstation or Fusion, through the program C(vmrun), on the
    controller or on O(ssh_host). Its options are O(ssh_host), O(ssh_args), O(vmrun_product) and
    O(vmrun_program).
"""

    CONNECTION = r"""
options:
  vmrun_product:
    description:
      - For backend V(vmrun), the product, V(ws) for Workstation or V(fusion) for Fusion.
    type: str
    default: ws
    choices: [ws, fusion]
    vars:
      - name: chr_vmrun_product
  vmrun_program:
    description:
      - For backend V(vmrun), the path of C(vmrun) on that machine. By default it is found on
        C(PATH) for Workstation, and in F(/Applications) for Fusion.
    type: str
    vars:
      - name: chr_vmrun_program
  vmrun_password_in_arguments:
    description:
      - For backend V(vmrun), whether O(guest_password) may be shown to everybody who can list the
        processes of the machine with C(vmrun), for as long as a script runs.
      - C(vmrun) takes the password only as an argument. Without this consent, a script for a router
        whose O(guest_password) is not empty is refused. The password is in no argument of
        another program, and not on the controller if O(ssh_host) is set.
    type: bool
    default: false
    vars:
      - name: chr_vmrun_password_in_arguments
notes:
  - B(Ways of backend vmrun.) Scripts are run by C(vmrun runScriptInGuest) with the login
    O(guest_user) and O(guest_password), see O(vmrun_password_in_arguments). The vendor does not document which interpreter it is to
    be given. V(auto) gives none; V(inline) and V(console) give this name, as the ways of backend
    V(vmware) do.
  - B(Limits of backend vmrun.) The output of a script cannot be read, and files cannot be
    transferred. Values and conditions can still be read, by scripts that succeed or fail, but a
    value takes dozens of runs of C(vmrun). A script with a secret (C(no_log)) is refused, because
    C(vmrun) takes it as an argument. A script has at most 60,000 bytes. An encrypted VM is
    refused, because C(vmrun) takes its password only as an argument.
"""
