# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""``/system license renew``: the command, and what its status lines mean.

Pure functions; the output is untrusted.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import masked
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message

from .quoting import quote


class Renewal(enum.Enum):
    """How a ``renew`` ended, by its output. Only DONE is a success."""

    DONE = "done"
    """The account server answered.

    The license must be read afterwards, because a licensed router ignores the requested level.
    """
    UNAUTHORIZED = "unauthorized"
    """The account or the password is wrong, so it will fail on other routers, too."""
    TOO_MANY_TRIALS = "too_many_trials"
    """The account has no trial left, so other free routers cannot get one either."""
    EXPIRED = "expired"
    """The license has expired.

    Only a prepaid key, assigned to the instance in the account, licenses it again (help page).
    """
    ALREADY_RENEWED = "already_renewed"
    UNREACHABLE = "unreachable"
    """The router said that it cannot reach the account server, and did not reach it before."""
    CONNECTING = "connecting"
    """Time ran out before the account server was reached.

    A router without a route to the server shows this, too.
    """
    RENEWING = "renewing"
    """Time ran out before the answer came.

    It may have come since, or may still come, so the license must be read and ``renew`` must not be
    run again.
    """
    MISSING_ARGUMENT = "missing_argument"
    FAILED = "failed"
    """The router printed an error with an unknown text."""
    SILENT = "silent"
    """The router printed no status; only the license itself can tell the outcome."""


@dataclass(frozen=True)
class RenewalOutcome:
    """How a ``renew`` ended.

    ``text`` is the end of the router's output, without control characters and secrets.
    """

    kind: Renewal
    text: str


_SEEN = 64 * 1024  # bytes at the end of the output that are looked at
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
# A status can be a line of a terminal, a member of an array in text, or a member in JSON.
_STATUS = re.compile(
    r'(?:^|[;{,])[ \t]*+"?status"?[ \t]*+[:=][ \t]*+"?(.*?)(?=$|;\.section=|;status=|[,}][ \t]*+["{\]])', re.MULTILINE
)

# The texts "Unauthorized", "too many trial licences" and "missing" were observed. Those of the
# other outcomes are not published.
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
"""The file into which ``renew file=`` writes its output (7.9 and later), which holds no secret."""
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
"""The texts that are searched for in that file, in this order."""


def renew_script(account: str, password: str, level: str, duration: int) -> str:
    """Return a script that contacts the account server for at most *duration* whole seconds.

    The script holds secrets. The account, password and level are always given, even if the level is
    ignored: it is not known what a router without a terminal does when one is missing. Without the
    duration, the command runs for minutes. Raises ValueError for an empty account or password.
    """
    if not account or not password:
        raise ValueError("renewing a license needs the account and the password of mikrotik.com")
    return (
        f"/system license renew account={quote(account)} password={quote(password)} level={quote(level)} "
        f"duration={max(1, int(duration))}s"
    )


_INTO_FILE = f"{renew_script('account', 'password', 'p1', 1)} file={STATUS_FILE}"
KNOWS_STATUS_FILE = f":local known [:parse {quote(_INTO_FILE)}]"
"""A script that fails unless this RouterOS has the argument ``file=`` of ``renew``.

It parses a command and does not run it. The command must be complete: RouterOS does not parse one
without the account, the password and the level.
"""


def renewal_outcome(output: bytes) -> RenewalOutcome:
    """Tell from the output of ``renew`` how it ended.

    ``renew`` prints an error as a line of text and not as an error of the script, so the exit code
    does not matter. It prints its status again and again, and the last one counts.
    """
    output = output[-_SEEN:]
    statuses, plain = _statuses(output)
    # Secrets are masked first, because a later step might cut one in two. The masked text is never
    # used to tell the outcome.
    safe = masked(output.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    shown = message("".join(_statuses(safe)[0][-1:])) or message(_ESCAPES.sub(b"", safe)) or "no output"
    text = (statuses[-1] if statuses else plain).lower()
    kind = _PROGRESS.get(text) or next((kind for kind, pattern in _ERRORS if pattern.search(text)), None)
    if kind in (Renewal.UNREACHABLE, Renewal.CONNECTING) and Renewal.RENEWING.value in statuses:
        kind = Renewal.RENEWING  # the connection was lost after the request
    if kind is None:
        kind = Renewal.FAILED if text.strip() else Renewal.SILENT
    return RenewalOutcome(kind, shown)


def status_has(words: str) -> str:
    """Return an expression that is true if the file STATUS_FILE contains *words*."""
    return f'[/file get [/file find where name~"^{STATUS_FILE}"] contents] ~ {quote(words)}'


def remove_status() -> str:
    """Return a script that removes the file STATUS_FILE."""
    return f'/file remove [/file find where name~"^{STATUS_FILE}"]'


def _statuses(output: bytes) -> tuple[list[str], str]:
    """Return every status in order, and the whole output, as text."""
    plain = _ESCAPES.sub(b"", output).replace(b"\r", b"\n").decode("utf-8", "surrogateescape")
    found = (status.rstrip().removesuffix('"').strip() for status in _STATUS.findall(plain))
    return [status for status in found if status], plain
