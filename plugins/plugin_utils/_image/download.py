# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Download of one large file over HTTP, which a later attempt or run continues.

Proxies of the environment, .netrc, logins in URLs and private authorities work as in Ansible's own
modules. Ansible's open_url is not used, because its time limit counts for each part of an answer,
it follows a redirect from https to http, and Python 3.13 lets it refuse most private authorities.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import netrc
import os
import re
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    TransferFailed,
    UntrustedCertificate,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import MB, Progress
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import tls
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.bounded_response import (
    BLOCK,
    TooMuch,
    bound,
    length_of,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import PrivateFile

from .checksum import Checksum
from .files import not_written, storing
from .inspect import HEAD, web_page

_STALL = 30.0  # seconds without a byte after which a connection is given up
_TRIES = 4  # attempts in a row without new data
_HOPS = 10  # redirects in a row
_REDIRECTS = (301, 302, 303, 307, 308)
_PAUSE = 0.5  # seconds before the next attempt; doubled after each one without new data
_LARGEST = 4 * 1024**3  # bytes; a published archive has some 50 MB
# Statuses after which another attempt may succeed.
_LATER = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Trust:
    """How the certificate of a server is checked."""

    validate_certs: bool = True
    ca_path: str | None = None
    """A file with the certificates of trusted authorities; None means those of the system."""


class _Broken(Exception):
    """An attempt failed, and another one may succeed."""


def check_url(url: str) -> str:
    """Return *url* if it can be downloaded. Raises InvalidInput otherwise."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise InvalidInput(
            f"url {shown(url)!r} is not a valid http or https URL. A file of the controller goes into src."
        )
    return url


def shown(url: str) -> str:
    """Return *url* without the parts that may be secret: the login and the query."""
    return re.sub(r"(?<=//)[^/@]*@", "", url).partition("?")[0].partition("#")[0]


class Download:
    """A file that is downloaded to *target*.

    The part that has arrived is in a file next to it whose name ends in ``.part``. The file, which
    messages call *what*, has at most *largest* bytes, or else as many as an image.
    """

    def __init__(
        self,
        url: str,
        target: Path,
        checksum: Checksum | None,
        trust: Trust,
        deadline: Deadline,
        say: t.Callable[[str], None],
        largest: int | None = None,
        what: str = "the image of a router",
    ) -> None:
        self._largest, self._what = largest or _LARGEST, what
        self._url, self._target, self._checksum, self._trust = check_url(url), target, checksum, trust
        self._deadline, self._say = deadline, say
        self._part = target.with_name(f"{target.name}.part")
        self._state = PrivateFile(target.parent, f"{target.name}.part.json")
        self._name = shown(url).rpartition("/")[2] or shown(url)
        self._led_to = url
        self._get = Getter(tls.context(trust.validate_certs, trust.ca_path, "ca_path"), deadline)

    def run(self) -> None:
        """Download the file, and verify its checksum.

        Raises TransferFailed, InvalidInput, ChrError.
        """
        continued = self._fetch()
        found = self._wrong()
        if found and continued:
            # The part of an earlier run may belong to another file: a server can be wrong when it
            # says that the file has not changed.
            self._discard()
            self._fetch()
            found = self._wrong()
        if found:
            self._discard()
            raise TransferFailed(
                f"{shown(self._url)} has the checksum {found}, not {self._checksum}. It was "
                "removed. Either this is not the intended file, or checksum is wrong: it must be the "
                "checksum of the file as it is downloaded, not of what it contains."
            )
        with storing(self._target):
            self._part.replace(self._target)
            self._state.path.unlink(missing_ok=True)

    def _wrong(self) -> Checksum | None:
        """Return the checksum of the file if it is not the expected one, else None."""
        if self._checksum is None:
            return None
        found = Checksum(self._checksum.algorithm, self._checksum.of(self._part))
        return found if found != self._checksum else None

    def _fetch(self) -> bool:
        """Download the missing part. Returns whether an earlier run had left some of the file."""
        continued = self._have() > 0
        failures = 0
        while True:
            before = self._have()
            try:
                self._attempt()
                return continued
            except _Broken as error:
                failures = 0 if self._have() > before else failures + 1
                if failures == _TRIES or self._deadline.expired:
                    raise TransferFailed(self._given_up(str(error))) from None
            time.sleep(min(_PAUSE * 2**failures, self._deadline.remaining))

    def _given_up(self, reason: str) -> str:
        have = self._have()
        kept = f" The {have / MB:.0f} MB that arrived are kept, and the next run continues from there." if have else ""
        when = f"within {self._deadline.seconds:g} s (timeout)" if self._deadline.expired else "after several tries"
        return f"{shown(self._url)} was not downloaded {when}: {reason}.{kept}"

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._state.path.unlink(missing_ok=True)

    def _attempt(self) -> None:
        """Request once what is missing. Raises _Broken, and what ``run`` raises."""
        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        validator = self._state.load().get("validator") if have else None
        if validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        opened = self._open(headers)
        if opened is None:
            return
        with contextlib.closing(opened) as answer:
            have = self._continues(answer, have) if answer.status == 206 else 0
            length = length_of(answer.headers.get("Content-Length"))
            total = 0 if length is None else have + length
            self._check_size(total)
            with storing(self._part):
                if not have:
                    # An old part must not be mistaken for a part of the file as it is now.
                    self._part.unlink(missing_ok=True)
                self._state.save({"validator": _validator(answer)})
            size = self._store(answer, have, total)
        if total and size != total:
            raise _Broken(f"the server closed the connection after {size} of {total} bytes")
        if not size:
            raise _Broken("the server answered with an empty file")

    def _continues(self, answer: http.client.HTTPResponse, have: int) -> int:
        """Return the offset at which the partial *answer* begins.

        Raises _Broken if the part that has arrived does not end there.
        """
        begin = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if length_of(begin) != have:
            self._discard()
            raise _Broken(f"the server answered with another part of the file than from byte {have} on")
        return have

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            self._discard()
            raise TransferFailed(
                f"{shown(self._url)} has more than {self._largest / MB:g} MB, which cannot be {self._what}. Nothing of it was "
                "kept."
            )

    def _store(self, answer: http.client.HTTPResponse, have: int, total: int) -> int:
        """Append *answer* to the part of *have* bytes, and return the new length in bytes."""
        progress = Progress(self._say, f"downloading {self._name}", total)
        progress.done = have
        with storing(self._part):
            part = self._part.open("ab", buffering=0)
            self._part.chmod(0o600)
        with part:
            while block := self._read(answer):
                if not progress.done:
                    self._refuse_web_page(block)
                try:
                    rest = memoryview(block)
                    while rest:
                        rest = rest[part.write(rest) :]
                except OSError as error:
                    self._discard()
                    raise not_written(self._part, error) from None
                progress.add(len(block))
                self._check_size(progress.done)
        return progress.done

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        """Return the next block. Raises _Broken."""
        if self._deadline.expired:
            raise _Broken("it did not arrive in time")
        try:
            return answer.read1(BLOCK)
        except (OSError, http.client.HTTPException, ValueError, OverflowError, MemoryError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> Exception:
        """Return what to raise for a connection that ended with *error*. Raises TransferFailed."""
        if isinstance(error, TooMuch):
            self._check_size(self._largest + 1)
        return _Broken(_words(error))

    def _refuse_web_page(self, block: bytes) -> None:
        title = web_page(block[:HEAD])
        if title is None:
            return
        self._discard()
        where = "" if self._led_to == self._url else f" after it led to {shown(self._led_to)}"
        raise TransferFailed(
            f"{shown(self._url)} answered with a web page{title} instead of the file{where}. Check "
            "version and url, open it in a browser, and look whether a proxy or a login page is in "
            "between."
        )

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse | None:
        """Return the answer to a GET, or None when nothing is missing.

        Raises _Broken, TransferFailed, InvalidInput.
        """
        try:
            return self._follow(headers)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:
                    if error.headers.get("Content-Range") == f"bytes */{self._have()}":
                        return None
                    self._discard()
                if error.code in (*_LATER, 416):
                    raise _Broken(f"the server answered {error.code} {line(error.reason)}") from None
                answered = f"{shown(self._url)} answered {error.code} {line(error.reason)}."
                raise TransferFailed(f"{answered} {_refused(error.code)}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise UntrustedCertificate(
                    f"The certificate of the server of {shown(self._url)} is not trusted: "
                    f"{error.reason.verify_message}. Give ca_path the authority that signed it; "
                    "with validate_certs: false, only the checksum protects the file."
                ) from None
            reason = error.reason
            raise _Broken(_words(reason) if isinstance(reason, Exception) else str(reason)) from None
        except (ValueError, http.client.InvalidURL):  # its text can show a login
            raise InvalidInput(f"url {shown(self._led_to)!r} cannot be requested.") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None

    def _follow(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Return the answer to a GET, after redirects. Raises TransferFailed, and as Getter."""
        self._led_to = self._url
        for _hop in range(_HOPS):
            try:
                return self._get.open(self._led_to, headers)
            except urllib.error.HTTPError as error:
                location = error.headers.get("Location")
                if error.code not in _REDIRECTS or not location:
                    raise
                error.close()
                self._redirect(urllib.parse.urljoin(self._led_to, location))
        raise TransferFailed(f"{shown(self._url)} leads from one address to the next, more than {_HOPS} times.")

    def _redirect(self, url: str) -> None:
        """Let the next request go to *url*. Raises TransferFailed if no server may ask for that."""
        try:
            check_url(url)
        except InvalidInput:
            raise TransferFailed(f"{shown(self._led_to)} leads to {shown(url)!r}, which is not downloaded.") from None
        if self._led_to.lower().startswith("https:") and not url.lower().startswith("https:"):
            raise TransferFailed(
                f"{shown(self._led_to)} leads from https to {shown(url)}, where anyone in between could replace the file. "
                "Nothing was downloaded. Give that URL yourself if you want it, with a checksum."
            )
        self._led_to = url


class Getter:
    """Opens URLs, each with the login that belongs to it.

    *deadline* is that of the whole download.
    """

    def __init__(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        self._deadline = deadline
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            _Handler(context, deadline),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Return the answer to a GET.

        Raises urllib.error.HTTPError for a status other than 2xx, and what urllib raises.
        """
        place, login = _login(url)
        request = urllib.request.Request(place, headers={"User-Agent": "outofband.chr", **headers})
        if login:
            request.add_unredirected_header("Authorization", login)
        timeout = max(0.1, min(_STALL, self._deadline.remaining))
        return t.cast("http.client.HTTPResponse", self._opener.open(request, timeout=timeout))


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Sends a request, and lets the answer come within the time of the download."""

    def __init__(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        urllib.request.HTTPSHandler.__init__(self, context=context)
        self._trust, self._deadline = context, deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._bounded(http.client.HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._bounded(http.client.HTTPSConnection), req, context=self._trust)

    def _bounded(self, kind: type[http.client.HTTPConnection]) -> t.Any:
        def connection(*arguments: t.Any, **more: t.Any) -> http.client.HTTPConnection:
            made = kind(*arguments, **more)
            bound(made, seconds=self._deadline.remaining, stall=_STALL, limit=2 * _LARGEST)
            return made

        return connection


def _login(url: str) -> tuple[str, str | None]:
    """Return *url* without its login, and the value of the header with the login, if there is one.

    The login is that of the URL, or else that of .netrc for the host.
    """
    parts = urllib.parse.urlsplit(url)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    user, password = (urllib.parse.unquote(one or "") for one in (parts.username, parts.password))
    if parts.username is None:
        # A missing file, or one that cannot be read, is not an error in Ansible's modules either.
        with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeError):
            user, _account, password = netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname or "") or (
                "",
                "",
                "",
            )
    if not user:
        return place, None
    protect(password)
    return place, "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode("ascii")


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """Return the validator by which the server knows the same file later (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return answer.headers.get("Last-Modified")


def _refused(status: int) -> str:
    if status in (404, 410):
        return "The server does not have this file: check version and url."
    if status in (401, 403, 407):
        return "A login is required: give one in .netrc, or that of the proxy in the environment."
    return "Check version and url."


def _words(error: Exception) -> str:
    """Describe how a connection ended, for the end of a sentence."""
    if isinstance(error, TimeoutError):
        return f"nothing arrived for {_STALL:g} s, or until the timeout"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the server closed the connection in the middle of its answer"
    if isinstance(error, socket.gaierror):
        return "the server's name cannot be resolved"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
