# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_cli
author: The outofband.chr authors (@outofband)
short_description: Run command line modules of other collections on a CHR through the guest agent
version_added: 1.0.0
description:
  - B(What it is.) It takes the place of C(ansible.netcommon.network_cli) for modules that
    send commands to a router, such as C(community.routeros.command), C(community.routeros.facts)
    and C(ansible.netcommon.cli_command). They run unmodified, but every command travels through
    the guest agent of the router, over a channel of the hypervisor. The router needs no address,
    no open port, no user and no password.
  - The modules of this collection do not need it. They work over
    P(outofband.chr.guest_agent#connection), which is much faster. Both connections have the same
    variables, so an inventory for one works for the other.
  - B(What it needs.) The collections C(community.routeros) and C(ansible.netcommon) on the
    controller, and a backend that returns the output of a script without a restart of the router,
    which V(qemu), V(libvirt), V(proxmox) and V(xenstore) do. The others are refused.
  - B(How a command runs.) Each command is one RouterOS script, which runs without a terminal.
    So RouterOS does not page the output, and does not ask questions.
  - B(What works.) Modules that talk to the router through a persistent connection,
    M(ansible.builtin.wait_for_connection), M(ansible.builtin.ping), C(gather_facts) and
    C(reset_connection) of M(ansible.builtin.meta).
  - B(What does not work.) Over connections of this kind, Ansible runs modules on the controller.
    M(ansible.builtin.copy), M(ansible.builtin.raw), M(ansible.builtin.command) and others would
    change the controller instead of the router. They fail, and nothing is run.
  - B(Facts.) With C(gather_facts), a play has the facts of M(outofband.chr.facts), whose names are
    those of C(community.routeros.facts). They do not fail if RouterOS lacks a menu.
options:
  network_os:
    description:
      - Which plugins know the command line of the router.
    type: str
    default: community.routeros.routeros
    vars:
      - name: ansible_network_os
  cli_strict:
    description:
      - Whether every error of a command makes the task fail.
      - By default, only the errors do that with which C(community.routeros) fails over SSH, such as
        C(bad command name) and C(no such item). After any other error, such as
        C(already have such address), the task succeeds, and its output has RouterOS's words.
    type: bool
    default: false
    vars:
      - name: chr_cli_strict
    env:
      - name: OUTOFBAND_CLI_STRICT
  persistent_connect_timeout:
    description:
      - The seconds after which a process that serves a router ends if no task needs it.
      - It is the same option as that of C(ansible.netcommon.network_cli). How long to
        wait for the router is O(connect_timeout).
    type: int
    default: 30
    ini:
      - section: persistent_connection
        key: connect_timeout
    env:
      - name: ANSIBLE_PERSISTENT_CONNECT_TIMEOUT
    vars:
      - name: ansible_connect_timeout
  persistent_command_timeout:
    description:
      - The seconds after which Ansible gives up a command.
      - If it is less than O(script_timeout) and O(connect_timeout) together and 30 seconds, it is
        raised to that, so that the end of a script is always seen. A value of yours that is too
        small gives a warning.
    type: int
    default: 180
    ini:
      - section: persistent_connection
        key: command_timeout
    env:
      - name: ANSIBLE_PERSISTENT_COMMAND_TIMEOUT
    vars:
      - name: ansible_command_timeout
  persistent_log_messages:
    description:
      - Whether a line about each command is written to Ansible's log (E(ANSIBLE_LOG_PATH)). It has
        the name of the VM, sizes and times.
      - Commands, output and options are never logged by this connection, whatever the value, because
        Ansible would write them even for a task with C(no_log).
    type: bool
    default: false
    ini:
      - section: persistent_connection
        key: log_messages
    env:
      - name: ANSIBLE_PERSISTENT_LOG_MESSAGES
    vars:
      - name: ansible_persistent_log_messages
notes:
  - Each router has a process of its own on the controller, and a second one for tasks with
    C(no_log). It ends after O(persistent_connect_timeout) seconds without a task, with
    C(reset_connection), and at the latest with the run. Between two commands it holds nothing that
    another client of the agent needs.
  - Hosts may have the same C(ansible_host), or none. A router's process is found by the options that
    name the VM, and it refuses to serve another VM.
  - C(become) has no effect. A task with C(async) fails at once. In check mode,
    C(community.routeros.command) is skipped, and C(ansible.netcommon.cli_command) refuses commands
    that do not begin with C(show).
  - The options C(prompt) and C(answer) of C(ansible.netcommon.cli_command) are ignored if the answer
    is a plain yes. Any other answer is refused, so write the value into the command.
  - C(sendonly) of C(ansible.netcommon.cli_command) starts a command and does not wait for its end.
    Use it for C(/system reboot). It is refused under C(no_log).
  - C(ansible.netcommon.cli_config), C(net_put) and C(net_get) fail. M(outofband.chr.script),
    M(outofband.chr.copy) and M(outofband.chr.fetch) do their work.
  - >-
    A CHR does not have the menu C(/system routerboard), which C(community.routeros) always reads. The
    answer to its C(print) is then C(routerboard: no).
  - C(community.routeros.facts) with the subset C(routing) fails on RouterOS 7 as it does over SSH,
    because a menu is missing there. M(outofband.chr.facts) does not.
  - What RouterOS is and which version it has is asked at most every 30 seconds, and again after each
    command that may change it.
  - C(ANSIBLE_KEEP_REMOTE_FILES) does not work with this connection.
seealso:
  - plugin: outofband.chr.guest_agent
    plugin_type: connection
  - module: outofband.chr.script
  - module: outofband.chr.facts
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
# The inventory has the variables of outofband.chr.guest_agent, for example:
#
#   routers:
#     vars:
#       chr_backend: libvirt
#       chr_libvirt_uri: qemu+ssh://root@kvm1.example.net/system
#     hosts:
#       chr1:
#       chr2:

# A playbook that was written for SSH. Only the connection is another one.
- name: Show the addresses
  hosts: routers
  gather_facts: false
  vars:
    ansible_connection: outofband.chr.network_cli
  tasks:
    - name: Ask the router
      community.routeros.command:
        commands:
          - /ip address print without-paging
      register: answer

    - name: Show the answer
      ansible.builtin.debug:
        var: answer.stdout_lines[0]

    - name: Add an address, and fail whatever RouterOS has against it
      ansible.netcommon.cli_command:
        command: /ip address add address=192.0.2.1/24 interface=ether1
      vars:
        chr_cli_strict: true
"""

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import re
import signal
import threading
import time
import typing as t
import zipfile
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.connection import Connection as Daemon
from ansible.module_utils.connection import ConnectionError as DaemonError
from ansible.plugins.connection import NetworkConnectionBase
from ansible.plugins.loader import cliconf_loader, terminal_loader

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.connection import GuestConnection, arguments_in
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import printed
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.runtime_directory import runtime_directory
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NoSecretWay,
    NotPossible,
    OutputCut,
    ScriptFailed,
    ScriptTimedOut,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import known_encoding, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import LARGEST, left_out
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.runs import process_exists

_GUEST_AGENT = "outofband.chr.guest_agent"
_MARGIN = 30  # seconds of a command for everything but the wait for the agent and for the script
_FRESH = 30  # seconds for which an answer about the RouterOS version is used again
# A command that changes nothing.
_READS = re.compile(rb"\s*/?(?:[a-z0-9/ -]+[ /])?(?:print|export)(?: [a-z-]+)*\s*")
# Modules ask every router this, and a CHR does not have the menu. RouterOS answers like this on
# other machines that are not a RouterBOARD.
_ROUTERBOARD = re.compile(rb"/?system[ /]routerboard[ /]print(?: [a-z-]+)*")
_NOT_ONE = "routerboard: no"
_YES = re.compile(rb"\s*(?:y|yes)?\s*", re.IGNORECASE)
# The zip file in a module's payload, and a file in it that a module for a router's daemon has.
_ZIP = re.compile(rb"[A-Za-z0-9+/=]{1000,}")
_CLIENT = "ansible/module_utils/connection.py"
# What the daemon gets with the options of a task.
_WORKING_DIRECTORY = "_working_directory"
_NO_LOG = "_no_log"
_OF_COMMANDS = ("network_os", "script_timeout", "encoding", "cli_strict", _NO_LOG)


class Connection(GuestConnection, NetworkConnectionBase):
    """Gives modules of the command line a router behind a guest agent.

    Ansible makes one of these in the process of each task, and one in a process for the router,
    which serves the modules of many tasks (the daemon). The options of each task reach the daemon
    as ``direct`` of ``set_options``.
    """

    transport = "outofband.chr.network_cli"

    _in_daemon = False
    _asynchronous = False
    _no_log = False
    _refused = ""
    _capabilities: str | None = None
    _asked = 0.0

    def __init__(self, play_context: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
        # A strategy that resets a connection is in the main process, and does not say its id.
        super().__init__(play_context, *args, **{"ansible_playbook_pid": str(os.getpid()), **kwargs})

    def set_options(
        self,
        task_keys: dict[str, t.Any] | None = None,
        var_options: dict[str, t.Any] | None = None,
        direct: dict[str, t.Any] | None = None,
    ) -> None:
        """Set the options of a task, and the address by which Ansible finds the router's daemon."""
        if direct is not None and not self._serves(direct):
            return
        self._asynchronous = bool((task_keys or {}).get("async_val"))
        self._no_log = bool((task_keys or {}).get("no_log"))
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if direct is None:
            self._play_context.remote_addr = f"{self._host}#{self._target()}"

    def _target(self) -> str:
        with contextlib.suppress(ChrError):  # get_options reports it
            return _digest({**self.option_values(), _NO_LOG: self._no_log})
        return "unknown"

    def _serves(self, direct: dict[str, t.Any]) -> bool:
        """Whether this daemon, which is begun if it is new, serves the VM in the options *direct*.

        Once it was asked to serve another one, it serves none.
        """
        begins = not self._in_daemon
        if begins:
            self._in_daemon = True
            self._display.verbosity = 0  # Ansible would log errors with words of scripts and routers
            # Ansible shows the reason of a failure in spite of no_log, so _call must know of it.
            self._play_context.no_log = direct[_NO_LOG]
            os.chdir(direct[_WORKING_DIRECTORY])
            threading.Thread(target=_end_with, args=(int(self._ansible_playbook_pid),), daemon=True).start()
            self._load(direct["network_os"])
        mine = str(self._play_context.remote_addr).rpartition("#")[2]
        if mine != _digest({**direct, "runtime_directory": runtime_directory()}):
            self._refused = (
                f"This process of {self.transport} does not serve {direct.get('vm')!r} with these options, so nothing was sent. "
                "Please report this."
            )
        if self._refused and begins:
            raise AnsibleError(self._refused)
        return not self._refused

    def _load(self, network_os: str) -> None:
        """Load the plugins that know the command line. Raises AnsibleError."""
        self.cliconf = cliconf_loader.get(network_os, self)
        self._terminal = terminal_loader.get(network_os, class_only=True)
        if self.cliconf is None or self._terminal is None:
            raise AnsibleError(
                f"Ansible found no plugin for ansible_network_os {network_os!r}. Install the collection community.routeros, "
                "and leave ansible_network_os out."
            )
        self._sub_plugin = {"type": "cliconf", "name": self.cliconf._load_name, "obj": self.cliconf}

    def get_options(self, hostvars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the options for the daemon. Raises AnsibleError for what cannot work."""
        if self._in_daemon:
            return super().get_options(hostvars=hostvars)
        self._call(self._check)
        options = super().get_options(hostvars=hostvars)
        given, origin = super().get_option_and_origin("persistent_command_timeout")
        if given < options["persistent_command_timeout"] and origin != "default":
            self._display.warning(
                f"The command timeout of {given} s (ansible_command_timeout, ANSIBLE_PERSISTENT_COMMAND_TIMEOUT) is too short "
                f"for a script of chr_script_timeout. {options['persistent_command_timeout']} s are used instead."
            )
        return {**options, _WORKING_DIRECTORY: str(Path.cwd()), _NO_LOG: self._no_log}

    def get_option(self, option: str, hostvars: dict[str, t.Any] | None = None) -> t.Any:
        """Return an option, but one that has time for a script, and none that logs everything."""
        value = super().get_option(option, hostvars=hostvars)
        if option == "persistent_command_timeout":
            connect_timeout = positive_seconds("chr_connect_timeout", super().get_option("connect_timeout"))
            return max(value, math.ceil(self.script_timeout + connect_timeout) + _MARGIN)
        if option == "persistent_log_messages" and self._in_daemon:
            return False
        return value

    def _check(self, guest: Guest) -> None:
        """Refuse what cannot work before anything is begun. Raises ChrError."""
        instead = f"Set ansible_connection: {_GUEST_AGENT} and use outofband.chr.script or outofband.chr.facts."
        if not guest.capabilities.output:
            raise NotPossible(
                f"Backend {guest.backend} returns no output of a script, so {self.transport} cannot work on {guest.vm!r}. {instead}"
            )
        if not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} restarts the router for each script, so {self.transport} is not used on {guest.vm!r}. "
                f"{instead}"
            )
        if self._asynchronous:
            raise InvalidInput(f"{self.transport} does not run tasks with async. Leave it out. {instead}")
        if C.DEFAULT_KEEP_REMOTE_FILES:
            raise InvalidInput(f"{self.transport} does not work with ANSIBLE_KEEP_REMOTE_FILES. Unset it.")

    def update_vars(self, variables: dict[str, t.Any]) -> None:
        """Let ``gather_facts`` use outofband.chr.facts, and let ansible_host be what it is."""
        variables.setdefault("ansible_host", self._host)
        if C.config.get_config_value("FACTS_MODULES", variables=variables) == ["smart"]:
            variables["ansible_facts_modules"] = ["outofband.chr.facts"]
        super().update_vars(variables)

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        self._guest = None
        super().close()

    def reset(self) -> None:
        """Forget what is known of the router, and end its daemon."""
        # A session with the hypervisor is kept, because Ansible calls this at the end of each play.
        if not self._in_daemon:
            self._update_connection_state()
            if self._socket_path:
                with contextlib.suppress(DaemonError):
                    Daemon(self._socket_path).reset()
        self.close()

    # -- in the process of a task ----------------------------------------------------------------

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> t.Any:
        """Run a module that talks to the daemon on the controller, and nothing else."""
        if self._in_daemon:
            return self.send(to_bytes(cmd, errors="surrogate_or_strict"))
        if in_data and (answer := self._answered(in_data)) is not None:
            return 0, answer, b""
        if in_data and _is_for_routers(in_data):
            return super().exec_command(cmd, in_data, sudoable)
        raise self._on_the_controller()

    def put_file(self, in_path: str, out_path: str) -> None:
        raise self._on_the_controller()

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise self._on_the_controller()

    def _on_the_controller(self) -> AnsibleError:
        return AnsibleError(
            f"Over {self.transport}, this task would act on the controller and not on the router, so nothing was run: set "
            f"ansible_connection: {_GUEST_AGENT} and use outofband.chr.script, copy or fetch, or set delegate_to: localhost if you "
            "mean the controller."
        )

    # -- in the daemon, for modules --------------------------------------------------------------

    def get_capabilities(self) -> str:
        """Return what the plugin of the command line knows of the router, as JSON."""
        if self._capabilities is None or time.monotonic() > self._asked + _FRESH:
            self._capabilities = self.cliconf.get_capabilities()
            self._asked = time.monotonic()
        return self._capabilities

    def send(
        self,
        command: bytes,
        prompt: t.Any = None,
        answer: t.Any = None,
        newline: bool = True,
        sendonly: bool = False,
        prompt_retry_check: bool = False,
        check_all: bool = False,
        strip_prompt: bool = True,
    ) -> str:
        """Run *command* as a script and return its output.

        The other arguments are those of a terminal, which asks for *answer*.
        """
        if self._refused:
            raise AnsibleError(self._refused)
        if signal.alarm(0):  # several commands may be one request
            signal.alarm(self.get_option("persistent_command_timeout"))
        command = to_bytes(command, errors="surrogate_or_strict")
        if not _READS.fullmatch(command):
            self._capabilities = None
        try:
            return str(self._call(lambda guest: self._run(guest, command.strip(), answer, sendonly)))
        except AnsibleError:
            self._capabilities = None
            raise

    def _run(self, guest: Guest, command: bytes, answer: t.Any, sendonly: bool) -> str:
        answers = answer if isinstance(answer, list) else [answer or b""]
        if not all(_YES.fullmatch(to_bytes(one)) for one in answers):
            raise InvalidInput(
                f"RouterOS asks no questions when a script runs on {guest.vm!r}, so the answer cannot be given and nothing was "
                "sent. Leave out prompt and answer, and write the value into the command."
            )
        source = script(command, "The command")
        encoding = known_encoding(self.get_option("encoding"))
        if sendonly:
            if self.no_log:
                raise NoSecretWay(
                    f"A command with sendonly was not sent to {guest.vm!r}, because the task has no_log, and not every way that "
                    "starts a script without waiting for it keeps a secret. Leave out sendonly, or no_log if the command has no "
                    "secret."
                )
            guest.start(source)
            return ""
        started = time.monotonic()
        result = self.run_script(guest, source)
        self._log(
            f"{guest.vm}: a command of {len(source)} bytes ended with {result.rc} after {time.monotonic() - started:.1f} s and "
            f"printed {len(result.output)} bytes."
        )
        if result.timed_out:
            raise ScriptTimedOut(guest.failure(result, self.script_timeout))
        if result.rc != 0 and _ROUTERBOARD.fullmatch(command) and b"bad command name" in result.output:
            return _NOT_ONE
        if result.rc != 0 and (self.get_option("cli_strict") or self._fails_over_ssh(result.output)):
            raise ScriptFailed(guest.failure(result, self.script_timeout))
        if result.truncated:
            raise OutputCut(guest.cut())
        if len(result.output) > LARGEST:
            raise OutputCut(left_out(guest.vm, len(result.output)))
        return printed(readable(result.output, encoding)).strip()

    def _fails_over_ssh(self, output: bytes) -> bool:
        """Whether the terminal of the network OS takes *output* for an error.

        There, the command stands before it.
        """
        shown = b"\n" + output.replace(b"\r\n", b"\n")
        return any(pattern.search(shown) for pattern in self._terminal.terminal_stderr_re)

    def _log(self, text: str) -> None:
        if super().get_option("persistent_log_messages"):
            self._display.display(text, log_only=True)

    def get_config(self, *_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        """Refuse ansible.netcommon.cli_config and cli_backup."""
        raise AnsibleError(
            f"community.routeros has no functions for ansible.netcommon.cli_config and cli_backup, which would do nothing. Use "
            f"community.routeros.command, or outofband.chr.script over {_GUEST_AGENT}."
        )

    edit_config = get_config

    def copy_file(self, *_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        """Refuse ansible.netcommon.net_put and net_get, which also copy in check mode."""
        raise AnsibleError(f"{self.transport} copies no files. Use outofband.chr.copy or fetch over {_GUEST_AGENT}.")

    get_file = copy_file


def _end_with(run: int) -> None:
    """End this process when the process *run* has ended.

    Ansible does so at the end of a play, but only for one process of each host.
    """
    while process_exists(run):
        time.sleep(1)
    while True:  # a command that runs is ended by the first signal
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


def _digest(values: t.Mapping[str, t.Any]) -> str:
    """Return a text that differs for two VMs, and for two ways to run commands on one of them.

    It is made of the option *values*, but not of secret ones. Raises InvalidInput.
    """
    options = from_options(values)
    shown = {one.name: str(getattr(options, one.name)) for one in dataclasses.fields(options) if one.repr}
    shown |= {name: str(values[name]) for name in _OF_COMMANDS}
    return hashlib.sha256(json.dumps([options.backend, shown], sort_keys=True).encode()).hexdigest()[:32]


def _is_for_routers(payload: bytes) -> bool:
    """Whether the module in *payload* talks to a router by itself."""
    if str(arguments_in(payload).get("_ansible_module_name")).startswith("community.routeros."):
        return True
    for found in _ZIP.findall(payload):
        with contextlib.suppress(ValueError, zipfile.BadZipFile):
            return _CLIENT in zipfile.ZipFile(io.BytesIO(base64.b64decode(found))).namelist()
    return False
