# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The protocol of scripts through xenstore, for both Xen backends. Pure functions.

The vendor's manual describes it in "Guest tools: Xen". A base64 script is written below the VM's
own part of xenstore. The router decodes and runs it, and writes the status ``ready``, ``running``
or ``error`` and the base64 output next to it. The manual has no status "done". So each script gets
a last line that prints a nonce: an output that ends with the nonce is complete, and its script ran
to the end.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import typing as t
from dataclasses import dataclass
from enum import Enum

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NoSecretWay, TooLarge
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

ROOT = "vm-data"
"""The node that a toolstack makes for the guest, and that the guest must be able to write."""
SCRIPT = f"{ROOT}/provision/script"
STATUS = f"{SCRIPT}/status"
OUTPUTS = (f"{SCRIPT}/otuput", f"{SCRIPT}/output")
"""The names of the output: the manual's spelling, which may be a misprint, and the plain one."""

MAX_VALUE = 2048
"""The largest xenstore value in bytes: oxenstored's default quota.

It also limits a guest's output.
"""
MAX_STEP = MAX_VALUE // 4 * 3
"""The largest script, or output of a script, in bytes before base64."""
ROOM = MAX_STEP - 25
"""The largest script in bytes that is one step, without the line that prints the nonce."""
TOO_MUCH = f"more than {MAX_STEP} bytes, which xenstore refuses and the router's tools may stop at"
"""The end of a sentence about a script whose end is not seen."""
MAX_SOURCE = 32 * 1024
"""The largest script in bytes that is put together on the router.

This limit is the collection's own. It means about thirty steps for ordinary text.
"""


# -- what is written -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One script that fits into a value."""

    source: bytes
    """The script, with a last line that prints ``nonce`` and moves no line of an error."""
    nonce: str

    @property
    def value(self) -> str:
        return base64.b64encode(self.source).decode()


@dataclass(frozen=True)
class ScriptPlan:
    """The steps of a script.

    They are run one after the other, each only after the one before ended with exit code 0. The
    last one runs the script, and its result is the script's result.
    """

    steps: tuple[Step, ...]
    undo: Step | None
    """The step that removes everything from the router.

    It is run when a step before the last one failed, or its end is unknown.
    """


def plan(source: bytes) -> ScriptPlan:
    """Split *source* into steps. Raises TooLarge if it is larger than MAX_SOURCE.

    A short source is one step. A longer one becomes steps that put a ``/system script`` together,
    and a last step that removes it and runs its text.
    """
    if len(source) > MAX_SOURCE:
        raise TooLarge(
            f"The script has {len(source)} bytes. xenstore takes {MAX_STEP} bytes at a time, and at most {MAX_SOURCE} are put "
            "together on the router. Let the router fetch the rest itself (/tool fetch, then /import), or split it."
        )
    whole = _step(source)
    if len(whole.source) <= MAX_STEP:
        return ScriptPlan((whole,), None)
    name = f"outofband-{secrets.token_hex(8)}"
    steps, written = [], 0
    while written < len(source):
        before, after = _piece_frame(name, written)
        room = MAX_STEP - len(before) - len(after) - len(_step(b"").source)
        piece = _quoted_prefix(source, written, room)
        steps.append(_step(before + quote(piece).encode() + after))
        written += len(piece)
    # Removed before it runs, so that nothing is left however the script ends; :parse keeps its
    # errors and its output.
    last = (
        f"{_found(name)}:local s [/system script get $i source]\n/system script remove $i\n{_expect(written)}"
        ":local f [:parse $s]\n$f"
    )
    undo = f"/system script remove [/system script find name={name}]"
    return ScriptPlan((*steps, _step(last.encode())), _step(undo.encode()))


def check_single(source: bytes) -> None:
    """Check that *source* is a single step. Raises NoSecretWay, TooLarge.

    A longer one would be put together on the router, where a secret must not be stored.
    """
    if len(plan(source).steps) > 1:
        raise NoSecretWay(
            f"The script has {len(source)} bytes and a secret in it (no_log). Through xenstore, a script of more than about 1,500 "
            "bytes is stored on the router for a moment. Nothing was sent. Split it, so that the part with the secret is short."
        )


def probe() -> Step:
    """A step that does nothing but print its nonce, which only RouterOS does."""
    return _step(b"")


def _step(source: bytes) -> Step:
    nonce = secrets.token_hex(8)
    return Step(source + f'\n:put "{nonce}"'.encode(), nonce)


def _found(name: str) -> str:
    return f":local i [/system script find name={name}]\n"


def _expect(length: int) -> str:
    return f':if ([:len $s] != {length}) do={{ :error "the script on the router has another length than it should" }}\n'


def _piece_frame(name: str, written: int) -> tuple[bytes, bytes]:
    """The text before and after the literal of the next piece, after *written* bytes."""
    if not written:
        return f"/system script add name={name} source=".encode(), b""
    get = ":local s [/system script get $i source]\n"
    return f"{_found(name)}{get}{_expect(written)}/system script set $i source=($s . ".encode(), b")"


def _quoted_prefix(source: bytes, start: int, room: int) -> bytes:
    """The longest part of UTF-8 *source* from *start* that has at most *room* bytes when quoted."""
    end, length = start, 2
    while end < len(source):
        size = _character(source[end])
        length += len(quote(source[end : end + size])) - 2
        if length > room:
            break
        end += size
    return source[start:end]


def _character(first: int) -> int:
    """The length in bytes of the UTF-8 character that begins with the byte *first*."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


# -- what is read ----------------------------------------------------------------------------------


class Phase(Enum):
    """The progress of a script, in words for messages."""

    WAITING = "not started, as far as can be seen"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class StepProgress:
    """The state of one step, as the store shows it."""

    phase: Phase
    rc: int | None = None
    """The exit code of a script that ended: 0, -1, or None if the store does not tell."""
    output: bytes = b""
    """The output without the nonce."""
    whole: bool = False
    """Whether the output ends with the nonce, so that nothing is missing."""
    final: bool = False
    """Whether nothing more will come.

    If not, the status or the output may still follow: wait a little and look again.
    """

    def __str__(self) -> str:
        """The end of a message that begins with "The script on ..."."""
        if self.phase is not Phase.ENDED:
            return "did not end in time"
        return {0: "ended well", None: "ended, and nothing tells whether well"}.get(self.rc, "failed")


def busy(values: t.Mapping[str, str]) -> bool:
    """Whether anybody's script runs. A router accepts no other script then.

    *values*: see ``progress``.
    """
    return _status(values) == "running"


def progress(values: t.Mapping[str, str], step: Step, ran: bool) -> StepProgress:
    """The progress of *step*. *values*: the existing nodes, by their path below the VM's.

    The nodes must have been removed before the script was written. *ran*: the status was seen as
    ``running`` since, or changed at least twice. Without that, ``ready`` proves nothing: a router
    may write it before it has seen the script.
    """
    status = _status(values)
    output = _output(values, step)
    printed, whole = _without_nonce(output or b"", step.nonce)
    if status == "running":
        # If the output has the nonce, the script is done and only the status has to follow.
        return StepProgress(Phase.ENDED, 0, printed, True) if whole else StepProgress(Phase.RUNNING, output=printed)
    if status == "error":
        return StepProgress(Phase.ENDED, -1, printed, whole, final=output is not None)
    if whole:
        return StepProgress(Phase.ENDED, 0, printed, True, final=True)
    if output is not None:
        # The output was cut, or the script left before its last line (:return). Without a status,
        # nothing says how it ended.
        known = status is not None
        return StepProgress(Phase.ENDED, 0 if known else None, printed, final=known)
    if ran:
        return StepProgress(Phase.ENDED, 0 if status else None)  # the output may follow, or was refused by the store
    return StepProgress(Phase.WAITING)


def _status(values: t.Mapping[str, str]) -> str | None:
    """The status of the script. None if there is none, which counts as not running."""
    value = values.get(STATUS)
    return None if value is None else value.strip("\0 \r\n") or None


def _output(values: t.Mapping[str, str], step: Step) -> bytes | None:
    """The output, under either of its names. None if there is none."""
    found = [_decoded(values[key]) for key in OUTPUTS if key in values]
    return next((one for one in found if _without_nonce(one, step.nonce)[1]), max(found, key=len, default=None))


def _decoded(value: str) -> bytes:
    """Decode base64 that may be cut anywhere. A value that is not base64 is returned unchanged."""
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
