# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as a playbook describes it, for the filters and the test. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.outofband.chr.plugins.module_utils._requirements import (
    HYPERVISORS,
    Findings,
    Machine,
    findings,
    memory_base,
    memory_required,
    version_of,
)

_NIC = ("network", "model", "mac", "vlan")
"""As in doc_fragments/vm.py; only the model has a say here."""


def findings_of(vm: object) -> Findings:
    """What speaks against *vm*. Raises AnsibleFilterError where *vm* cannot be understood."""
    return findings(_machine(vm))


def memory_of(vm: object) -> int:
    """MiB that *vm* needs, whatever memory it has. Raises AnsibleFilterError."""
    machine = _machine(vm)
    base = memory_base(machine.routeros) if machine.memory_base is None else machine.memory_base
    try:
        return memory_required(machine.cpus, len(machine.nics), base)
    except ValueError as error:
        raise AnsibleFilterError(f"{error}.") from None


def _machine(vm: object) -> Machine:
    if not isinstance(vm, Mapping):
        raise AnsibleFilterError(f"A VM is described by a dictionary, such as {{hypervisor: kvm}}, not by {vm!r}.")
    if unknown := [str(key) for key in vm if key not in _KEYS]:
        raise AnsibleFilterError(f"{', '.join(unknown)}: a VM is described by {', '.join(_KEYS)} only.")
    if vm.get("hypervisor") is None:
        raise AnsibleFilterError(f"hypervisor is missing. It is one of {_HYPERVISORS}.")
    return Machine(**{key: _KEYS[key](key, value) for key, value in vm.items() if value is not None})


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise AnsibleFilterError(f"{key} is {value!r}: it must be a text.")
    return value


def _hypervisor(key: str, value: object) -> str:
    if value not in (*HYPERVISORS, "bhyve"):
        raise AnsibleFilterError(f"{key} is {value!r}: it must be one of {_HYPERVISORS}.")
    return _text(key, value)


def _version(key: str, value: object) -> str:
    if isinstance(value, float):
        raise AnsibleFilterError(
            f'{key} is the number {value}: write the version in quotes, as "7.20" without them becomes 7.2.'
        )
    text = _text(key, value)
    try:
        version_of(text)
    except ValueError as error:
        raise AnsibleFilterError(f"{key}: {error}.") from None
    return text


def _whole(key: str, value: object) -> int:
    """A number that is not negative, also one that came out of a template as text."""
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)):
        unit = " of MiB" if key in ("memory", "memory_base", "disk") else ""
        raise AnsibleFilterError(f"{key} is {value!r}: it must be a whole number{unit}.")
    return int(str(value))


def _list(key: str, value: object) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise AnsibleFilterError(f"{key} is {value!r}: it must be a list.")
    return value


def _texts(key: str, value: object) -> tuple[str, ...]:
    return tuple(_text(f"An element of {key}", one) for one in _list(key, value))


def _models(key: str, value: object) -> tuple[str, ...]:
    """Of each card the model, or an empty text where it is left to the hypervisor."""
    models = []
    for one in _list(key, value):
        if isinstance(one, Mapping):
            if unknown := [str(name) for name in one if name not in _NIC]:
                raise AnsibleFilterError(
                    f"{', '.join(unknown)}: a network card is described by {', '.join(_NIC)} only."
                )
            one = one.get("model") or ""
        models.append(_text(f"An element of {key}", one))
    return tuple(models)


_HYPERVISORS = ", ".join([*HYPERVISORS, "bhyve"])
_KEYS: dict[str, Callable[[str, object], t.Any]] = {
    "hypervisor": _hypervisor,
    "routeros": _version,
    "cpus": _whole,
    "memory": _whole,
    "memory_base": _whole,
    "disk": _whole,
    "disk_bus": _text,
    "further_disks": _texts,
    "nics": _models,
    "firmware": _text,
    "generation": _whole,
    "virtualization": _text,
    "architecture": _text,
}
"""What describes a VM: the fields of Machine, each with what reads it."""
