# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Writes and reads a libvirt volume block by block, through a stream of libvirt.

With *sparse* (libvirt 3.4, 2017) the holes of a file are sent as holes in both directions, so a
disk of gigabytes with the 60 MB of a new router costs 60 MB. *moved* is called with the number of
bytes transferred so far. If it raises an exception, the transfer ends.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

BLOCK = 262_120
"""The payload in bytes of one message of libvirt's protocol: VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX."""
_SPARSE = 1  # VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, and the same of a download
_STOP_AT_HOLE = 1  # VIR_STREAM_RECV_STOP_AT_HOLE
_AT_HOLE = -3
_ZEROS = bytes(1 << 20)

Moved = t.Callable[[int], None]


def upload(connection: t.Any, volume: t.Any, image: Image, *, sparse: bool, moved: Moved) -> None:
    """Write the file of *image* to the beginning of *volume*. Raises libvirtError, OSError."""
    with image.path.open("rb", buffering=0) as source, _stream(connection) as stream:
        file, size = source.fileno(), image.size
        volume.upload(stream, 0, size, _SPARSE if sparse else 0)
        for start, end, is_hole in _parts(file, size) if sparse else [(0, size, False)]:
            if is_hole:
                stream.sendHole(end - start, 0)
                moved(end - start)
                continue
            while start < end and (data := os.pread(file, min(BLOCK, end - start), start)):
                count = stream.send(data)
                start += count
                moved(count)


def digest(connection: t.Any, volume: t.Any, size: int, *, sparse: bool, moved: Moved) -> str:
    """The sha256 of the first *size* bytes of *volume*, as the host reads them, in hex.

    Raises libvirtError.
    """
    found = hashlib.sha256()
    with _stream(connection) as stream:
        volume.download(stream, 0, size, _SPARSE if sparse else 0)
        while data := stream.recvFlags(BLOCK, _STOP_AT_HOLE if sparse else 0):
            if data == _AT_HOLE:
                count = stream.recvHole(0)
                for start in range(0, count, len(_ZEROS)):
                    found.update(memoryview(_ZEROS)[: count - start])
            else:
                found.update(data)
                count = len(data)
            moved(count)
    return found.hexdigest()


@contextlib.contextmanager
def _stream(connection: t.Any) -> t.Iterator[t.Any]:
    """A context with a stream, which is finished at its end, or aborted after an error."""
    stream = connection.newStream(0)
    try:
        yield stream
        stream.finish()
    except BaseException:
        with contextlib.suppress(Exception):  # the first error tells more
            stream.abort()
        raise


def _parts(file: int, size: int) -> t.Iterator[tuple[int, int, bool]]:
    """The beginning and end of each data part (False) and each hole (True) of *file*, in turn."""
    offset = 0
    hole = False
    while offset < size:
        try:
            end = min(os.lseek(file, offset, os.SEEK_DATA if hole else os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            end = size  # no data until the end
        if end > offset:
            yield offset, end, hole
        offset, hole = end, not hole
