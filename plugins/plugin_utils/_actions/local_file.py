# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import source

_UNFINISHED = ".outofband.part-"
"""How the names of temporary files begin."""
DIFF_LIMIT = 100_000
"""The largest content that a diff shows, in bytes."""


def find(action: ActionBase, option: str, name: str) -> Path:
    """Find the file *name* of *option* as ansible.builtin.script does. Raises InvalidInput."""
    try:
        return Path(action._find_needle("files", name))
    except AnsibleError:
        raise InvalidInput(
            f"{option} {name!r} was not found on the controller. It is searched for in files/ of the role or of the playbook's "
            "folder, then in these folders themselves."
        ) from None


def script(action: ActionBase, option: str, name: str) -> tuple[bytes, bool]:
    """Return the script in the file *name* of *option*, and whether it was encrypted.

    A vault is decrypted in memory, because a secret must not be in a temporary file. Raises
    InvalidInput.
    """
    path = find(action, option, name)
    try:
        content, plain = action._loader._get_file_contents(str(path))
    except (AnsibleError, OSError) as error:
        raise InvalidInput(f"{option} {name!r} cannot be read: {error}") from error
    return source.script(content, f"{option} {name!r}"), not plain


@contextlib.contextmanager
def replacing(dest: Path, mode: int | None = None) -> t.Iterator[t.BinaryIO]:
    """Write to a temporary file, which replaces *dest* at the end, whole or not at all.

    The folder of *dest* is made if it is missing, and what killed runs have left in it is removed.
    If *mode* is None, the new file has the mode of the one that it replaces, or 0600. Raises
    OSError.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(dest.parent)
    descriptor, beside = _temporary(dest.parent)
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
            target.flush()
            if mode is None and dest.exists():
                mode = dest.stat().st_mode & 0o777
            if mode is not None:
                Path(beside).chmod(mode)
            Path(beside).replace(dest)  # before the file is closed, which gives up its lock
    except BaseException:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise


def file_mode(value: object) -> int:
    """Convert ``"0640"``, or the number that YAML makes of 0640 without quotes, to a mode.

    Raises InvalidInput.
    """
    text = f"{value:o}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise InvalidInput(f"mode {text!r} is not a valid file mode of three octal digits, such as '0640'.")
    return int(text, 8)


def write_report(path: Path, content: str, mode: int, *, check_mode: bool) -> str | None:
    """Write a report to the file *path*, except in check mode.

    Returns its former content, or None if nothing has to be changed. Raises ChrError.
    """
    data = content.encode()
    try:
        before = path.read_bytes() if path.exists() else b""
        if before == data and path.stat().st_mode & 0o7777 == mode:
            return None
        if not check_mode:
            with replacing(path, mode) as target:
                target.write(data)
    except (OSError, ValueError) as error:
        raise ChrError(f"The report {str(path)!r} cannot be written: {error}.") from error
    return before.decode(errors="replace")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in *folder* that ``replacing`` has left because it was killed.

    Whoever still writes to one holds its lock, in this and in every other process.
    """
    for path in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another task was faster, or it is another user's
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb"):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _temporary(folder: Path) -> tuple[int, str]:
    """Make a temporary file in *folder* and lock it. Returns a descriptor and its path."""
    while True:
        descriptor, path = tempfile.mkstemp(dir=folder, prefix=_UNFINISHED)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another task took it for a leftover before it was locked


def shown_in_diff(content: bytes) -> str:
    """Return the *content* of a file for a diff, or a line about it if it is large or binary."""
    if len(content) > DIFF_LIMIT:
        return f"(more than {DIFF_LIMIT} bytes)\n"
    if b"\0" in content:
        return f"(binary, {len(content)} bytes, sha1 {hashlib.sha1(content, usedforsecurity=False).hexdigest()})\n"
    return str(to_text(content, errors="surrogate_or_replace"))
