# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Connections to libvirt: the library, the URI, a time limit, and the meaning of errors.

Every call of libvirt runs in a thread of its own (``bounded``) and is given up when its time is
over, because libvirt has no time limit for connecting (a host that does not answer, an ssh that
hangs). Such a thread ends with the process, or when the call returns.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import re
import sys
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.bounded import Overrun, bounded
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    Unreachable,
    UntrustedCertificate,
)

# Numbers of virErrorNumber and virErrorDomain, which never change; older libraries lack the names
# of the newer ones.
INTERNAL_ERROR = 1
NO_SUPPORT = 3
INVALID_ARG = 8
OPERATION_DENIED = 29
NO_DOMAIN = 42
NO_NETWORK = 43
AUTH_FAILED = 45
NO_STORAGE_POOL = 49
NO_STORAGE_VOL = 50
OPERATION_INVALID = 55
OPERATION_TIMEOUT = 68
ARGUMENT_UNSUPPORTED = 74
AGENT_UNRESPONSIVE = 86
ACCESS_DENIED = 88
AGENT_UNSYNCED = 97
AGENT_COMMAND_TIMEOUT = 112
AGENT_COMMAND_FAILED = 113
_NO_CONNECT = 5
_SYSTEM_ERROR = 38
_CONFIG_UNSUPPORTED = 67
_AUTH_CANCELLED = 79
_AUTH_UNAVAILABLE = 94
_FROM_URI = 45

# Seconds between attempts. The last value is used for all further attempts.
_PAUSES = (0.1, 0.2, 0.5, 1.0)
CLOSE = 2.0
"""Seconds for a short call that should not take any time."""
_SSH_REFUSAL = re.compile(
    r"Permission denied|Host key verification failed|Too many authentication failures", re.IGNORECASE
)

_T = t.TypeVar("_T")


class NotYet(Exception):
    """Trying again may help."""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class _TooSlow(NotYet):
    """The connection was not refused, but there was no time left."""


def uris(uri: str) -> tuple[str, str]:
    """The URI for libvirt, and the URI for messages, without a password. Raises InvalidInput."""
    shown = re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
    kind, colon, _rest = uri.partition(":")
    if not uri.strip() or not uri.isprintable() or (colon and kind.partition("+")[0] != "qemu"):
        raise InvalidInput(
            f"chr_libvirt_uri {shown!r} does not lead to QEMU: only libvirt's QEMU driver carries the guest agent. Set it to "
            "qemu:///system, qemu:///session or qemu+ssh://user@host/system."
        )
    if kind == "qemu+ssh" and "no_tty=" not in uri:
        # A task cannot answer ssh's questions: ssh must fail instead of waiting for somebody at
        # the terminal.
        uri += ("&" if "?" in uri else "?") + "no_tty=1"
    return uri, shown  # without a colon it is an alias of the user's libvirt.conf


def open_once(uri: str, shown: str, subject: str, deadline: Deadline) -> t.Any:
    """Try once to open a connection to libvirt.

    For messages, *shown* is the URI, and *subject* is what the connection is for. Raises NotYet if
    another attempt may help; NotPermitted, InvalidInput and NotPossible if not.
    """
    found = library()
    try:
        return bounded(lambda: found.open(uri), deadline.remaining)
    except Overrun:
        raise _TooSlow("the connection was not made in time") from None
    except found.libvirtError as error:
        raise _no_connection(error, shown, subject) from None


def persist(deadline: Deadline, work: t.Callable[[], _T]) -> _T:
    """Repeat *work* while it raises NotYet, and return its value.

    Raises the last NotYet when *deadline* is over.
    """
    last: NotYet | None = None
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        try:
            return work()
        except NotYet as error:
            if not (last and isinstance(error, _TooSlow)):  # the attempt before says more than a time-out
                last = error
            if deadline.expired:
                raise last from None
            time.sleep(min(pause, deadline.remaining))
    raise AssertionError("no end of pauses")


def unreached(shown: str, subject: str, deadline: Deadline, last: NotYet) -> Unreachable:
    """The error for a connection that could not be made before *deadline*."""
    return Unreachable(
        f"libvirt at {shown} was not reached for {subject} within {deadline.seconds:g} s: {last}. Is libvirtd (or virtqemud) "
        f"running there, and does 'virsh -c {shown} list' work as this user?"
    )


@contextlib.contextmanager
def connected(uri: str, shown: str, subject: str, deadline: Deadline) -> t.Iterator[t.Any]:
    """A connection to libvirt for the time of the context.

    For messages, *shown* is the URI, and *subject* is what the connection is for. Raises ChrError.
    """
    try:
        connection = persist(deadline, lambda: open_once(uri, shown, subject, deadline))
    except NotYet as last:
        raise unreached(shown, subject, deadline, last) from None
    try:
        yield connection
    finally:
        with contextlib.suppress(Overrun, library().libvirtError):
            bounded(connection.close, CLOSE)


def _no_connection(error: t.Any, shown: str, subject: str) -> Exception:
    """The exception that an error of virConnectOpen becomes."""
    code, text = error.get_error_code(), words(error)
    where = f"libvirt at {shown} was not reached for {subject}"
    if code == AUTH_FAILED and "certificate" in text:
        return UntrustedCertificate(
            f"{where}, because its certificate is not trusted: {text}. Name the server in chr_libvirt_uri as its certificate does, "
            "and the folder with the authority's cacert.pem with ?pkipath=; libvirt's log of this process says what is wrong."
        )
    if code in (AUTH_FAILED, _AUTH_CANCELLED, _AUTH_UNAVAILABLE) or (
        "+" in shown.partition(":")[0] and _SSH_REFUSAL.search(text)
    ):
        return NotPermitted(
            f"{where}, because it refused the login: {text}. Tasks cannot answer questions. Set up a key or an agent for ssh, "
            "membership of the group libvirt (or a polkit rule) for a local daemon, or an auth.conf for SASL, until "
            "'virsh -c URI list' works as this user without a prompt."
        )
    if code == _SYSTEM_ERROR and error.get_int1() in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"{where}, because this user may not use its socket: {text}. Make the user a member of the group libvirt, run "
            "the play as one who is, or set chr_libvirt_uri to qemu+ssh://user@host/system."
        )
    if code in (INVALID_ARG, _NO_CONNECT, NO_SUPPORT, _CONFIG_UNSUPPORTED) or error.get_error_domain() == _FROM_URI:
        return InvalidInput(
            f"libvirt cannot use chr_libvirt_uri {shown!r} of {subject}: {text}. It looks like qemu:///system or "
            "qemu+ssh://user@host/system."
        )
    return NotYet(text)


def words(error: BaseException) -> str:
    """The text of any error as one line, without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")


def alive(connection: t.Any) -> bool:
    try:
        return bool(bounded(connection.isAlive, CLOSE))
    except (Overrun, library().libvirtError):
        return False


class Library:
    """The parts of libvirt-python in use: ``open``, ``libvirtError`` and the module ``qemu``."""

    def __init__(self) -> None:
        try:
            libvirt = importlib.import_module("libvirt")
            self.qemu: t.Any = importlib.import_module("libvirt_qemu")
        except ImportError as error:
            raise NotPossible(
                f"chr_backend libvirt needs the Python package libvirt-python, which {sys.executable} cannot import ({error}). "
                "Install it with 'pip install libvirt-python', which compiles it and needs gcc, pkg-config and the packages "
                "python3-dev and libvirt-dev (python3-devel and libvirt-devel on RPM distributions). If Ansible runs with the "
                "distribution's own Python, install the package python3-libvirt instead."
            ) from None
        self.open: t.Callable[[str], t.Any] = libvirt.open
        self.libvirtError: type[Exception] = libvirt.libvirtError
        libvirt.registerErrorHandler(_say_nothing, None)  # by default libvirt writes every error to stderr


def _say_nothing(_context: object, _error: object) -> None:
    pass


_loaded: Library | None = None


def library() -> Library:
    """libvirt-python, imported once. Raises NotPossible if it is not installed."""
    global _loaded
    if _loaded is None:
        _loaded = Library()
    return _loaded
