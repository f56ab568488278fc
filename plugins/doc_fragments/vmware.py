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
options: {}
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
