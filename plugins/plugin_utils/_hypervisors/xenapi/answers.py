# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Checks that the answers of XenAPI have the form that its documentation promises."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible

Check = t.Callable[[t.Any], bool]


def _text(value: t.Any) -> bool:
    return isinstance(value, str)


def _flag(value: t.Any) -> bool:
    return isinstance(value, bool)


def _number(value: t.Any) -> bool:
    """A whole number, which travels as text."""
    text = str(value)
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 20


def _texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _map(value: t.Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value)) and all(map(_text, value.values()))


_FIELDS: dict[Check, tuple[str, ...]] = {
    _text: (
        *("uuid", "name_label", "power_state", "guest_metrics", "metrics", "resident_on", "status", "default_SR"),
        *("device", "MAC", "network", "type", "VDI", "bridge"),
    ),
    _flag: ("is_a_template", "is_a_snapshot", "is_control_domain", "is_default_template", "read_only", "live"),
    _number: (
        "domid",
        "physical_size",
        "physical_utilisation",
        "virtual_size",
        "MTU",
        "VCPUs_max",
        "memory_static_max",
    ),
    _texts: ("allowed_operations", "VIFs", "VBDs", "snapshots", "error_info", "tags"),
    _map: (
        *("current_operations", "xenstore_data", "other_config", "platform"),
        *("os_version", "PV_drivers_version", "networks", "netbios_name"),
    ),
}
_CHECKS = {name: check for check, names in _FIELDS.items() for name in names}


class XenapiRecord(dict[str, t.Any]):
    """A record whose known fields have the right types; asking for a missing one is NotPossible."""

    def __init__(self, values: t.Any, what: str) -> None:
        """*what* names the answer in messages. Raises NotPossible."""
        if not isinstance(values, dict):
            raise _nonsense(what, "a record")
        if odd := _odd(values):
            raise _nonsense(what, f"a valid {odd[0]}")
        super().__init__(values)
        self._what = what

    @classmethod
    def of_many(cls, values: t.Any, what: str) -> t.Self | None:
        """A record in a list, without its fields of a wrong type, or None if it is not a record.

        One odd object must not cost the others. Whoever needs such a field finds it missing.
        """
        if not isinstance(values, dict):
            return None
        record, odd = cls({}, what), _odd(values)
        record.update({name: value for name, value in values.items() if name not in odd} if odd else values)
        return record

    def __missing__(self, key: str) -> t.Any:
        raise _nonsense(self._what, f"the field {key!r}")


def checked(method: str, value: t.Any, where: str) -> t.Any:
    """Return the *value* of a call, whose form is known by the name of its *method*.

    *where* names the server. Raises NotPossible for another form.
    """
    what = f"{where} answered {method}"
    if method.endswith(".get_record"):
        return XenapiRecord(value, what)
    if method.endswith(".get_all_records"):
        if not isinstance(value, dict):
            raise _nonsense(what, "records")
        records = ((str(ref), XenapiRecord.of_many(one, what)) for ref, one in value.items())
        return {ref: record for ref, record in records if record is not None}
    if method.endswith(".get_by_name_label") and not _texts(value):
        raise _nonsense(what, "a list of handles")
    if method.endswith(".get_by_uuid") and not _text(value):
        raise _nonsense(what, "a handle")
    if method.endswith(".get_xenstore_data") and not _map(value):
        raise _nonsense(what, "texts")
    return value


def events(batch: t.Any, where: str) -> tuple[dict[str, dict[str, t.Any]], str]:
    """Return the records by handle and the token in the answer of ``event.from``.

    Raises NotPossible.
    """
    what = f"{where} answered event.from"
    found = {one["ref"]: XenapiRecord(one["snapshot"], what) for one in _events(batch, what) if one.get("snapshot")}
    return dict(found), batch["token"]


def objects(batch: t.Any, where: str) -> dict[str, dict[str, dict[str, t.Any]]]:
    """Return the records by class, in lower case, and handle in the answer of ``event.from``.

    Raises NotPossible.
    """
    what = f"{where} answered event.from"
    found: dict[str, dict[str, dict[str, t.Any]]] = {}
    for one in _events(batch, what):
        if (record := XenapiRecord.of_many(one.get("snapshot"), what)) is not None:
            found.setdefault(str(one.get("class")), {})[one["ref"]] = record
    return found


def _events(batch: t.Any, what: str) -> list[dict[str, t.Any]]:
    if not isinstance(batch, dict) or not isinstance(batch.get("events"), list) or not _text(batch.get("token")):
        raise _nonsense(what, "events")
    if not all(isinstance(one, dict) and _text(one.get("ref")) for one in batch["events"]):
        raise _nonsense(what, "events")
    return list(batch["events"])


def _odd(values: dict[t.Any, t.Any]) -> list[str]:
    """The known fields that have a value of a wrong type."""
    return [name for name, value in values.items() if name in _CHECKS and not _CHECKS[name](value)]


def _nonsense(what: str, expected: str) -> NotPossible:
    return NotPossible(f"{what} without {expected}. Is that XenServer or XCP-ng?")
