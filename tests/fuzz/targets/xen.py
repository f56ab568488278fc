# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""xenstore: its wire, its commands, and what a guest writes."""

from __future__ import annotations

import contextlib
import re
import typing as t
from collections.abc import Callable
from types import SimpleNamespace

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import vm_data, xl_config
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.store import (
    Busy,
    Domain,
    Moved,
    NotOurs,
    Store,
    StoreChange,
    StoreLost,
    StoreRefused,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.store_by_commands import CommandStore
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.store_by_socket import (
    _HEADER,
    ERROR,
    EVENT,
    StoreConnection,
    WireStore,
)

from ..target import parts, target

_DOMAIN = Domain(3, "chr1", "/vm/3f2a91bc")
_CHANGE = [StoreChange(vm_data.SCRIPT, "eA==")]
_OPERATIONS: tuple[Callable[[Store], object], ...] = (
    lambda store: store.domains(),
    lambda store: store.domain(3),
    lambda store: store.nodes(_DOMAIN),
    lambda store: store.change(_DOMAIN, _CHANGE, unless_busy=True, script=["eA=="]),
    lambda store: store.follow(_DOMAIN, _CHANGE).look(0.01),
)
_TYPED = (StoreLost, StoreRefused, Moved, NotOurs, Busy, ChrError)


def message(kind: int, payload: bytes) -> bytes:
    return _HEADER.pack(kind, 0, 0, len(payload)) + payload


@target(
    *(message(2, one) for one in (b"chr1", b"/vm/3f2a91bc", b"7\0", b"x", b"1\0002\0", b"n0\0", b"running", b"OK\0")),
    *(
        message(ERROR, b"ENOENT\0"),
        message(ERROR, b"EAGAIN\0"),
        message(EVENT, b"/local/domain/3\0t\0"),
        b"\xff" * 4,
    ),
)
def xenstore_wire(data: bytes) -> None:
    """Whatever speaks on xenstore's socket, an operation ends as its contract says."""
    for operation in _OPERATIONS:
        with contextlib.suppress(*_TYPED):
            operation(WireStore(StoreConnection(Stream(data))))


@target(
    b'/local/domain/3/name = "chr1"',
    b"   (n3,r0)",
    b"\\x41",
    b"\\101",
    b"\n",
    b"\t",
    b"status changes: 2",
    b"gone",
    b"done",
    b"3",
)
def xenstore_commands(data: bytes) -> None:
    """Whatever dom0's commands print, an operation ends as its contract says."""
    done = SimpleNamespace(rc=0, output=data, errors=b"")
    machine: t.Any = SimpleNamespace(execute=lambda *_arguments, **_named: done)
    for operation in _OPERATIONS:
        with contextlib.suppress(*_TYPED):
            operation(CommandStore(machine, "dom0"))


@target(b"ready", b"running", b"error", b"\0", b"b2sNCg==", b"=", b"\xff", b"\xed\xa0\x80", b" ")
def vm_data_of_a_guest(data: bytes) -> None:
    """Whatever a guest writes, there is a progress; only the nonce makes an output whole."""
    step = vm_data.probe()
    status, first, second = (
        one.decode("utf-8", "surrogatepass" if data[:1] > b"\xf0" else "replace") for one in _valid(data)
    )
    values = {vm_data.STATUS: status, vm_data.OUTPUTS[0]: first, vm_data.OUTPUTS[1]: second}
    for ran in (False, True):
        found = vm_data.progress({key: value for key, value in values.items() if value}, step, ran)
        assert not found.whole
        assert str(found)
    vm_data.busy(values)
    with contextlib.suppress(ChrError):
        plan = vm_data.plan(data)
        assert all(len(one.source) <= vm_data.MAX_STEP for one in plan.steps)


def _valid(data: bytes) -> list[bytes]:
    """Three values, as a JSON document can hold them: valid text, or text with lone surrogates."""
    found = parts(data, 3)
    with contextlib.suppress(UnicodeDecodeError):
        for one in found:
            one.decode("utf-8", "surrogatepass")
        return found
    return [one.decode("utf-8", "replace").encode() for one in found]


@target(
    b"memory = 512\n",
    b"vcpus=",
    b"boot='c'",
    b"vif = [ 'type=vif,mac=00:16:3e:00:00:01,bridge=x' ]",
    b"]",
    b'"',
    b"'",
    b"#",
    b"\n",
)
def xl_configuration(data: bytes) -> None:
    """Any file has its hardware or raises ValueError or KeyError; a change is read back."""
    config = data.decode("utf-8", "replace")
    wanted = [Difference("memory", 1, 256)]
    with contextlib.suppress(ValueError, KeyError):
        xl_config.hardware_of(config)
        xl_config.hardware_of(xl_config._VIF.sub("", config))  # the memory is not among the cards
        changed = xl_config.changed(config, wanted, [Nic("x", "e1000")], xl_config.card_of)
        if len(re.findall(r"^memory", config, re.MULTILINE)) == 1:
            assert xl_config.hardware_of(changed).memory == 256


class Stream:
    """A socket on which the replies in *data* come, each with the number of the last request."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._request = 0
        self._asked: list[int] = []

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendall(self, data: bytes) -> None:
        self._asked.append(_HEADER.unpack_from(data)[1])

    def recv(self, _size: int) -> bytes:
        if len(self._data) < _HEADER.size:
            raise TimeoutError if not self._data else ConnectionResetError
        kind, _request, transaction, length = _HEADER.unpack_from(self._data)
        end = min(_HEADER.size + length, len(self._data))
        payload, self._data = self._data[_HEADER.size : end], self._data[end:]
        request = self._asked.pop(0) if self._asked and kind != EVENT else 0
        return _HEADER.pack(kind, request, transaction, length) + payload

    def close(self) -> None:
        pass
