# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the APIs of hypervisors, and the descriptions of VMs."""

from __future__ import annotations

import contextlib
import typing as t
import xmlrpc.client
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from xml.etree import ElementTree

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import read_by_exit_code
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import xml
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import agent_option, cluster, vm_config
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.api import Api, ProxmoxLogin
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu import inventory
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.workstation.vmx import Vmx
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi import api as xenapi
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Reply

from ..target import parts, target, text, without_sleep

_LOGIN = ("pve1", 8006, "root@pam", "", True, None, 0.01, Path("/nonexistent"))


@target(
    *(
        b'{"data": ',
        b"}",
        b"[]",
        b"{}",
        b"null",
        b'[{"vmid": 100, "type": "qemu", "node": "pve1"}]',
        b'{"version": "9.1"}',
    ),
    *(b'{"message": "x"', b'"errors": {"a": "b"}', b',"x":', b'"', b"[", b"]", b"\0\x01\xf4", b"\xff"),
)
def proxmox_answer(data: bytes) -> None:
    """Whatever Proxmox VE answers, with any status, a call returns or raises a typed error."""
    body, rest = parts(data, 2)
    status = int.from_bytes(rest[:2], "big") if rest else 200
    api = Api(ProxmoxLogin(*_LOGIN, token_id="root@pam!x", token_secret="t0ken-secret"))
    reply = Reply(status, text(rest[2:60]), body)
    with mock.patch.object(api._server, "exchange", lambda *_arguments, **_named: reply), without_sleep():
        for ask in (
            lambda: api.call(lambda pve: pve.nodes("pve1").qemu(100).config.get()),
            lambda: api.version(1.0),
            lambda: cluster.guests(api, 1.0),
            lambda: cluster.listing(api, 1.0),
            lambda: api._log_in(mock.MagicMock(), 1.0),
        ):
            with contextlib.suppress(ChrError):
                ask()


@target(
    b"net0\0virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\n",
    b"memory\0current=512",
    b"boot\0order=scsi0;net0",
    b"scsi0\0x",
    b"agent\x001",
    b"\n",
    b",",
    b"=",
    b"cores\0002",
)
def proxmox_configuration(data: bytes) -> None:
    """Any configuration has its hardware, or raises ValueError or KeyError."""
    config = dict(map(text, parts(line, 2)) for line in data.split(b"\n"))
    with contextlib.suppress(ValueError, KeyError):
        vm_config.hardware_of(config)
    for value in config.values():
        agent_option.enabled(value)


_XMLRPC = xmlrpc.client.dumps(({"Status": "Success", "Value": "@"},), methodresponse=True).encode().split(b"@")


@target(
    *_XMLRPC,
    b"<value><int>",
    b"</int></value>",
    b"<array><data>",
    b"</data></array>",
    b"<struct>",
    b"<member><name>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
    b"&a;",
    b"<nil/>",
)
def xenapi_answer(data: bytes) -> None:
    """Whatever XenAPI answers, a call returns what its name promises or raises a typed error."""
    one = xenapi.Xapi(xenapi.XenapiLogin("xcp1", 443, "root", "s3cr3t-pass", True, None, 0.0, Path("/nonexistent")))
    one._session = {"ref": "OpaqueRef:session", "host": "xcp1"}
    server = SimpleNamespace(where="XenAPI at xcp1", exchange=lambda *_arguments, **_named: Reply(200, "OK", data))
    with mock.patch.object(one, "_server", lambda _host: server), without_sleep():
        for method in ("VM.get_record", "VM.get_all_records", "VM.get_by_name_label", "VM.get_xenstore_data"):
            with contextlib.suppress(ChrError):
                found = one.call(method, "OpaqueRef:1")
                assert isinstance(found, list if method.endswith("label") else dict)
        with contextlib.suppress(ChrError):
            one.changes(["vm/OpaqueRef:1"], "", 0.0)


@target(
    *(b"<domain>", b"</domain>", b"<vcpu>2</vcpu>", b"<memory unit='KiB'>", b"</memory>", b"<devices>", b"</devices>"),
    *(b"<interface type='bridge'><source bridge='br0'/><vlan><tag id='5'/></vlan></interface>", b"<boot order='1'/>"),
    *(
        b"<capabilities><guest><os_type>hvm</os_type><arch name='x86_64'/></guest></capabilities>",
        b"<!DOCTYPE x>",
        b"&lt;",
    ),
)
def libvirt_xml(data: bytes) -> None:
    """Any XML describes a domain or a host, or raises ParseError or ValueError."""
    with contextlib.suppress(ElementTree.ParseError, ValueError):
        domain = ElementTree.fromstring(data)
        xml.Origin.from_xml(domain)
        xml.disk_paths(domain)
        xml.tags_vlans(domain)
        xml.hardware_of(domain)
    with contextlib.suppress(ElementTree.ParseError, ValueError):
        xml.HostCapabilities.from_xml(text(data))


@target(
    *(
        b"socket /run/chr1/agent.sock\n",
        b"notes outofband.chr: image ",
        b"\nprocess qemu\x01-m\x01512",
        b"\x01-smp\x01cpus=2",
    ),
    *(b"\x01-device\x01virtio-net-pci,netdev=n0,bootindex=", b"\x01-chardev\x01socket,path=/run/chr1/agent.sock,id=a"),
    *(b"\nstart exec qemu -m 1G", b"\nlistens /run/chr1/agent.sock", b"\n", b"1", b"\xc2\xb2", b",,", b"'", b"9" * 30),
)
def qemu_listing(data: bytes) -> None:
    """Whatever the processes and files of a machine are called, its VMs are listed."""
    for vm in inventory._vms(text(data)):
        assert vm.id in text(data)


@target(b'name = "value"\n', b"memsize", b' = "', b'"\n', b"|22", b"|", b"\r\n", b"ethernet0.", b" ")
def vmx_file(data: bytes) -> None:
    """What is set in any .vmx is read as the same, once, and what is dropped is gone."""
    vmx, value = Vmx(data.decode("utf-8", "replace")), data[:40].decode("latin-1").replace("\x85", "")
    vmx.set("annotation", value)
    assert vmx.values["annotation"] == value
    vmx.drop("annotation")
    assert "annotation" not in vmx.values


@target(b"\0", b"\x01", b"\xff", b"\x55", b"\xaa\xaa\xaa")
def values_by_exit_code(data: bytes) -> None:
    """Whatever jobs answer, a value or a typed error comes after a bounded number of jobs."""
    bits = [bool(byte >> bit & 1) for byte in data for bit in range(8)] or [False]

    def succeed(scripts: list[str]) -> list[bool]:
        nonlocal jobs
        first, jobs = jobs, jobs + len(scripts)
        assert jobs < 20_000
        return [bits[at % len(bits)] for at in range(first, jobs)]

    readings: tuple[t.Callable[[], object], ...] = (
        lambda: read_by_exit_code.read_text("x", succeed),
        lambda: read_by_exit_code.read_seconds("x", succeed),
        lambda: read_by_exit_code.conditions(["x", "y"], succeed),
    )
    for reading in readings:
        jobs = 0
        with contextlib.suppress(ChrError):
            reading()


@target(
    b"outofband.chr: image ", b"0" * 64, b" imported for ", b"0123456789abcdef", b" importing for ", b" in run x", b"\n"
)
def mark_in_notes(data: bytes) -> None:
    """A mark that is put into any notes is found there, and replaces the one before."""
    notes = data.decode("utf-8", "replace")
    Mark.parse(notes)
    mark = Mark("a" * 64, True, "0123456789abcdef")
    written = mark.put_into(notes)
    assert Mark.parse(written) == mark
    assert mark.put_into(written) == written
