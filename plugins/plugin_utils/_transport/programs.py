# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Programs that are run on this machine and waited for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message

_BLOCK = 1 << 20


class NotStarted(Exception):
    """The program was certainly not started; the text says why."""


class Lost(Exception):
    """The program was started, but its end was not seen; the text says why."""


@dataclass(frozen=True)
class Completed:
    """A program that ended."""

    rc: int
    output: bytes
    errors: bytes

    @property
    def missing(self) -> bool:
        """Whether a shell reported that the program does not exist, or may not be executed."""
        return self.rc in (126, 127)

    @property
    def stdout(self) -> str:
        """What it printed; bytes that are not UTF-8 are replaced."""
        return self.output.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Its error messages; bytes that are not UTF-8 are replaced."""
        return self.errors.decode("utf-8", "replace")

    @property
    def said(self) -> str:
        """What it said, for messages: at most 1000 characters, never empty."""
        return message(self.errors, 1000) or message(self.output, 1000) or "it printed nothing"


def execute(command: list[str], stdin: bytes, deadline: Deadline) -> Completed:
    """Run a program to its end. Raises NotStarted; Lost when it did not end before *deadline*."""
    with contextlib.ExitStack() as opened:
        given, output, errors = _scratch_file(opened, stdin), _scratch_file(opened), _scratch_file(opened)
        process = _start(command, stdin=given, stdout=output, stderr=errors)
        try:
            rc = process.wait(max(deadline.remaining, 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Lost(f"no answer within {deadline.seconds:g} s") from None
        return _completed(rc, output, errors)


def feed(command: list[str], source: Readable, stall: float) -> Completed:
    """Run a program to its end with *source* as standard input, sent block by block.

    If the program stops reading, its exit status decides. Raises NotStarted, and Lost when nothing
    was transferred for *stall* seconds.
    """
    with contextlib.ExitStack() as opened:
        output, errors = _scratch_file(opened), _scratch_file(opened)
        process = _start(command, stdin=subprocess.PIPE, stdout=output, stderr=errors)
        try:
            pipe = t.cast("t.BinaryIO", process.stdin)
            with contextlib.closing(pipe), contextlib.suppress(BrokenPipeError):
                os.set_blocking(pipe.fileno(), False)
                with contextlib.suppress(OSError, AttributeError):  # Linux only, and limited by the user's rights
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _BLOCK)
                while block := source.read(_BLOCK):
                    _write(pipe.fileno(), block, stall)
            rc = process.wait(stall)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise Lost(f"nothing moved for {stall:g} s") from None
        except OSError as error:
            raise Lost(f"what it was sent could not be read: {error}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return _completed(rc, output, errors)


def _scratch_file(opened: contextlib.ExitStack, content: bytes = b"") -> t.IO[bytes]:
    """Open a temporary file with *content*, at its start. Raises NotStarted."""
    try:
        file = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - *opened* closes it
        file.write(content)
        file.seek(0)
    except OSError as error:
        raise NotStarted(f"a temporary file cannot be written: {error}") from None
    return file


def _start(command: list[str], **streams: t.Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, bufsize=0, **streams)
    except OSError as error:
        raise NotStarted(str(error)) from None


def _completed(rc: int, output: t.IO[bytes], errors: t.IO[bytes]) -> Completed:
    output.seek(0)
    errors.seek(0)
    return Completed(rc, output.read(), errors.read())


def _write(pipe: int, block: bytes, stall: float) -> None:
    left = memoryview(block)
    while left:
        if not select.select([], [pipe], [], stall)[1]:
            raise TimeoutError
        left = left[os.write(pipe, left) :]
