# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Reaching libvirt: its library, its URI, a connection within a time limit, and what its refusals mean.

Every call of libvirt runs in a thread of its own (``bounded``) and is given up when its time is over, because libvirt has no time
limit for connecting (a host that is gone, an ssh that hangs). Such a thread ends with the process, or when the call returns.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import re
import sys
import threading
import time
import typing as t

from .deadline import Deadline
from .errors import AgentNotThere, InvalidInput, NotPermitted, NotPossible

# Numbers of virErrorNumber and virErrorDomain, which never change; older libraries lack the names of the newer ones.
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

# What failed is tried again after these seconds, the last of them from then on.
_PAUSES = (0.1, 0.2, 0.5, 1.0)
_CLOSE = 2.0
_SSH_REFUSAL = re.compile(
    r"Permission denied|Host key verification failed|Too many authentication failures", re.IGNORECASE
)

_T = t.TypeVar("_T")


class Overrun(Exception):
    """libvirt has not returned in time, and may still be at it."""


class NotYet(Exception):
    """Trying again may help."""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class _TooSlow(NotYet):
    """It was not refused: there was no time left."""


def uris(uri: str) -> tuple[str, str]:
    """*uri* as libvirt is to get it, and as it is shown. Raises InvalidInput."""
    shown = re.sub(r"(://[^/@]*?):[^/@]*@", r"\1:***@", uri)
    kind, colon, _rest = uri.partition(":")
    if not uri.strip() or not uri.isprintable() or (colon and kind.partition("+")[0] != "qemu"):
        raise InvalidInput(
            f"chr_libvirt_uri {shown!r} does not lead to QEMU: only libvirt's QEMU driver carries the guest agent. Set it to "
            "qemu:///system, qemu:///session or qemu+ssh://user@host/system."
        )
    if kind == "qemu+ssh" and "no_tty=" not in uri:
        # A task cannot answer ssh's questions: ssh is to fail instead of waiting for somebody at the terminal.
        uri += ("&" if "?" in uri else "?") + "no_tty=1"
    return uri, shown  # without a colon it is an alias of the user's libvirt.conf


def open_once(uri: str, shown: str, vm: str, deadline: Deadline) -> t.Any:
    """A connection. *vm*: whom it is for, in messages. Raises NotYet; NotPermitted, InvalidInput and NotPossible."""
    found = library()
    try:
        return bounded(lambda: found.open(uri), deadline.remaining)
    except Overrun:
        raise _TooSlow("the connection was not made in time") from None
    except found.libvirtError as error:
        raise _no_connection(error, shown, vm) from None


def persist(deadline: Deadline, work: t.Callable[[], _T]) -> _T:
    """The value of *work*, which is repeated while it raises NotYet, until *deadline* is over; then NotYet is raised."""
    last: NotYet | None = None
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        try:
            return work()
        except NotYet as error:
            if not (last and isinstance(error, _TooSlow)):  # the end of the time tells less than the attempt before
                last = error
            if deadline.expired:
                raise last from None
            time.sleep(min(pause, deadline.remaining))
    raise AssertionError("no end of pauses")


def unreached(shown: str, vm: str, deadline: Deadline, last: NotYet) -> AgentNotThere:
    """The error for a connection that was not made until *deadline*."""
    return AgentNotThere(
        f"libvirt at {shown} was not reached for {vm!r} within {deadline.seconds:g} s: {last}. Is libvirtd (or virtqemud) "
        f"running there, and does 'virsh -c {shown} list' work as this user?"
    )


def _no_connection(error: t.Any, shown: str, vm: str) -> Exception:
    """What an error of virConnectOpen means."""
    code, text = error.get_error_code(), words(error)
    where = f"libvirt at {shown} was not reached for {vm!r}"
    if code in (AUTH_FAILED, _AUTH_CANCELLED, _AUTH_UNAVAILABLE) or (
        "+" in shown.partition(":")[0] and _SSH_REFUSAL.search(text)
    ):
        return NotPermitted(
            f"{where}, because it refused the login: {text}. Tasks cannot answer questions: a key or an agent for ssh, "
            "membership of the group libvirt (or a polkit rule) for a local daemon, or an auth.conf for SASL is needed, and "
            "'virsh -c URI list' must work as this user without a prompt."
        )
    if code == _SYSTEM_ERROR and error.get_int1() in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"{where}, because this user may not use its socket: {text}. Make the user a member of the group libvirt, run "
            "the play as one who is, or set chr_libvirt_uri to qemu+ssh://user@host/system."
        )
    if code in (INVALID_ARG, _NO_CONNECT, NO_SUPPORT, _CONFIG_UNSUPPORTED) or error.get_error_domain() == _FROM_URI:
        return InvalidInput(
            f"libvirt cannot use chr_libvirt_uri {shown!r} of {vm!r}: {text}. It looks like qemu:///system or "
            "qemu+ssh://user@host/system."
        )
    return NotYet(text)


def words(error: BaseException) -> str:
    """An error, of libvirt or of our own, as one line without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")


def alive(connection: t.Any) -> bool:
    try:
        return bool(bounded(connection.isAlive, _CLOSE))
    except (Overrun, library().libvirtError):
        return False


class Library:
    """libvirt-python: ``open``, ``libvirtError`` and the module ``qemu``."""

    def __init__(self) -> None:
        try:
            libvirt = importlib.import_module("libvirt")
            self.qemu: t.Any = importlib.import_module("libvirt_qemu")
        except ImportError as error:
            raise NotPossible(
                f"chr_backend libvirt needs the Python package libvirt-python, which {sys.executable} cannot import ({error}). "
                "Install it with 'pip install libvirt-python' (that needs pkg-config, gcc and libvirt-dev or libvirt-devel), "
                "or, where Ansible runs with the distribution's Python, as its package python3-libvirt."
            ) from None
        self.open: t.Callable[[str], t.Any] = libvirt.open
        self.libvirtError: type[Exception] = libvirt.libvirtError
        libvirt.registerErrorHandler(_say_nothing, None)  # by default libvirt writes every error to stderr


def _say_nothing(_context: object, _error: object) -> None:
    pass


_loaded: Library | None = None


def library() -> Library:
    """Raises NotPossible."""
    global _loaded
    if _loaded is None:
        _loaded = Library()
    return _loaded


def preload() -> None:
    """Import libvirt-python, where it is installed, for processes that are forked later: 60 ms that each would spend again."""
    with contextlib.suppress(NotPossible):
        library()


def bounded(function: t.Callable[[], _T], seconds: float, moved: t.Callable[[], int] | None = None) -> _T:
    """The result or the exception of *function*, run in a thread; Overrun when it takes longer than *seconds*.

    *moved* counts something: then Overrun is raised when it has not changed for *seconds*, however long the function takes.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="libvirt", daemon=True)
    thread.start()
    seen = -1
    while True:
        thread.join(max(seconds, 0.001))
        if results:
            return results[0]
        if errors:
            raise errors[0]
        count = seen if moved is None else moved()
        if count == seen:
            raise Overrun(f"no answer within {seconds:.3g} s")
        seen = count
