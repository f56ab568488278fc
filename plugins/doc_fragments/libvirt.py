# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Backend libvirt."""

    DOCUMENTATION = r"""
options:
  libvirt_uri:
    description:
      - For backend V(libvirt), the libvirt daemon that has the domain, for example
        V(qemu+ssh://root@kvm1.example.net/system).
      - C(qemu+ssh) uses the OpenSSH client with its configuration, keys, agent and jump hosts, and
        asks no questions (C(no_tty=1) is added). Put further arguments of C(ssh) into
        C(~/.ssh/config); C(chr_ssh_host) and C(chr_ssh_args) are not used. C(ControlMaster auto)
        and C(ControlPersist) there save a login for each exchange.
      - Connections that are read-only cannot be used.
    type: str
    default: qemu:///system
    env:
      - name: OUTOFBAND_LIBVIRT_URI
requirements:
  - The Python package C(libvirt-python) on the controller, for backend V(libvirt).
notes:
  - B(Backend libvirt) is a domain of libvirt, through libvirt's own agent command. Its option is
    O(libvirt_uri).
"""

    CONNECTION = r"""
options:
  libvirt_uri:
    vars:
      - name: chr_libvirt_uri
notes:
  - B(Ways of backend libvirt.) O(exec_mode) takes V(auto), V(inline), V(import) and V(path), as
    backend V(qemu) does.
"""
