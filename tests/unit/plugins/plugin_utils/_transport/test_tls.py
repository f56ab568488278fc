# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers are believed, by real handshakes with certificates that openssl makes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._transport import tls


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority as ``openssl req -x509`` makes it (ca.pem) and what it signed
    (server.pem, with its key)."""
    folder = tmp_path_factory.mktemp("authority")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-addext", "subjectAltName=DNS:pve1.example.net"]
    signed = ["openssl", "x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    for command in (
        [*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=private authority"],
        [*new, *names, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=pve1"],
        [*signed, "-in", "server.csr", "-out", "server.pem", "-extfile", "names"],
    ):
        (folder / "names").write_text("basicConstraints=CA:FALSE\nsubjectAltName=DNS:pve1.example.net\n")
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def handshake(folder: Path, name: str, client: ssl.SSLContext) -> None:
    """Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with contextlib.suppress(OSError), server.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name):
            pass
    finally:
        theirs.close()
        thread.join()


def test_a_private_authority_needs_no_more_extensions_than_openssl_gives_it(authority):
    """Python 3.13 checks more by default, and refuses those of Proxmox VE and of most private
    authorities."""
    handshake(authority, "pve1.example.net", tls.context(True, str(authority / "ca.pem")))


@pytest.mark.parametrize(("name", "ca"), [("pve2.example.net", "ca.pem"), ("pve1.example.net", None)])
def test_another_name_and_an_authority_that_is_not_trusted_are_refused(authority, name, ca):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, name, tls.context(True, str(authority / ca) if ca else None))


def test_without_the_check_every_server_is_believed(authority):
    handshake(authority, "pve2.example.net", tls.context(False, None))
