# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guest_agent
author: The outofband.chr authors (@outofband)
short_description: Reach a MikroTik CHR through its hypervisor's guest agent
version_added: 1.0.0
description:
  - B(What it is.) It runs RouterOS scripts and moves files through the guest agent that RouterOS
    carries, over a channel of the hypervisor. The router needs no address, no open port and no
    password.
  - The inventory host is the router itself. O(backend) and the options of that backend name the
    hypervisor.
  - B(Options of every backend.) O(backend), O(vm), O(connect_timeout), O(script_timeout),
    O(encoding) and O(exec_mode).
  - B(Options of some backends.) Each option says for which backends it is. The notes describe one
    backend after the other, with its options, its ways to hand over a script (O(exec_mode)), and
    its limits.
  - B(What works.) M(ansible.builtin.raw) runs its text as a RouterOS script. With C(no_log), it is
    handed over like one of M(outofband.chr.script) with C(no_log).
    M(ansible.builtin.wait_for_connection), M(ansible.builtin.ping) and C(reset_connection) of
    M(ansible.builtin.meta) work. The modules of this collection do everything else.
  - B(What does not work.) Modules that need Python or a shell on the target fail at once with a
    sentence that names what to use instead.
  - B(Facts.) With C(gather_facts) a play has a few facts of M(ansible.builtin.setup), those that the
    guest agent tells without a script. With C(ansible_facts_modules) set to
    V(outofband.chr.facts), it has those of M(outofband.chr.facts).
notes:
  - C(become) has no effect. A script has the permissions of RouterOS's guest agent, which the
    vendor does not document, or on VMware those of O(guest_user).
  - On KVM, the agent of a CHR works on x86_64. No version for arm64 or for software emulation is
    known to work.
  - The channel has no authentication of its own. Whoever can open the socket controls the router.
  - With C(delegate_to), the options are those of the router that the task is delegated to, also if
    they contain C({{ inventory_hostname }}).
seealso:
  - module: outofband.chr.script
  - module: outofband.chr.wait_for_agent
extends_documentation_fragment:
  - outofband.chr.script
  - outofband.chr.guest
  - outofband.chr.guest.connection
  - outofband.chr.ssh
  - outofband.chr.ssh.connection
  - outofband.chr.socket
  - outofband.chr.socket.connection
  - outofband.chr.api
  - outofband.chr.api.connection
  - outofband.chr.qemu
  - outofband.chr.qemu.connection
  - outofband.chr.libvirt
  - outofband.chr.libvirt.connection
  - outofband.chr.proxmox
  - outofband.chr.proxmox.connection
  - outofband.chr.login
  - outofband.chr.login.connection
  - outofband.chr.vmware
  - outofband.chr.vmware.connection
  - outofband.chr.xenapi
  - outofband.chr.xenapi.connection
  - outofband.chr.xenstore
  - outofband.chr.xenstore.connection
  - outofband.chr.vmrun
  - outofband.chr.vmrun.connection
  - outofband.chr.virtualbox
  - outofband.chr.virtualbox.connection
  - outofband.chr.hyperv
  - outofband.chr.hyperv.connection
"""

EXAMPLES = r"""
# Two routers of a KVM host, reached through ssh
sockets:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: qemu
    chr_ssh_host: root@kvm1.example.net
  hosts:
    chr1:
      chr_socket: /run/chr1.agent.sock
    chr2:
      chr_socket: /run/chr2.agent.sock

# Two domains of libvirt
domains:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: libvirt
    chr_libvirt_uri: qemu+ssh://root@kvm1.example.net/system
  hosts:
    chr1:
    chr2:
      chr_vm: 6f1c2b34-5d7e-4a89-9b0c-112233445566

# Two routers of a vCenter; its password comes from the environment (VMWARE_PASSWORD)
virtual_machines:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: vmware
    chr_api_host: vcenter.example.net
    chr_api_user: ansible@vsphere.local
    chr_guest_password: "{{ vault_router_password }}"
  hosts:
    chr3:
    chr4:
      chr_vm: vm-1204

# Two routers of an XCP-ng pool, which may be restarted to run a script
xcp_ng:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: xenapi
    chr_api_host: xcp1.example.net
    chr_api_user: root
    chr_api_password: "{{ vault_xcp_password }}"
    chr_ca_path: files/xcp1.pem
    chr_exec_mode: reboot
  hosts:
    chr5:
    chr6:
      chr_vm: 0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d

# Two domains of a Xen host, through its dom0
xen_domains:
  vars:
    ansible_connection: outofband.chr.guest_agent
    chr_backend: xenstore
    chr_ssh_host: root@xen1.example.net
  hosts:
    chr7:
    chr8:
      chr_vm: 0b3a7f0e-6a9c-4d6c-9a44-7c1d5be0a1f2
"""

import contextlib
import re
import typing as t
from pathlib import Path

from ansible.module_utils.common.text.converters import to_bytes, to_text

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.connection import GuestConnection
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import ansible_error, printed
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible, ScriptTimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import known_encoding
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import bounded, left_out
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script

# The beginnings of the commands that Ansible itself runs in a POSIX shell. RouterOS scripts do not
# begin like this.
_SHELL_COMMANDS = re.compile(r"\( ?umask |echo ~|rm -f |chmod |test -|mkdir -|setfacl |chown ")


class Connection(GuestConnection):
    """Turns Ansible's requests into calls of the guest."""

    transport = "outofband.chr.guest_agent"
    allow_executable = False

    def _connect(self) -> Connection:
        # Each exchange opens the channel only while it needs it, because others (a backup, another
        # task) need it, too.
        self._connected = True
        return self

    def close(self) -> None:
        self._guest = None
        self._connected = False

    def reset(self) -> None:
        with contextlib.suppress(ChrError):  # the next task reports what is wrong
            self.guest.reset()
        self.close()

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run *cmd* as a RouterOS script. Returns its exit code, its output, and notes about it."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        cmd = to_text(cmd, errors="surrogate_or_strict")
        if in_data and (answer := self._answered(in_data)) is not None:
            return 0, answer, b""
        if in_data or _SHELL_COMMANDS.match(cmd):
            error: ChrError = NotPossible(
                "This module needs Python or a shell on the target, but RouterOS has neither. Use outofband.chr.script, copy, "
                "fetch, facts, guest_info, power or ansible.builtin.raw."
            )
            raise ansible_error(error, no_log=False)
        source = self._call(lambda _guest: script(to_bytes(cmd, errors="surrogate_or_strict")))
        result = self._call(lambda guest: self.run_script(guest, source))
        if result.rc is None:
            error = ScriptTimedOut(self.guest.failure(result, self.script_timeout))
            raise ansible_error(error, no_log=self.no_log)
        output, cut = bounded(result.output, known_encoding(self.get_option("encoding")))
        note = left_out(self.guest.vm, len(result.output)).encode() if cut else b""
        return result.rc, to_bytes(printed(output), errors="surrogate_or_strict"), note

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        with Path(in_path).open("rb") as source:
            self._call(lambda guest: self._put(guest, source, out_path))

    def _put(self, guest: Guest, source: t.BinaryIO, name: str) -> None:
        guest.require_routeros()
        (guest.put_secret if self.no_log else guest.put)(source, name)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        with Path(out_path).open("wb") as target:
            self._call(lambda guest: guest.get(in_path, target))
