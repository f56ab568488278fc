# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators of expressions do with values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from .errors import ScriptError
from .values import (
    Array,
    Ip,
    Prefix,
    Time,
    Value,
    bounded,
    equal,
    is_void,
    less,
    parse_number,
    parse_time,
    text,
    typeof,
    wrap,
)

MAX_PATTERN = 1024
_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "divide"}


def truth(value: Value) -> bool:
    """The boolean of a condition; anything else is an error."""
    if isinstance(value, bool):
        return value
    raise ScriptError("conditional not boolean")


def unary(operator: str, value: Value) -> Value:
    """``!``, ``-`` and ``~`` before a value."""
    if operator == "!" and isinstance(value, bool):
        return not value
    if operator == "-" and isinstance(value, int) and not isinstance(value, bool):
        return wrap(-value)
    if operator == "-" and isinstance(value, Time):
        return Time(-value.micros)
    if operator == "~" and isinstance(value, int) and not isinstance(value, bool):
        return ~value
    if operator == "~" and isinstance(value, Ip) and value.address.version == 4:
        return Ip(ipaddress.IPv4Address(int(value.address) ^ 0xFFFFFFFF))
    names = {"!": "negate logically", "-": "negate", "~": "invert bits of"}
    raise ScriptError(f"cannot {names[operator]} {typeof(value)}")


def binary(operator: str, left: Value, right: Value) -> Value:
    """An operator between two values that are both known (not ``&&`` and ``||``)."""
    return _BINARY[operator](left, right)


def logical(operator: str, value: Value) -> bool:
    """One side of ``&&`` or ``||``."""
    if isinstance(value, bool):
        return value
    raise ScriptError(f"cannot {'and' if operator == '&&' else 'or'} {typeof(value)} logically")


def element(array: Value, key: Value) -> Value:
    """``->``: the element, or *nothing*."""
    if is_void(array):
        return None
    if not isinstance(array, Array):
        raise ScriptError(f"cannot pick an element of {typeof(array)}")
    if isinstance(key, int) and not isinstance(key, bool):
        return array.items[key] if 0 <= key < len(array.items) else None
    return array.keyed.get(text(key))


@lru_cache(maxsize=256)
def pattern(expression: str) -> re.Pattern[str]:
    """A POSIX regular expression, or a run-time error when it is none."""
    if len(expression) > MAX_PATTERN:
        raise ScriptError("failure: regular expression too long")
    for name, members in (("digit", "0-9"), ("alpha", "A-Za-z"), ("alnum", "A-Za-z0-9"), ("space", r"\s")):
        expression = expression.replace(f"[:{name}:]", members)
    try:
        return re.compile(expression, re.DOTALL)
    except re.error:
        raise ScriptError("failure: invalid regular expression") from None


def _numeric(value: Value) -> Value:
    """A string in arithmetic counts as the number or time it spells."""
    if isinstance(value, str):
        number = parse_number(value)
        return number if number is not None else (parse_time(value) or value)
    return value


def _refuse(operator: str, left: Value, right: Value) -> ScriptError:
    return ScriptError(f"cannot {_VERBS.get(operator, operator)} {typeof(left)} to {typeof(right)}")


def _is_int(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _arithmetic(operator: str) -> Callable[[Value, Value], Value]:
    def run(left: Value, right: Value) -> Value:
        first, second = _numeric(left), _numeric(right)
        if isinstance(first, int) and isinstance(second, int) and _is_int(first) and _is_int(second):
            return wrap(_integers(operator, first, second))
        if isinstance(first, Time) and isinstance(second, Time) and operator in ("+", "-"):
            return Time(_integers(operator, first.micros, second.micros))
        if isinstance(first, Time) and isinstance(second, int) and _is_int(second) and operator in "*/":
            return Time(_integers(operator, first.micros, second))
        if isinstance(first, int) and _is_int(first) and isinstance(second, Time) and operator == "*":
            return Time(first * second.micros)
        if isinstance(first, Ip) and operator in ("+", "-"):
            return _shift(operator, first, second)
        raise _refuse(operator, left, right)

    return run


def _integers(operator: str, first: int, second: int) -> int:
    if operator == "+":
        return first + second
    if operator == "-":
        return first - second
    if operator == "*":
        return first * second
    if second == 0:
        raise ScriptError("division by zero")
    quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1)
    return quotient if operator == "/" else first - quotient * second


def _shift(operator: str, address: Ip, other: Value) -> Value:
    if isinstance(other, Ip) and operator == "-" and other.address.version == address.address.version:
        return wrap(int(address.address) - int(other.address))
    if not isinstance(other, int) or isinstance(other, bool):
        raise _refuse(operator, address, other)
    bits = address.address.max_prefixlen
    moved = (int(address.address) + (other if operator == "+" else -other)) % (1 << bits)
    return Ip(type(address.address)(moved))


def _bits(operator: str) -> Callable[[Value, Value], Value]:
    def run(left: Value, right: Value) -> Value:
        first, second = _bit_number(left), _bit_number(right)
        if first is None or second is None:
            raise _refuse(operator, left, right)
        if operator in ("<<", ">>") and not 0 <= second < 64:
            return 0
        results = {"&": first & second, "|": first | second, "^": first ^ second}
        shifts = {"<<": lambda: first << second, ">>": lambda: (first % 2**64) >> second}
        number = results[operator] if operator in results else shifts[operator]()
        if isinstance(left, Ip):
            return Ip(ipaddress.IPv4Address(number % 2**32))
        return wrap(number)

    return run


def _bit_number(value: Value) -> int | None:
    if isinstance(value, Ip) and value.address.version == 4:
        return int(value.address)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _concatenate(left: Value, right: Value) -> Value:
    if isinstance(left, Array):
        return _spread(left, lambda value: _concatenate(value, right))
    if isinstance(right, Array):
        return _spread(right, lambda value: _concatenate(left, value))
    return bounded(text(left) + text(right))


def _spread(array: Array, change: Callable[[Value], Value]) -> Array:
    return Array([change(value) for value in array.items], {key: change(value) for key, value in array.keyed.items()})


def _join(left: Value, right: Value) -> Value:
    first, second = _elements(left), _elements(right)
    if len(first) + len(second) > 1_000_000:
        raise ScriptError("failure: out of memory")
    return Array(first.items + second.items, {**first.keyed, **second.keyed})


def _elements(value: Value) -> Array:
    return value if isinstance(value, Array) else Array([value])


def _match(left: Value, right: Value) -> Value:
    return bool(pattern(text(right)).search(text(left)))


def _inside(left: Value, right: Value) -> Value:
    if not isinstance(right, Prefix):
        raise ScriptError(f"cannot test if {typeof(left)} is in {typeof(right)}")
    network = right.interface.network
    if isinstance(left, Ip):
        return left.address in network
    if isinstance(left, Prefix):
        inner = left.interface.network
        return bool(inner.version == network.version and inner.subnet_of(network))  # type: ignore[arg-type]
    raise ScriptError(f"cannot test if {typeof(left)} is in {typeof(right)}")


_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    **{operator: _arithmetic(operator) for operator in "+-*/%"},
    **{operator: _bits(operator) for operator in ("&", "|", "^", "<<", ">>")},
    ".": _concatenate,
    ",": _join,
    "~": _match,
    "in": _inside,
    "->": element,
    "=": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": lambda first, second: less(second, first),
    "<=": lambda first, second: not less(second, first),
    ">=": lambda left, right: not less(left, right),
}
