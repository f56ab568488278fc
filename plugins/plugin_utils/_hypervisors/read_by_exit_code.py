# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Reads values of a router by exit codes, for hypervisors that do not give a script's output.

A script that ends with or without an error gives one bit. The cost, in jobs on the router:

- a condition: 1 when it is true, 2 when it is false, 3 when it is neither;
- a text: 13 to learn its length and its letters, then 4, 6, 7 or 8 for each character (digits and
  dots; letters, digits, ``-`` and ``.`` or the base64 letters; printable ASCII; any byte), and 1 to
  verify the whole. They are started at the same time, so it takes three waits, not one for each
  job. One of the likely values costs 12 to 15 jobs in all, and one wait;
- a duration: 29, and 7 for each factor of 8 (a day costs about 70).

The caller runs one more job at the end, which removes the files that failed jobs leave.

Success is the only evidence: nothing but the job itself can make it succeed, while a job can fail
for many reasons. Each text is verified by a job that succeeds only if the router has exactly this
value. So a lost, stopped or failed job, or a value that changed during the reading, is noticed, and
the value is read again. It is never guessed.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotBoolean, NotPossible, ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import duration

Succeed = t.Callable[[list[str]], list[bool]]
"""Runs scripts at the same time and returns which of them succeeded. Raises ChrError."""

MAX_LENGTH = 127
_LENGTH_BITS = 7
_LINE = 120
_FAIL = '{ :error "0" }'

# Takes a line end from the end, then all lines but the last one, then what is too long.
_LAST_LINE = f"""\
:for i from=1 to=2 do={{ :if ([:len $s] > 0) do={{
:local c [:pick $s ([:len $s] - 1) [:len $s]]
:if (($c = "\\n") || ($c = "\\r")) do={{ :set s [:pick $s 0 ([:len $s] - 1)] }} }} }}
:while ([:typeof [:find $s "\\n"]] = "num") do={{ :set s [:pick $s ([:find $s "\\n"] + 1) [:len $s]] }}
:if ([:len $s] > {_LINE}) do={{ :set s [:pick $s 0 {_LINE}] }}
"""

# The sets of a text's characters, cheapest first. The jobs ask bit by bit for the position of a
# character in its set.
ALPHABETS = (
    b"0123456789.:/-dw",
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.",
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/",
    bytes(range(0x20, 0x7F)),
    bytes(range(1, 256)),
)


def when(expression: str) -> str:
    """A script that succeeds if *expression* is true."""
    return f":if ({expression}) do={{}} else={_FAIL}"


def conditions(expressions: t.Sequence[str], succeed: Succeed) -> list[bool]:
    """The values of boolean RouterOS expressions. Raises ScriptFailed, NotBoolean."""
    expressions = [one.strip() for one in expressions]
    values = list(succeed([when(one) for one in expressions]))
    doubtful = [one for one, true in zip(expressions, values, strict=True) if not true]
    false = succeed([f":if ({one}) do={_FAIL} else={{}}" for one in doubtful]) if doubtful else []
    for one, refuted in zip(doubtful, false, strict=True):
        if refuted:
            continue
        if succeed([when(one)])[0]:  # it became true between the two questions
            values[expressions.index(one)] = True
            continue
        if succeed([f":local v ({one})"])[0]:
            raise NotBoolean(f"The expression {one!r} is neither true nor false on the router.")
        raise ScriptFailed(
            f"RouterOS cannot evaluate {one!r}. The text of the error cannot be read on this hypervisor: try the expression "
            "in a terminal of the router."
        )
    return values


def read_text(expression: str, succeed: Succeed, likely: t.Sequence[bytes] = (), then: str = "") -> bytes:
    """The value of *expression* as ``:tostr`` gives it.

    *then*: lines of a script that change the value, which is in the variable ``s``. Raises
    ScriptFailed, and NotPossible for more than 127 bytes.
    """
    for _attempt in range(3):
        value = _try_text(expression, succeed, likely, then)
        if value is not None:
            return value
    raise ScriptFailed(
        f"The value of {expression!r} was read three times bit by bit, but could not be verified: it changes, or jobs are lost."
    )


def read_last_line(expression: str, succeed: Succeed) -> bytes:
    """The first 120 bytes of the last line of a text. Raises ScriptFailed."""
    return read_text(expression, succeed, then=_LAST_LINE)


def _try_text(expression: str, succeed: Succeed, likely: t.Sequence[bytes], then: str) -> bytes | None:
    """Read the text once. Returns None if it could not be verified."""
    value = f":local s [:tostr ({expression})]\n{then}"
    candidates = list(dict.fromkeys([b"", *likely]))
    answers = iter(
        succeed(
            [
                value + ":local n [:len $s]",
                *(value + when(f"$s = {quote(one)}") for one in candidates),
                *(value + when(f"(([:len $s] / {2**bit}) % 2) = 1") for bit in range(_LENGTH_BITS)),
                *(value + _only(alphabet) for alphabet in ALPHABETS[:-1]),
                value + when(f"[:len $s] > {MAX_LENGTH}"),
            ]
        )
    )
    if not next(answers):
        raise ScriptFailed(
            f"RouterOS cannot evaluate {expression!r}. The text of the error cannot be read on this hypervisor."
        )
    for one in candidates:
        if next(answers):
            return one
    length = sum(next(answers) << bit for bit in range(_LENGTH_BITS))
    fits = [next(answers) for _alphabet in ALPHABETS[:-1]] + [True]
    if next(answers):
        raise NotPossible(
            f"The value of {expression!r} has more than {MAX_LENGTH} bytes, which is too long to read bit by bit."
        )
    alphabet = ALPHABETS[fits.index(True)]
    width = (len(alphabet) - 1).bit_length()
    wanted = [
        value + when(f'[:typeof [:find {quote(_with_bit(alphabet, bit))} [:pick $s {at} {at + 1}]]] = "num"')
        for at in range(length)
        for bit in range(width)
    ]
    bits = succeed(wanted) if wanted else []
    found = bytearray()
    for at in range(length):
        index = sum(bits[at * width + bit] << bit for bit in range(width))
        if index >= len(alphabet):
            return None
        found.append(alphabet[index])
    return bytes(found) if succeed([value + when(f"$s = {quote(bytes(found))}")])[0] else None


def _with_bit(alphabet: bytes, bit: int) -> bytes:
    return bytes(letter for index, letter in enumerate(alphabet) if index >> bit & 1)


def _only(alphabet: bytes) -> str:
    return (
        f":local a {quote(alphabet)}\n"
        ":if ([:len $s] > 0) do={ :for i from=0 to=([:len $s] - 1) do={ "
        f':if ([:typeof [:find $a [:pick $s $i ($i + 1)]]] != "num") do={_FAIL} }} }}'
    )


def read_seconds(expression: str, succeed: Succeed) -> int:
    """A RouterOS time in whole seconds, at most 8 years.

    The result is exact for a time that does not change. For one that changes, such as an uptime, it
    is a value from the time of the reading. Raises ScriptFailed.
    """
    value = f":local s ({expression})\n"
    powers = [1 << power for power in range(28)]
    answers = succeed([value + ":local n ($s >= 0s)", *(value + when(f"$s >= {duration(one)}") for one in powers)])
    if not answers[0]:
        raise ScriptFailed(f"RouterOS cannot evaluate {expression!r} as a time.")
    if not answers[1]:
        return 0
    low = max(one for one, reached in zip(powers, answers[1:], strict=True) if reached)
    step = low
    while step > 1:
        step = max(1, step // 8)
        marks = [low + step * count for count in range(1, 8)]
        reached = succeed([value + when(f"$s >= {duration(mark)}") for mark in marks])
        low = max([low, *(mark for mark, yes in zip(marks, reached, strict=True) if yes)])
    return low
