# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same fault has the same class on every backend, whatever its server says.

No playbooks: guests as the actions have them.
"""

from __future__ import annotations

import socket
import time
import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    LoginRefused,
    NotPermitted,
    NotPossible,
    ScriptFailed,
    ScriptTimedOut,
    TooLarge,
    Unreachable,
    UntrustedCertificate,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import Vcenter
from ansible_collections.outofband.chr.tests.lab.workstation.machine import WorkstationMachine, router_of
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool

Options = dict[str, t.Any]
"""Options of the connection; ``vm`` is one of them."""

APIS = ("proxmox", "vmware", "xenapi")
AGENTS = tuple(one for one in BACKENDS if one not in ("virtualbox", "hyperv"))  # the others have power only

# What is wrong, the class of its error, and the backends that can tell it from other faults.
# xenstore has only the domains that run, and backend qemu has no VMs at all but a socket: there, a
# VM that does not exist is one that is off.
FAULTS: dict[str, tuple[type[ChrError], tuple[str, ...]]] = {
    "nobody listens": (Unreachable, AGENTS),
    "off": (Unreachable, AGENTS),
    "no such VM": (VmNotFound, ("libvirt", "vmrun", *APIS)),
    "a template": (VmNotFound, APIS),
    "two VMs": (VmAmbiguous, ("libvirt", "xenstore", *APIS)),
    "wrong password": (LoginRefused, APIS),
    "no privilege": (NotPermitted, APIS),
    "untrusted certificate": (UntrustedCertificate, ("libvirt", *APIS)),
    "empty script": (InvalidInput, AGENTS),
    "long script": (TooLarge, AGENTS),
    "files": (NotPossible, ("vmware", "xenapi", "vmrun")),
    "failing script": (ScriptFailed, ("qemu", "xenstore", "vmrun", *APIS)),
    "slow script": (ScriptTimedOut, ("qemu", "xenstore", "vmrun", *APIS)),
}
SCRIPTS = {
    "empty script": b" ",
    "long script": b":put 1\n" * 1_000_000,
    "failing script": b':error "no"',
    "slow script": b":delay 5",
    "no privilege": b":put 1",
}


@pytest.fixture(scope="module")
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("errors")


@pytest.fixture(scope="module")
def proxmox(folder: Path, closed_port: int) -> t.Iterator[dict[str, Options]]:
    with LabProxmox(folder) as pve:
        for vmid, name in enumerate(("good", "off", "template", "twin", "twin"), 100):
            pve.add(vmid, name, accepts_null_path=True)
        of = {vm.name: vm for vm in pve.vms.values()}
        of["off"].lab.stop()
        of["template"].template = True
        pve.tokens |= {"root@pam!weak": "t0ken-secret"}
        pve.privileges["root@pam!weak"] = frozenset({"VM.Audit"})
        good = {
            "vm": "good",
            "api_host": "localhost",
            "api_port": pve.port,
            "api_token_id": "root@pam!chr",
            "api_token_secret": "t0ken-secret",
            "ca_path": str(pve.certificate),
        }
        yield _of_an_api(good, closed_port) | {
            "wrong password": good | {"api_token_id": None, "api_user": "root@pam", "api_password": "wrong"},
            "no privilege": good | {"api_token_id": "root@pam!weak"},
        }


@pytest.fixture(scope="module")
def vmware(vcsim: Path, folder: Path, closed_port: int) -> t.Iterator[dict[str, Options]]:
    with Vcenter(vcsim, folder / "vc", ("good", "off", "template", "twin", "twin", "denied")) as vc:
        vc.change("off", runtime__powerState="poweredOff")
        vc.change("template", config__template="true", runtime__powerState="poweredOff")
        vc.fault("StartProgramInGuest", "NoPermission", name="denied")
        good = _options(vc.variables())
        yield _of_an_api(good, closed_port) | {"no privilege": good | {"vm": "denied"}}


@pytest.fixture(scope="module")
def xenapi(xen: t.Any, folder: Path, closed_port: int) -> t.Iterator[dict[str, Options]]:
    with LabPool(xen, folder) as pool:
        vm = pool.vm("good", started=True, boot_seconds=0.0)
        for name in ("off", "twin", "twin"):
            pool.vm(name, boot_seconds=0.0)
        until = time.monotonic() + 60
        while not vm.features and time.monotonic() < until:  # its tools permit a reboot
            time.sleep(0.01)
        pool.template("template")
        pool.users["reader"] = ("reader", "read-only")
        good = _options(pool.variables(chr_exec_mode="reboot"))
        yield _of_an_api(good, closed_port) | {
            "no privilege": good | {"api_user": "reader", "api_password": "reader"},
        }


def _options(variables: dict[str, t.Any]) -> Options:
    """Those of the VM ``good``, from the variables of a host."""
    names = {name: name.removeprefix("chr_") for name in variables if name.startswith("chr_") and name != "chr_backend"}
    return {"vm": "good", **{option: variables[name] for name, option in names.items()}}


def _of_an_api(good: Options, closed_port: int) -> dict[str, Options]:
    """The options with each fault, for a server with VMs of these names."""
    return {
        "": good,
        "nobody listens": good | {"api_port": closed_port},
        "off": good | {"vm": "off"},
        "no such VM": good | {"vm": "nobody"},
        "a template": good | {"vm": "template"},
        "two VMs": good | {"vm": "twin"},
        "wrong password": good | {"api_password": "wrong"},
        "untrusted certificate": good | {"ca_path": None},
    }


@pytest.fixture(scope="module")
def xenstore(xen: t.Any) -> dict[str, Options]:
    for name in ("domain", "two", "two"):
        xen.domain(name)
    good = {"vm": "domain", "exec_mode": "socket", "socket": str(xen.daemon.socket)}
    return {
        "": good,
        "nobody listens": good | {"socket": "/nowhere/socket"},
        "off": good | {"vm": "nobody"},
        "two VMs": good | {"vm": "two"},
    }


@pytest.fixture(scope="module")
def libvirt(libvirtd: t.Any, folder: Path, request: pytest.FixtureRequest) -> dict[str, Options]:
    twin = libvirtd.define("twin")
    libvirtd.define(twin)
    libvirtd.define("off")
    good = {"vm": "off", "libvirt_uri": libvirtd.uri}
    # Any TLS server will do: its certificate is checked before a word of libvirt's protocol.
    port = request.getfixturevalue("proxmox")[""]["api_port"]
    tls = folder / "tls"
    tls.mkdir()
    make_certificate(tls / "other.pem", "DNS:localhost")
    (tls / "other.pem.crt").rename(tls / "cacert.pem")
    return {
        "": good,
        "nobody listens": good | {"libvirt_uri": "qemu:///session?socket=/nowhere/socket"},
        "off": good,
        "no such VM": good | {"vm": str(uuid.uuid4())},
        "two VMs": good | {"vm": twin},
        "untrusted certificate": good | {"libvirt_uri": f"qemu+tls://localhost:{port}/system?pkipath={tls}"},
    }


@pytest.fixture(scope="module")
def qemu(folder: Path, closed_port: int) -> t.Iterator[dict[str, Options]]:
    with LabRouter(Router(), "tcp:127.0.0.1:0") as router:
        good = {"vm": "good", "socket": router.address}
        yield {
            "": good,
            "nobody listens": good | {"socket": f"tcp://127.0.0.1:{closed_port}"},
            "off": good | {"socket": str(folder / "off.sock")},
        }


@pytest.fixture(scope="module")
def vmrun(folder: Path, closed_port: int) -> t.Iterator[dict[str, Options]]:
    machine = WorkstationMachine(folder)
    with machine.routers() as routers:
        router_of(routers, machine.add("good"))
        off = machine.add("off", running=False)
        good = {"vm": str(machine.base / "good" / "good.vmx"), "vmrun_program": str(machine.programs / "vmrun")}
        yield {
            "": good,
            "nobody listens": good | {"ssh_host": "nobody@127.0.0.1", "ssh_args": f"-p {closed_port}"},
            "off": good | {"vm": off},
            "no such VM": good | {"vm": "/nowhere/chr.vmx"},
        }


@pytest.mark.parametrize(
    ("backend", "fault"),
    [(backend, fault) for fault, (_error, backends) in FAULTS.items() for backend in backends],
)
def test_a_fault_has_its_class(backend, fault, request, tmp_path):
    servers = request.getfixturevalue(backend)
    options = {"connect_timeout": 3.0, **servers.get(fault, servers[""])}
    guest = open_guest(options_for(backend, runtime_directory=tmp_path / "run", **options))
    with pytest.raises(ChrError) as caught:
        _ask(guest, fault)
    expected, _backends = FAULTS[fault]
    finer = tuple(one for one, _backends in FAULTS.values() if issubclass(one, expected) and one is not expected)
    assert issubclass(caught.type, expected) and not isinstance(caught.value, finer), repr(caught.value)


def _ask(guest: Guest, fault: str) -> None:
    if fault == "files":
        guest.get("x.rsc", t.cast("t.BinaryIO", None))
    elif fault in SCRIPTS:
        guest.checked(guest.run(SCRIPTS[fault], 1.0 if fault == "slow script" else 20.0), 1.0)
    else:
        guest.ping()
