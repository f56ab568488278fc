# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form of an upload to Proxmox VE."""

from __future__ import annotations

import io
from email.parser import BytesParser

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.multipart import Multipart


@pytest.mark.parametrize("block", [1, 7, 256 * 1024])
@pytest.mark.parametrize("content", [b"", b"\r\n--x\r\n", bytes(range(256)) * 40])
def test_a_form_has_the_length_that_it_says_and_every_byte_in_its_place(block, content):
    form = Multipart({"content": "import", "checksum": "00ff"}, "a.raw", io.BytesIO(content), len(content))
    body = b""
    while part := form.read(block):
        body += part
    assert len(body) == int(form.headers["Content-Length"])
    head = f"Content-Type: {form.headers['Content-Type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + body).get_payload()
    shown = [(one.get_param("name", header="content-disposition"), one.get_filename()) for one in parts]
    assert shown == [("content", None), ("checksum", None), ("filename", "a.raw")]
    assert b"\r\n\r\n" + content + b"\r\n--" in body
    assert body.endswith(b"--\r\n")
