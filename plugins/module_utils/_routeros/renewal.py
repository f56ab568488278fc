# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""``/system license renew``: the command, and what its status lines mean. Pure functions; the output is untrusted."""

from __future__ import annotations

import enum
import re
import typing as t
from dataclasses import dataclass

from .output import message
from .quoting import quote


class Renewal(enum.Enum):
    """How a ``renew`` ended, as far as its output tells. Only DONE is a success; each one says whether the router may change."""

    DONE = "done"
    """The account server answered. Read the licence: the level that was asked for is ignored on a licensed router."""
    UNAUTHORIZED = "unauthorized"
    """Wrong account or password: no other router will do better with these."""
    TOO_MANY_TRIALS = "too_many_trials"
    """The account has no trial left: no other free router will get one either."""
    EXPIRED = "expired"
    """Only a prepaid key, put on the instance in the account, licenses it again (help page)."""
    ALREADY_RENEWED = "already_renewed"
    UNREACHABLE = "unreachable"
    """The router said that it cannot reach the account server, and had not reached it before."""
    CONNECTING = "connecting"
    """Time ran out before the account server was reached. It is what a router without a way to it shows, too."""
    RENEWING = "renewing"
    """Time ran out before the answer came. It may have come since, or still come: read the licence, do not ask again."""
    MISSING_ARGUMENT = "missing_argument"
    FAILED = "failed"
    """An error whose text is not known here."""
    SILENT = "silent"
    """No status at all: nothing is known but the licence itself."""


@dataclass(frozen=True)
class RenewalOutcome:
    """``text`` is the router's own last words, fit to be shown: no control characters, no secret."""

    kind: Renewal
    text: str


_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
# As lines of a terminal, as members of an array in text, or as JSON.
_STATUS = re.compile(
    r'(?:^|;|[{,])\s*"?status"?\s*[:=]\s*"?(.*?)"?\s*(?=$|;\.section=|;status=|[,}]\s*["{\]])', re.MULTILINE
)

# Observed: Unauthorized, too many trial licences, missing. Nobody has published the texts of the others.
_ERRORS = (
    (
        Renewal.UNAUTHORIZED,
        re.compile(r"unauthori[sz]ed|not authori[sz]ed|(bad|wrong|invalid) (account|password|credential|login|user)"),
    ),
    (Renewal.TOO_MANY_TRIALS, re.compile(r"too many trial")),
    (Renewal.MISSING_ARGUMENT, re.compile(r"missing (=|value|argument|account|password|level)")),
    (Renewal.EXPIRED, re.compile(r"expired|prepaid|pre-paid")),
    (Renewal.ALREADY_RENEWED, re.compile(r"\balready (been )?(renewed|licen[sc]ed|up.to.date)")),
    (
        Renewal.UNREACHABLE,
        re.compile(
            r"no route|unreachable|tim(ed|e) ?out|(could ?n[o']t|can ?not|failed to) (connect|resolve|reach)"
            r"|connection (failed|refused|reset|closed)|resolv(e|ing) (error|failed)|\bdns\b|name does not exist"
        ),
    ),
)
_PROGRESS = {one.value: one for one in (Renewal.DONE, Renewal.CONNECTING, Renewal.RENEWING)}


STATUS_FILE = "outofband-renewal"
"""Into which ``renew file=`` writes what it would show (7.9 and later); there is no secret in that."""
KNOWS_STATUS_FILE = ":local known [:parse " + quote(f"/system license renew file={STATUS_FILE}") + "]"
"""A script that only a RouterOS whose ``renew`` knows ``file=`` can run; it reads a command and carries nothing out."""
STATUS_WORDS = (
    (Renewal.UNAUTHORIZED, "nauthorized"),
    (Renewal.TOO_MANY_TRIALS, "too many trial"),
    (Renewal.EXPIRED, "prepaid"),
    (Renewal.EXPIRED, "expired"),
    (Renewal.FAILED, "ERROR"),
    (Renewal.DONE, "done"),
    (Renewal.RENEWING, "renewing"),
    (Renewal.CONNECTING, "connecting"),
)
"""What to ask for in that file, in this order."""


def renew_script(account: str, password: str, level: str, duration: int) -> str:
    """A script that contacts the account server for at most *duration* whole seconds. It has secrets in it.

    All three are always given, also where the level is ignored: what a router without a terminal does when it would have to ask
    is not known. Without the duration, the command goes on for minutes. Raises ValueError for an empty account or password.
    """
    if not account or not password:
        raise ValueError("renewing a licence needs the account and the password of mikrotik.com")
    return (
        f"/system license renew account={quote(account)} password={quote(password)} level={quote(level)} "
        f"duration={max(1, int(duration))}s"
    )


def renewal_outcome(output: bytes, secrets: t.Sequence[str] = ()) -> RenewalOutcome:
    """What ``renew`` printed, status lines or an error text. *secrets* are blotted out wherever the router echoes them.

    An error is a line of text, not an error of the script, so the exit code does not matter. The last status counts: the command
    prints one for each moment of its run.
    """
    statuses, plain = _statuses(output)
    # Secrets go first: later they might be cut in two. What is left is never used to tell the outcome.
    safe = _without(output, secrets)
    shown = message(_bytes("".join(_statuses(safe)[0][-1:]))) or message(_ESCAPES.sub(b"", safe)) or "no output"
    text = (statuses[-1] if statuses else plain).lower()
    kind = _PROGRESS.get(text) or next((kind for kind, pattern in _ERRORS if pattern.search(text)), None)
    if kind in (Renewal.UNREACHABLE, Renewal.CONNECTING) and Renewal.RENEWING.value in statuses:
        kind = Renewal.RENEWING  # the way was lost after the question
    if kind is None:
        kind = Renewal.FAILED if text.strip() else Renewal.SILENT
    return RenewalOutcome(kind, shown)


def redacted(shown: str, secrets: t.Sequence[str]) -> str:
    """*shown* without *secrets*, as they are or as literals of RouterOS."""
    return _without(_bytes(shown), secrets).decode("utf-8", "surrogateescape")


def status_has(words: str) -> str:
    """An expression: whether the router has written *words* into the file STATUS_FILE."""
    return f'[/file get [/file find name~"^{STATUS_FILE}"] contents] ~ {quote(words)}'


def remove_status() -> str:
    """A script that removes the file STATUS_FILE."""
    return f'/file remove [/file find name~"^{STATUS_FILE}"]'


def _statuses(output: bytes) -> tuple[list[str], str]:
    """Every status in order, and the whole output, as text."""
    plain = _ESCAPES.sub(b"", output).replace(b"\r", b"\n").decode("utf-8", "surrogateescape")
    return [status.strip() for status in _STATUS.findall(plain) if status.strip()], plain


def _without(output: bytes, secrets: t.Sequence[str]) -> bytes:
    """*output* with each of *secrets*, as it is or as a literal of RouterOS, replaced."""
    forms = {form for secret in secrets if secret for form in (_bytes(secret), quote(secret)[1:-1].encode())}
    if not forms:
        return output
    longest_first = sorted(forms, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, longest_first)), b"********", output)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
