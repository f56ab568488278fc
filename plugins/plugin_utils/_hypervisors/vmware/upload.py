# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The two ways to upload a disk to vSphere. Each verifies what arrived.

An NFC lease takes a streamOptimized vmdk to the ESXi host that the lease names, and its manifest
tells the SHA-1 of the data that arrived. The datastores' files are written and read over HTTP
through the server itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPermitted,
    NotPossible,
    TimedOut,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress, Source
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.bounded_response import API_REPLY
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Https, Reply

from .vsphere import Vsphere, fault_words, library

_READY = 120.0  # seconds until a lease is ready
_STALL = 120.0  # seconds in which a transfer must make progress
_KEPT = 10.0  # seconds between two reports of progress; a lease ends when none came for its timeout
_AUTHORITY = "the authority of the ESXi hosts' certificates (a vCenter serves it at /certs/download.zip)"

Say = t.Callable[[str], None]


@dataclass(frozen=True)
class Lease:
    """A lease that is ready for an upload."""

    id: str
    vm: str
    """The id of the VM that the lease makes."""
    key: str
    """The key of the disk in the manifest."""
    url: str
    thumbprint: str
    timeout: float
    """The seconds that it lasts after the last report of progress."""


@contextlib.contextmanager
def lease(vsphere: Vsphere, start: t.Callable[[], t.Any]) -> t.Iterator[Lease]:
    """A context with the lease that *start* asks for, which has one disk.

    The lease is completed at the end, and given up on an error. Faults of the API are not converted
    to ChrError.
    """
    moid = vsphere.call("ImportVApp", start, changes=True)._moId
    of = vsphere.object("HttpNfcLease", moid)
    try:
        yield _ready(vsphere, moid)
        vsphere.call("HttpNfcLeaseComplete", of.HttpNfcLeaseComplete, changes=True)
    except BaseException:
        with contextlib.suppress(ChrError, library().vmodl.MethodFault):
            vsphere.call("HttpNfcLeaseAbort", of.HttpNfcLeaseAbort)
        raise


def _ready(vsphere: Vsphere, moid: str) -> Lease:
    deadline = Deadline(_READY)
    while True:
        values = vsphere.properties(moid, ["state", "error", "info"], "HttpNfcLease")
        if values.get("state") == "error":
            raise values["error"]
        if values.get("state") == "ready":
            break
        if deadline.expired:
            raise TimedOut(
                f"{vsphere.endpoint.where} did not get ready for the upload within {_READY:g} s. The upload was given "
                "up. Look at the tasks of VMware: the ESXi host or the datastore may not answer."
            )
        time.sleep(0.1)
    info = values["info"]
    disks = [one for one in info.deviceUrl or [] if one.disk]
    if len(disks) != 1:
        raise NotPossible(f"{vsphere.endpoint.where} wants {len(disks)} disks for a VM with one.")
    disk = disks[0]
    return Lease(moid, info.entity._moId, disk.key, disk.url, disk.sslThumbprint or "", float(info.leaseTimeout))


def upload(vsphere: Vsphere, granted: Lease, image: Image, say: Say, name: str) -> None:
    """Send *image* to the address in the lease, and compare what arrived. Raises TransferFailed.

    *name* is the VM's, for messages.
    """
    host, port, path = _target(vsphere, granted.url)
    where = f"{host}:{port}"
    server = _https(vsphere, where, (host, port), granted.thumbprint)
    of = vsphere.object("HttpNfcLease", granted.id)
    period = min(_KEPT, granted.timeout / 4)

    def keep(percent: int) -> None:
        vsphere.call("HttpNfcLeaseProgress", lambda: of.HttpNfcLeaseProgress(percent))

    with image.path.open("rb") as file:
        progress = Progress(say, f"{name}: uploading {image.path.name} to {where}", image.size)
        source = _Stream(file, progress, lambda: keep(99 * progress.done // max(progress.total, 1)), period)
        headers = {"Content-Type": "application/x-vnd.vmware-streamVmdk", "Content-Length": str(image.size)}
        try:
            reply = server.exchange(
                f"the upload of {image.path.name}", "POST", path, source, headers, _soon(vsphere), _STALL
            )
        except Unreachable as error:
            raise Unreachable(
                f"{error} vSphere wants the disk of {name!r} sent to that ESXi host itself, so its port {port} must be open for "
                "this machine (name resolution, firewall). Or use method: datastore, which sends it through the server."
            ) from None
    _accepted(reply, f"the upload of {image.path.name} for {name!r}", where)
    keep(100)
    _compare(vsphere, granted, image, say, name)


def _target(vsphere: Vsphere, url: str) -> tuple[str, int, str]:
    """The (host, port, path) of a lease's URL.

    The host ``*`` stands for the server of this session (API reference). Raises NotPossible.
    """
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if parts.hostname == "*":
        return vsphere.endpoint.host, parts.port or vsphere.endpoint.port, path
    if parts.scheme != "https" or not parts.hostname:
        raise NotPossible(
            f"{vsphere.endpoint.where} wants the disk sent to {url!r}, which is not a valid https address."
        )
    return parts.hostname, parts.port or 443, path


def _compare(vsphere: Vsphere, granted: Lease, image: Image, say: Say, name: str) -> None:
    """Compare *image* with the manifest of the lease. Raises TransferFailed if they differ."""
    of = vsphere.object("HttpNfcLease", granted.id)
    try:
        manifest = vsphere.call("HttpNfcLeaseGetManifest", of.HttpNfcLeaseGetManifest) or []
    except library().vmodl.MethodFault as error:
        manifest, why = [], fault_words(error)
    else:
        why = "its manifest has no checksum"
    arrived = next((one.sha1.lower() for one in manifest if one.key == granted.key and one.sha1), None)
    if arrived is None:
        say(
            f"{name}: {vsphere.endpoint.where} does not tell the checksum of what arrived ({why}), so only TLS and the checks in "
            "the streamOptimized format protect the upload. Use method: datastore to have it read back."
        )
    elif arrived != (sha1 := _sha1(image)):
        raise TransferFailed(
            f"The disk of {name!r} arrived at {vsphere.endpoint.where} with the sha1 {arrived}, not {sha1}. The import was "
            "given up."
        )


def _sha1(image: Image) -> str:
    with image.path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


class _Stream(Source):
    """A file that is sent, with a report of progress every *period* seconds."""

    def __init__(self, file: t.BinaryIO, progress: Progress, keep: t.Callable[[], None], period: float) -> None:
        super().__init__(file, progress)
        self._keep, self._period = keep, period
        self._kept = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        if time.monotonic() - self._kept >= self._period:
            self._keep()
            self._kept = time.monotonic()
        return data


class Files:
    """The files of one datastore, through the server's HTTP interface.

    Paths are relative to the datastore.
    """

    def __init__(self, vsphere: Vsphere, datacenter_path: str, datastore: str) -> None:
        self._vsphere = vsphere
        self._query = urlencode({"dcPath": datacenter_path, "dsName": datastore}, quote_via=quote)
        self._datastore = datastore
        self._https = _https(vsphere, vsphere.endpoint.where, (vsphere.endpoint.host, vsphere.endpoint.port), "")

    def put_image(self, image: Image, path: str, say: Say, name: str) -> None:
        """Upload *image* to *path*, read it back and compare it. Raises TransferFailed."""
        with image.path.open("rb") as file:
            progress = Progress(say, f"{name}: uploading {image.path.name} to [{self._datastore}]", image.size)
            self._put(path, Source(file, progress), image.size)
        progress = Progress(say, f"{name}: reading it back from [{self._datastore}]", image.size)
        digest = hashlib.sha256()

        def take(block: bytes) -> None:
            digest.update(block)
            progress.add(len(block))

        what = f"reading [{self._datastore}] {path}"
        limit = image.size + API_REPLY
        reply = self._https.exchange(
            what, "GET", self._url(path), None, self._headers(), _soon(self._vsphere), _STALL, take, limit
        )
        _accepted(reply, what, self._vsphere.endpoint.where)
        if digest.hexdigest() != image.sha256:
            raise TransferFailed(
                f"[{self._datastore}] {path} of {self._vsphere.endpoint.where} has {progress.done} bytes with the sha256 "
                f"{digest.hexdigest()} after the upload, not {image.size} with {image.sha256}."
            )

    def put_text(self, text: str, path: str) -> None:
        data = text.encode()
        self._put(path, io.BytesIO(data), len(data))

    def _put(self, path: str, body: Readable, size: int) -> None:
        what = f"writing [{self._datastore}] {path}"
        headers = {**self._headers(), "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        reply = self._https.exchange(what, "PUT", self._url(path), body, headers, _soon(self._vsphere), _STALL)
        _accepted(reply, what, self._vsphere.endpoint.where)

    def _url(self, path: str) -> str:
        return f"/folder/{quote(path)}?{self._query}"

    def _headers(self) -> dict[str, str]:
        self._vsphere.now()  # a session that ended, as it does during a long upload, is replaced by this call
        return {"Cookie": self._vsphere.cookie}


def _https(vsphere: Vsphere, where: str, address: tuple[str, int], thumbprint: str) -> Https:
    endpoint = vsphere.endpoint
    return Https(
        where,
        address,
        validate_certs=endpoint.validate_certs,
        ca_path=endpoint.ca_path,
        authority=_AUTHORITY,
        keep=0,
        thumbprint=thumbprint,
    )


def _soon(vsphere: Vsphere) -> Deadline:
    return Deadline(vsphere.endpoint.connect_timeout)


def _accepted(reply: Reply, what: str, where: str) -> None:
    """Check that *reply* is not an error. Raises NotPermitted, NotPossible, TransferFailed."""
    if reply.status < 300:
        return
    said = line(" ".join(reply.body[:10_000].decode("utf-8", "replace").split()), 300)
    text = f"{where} refused {what}: HTTP {reply.status} {line(reply.reason)}{f' ({said})' if said else ''}."
    if reply.status in (401, 403):
        raise NotPermitted(f"{text} The API user needs the privileges that the module's documentation lists.")
    if reply.status in (413, 507):
        raise NotPossible(f"{text} The datastore has no space for it.")
    raise TransferFailed(text)
