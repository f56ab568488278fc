# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guest_agent
author: The outofband.chr authors (@outofband)
short_description: Reach a MikroTik CHR through its hypervisor's guest agent
version_added: 0.1.0
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
  - B(What works.) M(ansible.builtin.raw) runs its text as a RouterOS script.
    M(ansible.builtin.wait_for_connection), M(ansible.builtin.ping) and C(reset_connection) of
    M(ansible.builtin.meta) work. The modules of this collection do everything else.
  - B(What does not work.) Modules that need Python or a shell on the target fail at once with a
    sentence that names what to use instead.
  - B(Facts.) With C(gather_facts) a play has a few facts of M(ansible.builtin.setup), those that the
    guest agent tells without a script. With C(ansible_facts_modules) set to
    V(outofband.chr.facts), it has those of M(outofband.chr.facts).
options:
  script_timeout:
    description:
      - The seconds to wait for the end of one script.
    type: float
    default: 120
    vars:
      - name: chr_script_timeout
    env:
      - name: OUTOFBAND_SCRIPT_TIMEOUT
  encoding:
    description:
      - The encoding of what a router shows and is not valid UTF-8, such as V(cp1251). RouterOS
        itself keeps bytes and knows no encoding; WinBox writes that of its computer.
      - Without it, a script's output keeps such bytes, and facts show each as C(\xe9), for example.
    type: str
    vars:
      - name: chr_encoding
    env:
      - name: OUTOFBAND_ENCODING
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
  - outofband.chr.vmware
  - outofband.chr.vmware.connection
  - outofband.chr.xenapi
  - outofband.chr.xenapi.connection
  - outofband.chr.xenstore
  - outofband.chr.xenstore.connection
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
import json
import re
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import ansible_error, printed, shown
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.gather import SPEC, Gatherer, setup_facts
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, ScriptTimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import forget_empty_variables
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import known_encoding
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import bounded, left_out
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script

# Where a module's payload has its arguments, and where Ansible searches for Python.
_ARGUMENTS = re.compile('"ANSIBLE_MODULE_ARGS": ')
_PYTHON = "ansible_python_interpreter"
_OF_ANSIBLE = ("ansible.builtin", "ansible.legacy", "")
# The beginnings of the commands that Ansible itself runs in a POSIX shell. RouterOS scripts do not
# begin like this.
_SHELL_COMMANDS = re.compile(r"\( ?umask |echo ~|rm -f |chmod |test -|mkdir -|setfacl |chown ")


class Connection(ConnectionBase):
    """Makes a guest from the options, and turns Ansible's requests into calls of the guest."""

    transport = "outofband.chr.guest_agent"
    has_pipelining = True
    always_pipeline_modules = True
    allow_executable = False
    has_tty = False

    _guest: Guest | None = None
    _resolve_as: t.Callable[[str], dict[str, t.Any]] | None = None
    _mistaken_for: str | None = None
    _delegated_to: str | None = None
    _host = ""

    def _resolve_option_variables(self, variables: dict[str, t.Any], templar: t.Any) -> dict[str, t.Any]:
        """Resolve the variables, and keep a function that resolves them again for another name.

        ``set_options`` calls it with the router's own name.
        """

        def resolve_as(name: str) -> dict[str, t.Any]:
            given = variables["inventory_hostname"]
            variables["inventory_hostname"] = name
            try:
                return resolve(variables, templar)
            finally:
                variables["inventory_hostname"] = given

        resolve = super()._resolve_option_variables
        self._resolve_as = resolve_as
        return t.cast("dict[str, t.Any]", resolve(variables, templar))

    def set_options(
        self,
        task_keys: dict[str, t.Any] | None = None,
        var_options: dict[str, t.Any] | None = None,
        direct: dict[str, t.Any] | None = None,
    ) -> None:
        """Set the options, and resolve those of a delegated task with the router's own name.

        Ansible resolves the variables of the host that a task is delegated to with the
        inventory_hostname of the host that delegates it. So chr_vm, if it is left out or a
        template, would name another VM.
        """
        router = self._delegated_to = (task_keys or {}).get("delegate_to")
        delegated = bool(router and var_options and var_options.get("inventory_hostname") not in (None, router))
        if delegated and self._resolve_as:
            var_options = self._resolve_as(str(router))
            delegated = False
        self._mistaken_for = str((var_options or {}).get("inventory_hostname")) if delegated else None
        self._host = str(router or (var_options or {}).get("inventory_hostname"))
        forget_empty_variables()
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._guest = None  # in a loop, each item can name another router

    def update_vars(self, variables: dict[str, t.Any]) -> None:
        """Keep Ansible from searching for Python on the router and warning of what it finds.

        A module that Ansible itself needs, such as setup, is answered by ``exec_command``.
        """
        super().update_vars(variables)
        if self._delegated_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._delegated_to, {})
        if str(variables.get(_PYTHON) or "auto").startswith("auto"):
            variables[_PYTHON] = "/usr/bin/python3"

    @property
    def guest(self) -> Guest:
        """Return the router of this host. Raises ChrError."""
        if self._guest is None:
            self._guest = open_guest(from_options(self.option_values()))
        return self._guest

    def option_values(self) -> dict[str, t.Any]:
        """Return the options of this host by name, and the folder for sessions.

        Raises InvalidInput.
        """
        if self._mistaken_for is not None:
            raise InvalidInput(
                f"This task is delegated, and this ansible-core resolved the connection's variables with the name of the host "
                f"that delegates it ({self._mistaken_for!r}), so they may name another VM. Nothing was sent. Use a play on the "
                "router itself."
            )
        return {**self.get_options(), "runtime_directory": Path(C.ANSIBLE_HOME).expanduser() / "cp"}

    def set_become_plugin(self, plugin: t.Any) -> None:
        """Ignore ``become``: RouterOS cannot switch to another user."""

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

    def transport_test(self, connect_timeout: float) -> None:
        """Return when the agent answers; ``wait_for_connection`` calls this.

        *connect_timeout* is in seconds.
        """
        self._call(lambda guest: guest.ping(connect_timeout))

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run *cmd* as a RouterOS script. Returns its exit code, its output, and notes about it."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        cmd = to_text(cmd, errors="surrogate_or_strict")
        if in_data and (answer := self._answer(_arguments(in_data))):
            return (
                0,
                to_bytes(json.dumps(shown({**answer, "changed": False}, no_log=bool(self._play_context.no_log)))),
                b"",
            )
        if in_data or _SHELL_COMMANDS.match(cmd):
            raise AnsibleError(
                "This module needs Python or a shell on the target, but RouterOS has neither. Use outofband.chr.script, copy, "
                "fetch, facts, guest_info, power or ansible.builtin.raw."
            )
        source = self._call(lambda _guest: script(to_bytes(cmd, errors="surrogate_or_strict")))
        timeout = self.get_option("script_timeout")
        result = self._call(lambda guest: guest.run(source, positive_seconds("chr_script_timeout", timeout)))
        if result.rc is None:
            error = ScriptTimedOut(self.guest.failure(result, timeout))
            raise ansible_error(error, no_log=bool(self._play_context.no_log))
        output, cut = bounded(result.output, known_encoding(self.get_option("encoding")))
        note = left_out(self.guest.vm, len(result.output)).encode() if cut else b""
        return result.rc, to_bytes(printed(output), errors="surrogate_or_strict"), note

    def _answer(self, arguments: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """Return the result of a module that Ansible itself runs, or None for other modules."""
        collection, _unused, module = str(arguments.get("_ansible_module_name", "")).rpartition(".")
        if collection in _OF_ANSIBLE and module == "ping":
            self._call(lambda guest: guest.ping())
            return {"ping": arguments.get("data", "pong")}
        if collection in _OF_ANSIBLE and module == "setup":
            return {"ansible_facts": self._call(setup_facts)}
        if (collection, module) == ("outofband.chr", "facts"):
            return t.cast("dict[str, t.Any]", self._call(lambda guest: self._gather(guest, arguments)))
        return None

    def _gather(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Gather facts for ``ansible_facts_modules: outofband.chr.facts``."""
        checked = ArgumentSpecValidator(SPEC).validate(
            {name: value for name, value in arguments.items() if not name.startswith("_ansible_")}
        )
        if checked.error_messages:
            raise InvalidInput(f"outofband.chr.facts: {', '.join(checked.error_messages)}.")
        if arguments.get("_ansible_check_mode") and not guest.capabilities.runs_without_restart:
            return {"skipped": True}
        timeout = positive_seconds("chr_script_timeout", self.get_option("script_timeout"))
        gatherer = Gatherer(guest, timeout, known_encoding(self.get_option("encoding")))
        return {
            "ansible_facts": gatherer.gather(self._host, checked.validated_parameters),
            "warnings": gatherer.warnings,
        }

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        with Path(in_path).open("rb") as source:
            self._call(lambda guest: guest.require_routeros() or guest.put(source, out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        with Path(out_path).open("wb") as target:
            self._call(lambda guest: guest.get(in_path, target))

    def _call(self, function: t.Callable[[Guest], t.Any]) -> t.Any:
        try:
            return function(self.guest)
        except Exception as error:  # the text is complete, but Ansible would add the causes
            raise ansible_error(error, no_log=bool(self._play_context.no_log)) from None


def _arguments(payload: bytes) -> dict[str, t.Any]:
    """Return the arguments of the module in *payload*, or nothing if it shows none."""
    shown = payload.decode("utf-8", "replace")
    match = _ARGUMENTS.search(shown)
    with contextlib.suppress(ValueError):
        if match:
            found, _end = json.JSONDecoder().raw_decode(shown, match.end())
            return found if isinstance(found, dict) else {}
    return {}
