# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Whom an API of a hypervisor is believed to be."""

from __future__ import annotations

import functools
import os
import ssl

from .errors import InvalidInput


@functools.cache
def context(validate_certs: bool, ca_path: str | None) -> ssl.SSLContext:
    """How the options chr_validate_certs and chr_ca_path (a file or a folder) check a server. Raises InvalidInput.

    Loading the system's authorities takes longer than a task, so a context is made once in a process and never changed.
    """
    if not validate_certs:
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        return unchecked
    if not ca_path:
        return _checking(None, None)
    path = os.path.expanduser(ca_path)  # noqa: PTH111 - a home that is missing is no error here
    try:
        folder = os.path.isdir(path)  # noqa: PTH112
        return _checking(None, path) if folder else _checking(path, None)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidInput(f"chr_ca_path {ca_path!r} cannot be used: {error.strerror or error}.") from error


def _checking(cafile: str | None, capath: str | None) -> ssl.SSLContext:
    """Python 3.13 also asks for extensions that a private authority, such as one made by ``openssl req -x509``, does not have."""
    made = ssl.create_default_context(cafile=cafile, capath=capath)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made
