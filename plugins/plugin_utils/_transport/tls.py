# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""TLS contexts for the hypervisors' APIs and for downloads."""

from __future__ import annotations

import functools
import os
import ssl

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput


@functools.cache
def context(validate_certs: bool, ca_path: str | None, option: str = "chr_ca_path") -> ssl.SSLContext:
    """Return the context for chr_validate_certs and chr_ca_path, a file or a folder.

    *option* is the name of that option in messages. Loading the system's authorities takes longer
    than a task, so a context is made once in each process and never changed. Raises InvalidInput.
    """
    if not validate_certs:
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        return unchecked
    if not ca_path:
        return _checking(None, None)
    path = os.path.expanduser(ca_path)  # noqa: PTH111 - a missing home folder must not be an error here
    try:
        folder = os.path.isdir(path)  # noqa: PTH112
        return _checking(None, path) if folder else _checking(path, None)
    except OSError as error:  # includes ssl.SSLError
        raise InvalidInput(f"{option} {ca_path!r} cannot be used: {error.strerror or error}.") from error


def _checking(cafile: str | None, capath: str | None) -> ssl.SSLContext:
    """Return a context that checks certificates, without the strictness that Python 3.13 adds.

    Python 3.13 asks for extensions that most private authorities lack (those of ``openssl req
    -x509``, for example).
    """
    made = ssl.create_default_context(cafile=cafile, capath=capath)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made
