# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Turns the answers of a QEMU guest agent into a report on the guest."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotAnAgent
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import (
    Address,
    GuestReport,
    Interface,
)

OS_QUESTION = "guest-get-osinfo"


def operating_system(answer: t.Any) -> dict[str, t.Any]:
    """The answer to OS_QUESTION, with ``pretty_name`` instead of ``pretty-name``.

    Raises AttributeError if the answer has another form.
    """
    return {str(key).replace("-", "_"): value for key, value in answer.items()}


def _number(value: t.Any) -> int | None:
    return None if value is None else int(value)


def _interfaces(answer: t.Any) -> tuple[Interface, ...]:
    return tuple(
        Interface(
            one.get("name"),
            one.get("hardware-address"),
            tuple(
                Address(item.get("ip-address"), _number(item.get("prefix")), item.get("ip-address-type"))
                for item in one.get("ip-addresses") or []
            ),
        )
        for one in answer
    )


# A field of the report, the agent's command, and what the value is in its answer.
_QUESTIONS: tuple[tuple[str, str, t.Callable[[t.Any], t.Any]], ...] = (
    ("os", OS_QUESTION, operating_system),
    ("host_name", "guest-get-host-name", lambda answer: answer.get("host-name")),
    ("freeze_state", "guest-fsfreeze-status", str),
    ("time", "guest-get-time", lambda answer: int(answer) / 1e9),
    ("timezone_offset", "guest-get-timezone", lambda answer: _number(answer.get("offset"))),
    ("interfaces", "guest-network-get-interfaces", _interfaces),
)


def report(vm: str, info: t.Any, ask: t.Callable[[list[str]], dict[str, t.Any]]) -> GuestReport:
    """The report of an agent whose answer to ``guest-info`` is *info*.

    *ask* sends commands to the agent and returns the answers by command, without those that did not
    come. An agent may stay silent on a command that it does not have, so only those are sent that
    it lists as enabled. Raises NotAnAgent if *info* is not a valid answer.
    """
    try:
        version = str(info.get("version", ""))
        listed = info.get("supported_commands", [])
        enabled = {str(one["name"]) for one in listed if as_bool(one.get("enabled", True))}
    except (AttributeError, KeyError, TypeError):
        raise NotAnAgent(
            f"The guest agent of {vm} answered guest-info with {excerpt(info)}, which is not a valid answer."
        ) from None
    answers = ask([command for _field, command, _convert in _QUESTIONS if command in enabled])
    values, unreadable = {}, []
    for field, command, convert in _QUESTIONS:
        if command in answers:
            try:
                values[field] = convert(answers[command])
            except (AttributeError, TypeError, ValueError, OverflowError):
                unreadable.append(command)
    return GuestReport(version, tuple(sorted(enabled)), **values, unreadable=tuple(unreadable))
