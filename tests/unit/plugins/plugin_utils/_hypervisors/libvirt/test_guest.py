# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What errors of libvirt mean that a private daemon cannot be made to give; the rest is in
tests/system/libvirt/test_guest.py."""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    VmBusy,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import connection as libvirt_connection
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import guest as libvirt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.options import without_key
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.power import LibvirtPower
from ansible_collections.outofband.chr.tests.lab.options import options_for

SYSTEM = "qemu:///system"
PROBE = ("guest-file-write", {"handle": 1, "buf-b64": "", "count": 0})


class LibvirtError(Exception):
    def __init__(self, code, text, domain=10, number=-1):
        super().__init__(text)
        self.get_error_code = lambda: code
        self.get_error_domain = lambda: domain
        self.get_int1 = lambda: number


@pytest.fixture
def fake(monkeypatch):
    """libvirt-python with one domain; the functions to replace: ``open`` and
    ``qemuAgentCommand``."""
    domain = types.SimpleNamespace(UUIDString=lambda: "u1", state=lambda: [1, 1])
    connection = types.SimpleNamespace(lookupByName=lambda name: domain, close=lambda: 0)
    library = types.SimpleNamespace(
        open=lambda uri: connection, libvirtError=LibvirtError, registerErrorHandler=lambda function, context: None
    )
    qemu = types.SimpleNamespace(qemuAgentCommand=lambda domain, text, timeout, flags: '{"return": {}}')
    monkeypatch.setitem(sys.modules, "libvirt", library)
    monkeypatch.setitem(sys.modules, "libvirt_qemu", qemu)
    monkeypatch.setattr(libvirt_connection, "_loaded", None)
    return types.SimpleNamespace(library=library, qemu=qemu, connection=connection)


def agent(uri: str = SYSTEM, timeout: float = 0.3) -> libvirt.LibvirtAgent:
    return libvirt.LibvirtAgent(libvirt._Target("chr1", *libvirt_connection.uris(uri)), timeout)


def failing(error, only=None):
    def command(_domain, text, _timeout, _flags):
        if only is None or only in text:
            raise error
        return '{"return": {}}'

    return command


def raising(error):
    def function(*_arguments):
        raise error

    return function


def test_the_place_of_a_router_does_not_name_the_key_with_which_it_is_reached(fake, tmp_path):
    uri = "qemu+ssh://root@kvm1/system?keyfile=/tmp/awx_7/tmpkey"
    guest = open_guest(options_for("libvirt", "chr1", 1, "auto", tmp_path, libvirt_uri=uri))
    assert guest.place() == ("qemu+ssh://root@kvm1/system", "u1")


@pytest.mark.parametrize("code", [45, 79, 94])
def test_a_login_that_the_daemon_refuses_is_not_repeated(fake, code):
    fake.library.open = raising(LibvirtError(code, "authentication unavailable: no polkit agent available"))
    with pytest.raises(NotPermitted, match="no polkit agent available.*group libvirt"):
        agent(timeout=30).execute("guest-ping")


@pytest.mark.parametrize("code", [29, 88])
def test_a_right_that_is_missing(fake, code):
    fake.qemu.qemuAgentCommand = failing(LibvirtError(code, "operation virDomainQemuAgentCommand forbidden"))
    with pytest.raises(NotPermitted, match="'chr1'.*forbidden.*read-only"):
        agent(timeout=30).execute("guest-ping")


@pytest.mark.parametrize(
    ("code", "may"),
    [(29, False), (88, False), (55, True), (74, True), (86, True), (112, True)],
    ids=["read-only", "access control", "off", "no channel", "silent", "too late"],
)
def test_a_permission_counts_as_held_unless_libvirt_refuses_it_whatever_the_agent_does(fake, code, may):
    fake.qemu.qemuAgentCommand = failing(LibvirtError(code, "no"))
    fake.connection.lookupByName("chr1").state = lambda: [5, 1]
    with agent(timeout=30) as one:
        assert one.may_write() is may


def test_it_is_not_known_whether_a_libvirt_that_hangs_would_permit_it(fake):
    fake.qemu.qemuAgentCommand = lambda *_arguments: time.sleep(30)
    with agent() as one:
        assert one.may_write() is None


@pytest.mark.parametrize(("order", "call"), [("start", "create"), ("stop", "destroy"), ("reset", "reset")])
def test_the_permission_that_is_missing_to_turn_a_domain_on_or_off_is_named(fake, order, call):
    setattr(fake.connection.lookupByName("chr1"), call, raising(LibvirtError(88, "access denied")))
    with pytest.raises(
        NotPermitted, match=f"does not let this user {order} 'chr1'.*permission '{order}' on the domain"
    ):
        getattr(LibvirtPower(agent(), 1.0), order)(Deadline(5))


def test_a_domain_that_moves_is_not_turned_on_or_off(fake):
    domain = fake.connection.lookupByName("chr1")
    domain.isActive, domain.jobInfo = lambda: 1, lambda: [2, 0]
    with pytest.raises(NotPossible, match="libvirt works on 'chr1' .*virsh domjobinfo"):
        LibvirtPower(agent(), 1.0).check()
    domain.jobInfo = lambda: [0, 0]
    LibvirtPower(agent(), 1.0).check()


def test_a_job_that_another_call_has_is_told_with_its_holder(fake):
    held = "Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainSave)"
    fake.connection.lookupByName("chr1").reset = raising(LibvirtError(68, held))
    fake.connection.isAlive = lambda: 1
    with pytest.raises(VmBusy, match="it was not reset: .*held by monitor=remoteDispatchDomainSave"):
        LibvirtPower(agent(), 1.0).reset(Deadline(5))


def test_an_order_that_libvirt_does_not_end_in_time_is_not_repeated(fake):
    calls = []
    fake.connection.lookupByName("chr1").reset = lambda flags: calls.append(flags) or time.sleep(2)
    with pytest.raises(OutcomeUnknown, match="did not return from a call about 'chr1'.*it was not asked again"):
        LibvirtPower(agent(), 1.0).reset(Deadline(0.3))
    assert calls == [0]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "internal error: unable to execute QEMU agent command 'guest-exec': Parameter 'path' is missing"),
        (
            113,
            "guest agent command failed: unable to execute QEMU agent command 'guest-exec': Parameter 'path' is missing",
        ),
        (1, "Interner Fehler: QEMU-Agent-Befehl »guest-exec« kann nicht: Parameter 'path' is missing"),
        (1, "erreur interne : commande « guest-exec » : Parameter 'path' is missing"),
    ],
)
def test_the_agents_own_words_are_found_in_any_language(fake, code, text):
    fake.qemu.qemuAgentCommand = failing(LibvirtError(code, text), only="guest-exec")
    with agent() as conversation, pytest.raises(AgentRefused) as caught:
        conversation.execute("guest-exec")
    assert caught.value.description == "Parameter 'path' is missing"


@pytest.mark.parametrize(
    "error",
    [
        LibvirtError(1, "internal error: client socket is closed", domain=7),
        LibvirtError(38, "Cannot write data: Broken pipe", domain=7, number=32),
        LibvirtError(86, "Guest agent is not responding: Guest agent disappeared while executing command"),
        LibvirtError(112, "guest agent didn't respond to command within '5' seconds"),
    ],
)
def test_a_command_that_was_sent_and_lost_is_an_unknown_outcome(fake, error):
    fake.qemu.qemuAgentCommand = failing(error, only="guest-exec")
    with agent() as conversation, pytest.raises(OutcomeUnknown, match="guest-exec"):
        conversation.execute("guest-exec")


def test_only_a_time_out_is_taken_for_an_unanswered_success(fake):
    fake.qemu.qemuAgentCommand = failing(LibvirtError(112, "didn't respond"), only="guest-file-close")
    with agent() as conversation:
        conversation.close_file(1, PROBE)
        fake.qemu.qemuAgentCommand = failing(LibvirtError(86, "disappeared"), only="guest-file-close")
        with pytest.raises(OutcomeUnknown):
            conversation.close_file(1, PROBE)


class SilentClose:
    """An agent that never answers guest-file-close, behind a libvirt that drops requests with no
    wait until the close number *arrives*."""

    def __init__(self, arrives=1, knows_probe=True):
        self.arrives, self.knows_probe = arrives, knows_probe
        self.waits = []

    def __call__(self, _domain, text, timeout, _flags):
        if "guest-file-close" in text:
            self.waits.append(timeout)
            if timeout:
                raise LibvirtError(112, "didn't respond")
            raise LibvirtError(86, "Guest agent is not responding: Guest agent not available for now")
        if "guest-file-write" in text and (len(self.waits) >= self.arrives or not self.knows_probe):
            raise LibvirtError(
                1, "unable to execute QEMU agent command 'guest-file-write': handle 1 has not been found"
            )
        return '{"return": {}}'


@pytest.mark.parametrize("arrives", [1, 2, 5])
def test_a_close_that_is_never_answered_is_not_waited_for(fake, arrives):
    fake.qemu.qemuAgentCommand = close = SilentClose(arrives)
    with agent() as conversation:
        conversation.close_file(1, PROBE, timeout=30)
    assert close.waits == [0] * arrives


def test_a_close_that_libvirt_never_sends_without_a_wait_is_waited_for_one_second_only(fake):
    """libvirt knows whole seconds, and a CHR may never answer guest-file-close."""
    fake.qemu.qemuAgentCommand = close = SilentClose(arrives=100)
    with agent() as conversation:
        conversation.close_file(1, PROBE, timeout=30)
    assert close.waits == [0] * 8 + [1]


def test_an_agent_that_refuses_the_probe_of_an_open_file_gets_one_close(fake):
    fake.qemu.qemuAgentCommand = close = SilentClose(knows_probe=False)
    with agent() as conversation:
        conversation.close_file(1, PROBE, timeout=30)
    assert close.waits == [1]


def test_a_domain_that_another_job_holds_is_waited_for(fake):
    fake.qemu.qemuAgentCommand = failing(LibvirtError(68, "cannot acquire state change lock"))
    with agent() as conversation, pytest.raises(Unreachable, match="within 0.3 s: .*state change lock"):
        conversation.execute("guest-exec")


def test_a_libvirt_that_hangs_in_a_command_is_given_up(fake, monkeypatch):
    monkeypatch.setattr(libvirt, "_SLACK", 0.2)

    def hang(_domain, text, _timeout, _flags):
        if "guest-exec" in text:
            time.sleep(20)
        return '{"return": {}}'

    fake.qemu.qemuAgentCommand = hang
    began = time.monotonic()
    with agent() as conversation, pytest.raises(OutcomeUnknown, match="did not return"):
        conversation.execute("guest-exec", timeout=1)
    assert time.monotonic() - began < 15


def test_connections_are_closed_also_after_an_error(fake):
    closed = []
    fake.connection.close = lambda: closed.append(1)
    with agent() as conversation:
        assert conversation.execute("guest-ping") == {}
    fake.connection.lookupByName = raising(LibvirtError(42, "no domain"))
    with pytest.raises(Exception, match="no domain"), agent() as conversation:
        conversation.execute("guest-ping")
    assert closed == [1, 1]


@pytest.mark.parametrize(
    ("uri", "sent"),
    [
        (SYSTEM, SYSTEM),
        ("qemu+ssh://root@kvm1/system", "qemu+ssh://root@kvm1/system?no_tty=1"),
        ("qemu+ssh://kvm1/system?keyfile=/k", "qemu+ssh://kvm1/system?keyfile=/k&no_tty=1"),
        ("qemu+ssh://kvm1/system?no_tty=0", "qemu+ssh://kvm1/system?no_tty=0"),
        ("hypervisor1", "hypervisor1"),
    ],
)
def test_ssh_is_told_not_to_ask(uri, sent):
    assert libvirt_connection.uris(uri) == (sent, uri)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("qemu+ssh://kvm1/system?keyfile=/tmp/awx_1/k", "qemu+ssh://kvm1/system"),
        ("qemu+ssh://kvm1/system?keyfile=/k&no_tty=1", "qemu+ssh://kvm1/system?no_tty=1"),
        ("qemu+ssh://kvm1/session?socket=/s&keyfile=/k", "qemu+ssh://kvm1/session?socket=/s"),
        (SYSTEM, SYSTEM),
    ],
)
def test_the_path_of_a_key_does_not_tell_which_libvirt_is_meant(uri, told):
    assert without_key(uri) == told


@pytest.mark.parametrize("uri", ["", " ", "xen:///system", "test:///default", "qemu:///sy\x00stem", "ssh://kvm1"])
def test_a_uri_that_does_not_lead_to_qemu_is_refused(uri):
    with pytest.raises(InvalidInput, match="chr_libvirt_uri"):
        open_guest(options_for("libvirt", "chr1", 1.0, "auto", Path("/nonexistent"), libvirt_uri=uri))
