# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Reading state where a script's output cannot be had, only whether it succeeded.

A script that ends well or with an error is one bit. What it costs, in jobs on the router:

- a condition: 1 when it is true, 2 when it is false, 3 when it is neither;
- a text: 13 to learn its length and its letters, then 4, 6, 7 or 8 for each character (digits and dots; letters, digits, ``-``
  and ``.`` or the base64 letters; printable ASCII; any byte), and 1 to verify the whole. They are started side by side, so it
  takes three waits, not one for each job. A value that is one of the likely ones costs 12 to 15 in all, and one wait;
- a span of time: 29, and 7 for each factor of 8 (a day: about 70).

Success is the only evidence: nothing but the job itself can make it succeed, while a job can fail for many reasons. Each text is
verified by a job that succeeds only if the router has exactly this value, so that a lost, stopped or failed job, or a value that
changed in between, is noticed and read again, never guessed.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .errors import NotBoolean, NotPossible, ScriptFailed

Succeed = t.Callable[[list[str]], list[bool]]
"""Runs scripts side by side; which of them succeeded. Raises GuestError when that cannot be known."""

MAX_LENGTH = 127
_LENGTH_BITS = 7
_FAIL = '{ :error "0" }'

# The letters of a text, cheapest first; a letter's position in its set is what the jobs ask for, bit by bit.
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


def condition(expression: str, succeed: Succeed) -> bool:
    """The value of a boolean RouterOS expression. Raises ScriptFailed, NotBoolean."""
    if succeed([when(expression)])[0]:
        return True
    if succeed([f":if ({expression}) do={_FAIL} else={{}}"])[0]:
        return False
    if succeed([f":local v ({expression})"])[0]:
        raise NotBoolean(f"The expression {expression!r} is neither true nor false on the router.")
    raise ScriptFailed(
        f"RouterOS cannot evaluate {expression!r}. The text of the error cannot be read on this hypervisor: try the expression "
        "in a terminal of the router."
    )


def read_text(expression: str, succeed: Succeed, likely: t.Sequence[bytes] = ()) -> bytes:
    """The value of *expression* as ``:tostr`` gives it. Raises ScriptFailed, NotPossible for more than 127 bytes."""
    for _attempt in range(3):
        value = _try_text(expression, succeed, likely)
        if value is not None:
            return value
    raise ScriptFailed(
        f"The value of {expression!r} was read three times bit by bit and never verified: it changes, or jobs are lost."
    )


def _try_text(expression: str, succeed: Succeed, likely: t.Sequence[bytes]) -> bytes | None:
    """One reading, or None when it could not be verified."""
    value = f":local s [:tostr ({expression})]\n"
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
        raise NotPossible(f"The value of {expression!r} has more than {MAX_LENGTH} bytes: too many to read bit by bit.")
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
    """A RouterOS time, in whole seconds, at most 8 years. Exact for one that stands still; one that runs (an uptime) is a value

    that it had in between. Raises ScriptFailed.
    """
    value = f":local s ({expression})\n"
    powers = [1 << power for power in range(28)]
    answers = succeed([value + ":local n ($s >= 0s)", *(value + when(f"$s >= {time(one)}") for one in powers)])
    if not answers[0]:
        raise ScriptFailed(f"RouterOS cannot evaluate {expression!r} as a time.")
    if not answers[1]:
        return 0
    low = max(one for one, reached in zip(powers, answers[1:], strict=True) if reached)
    step = low
    while step > 1:
        step = max(1, step // 8)
        marks = [low + step * count for count in range(1, 8)]
        reached = succeed([value + when(f"$s >= {time(mark)}") for mark in marks])
        low = max([low, *(mark for mark, yes in zip(marks, reached, strict=True) if yes)])
    return low


def time(seconds: int) -> str:
    """*seconds* as a RouterOS time literal: ``1d2h3m4s``."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")) if count]
    return "".join(parts) or "0s"
