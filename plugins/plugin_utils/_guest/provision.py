# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Scripts through xenstore, as the vendor's manual describes it in "Guest tools: Xen"; pure, for both Xen backends.

A base64 script is written below the VM's own part of xenstore, the router decodes and runs it, and says ``ready``, ``running``
or ``error`` and the base64 output beside it. The manual knows no "done"; so each script of ours ends with a line that prints a
nonce: an output that ends with it is whole, and its script ran to the end.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import typing as t
from dataclasses import dataclass
from enum import Enum

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .errors import NoSecretWay, TooLarge

ROOT = "vm-data"
"""What a hypervisor's toolstack makes for the guest, and the guest must be able to write."""
SCRIPT = f"{ROOT}/provision/script"
STATUS = f"{SCRIPT}/status"
OUTPUTS = (f"{SCRIPT}/otuput", f"{SCRIPT}/output")
"""The manual's spelling, which may be a misprint, and the plain one."""

MAX_VALUE = 2048
"""Bytes of one xenstore value: oxenstored's default quota. A guest's output is bound by it alike."""
MAX_STEP = MAX_VALUE // 4 * 3
"""Bytes of one script, or of its output, before base64."""
MAX_SOURCE = 32 * 1024
"""Bytes of a script that is put together on the router. A bound of ours: some thirty steps for ordinary text."""


# -- what is written -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One script that fits into a value."""

    source: bytes
    """With the line that prints ``nonce`` at its end, where it moves no line of an error."""
    nonce: str

    @property
    def value(self) -> str:
        return base64.b64encode(self.source).decode()


@dataclass(frozen=True)
class Plan:
    """The steps of a script, to be run one after the other, each only when the one before ended with exit code 0.

    The last one runs the script: its result is the script's.
    """

    steps: tuple[Step, ...]
    undo: Step | None
    """To be run when another step than the last failed, or its end is unknown: nothing is left on the router then."""


def plan(source: bytes) -> Plan:
    """*source* as steps: itself, or the making of a ``/system script`` and a last step that removes it and runs its text.

    Raises TooLarge over MAX_SOURCE.
    """
    if len(source) > MAX_SOURCE:
        raise TooLarge(
            f"The script has {len(source)} bytes; through xenstore, which takes {MAX_STEP} at a time, at most {MAX_SOURCE} are put "
            "together on the router. Let the router fetch the rest itself (/tool fetch, then /import), or split it."
        )
    whole = _step(source)
    if len(whole.source) <= MAX_STEP:
        return Plan((whole,), None)
    name = f"outofband-{secrets.token_hex(8)}"
    steps, written = [], 0
    while written < len(source):
        before, after = _piece_frame(name, written)
        room = MAX_STEP - len(before) - len(after) - len(_step(b"").source)
        piece = _quoted_prefix(source, written, room)
        steps.append(_step(before + quote(piece).encode() + after))
        written += len(piece)
    # Removed before it runs, so that nothing is left however the script ends; :parse keeps its errors and its output.
    last = (
        f"{_found(name)}:local s [/system script get $i source]\n/system script remove $i\n{_expect(written)}"
        ":local f [:parse $s]\n$f"
    )
    undo = f"/system script remove [/system script find name={name}]"
    return Plan((*steps, _step(last.encode())), _step(undo.encode()))


def check_single(source: bytes) -> None:
    """Refuse what would be put together on the router, where a secret must not lie. Raises NoSecretWay, TooLarge."""
    if len(plan(source).steps) > 1:
        raise NoSecretWay(
            f"The script has {len(source)} bytes and a secret in it (no_log): through xenstore, one of more than some 1,500 would "
            "lie on the router in pieces for a moment. Nothing was sent. Split it, so that the part with the secret is short."
        )


def probe() -> Step:
    """A step that does nothing but print its nonce, which only a RouterOS does."""
    return _step(b"")


def _step(source: bytes) -> Step:
    nonce = secrets.token_hex(8)
    return Step(source + f'\n:put "{nonce}"'.encode(), nonce)


def _found(name: str) -> str:
    return f":local i [/system script find name={name}]\n"


def _expect(length: int) -> str:
    return f':if ([:len $s] != {length}) do={{ :error "the script on the router has another length than it should" }}\n'


def _piece_frame(name: str, written: int) -> tuple[bytes, bytes]:
    """What stands before and after the literal of the next piece, *written* bytes being there."""
    if not written:
        return f"/system script add name={name} source=".encode(), b""
    get = ":local s [/system script get $i source]\n"
    return f"{_found(name)}{get}{_expect(written)}/system script set $i source=($s . ".encode(), b")"


def _quoted_prefix(source: bytes, start: int, room: int) -> bytes:
    """As many characters of UTF-8 *source* from *start* as are at most *room* bytes long when quoted."""
    end, length = start, 2
    while end < len(source):
        size = _character(source[end])
        length += len(quote(source[end : end + size])) - 2
        if length > room:
            break
        end += size
    return source[start:end]


def _character(first: int) -> int:
    """Bytes of the UTF-8 character that begins with the byte *first*."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


# -- what is read ----------------------------------------------------------------------------------------------------


class Phase(Enum):
    """How far a script is."""

    WAITING = "not started, as far as can be seen"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Progress:
    """What the store says of one step."""

    phase: Phase
    rc: int | None = None
    """Of a script that ended: 0, -1, or None when the store does not tell which."""
    output: bytes = b""
    """Without the nonce."""
    whole: bool = False
    """The output ends with the nonce: nothing of it is missing."""
    final: bool = False
    """Nothing more will come. Otherwise status or output may still follow: wait a little and look again."""

    def __str__(self) -> str:
        """What became of the script, behind "The script on ...": for messages."""
        if self.phase is not Phase.ENDED:
            return "did not end in time"
        return {0: "ended well", None: "ended, and nothing tells whether well"}.get(self.rc, "failed")


def busy(values: t.Mapping[str, str]) -> bool:
    """Whether a script runs, of whomever: a router accepts none then. *values*: see ``progress``."""
    return _status(values) == "running"


def progress(values: t.Mapping[str, str], step: Step, ran: bool) -> Progress:
    """How far *step* is, as the nodes below the VM's path say that exist (relative path to value).

    The nodes must have been removed before the script was written. *ran*: the status was seen as ``running`` since, or changed
    at least twice. Without that, ``ready`` says nothing: it is what a router may write when it has not looked yet.
    """
    status = _status(values)
    output = _output(values, step)
    printed, whole = _without_nonce(output or b"", step.nonce)
    if status == "running":
        # With the nonce there, the script is done and only the status has to follow.
        return Progress(Phase.ENDED, 0, printed, True) if whole else Progress(Phase.RUNNING, output=printed)
    if status == "error":
        return Progress(Phase.ENDED, -1, printed, whole, final=output is not None)
    if whole:
        return Progress(Phase.ENDED, 0, printed, True, final=True)
    if output is not None:
        # Cut, or the script left before its last line (:return). Without a status nobody says how it ended.
        known = status is not None
        return Progress(Phase.ENDED, 0 if known else None, printed, final=known)
    if ran:
        return Progress(Phase.ENDED, 0 if status else None)  # the output may follow, or was refused by the store
    return Progress(Phase.WAITING)


def _status(values: t.Mapping[str, str]) -> str | None:
    """None: there is none, which counts as not running."""
    value = values.get(STATUS)
    return None if value is None else value.strip("\0 \r\n") or None


def _output(values: t.Mapping[str, str], step: Step) -> bytes | None:
    """The output under whichever name it has; None: there is none."""
    found = [_decoded(values[key]) for key in OUTPUTS if key in values]
    return next((one for one in found if _without_nonce(one, step.nonce)[1]), max(found, key=len, default=None))


def _decoded(value: str) -> bytes:
    """base64, possibly cut anywhere; what is none at all, as it is."""
    kept = "".join(value.split("\0")[0].split())
    try:
        return base64.b64decode(kept[: len(kept) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return value.encode("utf-8", "surrogateescape")


def _without_nonce(output: bytes, nonce: str) -> tuple[bytes, bool]:
    stripped = output.rstrip(b"\r\n")
    if stripped.endswith(nonce.encode()):
        return stripped.removesuffix(nonce.encode()), True
    return output, False
