# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``hyperv``: the machine of a CHR is turned on and off with Microsoft's cmdlets, over SSH.

Hyper-V talks to a guest through integration services. Those of RouterOS take no scripts.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power_only import PowerOnly
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.programs import Lost, NotStarted
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshMaster

from .options import HyperVOptions
from .power import HyperVPower
from .powershell import WindowsHost
from .privileges import NEEDED

_COMMAND = 120.0  # seconds for one run of PowerShell


def open_guest(options: HyperVOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput."""
    ssh = SshMaster.from_options(options)
    if ssh is None:
        raise InvalidInput(
            f"chr_ssh_host is not set for {options.vm!r}. Set it to the Windows machine that runs Hyper-V."
        )
    name = ssh.destination

    def execute(command: str, stdin: bytes) -> tuple[int, bytes, bytes]:
        try:
            done = ssh.execute_as_is(command, stdin, Deadline(_COMMAND))
        except NotStarted as error:
            raise Unreachable(f"PowerShell was not run on {name}: {error}.") from None
        except Lost as error:
            raise OutcomeUnknown(
                f"The end of PowerShell on {name} was not seen: {error}. Whether it did its work is unknown; it was not run again."
            ) from None
        return done.rc, done.output, done.errors

    def put(source: str, dest: str) -> None:
        raise NotImplementedError

    power = HyperVPower(WindowsHost(name, execute, put), options.vm)
    return PowerOnly("hyperv", "Hyper-V", name, options.vm, power, options.connect_timeout, NEEDED)
