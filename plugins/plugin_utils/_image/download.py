# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One large file over HTTP, which goes on where it broke off, in the same run or in a later one.

open_url is the one thing of Ansible here: it knows proxies, .netrc, logins in URLs and private authorities in the way that users
know from every other module. What it costs for each call (some 25 ms) is nothing beside a download.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.urls import open_url

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, TransferFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.private import PrivateFile
from ansible_collections.outofband.chr.plugins.plugin_utils._progress import MB, Progress

from .checksum import Checksum
from .files import not_written, storing
from .inspect import HEAD, web_page

_BLOCK = 256 * 1024
_STALL = 30.0  # seconds without a byte after which a connection is given up
_TRIES = 4  # that bring nothing new, one after the other
_PAUSE = 0.5  # seconds before the next try; twice that after each one that brought nothing
_LARGEST = 4 * 1024**3  # bytes; a published archive has some 50 MB
_LATER = (408, 425, 429, 500, 502, 503, 504)  # statuses of a server that may answer better in a moment


@dataclass(frozen=True)
class Trust:
    """Whom a server is believed to be."""

    validate_certs: bool = True
    ca_path: str | None = None
    """A file with the authorities to believe, in place of the system's."""


class _Broken(Exception):
    """An attempt that may go better when it is repeated."""


def check_url(url: str) -> str:
    """*url*, if it can be downloaded from. Raises InvalidInput."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise InvalidInput(f"url {shown(url)!r} is no http or https URL. A file of the controller goes into src.")
    return url


def shown(url: str) -> str:
    """*url* without what may be secret in it: the login and the query."""
    return re.sub(r"(?<=//)[^/@]*@", "", url).partition("?")[0].partition("#")[0]


class Download:
    """A file that is wanted in *target*, and comes together in the files beside it whose names end in ``.part``."""

    def __init__(
        self,
        url: str,
        target: Path,
        checksum: Checksum | None,
        trust: Trust,
        deadline: Deadline,
        say: t.Callable[[str], None],
    ) -> None:
        if trust.validate_certs and trust.ca_path and not Path(trust.ca_path).is_file():
            raise InvalidInput(f"ca_path {trust.ca_path!r} is no file.")
        self._url, self._target, self._checksum, self._trust = check_url(url), target, checksum, trust
        self._deadline, self._say = deadline, say
        self._part = target.with_name(f"{target.name}.part")
        self._state = PrivateFile(target.parent, f"{target.name}.part.json")
        self._name = shown(url).rpartition("/")[2] or shown(url)

    def run(self) -> None:
        """Have the file in the target, whole and with its checksum. Raises TransferFailed, InvalidInput, GuestError."""
        continued = self._fetch()
        found = self._wrong()
        if found and continued:
            # What an earlier run left may be of another file: a server can be wrong about its not having changed.
            self._discard()
            self._fetch()
            found = self._wrong()
        if found:
            self._discard()
            raise TransferFailed(
                f"{shown(self._url)} has the checksum {found}, not {self._checksum}. It was removed. Either it is not the file "
                "that is meant, or checksum is that of another one: it belongs to the file as it is downloaded, not to what it has."
            )
        with storing(self._target):
            self._part.replace(self._target)
            self._state.path.unlink(missing_ok=True)

    def _wrong(self) -> Checksum | None:
        """The checksum that the file has in place of the right one."""
        if self._checksum is None:
            return None
        found = Checksum(self._checksum.algorithm, self._checksum.of(self._part))
        return found if found != self._checksum else None

    def _fetch(self) -> bool:
        """Bring the part to the end of the file; True: some of it was there before."""
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
        kept = f" The {have / MB:.0f} MB that came are kept, and the next run goes on there." if have else ""
        when = f"within {self._deadline.seconds:g} s (timeout)" if self._deadline.expired else "after several tries"
        return f"{shown(self._url)} was not downloaded {when}: {reason}.{kept}"

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._state.path.unlink(missing_ok=True)

    def _attempt(self) -> None:
        """One request, for what is missing. Raises _Broken, and what ``run`` raises."""
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
            length = answer.headers.get("Content-Length", "")
            total = have + int(length) if length.isdigit() else 0
            self._check_size(total)
            with storing(self._part):
                if not have:
                    self._part.unlink(missing_ok=True)  # before there is a validator that is not its own
                self._state.save({"validator": _validator(answer)})
            size = self._store(answer, have, total)
        if total and size != total:
            raise _Broken(f"the server closed the connection after {size} of {total} bytes")
        if not size:
            raise _Broken("the server answered with an empty file")

    def _continues(self, answer: http.client.HTTPResponse, have: int) -> int:
        """Where the partial *answer* begins. Raises _Broken when that is not at the end of the part."""
        found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            self._discard()
            raise _Broken(f"the server answered with another part of the file than from byte {have} on")
        return have

    def _check_size(self, size: int) -> None:
        if size > _LARGEST:
            self._discard()
            raise TransferFailed(
                f"{shown(self._url)} has {size / MB:.0f} MB or more, which is no image of a router. Nothing of it was kept."
            )

    def _store(self, answer: http.client.HTTPResponse, have: int, total: int) -> int:
        """Write *answer* to the part, which is *have* bytes long; how long it is then."""
        progress = Progress(self._say, f"downloading {self._name}", total)
        progress.done = have
        with storing(self._part):
            part = self._part.open("ab", buffering=0)
            self._part.chmod(0o600)
        with part:
            while block := self._read(answer):
                if not progress.done:
                    self._refuse_web_page(block, answer)
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
        """The next block. Raises _Broken."""
        if self._deadline.expired:
            raise _Broken("it did not come fast enough")
        try:
            return answer.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_words(error)) from None

    def _refuse_web_page(self, block: bytes, answer: http.client.HTTPResponse) -> None:
        title = web_page(block[:HEAD])
        if title is None:
            return
        self._discard()
        where = "" if answer.geturl() == self._url else f" after it led to {shown(answer.geturl())}"
        raise TransferFailed(
            f"{shown(self._url)} answered with a web page{title} in place of the file{where}. Check version and url, open it in a "
            "browser, and look whether a proxy or a login page is in between."
        )

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse | None:
        """The answer to a GET; None when nothing is missing. Raises _Broken, TransferFailed, InvalidInput."""
        try:
            return t.cast(
                "http.client.HTTPResponse",
                open_url(
                    self._url,
                    headers=headers,
                    timeout=max(0.1, min(_STALL, self._deadline.remaining)),
                    validate_certs=self._trust.validate_certs,
                    ca_path=self._trust.ca_path,
                    http_agent="outofband.chr",
                    decompress=False,
                    unredirected_headers=["Authorization"],
                ),
            )
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:
                    if error.headers.get("Content-Range") == f"bytes */{self._have()}":
                        return None
                    self._discard()
                if error.code in (*_LATER, 416):
                    raise _Broken(f"the server answered {error.code} {error.reason}") from None
                answered = f"{shown(self._url)} answered {error.code} {error.reason}."
                raise TransferFailed(f"{answered} {_refused(error.code)}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise InvalidInput(
                    f"The certificate of the server of {shown(self._url)} is not trusted: {error.reason.verify_message}. Give "
                    "ca_path the authority that signed it; validate_certs: false gives the check up, and only a checksum is left."
                ) from None
            reason = error.reason
            raise _Broken(_words(reason) if isinstance(reason, Exception) else str(reason)) from None
        except ValueError as error:  # http.client.InvalidURL is one
            raise InvalidInput(f"url {shown(self._url)!r} cannot be asked for: {error}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_words(error)) from None


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """What tells a server later whether it still has the same file (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return answer.headers.get("Last-Modified")


def _refused(status: int) -> str:
    if status in (404, 410):
        return "It has no such file: check version and url."
    if status in (401, 403, 407):
        return "It wants a login: give one in .netrc, or the proxy's in the environment."
    return "Check version and url."


def _words(error: Exception) -> str:
    """What became of a connection, for the end of a sentence."""
    if isinstance(error, TimeoutError):
        return f"nothing came for {_STALL:g} s, or for as long as there was time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the server closed the connection in the middle of its answer"
    if isinstance(error, socket.gaierror):
        return "the server's name cannot be resolved"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
