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
  - Runs RouterOS scripts and moves files through the guest agent that RouterOS carries, over a channel of the hypervisor.
    The router needs no address, no open port and no password.
  - The inventory host is the router itself. The hypervisor is named by O(backend) and the options of that backend.
  - M(ansible.builtin.raw) runs its text as a RouterOS script. M(ansible.builtin.wait_for_connection), M(ansible.builtin.ping) and
    C(reset_connection) of M(ansible.builtin.meta) work. Everything else is done by the modules of this collection.
  - Modules that need Python or a shell on the target cannot work and fail at once with a sentence that names what to use instead.
    Set C(gather_facts) to V(false) in plays that use this connection, and gather facts with M(outofband.chr.facts).
notes:
  - C(become) is ignored. An agent's script runs with RouterOS's own rights, there is no user to become.
  - The agent of a CHR is served by hypervisors with KVM on x86_64. No version for arm64 or for software emulation is known to work.
  - The channel has no authentication of its own. Whoever can open the socket controls the router.
  - With C(delegate_to), the options are those of the router that is delegated to, also where they are made of
    C({{ inventory_hostname }}).
seealso:
  - module: outofband.chr.script
  - module: outofband.chr.wait_for_agent
options:
  backend:
    description:
      - How the agent is reached.
      - V(vmware) is VMware's guest operations, through a vCenter or an ESXi host (see O(api_host)). A script's output and files
        cannot be had that way. Values, conditions and some facts are read all the same, by jobs that succeed or fail.
      - V(qemu) is the agent socket of a QEMU process, as a unix socket or a TCP port, here or on another machine (see O(ssh_host)).
      - V(libvirt) is a domain of libvirt, through libvirt's own agent command (see O(libvirt_uri)). It needs the Python package
        C(libvirt-python) on the controller.
      - V(proxmox) is the REST interface of Proxmox VE 6.2 to 9, with O(api_host) and a token or a password.
      - V(xenapi) is the XenAPI of XenServer and XCP-ng, with O(api_host) and a password. A script is handed over when the VM
        starts, see O(exec_mode). Its text may have 32 KiB, of which 1.5 KiB go with one boot; of its output, 1.5 KiB come back.
        Files cannot be moved.
      - V(xenstore) is a domain of XenServer, XCP-ng or Xen Project, through xenstore in dom0, with O(ssh_host) for dom0. It moves
        no files, and a script's output has at most 1,536 bytes.
      - It must be set.
    type: str
    vars:
      - name: chr_backend
    env:
      - name: OUTOFBAND_BACKEND
  vm:
    description:
      - The VM, as its hypervisor knows it. For backend V(qemu) it is only a name in messages. An empty text is refused.
      - For backend V(libvirt), the name or the UUID of the domain.
      - For backend V(proxmox) the vmid or the name. A name that two VMs have is refused.
      - For backend V(vmware), its name, BIOS or instance uuid, managed object id (V(vm-123)) or path (V([datastore] chr/chr.vmx)).
        Two VMs that answer to it are an error.
      - For backend V(xenapi), its uuid or name. A name that two VMs have is refused. Templates and snapshots do not count.
      - For backend V(xenstore), the domid, name or uuid of the domain. Two domains that answer to it are an error.
        A domain has another domid after each boot, so a name or a uuid is better.
    type: str
    vars:
      - name: inventory_hostname
      - name: chr_vm
  socket:
    description:
      - For backend V(qemu), the agent channel, V(/path/to.sock) or V(tcp://host:port).
      - On Proxmox VE that is C(/run/qemu-server/<vmid>.qga) on the node.
      - For backend V(xenstore), the socket of xenstored in dom0. When left out, it is C(/run/xenstored/socket) or
        C(/var/run/xenstored/socket).
    type: str
    vars:
      - name: chr_socket
  ssh_host:
    description:
      - The machine on which O(socket) is to be opened, as in C(ssh <ssh_host>). Without it, the socket is opened on the controller.
      - The OpenSSH client is used, so its configuration, keys, agent and jump hosts apply. One connection is kept and shared
        by all tasks and routers. It asks no questions (C(BatchMode=yes)).
      - For backend V(proxmox), the node on which the VM runs, as root. It opens the ways V(qm) and V(socket) of O(exec_mode), and
        files of any size. M(outofband.chr.provision_agent) works through it.
      - For backend V(xenstore), the dom0 of the host on which the VM runs, as root. Without it, the controller is dom0 itself.
    type: str
    vars:
      - name: chr_ssh_host
    env:
      - name: OUTOFBAND_SSH_HOST
  ssh_args:
    description:
      - Further arguments for C(ssh), for example C(-J jump@gateway -i ~/.ssh/lab).
    type: str
    default: ""
    vars:
      - name: chr_ssh_args
    env:
      - name: OUTOFBAND_SSH_ARGS
  libvirt_uri:
    description:
      - For backend V(libvirt), the libvirt daemon that has the domain, for example V(qemu+ssh://root@kvm1.example.net/system).
      - C(qemu+ssh) uses the OpenSSH client with its configuration, keys, agent and jump hosts, and asks no questions
        (C(no_tty=1) is added). O(ssh_host) and O(ssh_args) are not used. What needs arguments of C(ssh) goes into
        C(~/.ssh/config); C(ControlMaster auto) and C(ControlPersist) there save a login for each exchange.
      - Connections that are read-only cannot be used.
    type: str
    default: qemu:///system
    vars:
      - name: chr_libvirt_uri
    env:
      - name: OUTOFBAND_LIBVIRT_URI
  connect_timeout:
    description:
      - Seconds to wait for the agent, that is for the socket to appear, for another client to leave it, and for the first answer.
    type: float
    default: 30
    vars:
      - name: chr_connect_timeout
    env:
      - name: OUTOFBAND_CONNECT_TIMEOUT
  script_timeout:
    description:
      - Seconds to wait for the end of one script.
    type: float
    default: 120
    vars:
      - name: chr_script_timeout
    env:
      - name: OUTOFBAND_SCRIPT_TIMEOUT
  api_host:
    description:
      - For backend V(proxmox), the name or address of any node of the cluster. For backend V(vmware), the vCenter or ESXi host.
      - For backend V(xenapi), a host, or the coordinator of its pool. Another member of the pool names the coordinator, which is
        asked then, on the same O(api_port).
      - When left out, it comes from the environment variable that the backend's own collections use, E(PROXMOX_HOST),
        E(VMWARE_HOST) or E(XENSERVER_HOST). So do the other options of the API, such as E(PROXMOX_TOKEN_SECRET),
        E(VMWARE_PASSWORD), E(XENSERVER_USER) and E(XENSERVER_VALIDATE_CERTS).
    type: str
    vars:
      - name: chr_api_host
  api_port:
    description:
      - The port of O(api_host). When left out, it is 8006 for backend V(proxmox), and 443 for V(vmware) and V(xenapi).
    type: int
    vars:
      - name: chr_api_port
  api_user:
    description:
      - For backend V(proxmox), the user with its realm, as in V(automation@pve).
      - For backend V(vmware), it needs C(VirtualMachine.GuestOperations.Execute) and C(VirtualMachine.GuestOperations.Query) on the
        VM, and C(VirtualMachine.Interact.PowerOff) to shut it down.
      - For backend V(xenapi), such as V(root). Scripts need the role C(vm-admin), M(outofband.chr.power) C(vm-operator).
    type: str
    vars:
      - name: chr_api_user
  api_password:
    description:
      - The password of O(api_user). It is not used where O(api_token_id) is given.
      - All hosts and tasks of a run share one login. The session's key is kept below the Ansible home of the user, in a file that
        only that user can read, until it ends or C(reset_connection) of M(ansible.builtin.meta) forgets it. A password that was
        refused is not sent again for a minute, as servers lock accounts.
    type: str
    vars:
      - name: chr_api_password
  api_token_id:
    description:
      - For backend V(proxmox), the API token, V(user@realm!name), or only its name beside O(api_user).
    type: str
    vars:
      - name: chr_api_token_id
  api_token_secret:
    description:
      - The secret of O(api_token_id).
    type: str
    vars:
      - name: chr_api_token_secret
  validate_certs:
    description:
      - Whether the certificate of O(api_host) must be trusted, and be for that name.
      - It is true when left out.
    type: bool
    vars:
      - name: chr_validate_certs
  ca_path:
    description:
      - A file or a folder with the certificates of the authorities to trust, in place of the system's.
        For Proxmox VE that is C(/etc/pve/pve-root-ca.pem) of a node. In a folder, the files have the names that
        C(openssl rehash) gives them.
    type: path
    vars:
      - name: chr_ca_path
  node:
    description:
      - For backend V(proxmox), the node on which the VM must be. It is found by itself when left out.
    type: str
    vars:
      - name: chr_node
  exec_mode:
    description:
      - How a script is handed over where there is more than one way, and how a script file on the router is run.
      - For backend V(proxmox), V(auto) takes the first of these that a harmless probe shows to work, and remembers it for the VM.
        V(inline) sends the text without a command (Proxmox VE 6.2 to 7.4). V(json) sends it with an empty command (8 and later).
        V(file) writes a file and gives the agent its name. V(qm) runs C(qm guest exec) on O(ssh_host), V(socket) opens the
        agent's socket there. Script files are run with C(/import).
      - For backend V(qemu), script text is always handed over inline.
        V(auto), V(import) and V(inline) run script files with C(/import) inline, which every RouterOS knows.
      - V(path), for backend V(qemu), gives the agent the name of a script file, as the vendor's manual describes it. Public
        sources disagree on whether a CHR takes that. The agent must name itself RouterOS, because any other agent would start a
        program of that name.
      - For backend V(vmware), V(inline) and V(console) are the two program names that the vendor's manual has for script text, and
        V(import) its program for files. V(auto) takes V(inline) and V(import). When the guest refuses the name, so that nothing
        was started, the other way is taken, and remembered for that VM.
      - For backend V(xenapi), a script is handed over when the VM starts. V(auto) and V(start) start a VM that is halted, leave it
        running, and refuse one that runs. V(reboot) also restarts one that runs, with a clean reboot, for each script, condition
        and fact anew.
      - For backend V(xenstore), V(auto) takes the first of these that works, and remembers it for that dom0. V(socket) speaks to
        xenstored's own socket, so that a script is in nobody's arguments. V(commands) runs C(xenstore-write) and its kin; a script
        is in the process list of dom0 for a moment then. Script files are run with C(/import).
    type: str
    default: auto
    choices: [auto, inline, import, path, json, file, qm, socket, console, start, reboot, commands]
    vars:
      - name: chr_exec_mode
    env:
      - name: OUTOFBAND_EXEC_MODE
  guest_user:
    description: For backend V(vmware), the RouterOS user that scripts run as.
    type: str
    default: admin
    vars:
      - name: chr_guest_user
  guest_password:
    description: The password of O(guest_user). It is empty on a new router.
    type: str
    default: ""
    vars:
      - name: chr_guest_password
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
import os
import re
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.connection import ConnectionBase

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import AgentNotThere, GuestError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._no_log import hidden

# How Ansible's own machinery begins a command for a POSIX shell; no RouterOS script begins so.
_SHELL_COMMANDS = re.compile(r"\( ?umask |echo ~|rm -f |chmod |test -|mkdir -|setfacl |chown ")
_DISCOVERY = re.compile(r"echo (PLATFORM|FOUND);")
# How the variables of a backend's own collections begin.
_ENVIRONMENT = {"proxmox": "PROXMOX", "vmware": "VMWARE", "xenapi": "XENSERVER"}
_PING = re.compile(rb"ansible[./]modules[./]ping\b")


class Connection(ConnectionBase):
    """Options in, guest out; and what Ansible asks of a connection, in terms of the guest."""

    transport = "outofband.chr.guest_agent"
    has_pipelining = True
    always_pipeline_modules = True
    allow_executable = False
    has_tty = False

    _guest: Guest | None = None
    _resolve_as: t.Callable[[str], dict[str, t.Any]] | None = None
    _mistaken_for: str | None = None

    def _resolve_option_variables(self, variables: dict[str, t.Any], templar: t.Any) -> dict[str, t.Any]:
        """Keeps how to do it again with the router's own name: see ``set_options``."""

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
        """As of Ansible; but a task that is delegated to a router means that router.

        Ansible resolves the variables of the host that a task is delegated to with the inventory_hostname of the host that
        delegates: chr_vm, left out or a template, would name another VM.
        """
        router = (task_keys or {}).get("delegate_to")
        delegated = bool(router and var_options and var_options.get("inventory_hostname") not in (None, router))
        if delegated and self._resolve_as:
            var_options = self._resolve_as(str(router))
            delegated = False
        self._mistaken_for = str((var_options or {}).get("inventory_hostname")) if delegated else None
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._guest = None  # in a loop, each item can name another router

    @property
    def guest(self) -> Guest:
        """The router of this host. Raises GuestError."""
        if self._guest is None:
            self._guest = open_guest(self.guest_options())
        return self._guest

    def guest_options(self) -> GuestOptions:
        """How this host's router, and the hypervisor that has it, are reached. Raises InvalidInput."""
        if self._mistaken_for is not None:
            raise InvalidInput(
                f"This task is delegated, and this ansible-core resolved the connection's variables with the name of the host "
                f"that delegates it ({self._mistaken_for!r}), so they may name another VM. Nothing was sent. Use a play on the "
                "router itself."
            )
        return GuestOptions(
            backend=self.get_option("backend"),
            vm=self._vm(),
            connect_timeout=self.get_option("connect_timeout"),
            exec_mode=self.get_option("exec_mode"),
            runtime_directory=Path(C.ANSIBLE_HOME).expanduser() / "cp",
            socket=self.get_option("socket"),
            ssh_host=self.get_option("ssh_host"),
            ssh_args=self.get_option("ssh_args"),
            libvirt_uri=self.get_option("libvirt_uri"),
            api_host=self._api("api_host"),
            api_port=self._api("api_port", int),
            api_user=self._api("api_user"),
            api_password=self._api("api_password"),
            api_token_id=self._api("api_token_id"),
            api_token_secret=self._api("api_token_secret"),
            validate_certs=self._api("validate_certs", boolean, True),
            ca_path=self.get_option("ca_path"),
            node=self.get_option("node"),
            guest_user=self.get_option("guest_user"),
            guest_password=self.get_option("guest_password"),
        )

    def _vm(self) -> str:
        """The VM's name. Never taken from ``ansible_host``, which can be that of another VM."""
        vm = str(self.get_option("vm"))
        if not vm.strip():
            raise InvalidInput(
                "chr_vm is empty, so it names no VM, and nothing was sent. Leave it out where the VM has the host's name."
            )
        return vm

    def _api(self, option: str, convert: t.Callable[[str], t.Any] = str, default: t.Any = None) -> t.Any:
        """An option of the API, else the environment variable of the backend's own collections (PROXMOX_HOST, VMWARE_HOST).

        Not left to Ansible, which would give one backend's variables to the hosts of the other.
        """
        value = self.get_option(option)
        backend = _ENVIRONMENT.get(str(self.get_option("backend")), "")
        variable = f"{backend}_{option.removeprefix('api_').upper()}"
        if value is None and backend and os.environ.get(variable):
            try:
                value = convert(os.environ[variable])
            except (TypeError, ValueError):
                raise InvalidInput(f"The environment variable {variable} has no usable value.") from None
        return default if value is None else value

    def set_become_plugin(self, plugin: t.Any) -> None:
        """There is nobody to become."""

    def _connect(self) -> Connection:
        # Each exchange opens the channel for itself, as others (backup, another task) need it too.
        self._connected = True
        return self

    def close(self) -> None:
        self._guest = None
        self._connected = False

    def reset(self) -> None:
        with contextlib.suppress(GuestError):  # what is wrong is told by the next task
            self.guest.reset()
        self.close()

    def transport_test(self, connect_timeout: float) -> None:
        """For wait_for_connection: the agent answers."""
        self._call(lambda guest: guest.ping(connect_timeout))

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run *cmd* as a RouterOS script: (exit code, output, b"")."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        cmd = to_text(cmd, errors="surrogate_or_strict")
        if asked := _DISCOVERY.match(cmd):
            # Ansible looks for a Python before ping and wait_for_connection; that must not fail for want of one.
            platform = b"PLATFORM\nRouterOS\n" if asked[1] == "PLATFORM" else b""
            return 0, platform + b"FOUND\n/usr/bin/python3\nENDFOUND\n", b""
        if in_data and _PING.search(in_data):
            self._call(lambda guest: guest.ping())
            return 0, b'{"ping": "pong", "changed": false}', b""
        if in_data or _SHELL_COMMANDS.match(cmd):
            raise AnsibleError(
                "This module needs Python or a shell on the target, and a RouterOS has neither: use outofband.chr.script, copy, "
                "fetch, facts, guest_info, power or ansible.builtin.raw, and set gather_facts: false in the play."
            )
        source = to_bytes(cmd, errors="surrogate_or_strict")
        timeout = self.get_option("script_timeout")
        result = self._call(lambda guest: guest.run(source, positive_seconds("chr_script_timeout", timeout)))
        if result.rc is None:
            raise AnsibleError(
                f"The script did not end within {timeout:g} s and goes on as job {result.job} "
                "on the router. Raise chr_script_timeout, or look at the router before you repeat it."
            )
        return result.rc, to_bytes(text(result.output), errors="surrogate_or_strict"), b""

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
        except AgentNotThere as error:
            raise AnsibleConnectionFailure(
                str(error)
            ) from None  # the text is complete; Ansible would add the causes to it
        except GuestError as error:
            raise AnsibleError(hidden(error) if self._play_context.no_log else str(error)) from None
