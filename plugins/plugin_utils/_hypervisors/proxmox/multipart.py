# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A form with a file in the form that pve-http-server accepts.

The boundary has no quotes, the file is the last part, and a line end follows the form.
"""

from __future__ import annotations

import io
import secrets

from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable


class Multipart:
    """A body that is read block by block, so that a file of any size needs no memory.

    *size*: the size of the file in bytes.
    """

    def __init__(self, fields: dict[str, str], name: str, file: Readable, size: int) -> None:
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="filename"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        tail = f"\r\n--{boundary}--\r\n"
        self._parts: list[Readable] = [io.BytesIO(head.encode()), file, io.BytesIO(tail.encode())]
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head.encode()) + size + len(tail)),
        }

    def read(self, size: int = -1) -> bytes:
        while self._parts:
            if block := self._parts[0].read(size):
                return block
            self._parts.pop(0)
        return b""
