# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The programs that read and write disk images.

An image can be hostile, so each program runs with limits of its memory, its processor time and the
files that it writes.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message

MIB = 1024 * 1024
_SECONDS = 60.0
_MEMORY = 4 * 1024  # MiB of address space; qemu-img needs some 1 GiB of it for its threads
_WRITTEN = 256  # MiB of a file, if the caller does not say how large it will be
# Arguments: the address space in KiB, the seconds of processor time, and the blocks of 512 bytes of
# a file. A limit of this process that is lower stays.
_LIMITED = """\
lower() { now=$(ulimit -S "$1"); if [ "$now" = unlimited ] || [ "$now" -gt "$2" ]; then ulimit "$1" "$2"; fi; }
lower -v "$1" 2>/dev/null; lower -t "$2"; lower -f "$3"
shift 3
exec "$@"
"""


def program(name: str, debian: str, others: str) -> str:
    """Return the path of a program on the controller. Raises NotPossible if it is missing.

    *debian* and *others* (Fedora, RHEL) are the packages that contain it, for the message.
    """
    # Debian keeps programs for root in /usr/sbin and /sbin.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise NotPossible(
            f"{name} is needed on the controller and is not on PATH: install {debian} (Debian, "
            f"Ubuntu) or {others} (Fedora, RHEL)."
        )
    return found


def run_limited(
    command: list[str], *, seconds: float, writes: int = _WRITTEN * MIB, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program on an image, and return how it ended.

    It may take *seconds* and write files of at most *writes* bytes. *folder* is its working
    directory. Raises NotPossible if it does not end.
    """
    limits = [_MEMORY * 1024, math.ceil(seconds) + 1, math.ceil(writes / 512)]
    try:
        return subprocess.run(
            ["/bin/sh", "-c", _LIMITED, "sh", *map(str, limits), *command],
            cwd=folder,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        what = " ".join([Path(command[0]).name, *command[1:2]])
        raise NotPossible(f"{what} did not end within {seconds:g} s and was stopped.") from None


def qemu_img(*arguments: str, seconds: float = _SECONDS, writes: int = _WRITTEN * MIB) -> bytes:
    """Run ``qemu-img`` and return what it prints.

    *seconds* and *writes* are those of ``run_limited``. Raises NotPossible if it is missing or does
    not end, and InvalidInput if it fails.
    """
    command = [program("qemu-img", "qemu-utils", "qemu-img"), *arguments]
    done = run_limited(command, seconds=seconds, writes=writes)
    if done.returncode:
        said = message(done.stderr).removeprefix("qemu-img: ") or f"exit code {done.returncode}"
        raise InvalidInput(f"qemu-img {arguments[0]} failed: {said}.")
    return done.stdout
