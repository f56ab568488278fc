# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The address of a hypervisor's API and the login for it."""

    DOCUMENTATION = r"""
options:
  api_host:
    description:
      - For backend V(proxmox), the name or address of any node of the cluster.
      - For backend V(vmware), the vCenter or the ESXi host.
      - For backend V(xenapi), a host, or the coordinator of its pool. Another member of the pool
        names the coordinator, which is then asked on the same O(api_port).
    type: str
  api_port:
    description:
      - The TCP port of O(api_host). If it is left out, it is 8006 for backend V(proxmox), and 443
        for V(vmware) and V(xenapi).
    type: int
  api_user:
    description:
      - The user that logs in, such as V(automation@pve) (with its realm) for backend V(proxmox),
        V(ansible@vsphere.local) for V(vmware), and V(root) for V(xenapi).
    type: str
  api_password:
    description:
      - The password of O(api_user).
      - All hosts and tasks of a run share one login. The session's key is kept below the Ansible
        home of the user, in a file that only that user can read. At the end of the run, or at
        C(reset_connection) of M(ansible.builtin.meta), a session of V(vmware) or V(xenapi) is
        logged out. A password that was refused is not sent again for a minute, because servers lock
        accounts.
    type: str
  validate_certs:
    description:
      - Whether the certificate of O(api_host) must be trusted and match that name.
      - If it is left out, it is V(true).
    type: bool
  ca_path:
    description:
      - A file or a folder with the certificates of the authorities to trust, instead of the
        system's. The files in a folder have the names that C(openssl rehash) gives them.
      - If it is left out, it comes from the environment, for backend V(proxmox) from
        E(OUTOFBAND_PROXMOX_CA_PATH), for V(vmware) from E(OUTOFBAND_VMWARE_CA_PATH), and for
        V(xenapi) from E(OUTOFBAND_XENSERVER_CA_PATH). For all of them, E(OUTOFBAND_CA_PATH) is next.
    type: path
"""

    CONNECTION = r"""
options:
  api_host:
    vars:
      - name: chr_api_host
  api_port:
    vars:
      - name: chr_api_port
  api_user:
    vars:
      - name: chr_api_user
  api_password:
    vars:
      - name: chr_api_password
  validate_certs:
    vars:
      - name: chr_validate_certs
  ca_path:
    vars:
      - name: chr_ca_path
"""
