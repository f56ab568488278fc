# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The registry of the backends: it turns a host's options into its guest, and lists VMs.

The package of a backend has a module ``guest`` with ``open_guest(options)`` and, if it has an
inventory, a module ``inventory`` (its contract is in ``inventory.py``). The package itself may have
``preload()``, which imports the libraries of the backend and does other work that every task would
repeat. It runs once, before Ansible forks. A missing library is not an error at that moment, but
only when a host uses the backend.
"""

from __future__ import annotations

import contextlib
import importlib
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, HypervisorOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.runs import LogOut

from .guest import Guest
from .hyperv.options import HyperVOptions
from .inventory import FoundVm
from .libvirt.options import LibvirtOptions, LibvirtServer
from .proxmox.options import ProxmoxOptions, ProxmoxServer
from .qemu.options import QemuOptions, QemuServer
from .virtualbox.options import VirtualBoxOptions
from .vmware.options import VmwareOptions, VmwareServer
from .workstation.options import VmrunOptions
from .xen.options import XenstoreOptions
from .xenapi.options import XenapiOptions, XenapiServer

_AGENTS = 16


class Backend(t.NamedTuple):
    """Where the code of a backend is, and which options it takes."""

    package: str
    """The folder in ``_hypervisors``; its module ``guest`` has ``open_guest(options)``."""
    options: type[GuestOptions]
    server: type[HypervisorOptions] | None = None
    """What a source of an inventory takes. None if the backend has no inventory."""


BACKENDS = {
    "qemu": Backend("qemu", QemuOptions, QemuServer),
    "libvirt": Backend("libvirt", LibvirtOptions, LibvirtServer),
    "proxmox": Backend("proxmox", ProxmoxOptions, ProxmoxServer),
    "vmware": Backend("vmware", VmwareOptions, VmwareServer),
    "xenapi": Backend("xenapi", XenapiOptions, XenapiServer),
    "xenstore": Backend("xen", XenstoreOptions),
    "vmrun": Backend("workstation", VmrunOptions),
    "virtualbox": Backend("virtualbox", VirtualBoxOptions),
    "hyperv": Backend("hyperv", HyperVOptions),
}
"""The backends by their name in ``chr_backend``."""


def from_options(values: Mapping[str, t.Any]) -> GuestOptions:
    """The backend's options, taken from *values*: the connection's options by name.

    Raises InvalidInput.
    """
    return BACKENDS[_known(values, BACKENDS, repr(values.get("vm")))].options.from_options(values)


def server_from_options(values: Mapping[str, t.Any]) -> HypervisorOptions:
    """The options of a source of an inventory, taken from *values* as in ``from_options``.

    Raises InvalidInput.
    """
    servers = {name: backend.server for name, backend in BACKENDS.items() if backend.server is not None}
    return servers[_known(values, servers, "the list of VMs")].from_options(values)


def _known(values: Mapping[str, t.Any], backends: Mapping[str, t.Any], subject: str) -> str:
    """The backend in *values*, which is one of *backends*. Raises InvalidInput."""
    backend = values.get("backend")
    if not backend:
        raise InvalidInput(f"chr_backend is not set for {subject}. Set it to one of {', '.join(backends)}.")
    if backend not in backends:
        raise InvalidInput(f"Unknown chr_backend {backend!r} for {subject}. Set it to one of {', '.join(backends)}.")
    return str(backend)


def open_guest(options: GuestOptions) -> Guest:
    """The guest that *options* name. Nothing is sent yet. Raises InvalidInput, NotPossible."""
    if options.exec_mode not in ("auto", *options.EXEC_MODES):
        raise InvalidInput(
            f"chr_exec_mode {options.exec_mode!r} is not known to backend {options.backend}; "
            f"set it to one of {', '.join(('auto', *options.EXEC_MODES))}."
        )
    backend = importlib.import_module(f".{BACKENDS[options.backend].package}.guest", __package__)
    guest: Guest = backend.open_guest(options)
    return guest


def list_vms(options: HypervisorOptions, deadline: Deadline) -> list[FoundVm]:
    """List the VMs of the hypervisor that *options* name. The contract says what is raised."""
    found: list[FoundVm] = _inventory(options).list_vms(options, deadline)
    return found


def details(options: HypervisorOptions, vms: Sequence[FoundVm], deadline: Deadline) -> list[FoundVm]:
    """Return *vms* with what a question about each of those that are ``partial`` tells."""
    if not any(one.partial for one in vms):
        return list(vms)
    found: list[FoundVm] = _inventory(options).details(options, vms, deadline)
    return found


def agents_at_once(options: HypervisorOptions) -> int:
    """How many agents of the hypervisor's VMs may be asked side by side for an inventory."""
    return int(getattr(_inventory(options), "AGENTS", _AGENTS))


def _inventory(options: HypervisorOptions) -> t.Any:
    return importlib.import_module(f".{BACKENDS[options.backend].package}.inventory", __package__)


def sessions() -> dict[str, LogOut]:
    """The kinds of sessions that can be ended, and how: a package has SESSIONS and ``log_out``."""
    packages = [importlib.import_module(f".{backend.package}", __package__) for backend in BACKENDS.values()]
    return {package.SESSIONS: package.log_out for package in packages if hasattr(package, "SESSIONS")}


def preload_backends() -> None:
    """Import all backends, and the libraries of those that need one."""
    for package in (backend.package for backend in BACKENDS.values()):
        importlib.import_module(f".{package}.guest", __package__)
        preload = getattr(importlib.import_module(f".{package}", __package__), "preload", None)
        if preload is not None:
            # A library that is broken must not stop the hosts of other backends; a host that needs
            # it is told.
            with contextlib.suppress(Exception):
                preload()
