# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of menu properties: what each accepts, keeps, and shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import ScriptError
from .values import (
    Array,
    Ip,
    Prefix,
    Time,
    Value,
    clock_text,
    is_void,
    parse_bool,
    parse_ip,
    parse_number,
    parse_prefix,
    text,
    to_time,
    unit_text,
)

if TYPE_CHECKING:
    from .device import Router

Reader = Callable[["Router", str, Value], Value]


def shown(value: Value) -> str:
    """A value the way ``print`` and ``export`` write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Time):
        return unit_text(value)
    if isinstance(value, Array):
        return ",".join(shown(item) for item in value.values())
    return text(value)


@dataclass(frozen=True)
class Kind:
    """A kind of values.

    ``read`` takes (router, property name, value), and returns what is kept or raises
    ``ScriptError``.
    """

    name: str
    read: Reader
    refers: str = ""


@dataclass(frozen=True)
class Prop:
    """One property of a menu.

    ``flag`` is the letter that ``print`` shows while the property is true. A ``counter`` is in the
    text of ``print stats`` only.
    """

    name: str
    kind: Kind
    default: Value = None
    required: bool = False
    unique: bool = False
    read_only: bool = False
    secret: bool = False
    write_only: bool = False
    hidden: bool = False
    flag: str = ""
    counter: bool = False
    since: tuple[int, ...] = (0,)
    until: tuple[int, ...] = field(default=(99,))


def _string(router: Router, name: str, value: Value) -> Value:
    return shown(value)


def _bool(router: Router, name: str, value: Value) -> Value:
    result = value if isinstance(value, bool) else parse_bool(text(value))
    if result is None:
        raise ScriptError(f"input does not match any value of {name}")
    return result


def _time(router: Router, name: str, value: Value) -> Value:
    result = to_time(value)
    if not isinstance(result, Time):
        raise ScriptError(f"invalid time value for argument {name}")
    return result


def _time_of_day(router: Router, name: str, value: Value) -> Value:
    result = to_time(value)
    if not isinstance(result, Time) or not 0 <= result.seconds < 86400:
        raise ScriptError(f"invalid time value for argument {name}")
    return clock_text(result)


def _ip(router: Router, name: str, value: Value) -> Value:
    result = value if isinstance(value, Ip) else parse_ip(text(value))
    if result is None or result.address.version != 4:
        raise ScriptError(f"value of {name} expects ip address")
    return result


def _address(version: int) -> Reader:
    """An address with its prefix length, kept as text because the host bits count."""

    def read(router: Router, name: str, value: Value) -> Value:
        content = text(value)
        plain = parse_ip(content)
        if plain is not None:
            content = f"{content}/{plain.address.max_prefixlen}"
        result = parse_prefix(content)
        if result is None or result.interface.version != version:
            raise ScriptError(f"value of {name} expects {'ip' if version == 4 else 'ipv6'} address/netmask")
        return str(result.interface)

    return read


def _network(version: int) -> Reader:
    """A network; host bits are refused as RouterOS refuses them."""

    def read(router: Router, name: str, value: Value) -> Value:
        content = text(value)
        plain = parse_ip(content)
        if plain is not None:
            content = f"{content}/{plain.address.max_prefixlen}"
        result = value if isinstance(value, Prefix) else parse_prefix(content)
        if result is None or result.interface.version != version:
            raise ScriptError(f"value of {name} expects {'ip' if version == 4 else 'ipv6'} prefix")
        if result.interface.ip != result.interface.network.network_address:
            raise ScriptError(f"value of {name} must have all host bits zero")
        return result

    return read


_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\Z")


def _mac(router: Router, name: str, value: Value) -> Value:
    content = text(value)
    if not _MAC.match(content):
        raise ScriptError(f"value of {name} expects mac address")
    return content.upper().replace("-", ":")


STRING = Kind("string", _string)
BOOL = Kind("bool", _bool)
TIME = Kind("time", _time)
TIME_OF_DAY = Kind("time-of-day", _time_of_day)
IP = Kind("ip", _ip)
ADDRESS = Kind("address", _address(4))
ADDRESS6 = Kind("address6", _address(6))
NETWORK = Kind("network", _network(4))
NETWORK6 = Kind("network6", _network(6))
MAC = Kind("mac", _mac)
VALUE = Kind("value", lambda router, name, value: value)


def number(low: int, high: int) -> Kind:
    """A number from ``low`` to ``high``."""

    def read(router: Router, name: str, value: Value) -> Value:
        result = value if isinstance(value, int) and not isinstance(value, bool) else parse_number(text(value))
        if result is None:
            raise ScriptError(f"invalid value for argument {name}")
        if not low <= result <= high:
            raise ScriptError(f"value of {name} out of range ({low}..{high})")
        return result

    return Kind("number", read)


def enum(*choices: str) -> Kind:
    """One of the words."""

    def read(router: Router, name: str, value: Value) -> Value:
        if shown(value) not in choices:
            raise ScriptError(f"input does not match any value of {name}")
        return shown(value)

    return Kind("enum", read)


def several(kind: Kind) -> Kind:
    """Values of one kind with commas between; kept as an array."""

    def read(router: Router, name: str, value: Value) -> Value:
        parts: list[Any] = value.values() if isinstance(value, Array) else text(value).split(",")
        parts = [] if parts == [""] or is_void(value) else parts
        return Array([kind.read(router, name, part) for part in parts])

    return Kind("several", read)


def either(*kinds: Kind) -> Kind:
    """The first kind that accepts the value."""

    def read(router: Router, name: str, value: Value) -> Value:
        for kind in kinds[:-1]:
            try:
                return kind.read(router, name, value)
            except ScriptError:
                continue
        return kinds[-1].read(router, name, value)

    return Kind("either", read)


def reference(menu: str, key: str = "name", *also: str) -> Kind:
    """The name of an item of another menu, or one of the words ``also``.

    The number of the item is accepted, too.
    """

    def read(router: Router, name: str, value: Value) -> Value:
        content = text(value)
        if content in also:
            return content
        for item in router.items(menu):
            if content in (text(item.value(key)), text(item.value(".id"))):
                return item.value(key)
        raise ScriptError(f"input does not match any value of {name}")

    return Kind("reference", read, menu)


INTERFACE = reference("interface")
