# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend proxmox."""

    DOCUMENTATION = r"""
options:
  api_token_id:
    description:
      - For backend V(proxmox), the API token, V(user@realm!name), or only its name if O(api_user)
        is set. With a token, O(api_password) is not used.
    type: str
  api_token_secret:
    description:
      - For backend V(proxmox), the secret of O(api_token_id).
    type: str
  node:
    description:
      - For backend V(proxmox), the node of the VM. If it is left out, the node is found.
      - If the VM is given as a vmid, its node saves a look-up in the list of all VMs. A VM that has
        moved to another node is found. If the VM is given as a name, it must be on that node.
    type: str
    env:
      - name: OUTOFBAND_NODE
requirements:
  - The Python package C(proxmoxer) on the controller, for backend V(proxmox).
notes:
  - B(Backend proxmox) is the REST interface of Proxmox VE 6.2 to 9, with a token or a password.
    Its options are O(api_host), O(api_port), O(api_user), O(api_password), O(api_token_id),
    O(api_token_secret), O(validate_certs), O(ca_path), O(node), O(ssh_host) and O(ssh_args). The
    authority for O(ca_path) is C(/etc/pve/pve-root-ca.pem) of a node.
  - B(Environment of backend proxmox.) Options that are left out come from the variables
    E(PROXMOX_HOST), E(PROXMOX_PORT), E(PROXMOX_USER), E(PROXMOX_PASSWORD), E(PROXMOX_TOKEN_ID),
    E(PROXMOX_TOKEN_SECRET), E(PROXMOX_VALIDATE_CERTS), E(OUTOFBAND_PROXMOX_CA_PATH) and
    E(OUTOFBAND_CA_PATH).
"""

    CONNECTION = r"""
options:
  api_token_id:
    vars:
      - name: chr_api_token_id
  api_token_secret:
    vars:
      - name: chr_api_token_secret
  node:
    vars:
      - name: chr_node
notes:
  - B(Ways of backend proxmox.) V(auto) takes for each script the first of these that can carry it
    and that a harmless probe shows to work, and remembers what works for the VM. V(inline) sends
    the text without a command (Proxmox VE 6.2 to 7.4). V(json) sends it with an empty command (8
    and later). V(file) writes a file and gives the agent its name. V(qm) runs C(qm guest exec) on
    O(ssh_host). V(socket) opens the agent's socket there. Script files are run with C(/import).
  - B(Limits of backend proxmox.) Files larger than 60 KiB need O(ssh_host), and so do scripts of
    more than 64 KiB, or of more than 44 KiB if they have characters beyond ASCII outside of
    strings and comments.
    M(outofband.chr.provision_agent) needs it too, unless O(api_user) is C(root@pam) with a password
    and the channel is V(provision).
"""
