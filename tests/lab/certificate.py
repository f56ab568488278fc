# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate for the lab's servers."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(path: Path, *names: str) -> None:
    """Make a self-signed certificate with its key in *path*.

    *names* are such as ``DNS:localhost`` and ``IP:127.0.0.1``.
    """
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(path), "-out", f"{path}.crt", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", f"subjectAltName={','.join(names)}"]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("a") as file:
        file.write(Path(f"{path}.crt").read_text())
