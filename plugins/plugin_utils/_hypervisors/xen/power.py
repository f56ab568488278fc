# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a domain of Xen Project's own toolstack, ``xl``.

``xl`` remembers nothing about a domain that is off, so a start needs its configuration file.
"""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import CommandFailed, Machine

from .dom0 import Dom0

CONFIG_DIRECTORY = "/etc/xen"
"""Where ``xl_vm`` puts the configuration by default."""
UUID = re.compile(r'^uuid *= *"([0-9a-f-]{36})" *$', re.MULTILINE)
_NAME = re.compile(r"""^name *= *["']([^"']*)["'] *$""", re.MULTILINE)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_RUNNING = re.compile(r"([0-9a-f-]{36})\s+(\d+)\s+(.*\S)\s*")
_LEAST = 1.0  # seconds for a command, also when the time is nearly over


def running_domains(machine: Machine) -> dict[str, tuple[str, str]]:
    """The domid and the name of each running domain, by its uuid. Raises NotPossible."""
    try:
        listed = machine.run(["xl", "vm-list"])
    except CommandFailed as error:
        raise NotPossible(f"{error}. xl needs root in dom0, and a dom0 that runs on Xen.") from None
    return {found[1]: (found[2], found[3]) for line in listed.splitlines() if (found := _RUNNING.fullmatch(line))}


def start_domain(machine: Machine, config: str, uuid: str, name: str, seconds: float) -> None:
    """Start the domain, and make a ``vm-data`` in xenstore that the guest owns.

    XenServer makes this node itself, but xl does not.
    """
    machine.run(["xl", "create", "-p", config], seconds=seconds)
    domid, _name = running_domains(machine).get(uuid, ("", ""))
    if not domid:
        raise NotPossible(
            f"Xen on {machine.name} started {name!r}, but the domain had ended a moment later. "
            f"Look at /var/log/xen/ there (xl-{name}.log, qemu-dm-{name}.log)."
        )
    path = f"/local/domain/{domid}/vm-data"
    try:
        machine.run(["xenstore-write", path, ""])
        machine.run(["xenstore-chmod", path, f"n{domid}"])
    finally:
        machine.run(["xl", "unpause", domid])


class XlPower(Power):
    """The switch of the VM of *dom0*, whose commands *machine* runs."""

    def __init__(self, dom0: Dom0, machine: Machine) -> None:
        self._dom0 = dom0
        self._machine = machine

    def is_on(self) -> bool:
        """Whether xenstore has a domain of the VM, which it has while the VM runs."""
        if self._dom0.present() is not None:
            return True
        if not self._dom0.known:  # nothing has shown yet that there is such a VM
            self._configuration()
        return False

    def check(self) -> None:
        if self._machine.run(["sh", "-c", "! command -v xe >/dev/null || echo yes"]):
            raise NotPossible(
                f"{self._dom0.vm!r} was not turned on or off: {self._dom0.name} is one of XenServer or XCP-ng, whose VMs XAPI "
                "starts and stops. Use backend xenapi, or 'xe vm-start', 'xe vm-shutdown force=true' and 'xe vm-reboot "
                "force=true' there."
            )

    def start(self, deadline: Deadline) -> None:
        config, uuid = self._configuration()
        start_domain(self._machine, config, uuid, self._dom0.vm, max(deadline.remaining, _LEAST))

    def stop(self, deadline: Deadline) -> None:
        domid = str(self._dom0.domain().domid)
        self._machine.run(["xl", "destroy", domid], seconds=max(deadline.remaining, _LEAST))

    def reset(self, deadline: Deadline) -> None:
        """Destroy the domain and make it anew: xl has no other reset."""
        config, uuid = self._configuration()
        domain = self._dom0.domain()
        if domain.uuid.lower() != uuid:
            raise NotPossible(
                f"{self._dom0.vm!r} was not reset: {config} in {self._dom0.name} describes the VM {uuid}, and {domain} runs."
            )
        self.stop(deadline)
        try:
            start_domain(self._machine, config, uuid, self._dom0.vm, max(deadline.remaining, _LEAST))
        except ChrError as error:
            error.args = (f"{str(error).rstrip('.')}. Its old domain has been destroyed.",)
            raise

    def _configuration(self) -> tuple[str, str]:
        """The path of the VM's configuration, and the uuid in it. Raises NotPossible."""
        vm = self._dom0.vm
        path = f"{CONFIG_DIRECTORY}/{vm}.cfg"
        text = self._machine.read(path) if _FILE.fullmatch(vm) else None
        name, uuid = (found.search(text or "") for found in (_NAME, UUID))
        if not name or name[1] != vm or not uuid:
            raise NotPossible(
                f"No domain {vm!r} runs in {self._dom0.name}, and xl knows nothing about one that is off. A start needs the file "
                f'{path} there with the lines name = "{vm}" and uuid = "...", as outofband.chr.xl_vm makes it, and that '
                "name in chr_vm. outofband.chr.xl_vm itself starts a domain that it made in another folder; 'xl create' starts any."
            )
        return path, uuid[1]
