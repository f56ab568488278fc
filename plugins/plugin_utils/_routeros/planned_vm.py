# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as a playbook describes it, for the filters and the test.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.platforms import canonical

from .requirements import HYPERVISORS, Findings, PlannedVm, findings, memory_base, memory_required, version_of

_NIC = ("network", "model", "mac", "vlan")
"""The keys of a network card in doc_fragments/vm.py; only the model matters here."""


def findings_of(vm: object) -> Findings:
    """Find why a CHR cannot run in *vm*. Raises InvalidInput if *vm* is not valid."""
    return findings(_planned(vm))


def memory_of(vm: object) -> int:
    """Return the memory in MiB that *vm* needs. Raises InvalidInput."""
    planned = _planned(vm)
    base = memory_base(planned.routeros) if planned.memory_base is None else planned.memory_base
    try:
        return memory_required(planned.cpus, len(planned.nics), base)
    except ValueError as error:
        raise InvalidInput(f"{error}.") from None


def _planned(vm: object) -> PlannedVm:
    if not isinstance(vm, Mapping):
        raise InvalidInput(f"A VM is described by a dictionary, such as {{hypervisor: proxmox}}, not by {vm!r}.")
    if unknown := [str(key) for key in vm if key not in _KEYS]:
        raise InvalidInput(f"{', '.join(unknown)}: a VM is described by {', '.join(_KEYS)} only.")
    if vm.get("hypervisor") is None:
        raise InvalidInput(f"hypervisor is missing. It is one of {_HYPERVISORS}.")
    return PlannedVm(**{key: _KEYS[key](key, value) for key, value in vm.items() if value is not None})


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is {value!r}: it must be a text.")
    return value


def _hypervisor(key: str, value: object) -> str:
    word = canonical(value)
    if word not in (*HYPERVISORS, "bhyve"):
        raise InvalidInput(f"{key} is {value!r}: it must be one of {_HYPERVISORS}.")
    return word


def refuse_number(key: str, value: object) -> None:
    """Refuse a version that is a number. Raises InvalidInput."""
    if isinstance(value, float):
        raise InvalidInput(
            f'{key} is the number {value}: write the version in quotes, as "7.20" without them becomes 7.2.'
        )


def _version(key: str, value: object) -> str:
    refuse_number(key, value)
    text = _text(key, value)
    try:
        version_of(text)
    except ValueError as error:
        raise InvalidInput(f"{key}: {error}.") from None
    return text


def _whole(key: str, value: object) -> int:
    """Convert a number that is not negative, or text from a template with such a number."""
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)):
        unit = " of MiB" if key in ("memory", "memory_base", "disk") else ""
        raise InvalidInput(f"{key} is {value!r}: it must be a whole number{unit}.")
    return int(str(value))


def _list(key: str, value: object) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidInput(f"{key} is {value!r}: it must be a list.")
    return value


def _texts(key: str, value: object) -> tuple[str, ...]:
    return tuple(_text(f"An element of {key}", one) for one in _list(key, value))


def _models(key: str, value: object) -> tuple[str, ...]:
    """Return each card's model, empty if the hypervisor chooses it. Raises InvalidInput."""
    models = []
    for one in _list(key, value):
        if isinstance(one, Mapping):
            if unknown := [str(name) for name in one if name not in _NIC]:
                raise InvalidInput(f"{', '.join(unknown)}: a network card is described by {', '.join(_NIC)} only.")
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
"""The keys that describe a VM: the fields of PlannedVm, each with the function that reads it."""
