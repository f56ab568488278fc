# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of a hostile vCenter end, within a time and a size."""

from __future__ import annotations

import itertools
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, OutcomeUnknown, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware import inventory
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vsphere import Vsphere
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.missing import need_library
from ansible_collections.outofband.chr.tests.lab.prepared import Answer, PreparedServer
from ansible_collections.outofband.chr.tests.lab.rude import RudeServer, rude


def test_a_vcenter_that_never_ends_is_left(tmp_path):
    need_library("pyVmomi", "pyvmomi")
    certificate = tmp_path / "pem"
    make_certificate(certificate, "IP:127.0.0.1", "DNS:localhost")
    for how in ("header", "interim", "body", "endless", "huge length", "short"):
        with RudeServer(rude(how, paces=0.0 if how == "endless" else 0.02), certificate) as server:
            login = PasswordLogin(
                "127.0.0.1", server.port, "me", "s3cret", True, f"{certificate}.crt", 0.5, tmp_path / how
            )
            began = time.monotonic()
            with pytest.raises(ChrError, match=str(server.port)) as caught:
                Vsphere(login).content()
            assert not isinstance(caught.value, OutcomeUnknown)
            assert time.monotonic() - began < 20, how
            assert server.sent < 400_000_000


# -- lists of VMs ----------------------------------------------------------------------------------

ODD = {
    "text": '<val xsi:type="xsd:string">text</val>',
    "number": '<val xsi:type="xsd:int">7</val>',
    "flag": '<val xsi:type="xsd:boolean">true</val>',
    "texts": '<val xsi:type="ArrayOfString"><string>a</string></val>',
    "object": '<val xsi:type="ManagedObjectReference" type="VirtualMachine">vm-1</val>',
    "objects": '<val xsi:type="ArrayOfManagedObjectReference">'
    '<ManagedObjectReference type="Task">t</ManagedObjectReference></val>',
    "record": '<val xsi:type="CustomFieldValue"><key>1</key></val>',
}


def of(kind: str, moid: str, **properties: str) -> str:
    values = "".join(f"<propSet><name>{name}</name>{value}</propSet>" for name, value in properties.items())
    return f'<objects><obj type="{kind}">{moid}</obj>{values}</objects>'


def page(*objects: str, token: str = "") -> Answer:
    more = f"<token>{token}</token>" if token else ""
    kind = "RetrievePropertiesExResponse" if not token or token == "first" else "ContinueRetrievePropertiesExResponse"
    return Answer(
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<{kind} xmlns="urn:vim25"><returnval>{more}{"".join(objects)}</returnval></{kind}>'
        "</soapenv:Body></soapenv:Envelope>".encode()
    )


@pytest.fixture
def listed(tmp_path: Path) -> t.Iterator[t.Callable[..., list[FoundVm]]]:
    """The list of VMs that follows from answers to somebody who has logged in before."""
    need_library("pyVmomi", "pyvmomi")
    with PreparedServer(tmp_path) as server:
        options = server_from_options(
            {
                **{"backend": "vmware", "api_host": "localhost", "api_port": server.port, "ca_path": server.ca_path},
                **{"api_user": "me", "api_password": "s3cret", "runtime_directory": tmp_path / "run"},
            }
        )
        session = {"id": "abc", "sessions": "SessionManager", "root": "group-d1", "collector": "propertyCollector"}
        PasswordLogin.from_options(options, 443, "a vCenter").session("vsphere").get(lambda: session)

        def ask(*answers: Answer, seconds: float = 10.0) -> list[FoundVm]:
            server.answers = list(answers)
            return list_vms(options, Deadline(seconds))

        yield ask


def test_values_of_other_types_cost_only_themselves(listed):
    """Each property of a VM, and of all that is around it, in a value of each wrong type."""
    around = []
    for kind, names in inventory._WANTED.items():
        if kind != "VirtualMachine":
            for (number, name), (label, value) in itertools.product(enumerate(names), ODD.items()):
                around.append(of(kind, f"{kind}-{number}-{label}", **{name: value}))
    odd = list(itertools.product(inventory._WANTED["VirtualMachine"], ODD.items()))
    vms = [of("VirtualMachine", f"vm-{number}", **{name: value}) for number, (name, (_label, value)) in enumerate(odd)]
    found = listed(page(*around, *vms))
    assert [one.id for one in found] == [f"vm-{number}" for number in range(len(odd))]
    for one, (name, (label, _value)) in zip(found, odd, strict=True):
        assert one.name == ("text" if (name, label) == ("name", "text") else ""), (name, label)
        assert all(isinstance(text, str) for text in (*one.networks, *one.addresses, *one.tags))
        assert isinstance(one.cpus, int | None)


def test_a_vm_without_an_id_and_circles_of_folders_do_not_stop_the_list(listed):
    def folder(moid: str, above: str) -> str:
        parent = f'<val xsi:type="ManagedObjectReference" type="Folder">{above}</val>'
        return of("Folder", moid, name=f'<val xsi:type="xsd:string">{moid}</val>', parent=parent)

    def vm(moid: str) -> str:
        parent = '<val xsi:type="ManagedObjectReference" type="Folder">a</val>'
        pool = '<val xsi:type="ManagedObjectReference" type="ResourcePool">p</val>'
        return of("VirtualMachine", moid, parent=parent, resourcePool=pool)

    circle = of("ResourcePool", "p", parent='<val xsi:type="ManagedObjectReference" type="ResourcePool">p</val>')
    found = listed(page(folder("a", "b"), folder("b", "a"), circle, vm(""), vm("vm-1")))
    (one,) = found
    assert one.id == "vm-1"
    assert len(one.folder) < 1000


def test_names_come_as_they_are_and_what_xml_cannot_hold_is_an_error(listed):
    name = "caf\u00e9\u202e\u0085 <script>"
    escaped = name.replace("<", "&lt;")
    found = listed(page(of("VirtualMachine", "vm-1", name=f'<val xsi:type="xsd:string">{escaped}</val>')))
    assert [one.name for one in found] == [name]
    with pytest.raises(Unreachable, match="not vSphere's API"):
        listed(page(of("VirtualMachine", "vm-1", name='<val xsi:type="xsd:string">\x1b[31m</val>')))


def test_pages_without_end_are_left(listed):
    pages = [page(of("VirtualMachine", f"vm-{number}"), token=f"t{number}") for number in range(50_000)]
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not list its objects within 1 s: \d+ so far"):
        listed(page(token="first"), *pages, seconds=1.0)
    assert time.monotonic() - began < 20  # all pages would take longer


def test_an_answer_of_another_shape_is_a_typed_error(listed):
    good = page(of("VirtualMachine", "vm-1")).body
    odd = [
        good.replace(b"<returnval>", b'<returnval xsi:type="%b">' % kind)
        for kind in (b"xsd:string", b"ManagedObjectReference", b"Event")
    ]
    for body in (b"", b"<html>", b"<html/>", b"{}", good.replace(b"VirtualMachine", b"Nonsense"), *odd):
        with pytest.raises(Unreachable, match="not vSphere's API"):
            listed(Answer(body), Answer(body))
