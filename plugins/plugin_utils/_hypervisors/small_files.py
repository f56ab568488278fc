# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Small text files that scripts write and read, for backends that transfer no files."""

from __future__ import annotations

import contextlib
import io
import time
import typing as t
from abc import abstractmethod

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    FileMissing,
    InvalidInput,
    ScriptFailed,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import (
    check_file_name,
    contents,
    look_up_script,
    looked_up,
    writing,
)

from .guest import Guest
from .transfer_limit import TransferLimit

LARGEST = 60 * 1024
"""The largest file in bytes: others have seen ``contents`` of about 60 KiB through the API."""
SCRIPT = 30.0  # seconds for one of the scripts
_SHOWS = 3.0  # seconds in which a file that was written must show


class SmallFiles(Guest):
    """A guest whose small text files are written by scripts, and read by them if it has output."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many bytes each script that writes a file may have."""

    @abstractmethod
    def write_by(self, script: bytes, *, secret: bool) -> None:
        """Run a *script* that writes a file. Raises ScriptFailed."""

    def check_content(self, source: t.BinaryIO, name: str) -> None:
        data = source.read(self.capabilities.small_files + 1)
        source.seek(0)
        instead = "Let the router fetch the file itself (/tool fetch)."
        if len(data) > self.capabilities.small_files:
            raise InvalidInput(
                f"The file for {name!r} has more than {self.capabilities.small_files} bytes. Backend {self.backend} transfers "
                f"no files: scripts write text of up to that size. Nothing was sent. {instead}"
            )
        try:
            plain = "\0" not in data.decode("utf-8")
        except UnicodeDecodeError:
            plain = False
        if not plain:
            raise InvalidInput(
                f"The file for {name!r} is not text in UTF-8. Backend {self.backend} transfers no files: scripts write text "
                f"only. Nothing was sent. {instead}"
            )

    def put(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        return self._write_file(source, name, limit or TransferLimit(), secret=False)

    def put_secret(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        return self._write_file(source, name, limit or TransferLimit(), secret=True)

    def _write_file(self, source: t.BinaryIO, name: str, limit: TransferLimit, *, secret: bool) -> int:
        check_file_name(name)
        self.check_content(source, name)
        data = source.read()
        limit.announced(len(data), f"The file for {name!r}")
        scripts, undo = writing(name, data, self.room)
        try:
            for script in scripts:
                limit.moved(0, repr(name))
                self.write_by(script, secret=secret)
        except ScriptFailed as error:
            raise TransferFailed(
                f"The router {self.vm!r} did not write the file {name!r}: {str(error).rstrip('.')}. It needs RouterOS 7.9 or "
                "later (/file add), and room for the file."
            ) from error
        finally:
            if undo:
                with contextlib.suppress(ChrError):
                    self.write_by(undo, secret=False)
        deadline = Deadline(_SHOWS)
        while (same := self.compare(name, io.BytesIO(data), limit)) is not True:
            if deadline.expired:
                now = "not there" if same is None else "there with other content"
                raise TransferFailed(f"The file {name!r} was written on {self.vm!r}, and is {now}. Look at the router.")
            time.sleep(0.5)
        return len(data)

    def compare(self, name: str, local: t.BinaryIO, limit: TransferLimit | None = None) -> bool | None:
        data = local.read(self.capabilities.small_files + 1)
        count, size = self._look_up(name)
        if not count or size != len(data):
            return False if count else None
        return self._contents(name, size) == data

    def get(self, name: str, target: t.BinaryIO, limit: TransferLimit | None = None) -> int:
        self.check_files(reading=True)
        check_file_name(name)
        count, size = self._look_up(name)
        if not count:
            raise FileMissing(f"The file {name!r} does not exist on {self.vm!r}.")
        (limit or TransferLimit()).announced(size, repr(name))
        if size > self.capabilities.small_files:
            raise TransferFailed(
                f"The file {name!r} on {self.vm!r} has {size} bytes, and backend {self.backend} reads files of up to "
                f"{self.capabilities.small_files} bytes. Let the router send the file itself (/tool fetch with upload=yes)."
            )
        target.write(self._contents(name, size))
        return size

    def _look_up(self, name: str) -> tuple[int, int]:
        """How many files have the *name*, and the size of the first in bytes."""
        output = self._output(look_up_script(name).decode(), SCRIPT)
        try:
            return looked_up(output)
        except ValueError:
            raise TransferFailed(f"The size of the file {name!r} on {self.vm!r} is not known.") from None

    def _contents(self, name: str, size: int) -> bytes:
        data = self.read(contents(name), SCRIPT)
        if len(data) != size:
            raise TransferFailed(
                f"The file {name!r} on {self.vm!r} has {size} bytes, and a script sees {len(data)} of them. It is probably not "
                "text. Let the router send the file itself (/tool fetch with upload=yes)."
            )
        return data
