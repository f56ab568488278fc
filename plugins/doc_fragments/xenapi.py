# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend xenapi."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - The Python package C(XenAPI) on the controller, for backend V(xenapi).
notes:
  - B(Backend xenapi) is the XenAPI of XenServer and XCP-ng. Its options are O(api_host),
    O(api_port), O(api_user), O(api_password), O(validate_certs) and O(ca_path).
  - B(Environment of backend xenapi.) Options that are left out come from the variables
    E(XENSERVER_HOST), E(XENSERVER_PORT), E(XENSERVER_USER), E(XENSERVER_PASSWORD),
    E(XENSERVER_VALIDATE_CERTS), E(OUTOFBAND_XENSERVER_CA_PATH) and E(OUTOFBAND_CA_PATH).
"""

    CONNECTION = r"""
options: {}
notes:
  - B(Ways of backend xenapi.) A script is handed over when the VM starts. V(auto) and V(start)
    start a VM that is halted, leave it running, and refuse a VM that runs. V(reboot) also permits
    a clean restart of a VM that runs, once for each script, condition and fact.
  - B(Limits of backend xenapi.) A script may have 32 KiB, of which each boot carries 1.5 KiB, and
    its output 1.5 KiB. Files cannot be transferred.
  - B(Rights for backend xenapi.) O(api_user) needs the role C(vm-admin) for scripts, and
    C(vm-operator) for M(outofband.chr.power).
"""
