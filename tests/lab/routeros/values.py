# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RouterOS values: their types, how they turn into text, and how text turns into them.

Python's ``None`` is *nothing*, ``bool``, ``int`` and ``str`` are themselves; a ``str`` holds one
byte per character (latin-1), because RouterOS strings are byte strings. The other types are the
classes of this module.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Union

from .errors import ScriptError

MAX_TEXT = 16 * 1024 * 1024
_MICRO = 1_000_000


@dataclass(frozen=True)
class Nil:
    """What a search or conversion without a result gives; ``:typeof`` tells it from *nothing*."""


@dataclass(frozen=True, order=True)
class Time:
    """A duration or a time of day, in microseconds."""

    micros: int

    @classmethod
    def of(cls, seconds: float) -> Time:
        """A time of that many seconds."""
        return cls(round(seconds * _MICRO))

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.micros / _MICRO


@dataclass(frozen=True)
class Ip:
    """An IPv4 or IPv6 address."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Prefix:
    """An IPv4 or IPv6 network; host bits are kept as written."""

    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True)
class ItemId:
    """The internal number of an item, ``*1A``."""

    number: int


@dataclass
class Array:
    """Elements without a key come first, in order; those with a key follow, sorted by key."""

    items: list[Value] = field(default_factory=list)
    keyed: dict[str, Value] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items) + len(self.keyed)

    def pairs(self) -> list[tuple[Value, Value]]:
        """Every element as (index or key, value)."""
        numbered: list[tuple[Value, Value]] = list(enumerate(self.items))
        return numbered + [(key, self.keyed[key]) for key in sorted(self.keyed)]

    def values(self) -> list[Value]:
        """Every element without its key."""
        return [value for _unused, value in self.pairs()]


@dataclass(frozen=True, eq=False)
class Code:
    """A function (``do={...}``) or the result of ``:parse``; ``block`` is a ``syntax`` node."""

    block: Any
    source: str


Value = Union[None, Nil, bool, int, str, Time, Ip, Prefix, ItemId, Array, Code]  # noqa: UP007 - evaluated at run time, also by Python 3.9

NIL = Nil()


def typeof(value: Value) -> str:
    """The name that ``:typeof`` gives."""
    if value is None:
        return "nothing"
    if isinstance(value, Ip):
        return "ip" if value.address.version == 4 else "ip6"
    if isinstance(value, Prefix):
        return "ip-prefix" if value.interface.version == 4 else "ip6-prefix"
    names: tuple[tuple[type, str], ...] = (
        (Nil, "nil"),
        (bool, "bool"),
        (int, "num"),
        (str, "str"),
        (Time, "time"),
        (ItemId, "id"),
        (Array, "array"),
        (Code, "code"),
    )
    return next(name for kind, name in names if isinstance(value, kind))


def is_void(value: Value) -> bool:
    """True for *nothing* and *nil*."""
    return value is None or isinstance(value, Nil)


def text(value: Value) -> str:
    """The text that ``:put`` and ``:tostr`` give."""
    if is_void(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Time):
        return clock_text(value)
    if isinstance(value, Ip):
        return str(value.address)
    if isinstance(value, Prefix):
        return str(value.interface)
    if isinstance(value, ItemId):
        return f"*{value.number:X}"
    if isinstance(value, Array):
        return bounded(";".join(_element(key, item) for key, item in value.pairs()))
    if isinstance(value, Code):
        return "(code)"
    return str(value)


def _element(key: Value, value: Value) -> str:
    return f"{key}={text(value)}" if isinstance(key, str) else text(value)


def bounded(content: str) -> str:
    """The same text, or an error where a router would have run out of memory."""
    if len(content) > MAX_TEXT:
        raise ScriptError("failure: out of memory")
    return content


def _split_time(value: Time) -> tuple[str, int, int, int, int, int]:
    sign = "-" if value.micros < 0 else ""
    seconds, micros = divmod(abs(value.micros), _MICRO)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return sign, days, hours, minutes, seconds, micros


def clock_text(value: Time) -> str:
    """A time the way values print it: ``1w2d03:04:05``."""
    sign, days, hours, minutes, seconds, micros = _split_time(value)
    weeks, days = divmod(days, 7)
    head = (f"{weeks}w" if weeks else "") + (f"{days}d" if days else "")
    tail = f".{micros:06d}".rstrip("0") if micros else ""
    return f"{sign}{head}{hours:02d}:{minutes:02d}:{seconds:02d}{tail}"


def unit_text(value: Time) -> str:
    """A time the way ``print`` and ``export`` write it: ``1w2d3h4m5s``."""
    sign, days, hours, minutes, seconds, micros = _split_time(value)
    weeks, days = divmod(days, 7)
    amounts = ((weeks, "w"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"), (micros // 1000, "ms"))
    return sign + ("".join(f"{amount}{unit}" for amount, unit in amounts if amount) or "0s")


_NUMBER = re.compile(r"-?\d{1,20}\Z")
_HEX = re.compile(r"(-?)0x([0-9A-Fa-f]{1,16})\Z")
_ID = re.compile(r"\*([0-9A-Fa-f]{1,8})\Z")
_CLOCK = re.compile(r"(?:(\d{1,6})w)?(?:(\d{1,6})d)?(\d{1,6}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?\Z")
_UNITS = re.compile(
    r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?"
    r"(?:(\d{1,12})(?:\.(\d{1,9}))?s)?(?:(\d{1,12})ms)?(?:(\d{1,15})us)?\Z"
)
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}\Z")
_IPV4_PREFIX = re.compile(r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}\Z")
_IPV6 = re.compile(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(/\d{1,3})?\Z")


def wrap(number: int) -> int:
    """A number as RouterOS keeps it: 64 bits, signed."""
    return (number + 2**63) % 2**64 - 2**63


def parse_number(content: str) -> int | None:
    """A decimal or ``0x`` number, or None."""
    if _NUMBER.match(content):
        number = int(content)
        return number if -(2**63) <= number < 2**63 else None
    match = _HEX.match(content)
    return wrap(int(match[1] + match[2], 16)) if match else None


def parse_time(content: str) -> Time | None:
    """``1d02:03:04``, ``00:10``, ``1h30m``, ``500ms``, or None.

    A plain number is not a time here.
    """
    match = _CLOCK.match(content)
    if match:
        weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[:5])
        if minutes > 59 or seconds > 59:
            return None
        micros = int((match[6] or "0").ljust(9, "0")) // 1000
        total = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds
        return Time(total * _MICRO + micros)
    match = _UNITS.match(content) if content else None
    if not match:
        return None
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[:5])
    micros = int((match[6] or "0").ljust(9, "0")) // 1000 + int(match[7] or 0) * 1000 + int(match[8] or 0)
    return Time((((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds) * _MICRO + micros)


def parse_ip(content: str) -> Ip | None:
    """An IPv4 or IPv6 address without a prefix length, or None."""
    if not (_IPV4.match(content) or (_IPV6.match(content) and "/" not in content)):
        return None
    try:
        return Ip(ipaddress.ip_address(content))
    except ValueError:
        return None


def parse_prefix(content: str) -> Prefix | None:
    """An address with a prefix length, or None."""
    if not (_IPV4_PREFIX.match(content) or (_IPV6.match(content) and "/" in content)):
        return None
    try:
        return Prefix(ipaddress.ip_interface(content))
    except ValueError:
        return None


def parse_id(content: str) -> ItemId | None:
    """``*1A``, or None."""
    match = _ID.match(content)
    return ItemId(int(match[1], 16)) if match else None


def parse_bool(content: str) -> bool | None:
    """``true``, ``yes``, ``false``, ``no``, or None."""
    return {"true": True, "yes": True, "false": False, "no": False}.get(content)


def parse_typed(content: str) -> Value:
    """The value of an unquoted literal, or *nil* when it is a plain word."""
    for parse in (parse_bool, parse_number, parse_time, parse_ip, parse_prefix, parse_id):
        value: Value = parse(content)
        if value is not None:
            return value
    return NIL


def literal(word: str) -> Value:
    """Read the value of an unquoted argument of a colon command.

    A word with commas is an array, ``yes`` is a word.
    """
    if word in ("yes", "no"):
        return word
    value = parse_typed(word)
    if not isinstance(value, Nil):
        return value
    if "," in word:
        return Array([literal(part) for part in word.split(",")])
    return word


def to_number(value: Value) -> Value:
    """``:tonum``: *nil* when it cannot be one."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, Time):
        return int(value.seconds)
    if isinstance(value, Ip) and value.address.version == 4:
        return int(value.address)
    if isinstance(value, ItemId):
        return value.number
    number = parse_number(value) if isinstance(value, str) else None
    return NIL if number is None else number


def to_bool(value: Value) -> Value:
    """``:tobool``: *nil* when it cannot be one."""
    if isinstance(value, int):
        return value != 0
    result = parse_bool(value) if isinstance(value, str) else None
    return NIL if result is None else result


def to_ip(value: Value) -> Value:
    """``:toip``: *nil* when it cannot be one."""
    if isinstance(value, Ip):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32:
        return Ip(ipaddress.IPv4Address(value))
    result = parse_ip(value) if isinstance(value, str) else None
    return NIL if result is None else result


def to_time(value: Value) -> Value:
    """``:totime``: a number counts as seconds; *nil* when it cannot be one."""
    if isinstance(value, Time):
        return value
    if isinstance(value, str):
        number = parse_number(value)
        result = Time.of(number) if number is not None else parse_time(value)
        return NIL if result is None else result
    if isinstance(value, int) and not isinstance(value, bool):
        return Time.of(value)
    return NIL


def to_id(value: Value) -> Value:
    """``:toid``: *nil* when it cannot be one."""
    if isinstance(value, ItemId):
        return value
    result = parse_id(value) if isinstance(value, str) else None
    return NIL if result is None else result


def to_array(value: Value) -> Array:
    """``:toarray``: a string is split at its commas."""
    if isinstance(value, Array):
        return value
    if is_void(value):
        return Array()
    if isinstance(value, str):
        return Array(list(value.split(","))) if value else Array()
    return Array([value])


def equal(left: Value, right: Value) -> bool:
    """``=``: a string is compared with another type after conversion to that type, or as text."""
    if is_void(left) or is_void(right):
        return is_void(left) and is_void(right)
    if isinstance(left, Array) and isinstance(right, Array):
        first, second = left.pairs(), right.pairs()
        return len(first) == len(second) and all(
            key == second[at][0] and equal(value, second[at][1]) for at, (key, value) in enumerate(first)
        )
    if isinstance(left, str) and not isinstance(right, str):
        left = parse_as(left, right)
    elif isinstance(right, str) and not isinstance(left, str):
        right = parse_as(right, left)
    if typeof(left) != typeof(right):
        return False
    return left == right


def parse_as(content: str, model: Value) -> Value:
    """The string as the type of ``model``, or *nil*."""
    if isinstance(model, bool):
        return to_bool(content)
    converters = {"num": to_number, "time": to_time, "ip": to_ip, "ip6": to_ip, "id": to_id}
    kind = typeof(model)
    if kind in converters:
        return converters[kind](content)
    if kind.endswith("prefix"):
        prefix = parse_prefix(content)
        return NIL if prefix is None else prefix
    return content


def sort_key(value: Value) -> tuple[str, Any]:
    """A key that orders values of one type; the type's name comes first."""
    kind = typeof(value)
    if isinstance(value, bool):
        return kind, int(value)
    if isinstance(value, (int, str)):
        return kind, value
    if isinstance(value, Time):
        return kind, value.micros
    if isinstance(value, Ip):
        return kind, int(value.address)
    if isinstance(value, ItemId):
        return kind, value.number
    return kind, text(value)


def less(left: Value, right: Value) -> bool:
    """``<``, for two values of one type; a string meets another type as in ``equal``."""
    if isinstance(left, str) and not isinstance(right, str) and not is_void(right):
        left = parse_as(left, right)
    elif isinstance(right, str) and not isinstance(left, str) and not is_void(left):
        right = parse_as(right, left)
    first, second = sort_key(left), sort_key(right)
    if first[0] != second[0] or is_void(left):
        raise ScriptError(f"cannot compare if {first[0]} is less than {second[0]}")
    return bool(first[1] < second[1])


def quote(content: str) -> str:
    """The string as a RouterOS literal in double quotes; only printable ASCII stays as it is."""
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "$": "\\$"}
    return '"' + "".join(names.get(char) or _plain(char) for char in content) + '"'


def _plain(char: str) -> str:
    return char if " " <= char <= "~" else f"\\{ord(char):02X}"
