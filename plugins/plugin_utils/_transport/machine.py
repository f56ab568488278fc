# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A machine on which programs are run: the controller, or another one through ssh."""

from __future__ import annotations

import functools
import shlex
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress, Source
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line

from . import programs
from .programs import Completed, Lost, NotStarted
from .ssh import SshMaster

_COMMAND = 120.0  # seconds for one command
_STALL = 60.0  # seconds without progress that end a transfer
# Arguments: the temporary file, the file, and its expected sha256. The exit status is 3 if it
# cannot be written, 4 if its sha256 differs, which is then printed, and 5 if another run has
# removed or replaced the temporary file. openssl comes first, because it is five times as fast on a
# processor with SHA instructions.
_RECEIVE = """\
umask 077
exec 3> "$1"
mine=$(ls -i -- "$1")
ours() { [ "$(ls -i -- "$1" 2>/dev/null)" = "$mine" ]; }
trap '! ours "$1" || rm -f "$1"' EXIT
cat >&3 || exit 3
ours "$1" || exit 5
for hash in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256'; do command -v ${hash%% *} >/dev/null && break; done
sum=$($hash "$1" | cut -c 1-64)
[ "$sum" = "$3" ] || { echo "$sum"; exit 4; }
ours "$1" || exit 5
mv -f "$1" "$2" && trap - EXIT
"""


class CommandFailed(ChrError):
    """A command ended with an error. Attribute ``done`` (Completed): how it ended."""

    def __init__(self, text: str, done: Completed) -> None:
        super().__init__(text)
        self.done = done


def _silent(_line: str) -> None:
    """Show nothing."""


class Machine:
    """Commands and files of one machine, as the user that logs in there.

    All errors are ChrError.
    """

    def __init__(self, options: SshOptions, say: t.Callable[[str], None] = _silent) -> None:
        """Use ssh_host and ssh_args of *options*. Raises InvalidInput.

        *say* is called with a line about a long transfer.
        """
        self._ssh = SshMaster.from_options(options)
        self.name = self._ssh.destination if self._ssh else "this machine"
        self._say = say

    def execute(self, argv: t.Sequence[str], stdin: bytes = b"", seconds: float = _COMMAND) -> Completed:
        """Run a program with exactly these arguments, and return how it ended.

        The arguments must not hold a secret.

        For callers that distinguish the failures: raises NotStarted; Unreachable when ssh
        could not connect; Lost when the program did not end within *seconds* or the connection was
        lost.
        """
        run = self._ssh.execute if self._ssh else programs.execute
        return run([str(one) for one in argv], stdin, Deadline(seconds))

    def try_run(
        self, argv: t.Sequence[str], *, stdin: bytes = b"", seconds: float = _COMMAND, changes: bool = True
    ) -> Completed:
        """As ``execute``, but all errors are ChrErrors.

        Raises Unreachable if the machine cannot be reached, NotPossible if it cannot run that
        program, and OutcomeUnknown if the end of the program was not seen (Unreachable if it
        *changes* nothing).
        """
        return self._ended(argv, lambda: self.execute(argv, stdin, seconds), changes)

    def run(self, argv: t.Sequence[str], *, stdin: bytes = b"", seconds: float = _COMMAND) -> str:
        """Run a program and return what it prints. Raises CommandFailed, and as ``try_run``."""
        done = self.try_run(argv, stdin=stdin, seconds=seconds)
        if done.rc:
            raise CommandFailed(f"{self.where(argv)} failed with exit code {done.rc}: {done.said}", done)
        return done.stdout

    def feed(self, argv: t.Sequence[str], source: Path, what: str, skip: int = 0) -> Completed:
        """As ``try_run``, with a file of the controller as standard input, sent block by block.

        The first *skip* bytes are left out. *what* names the file in the progress.
        """
        command = [str(one) for one in argv]
        run = self._ssh.feed if self._ssh else programs.feed
        with source.open("rb") as file:
            file.seek(skip)
            progress = Progress(self._say, f"{what} to {self.name}", source.stat().st_size - skip)
            return self._ended(argv, lambda: run(command, Source(file, progress), _STALL))

    def put(self, source: Path, sha256: str, dest: str) -> None:
        """Copy a file of the controller to *dest* (mode 0600), whole or not at all.

        The file's *sha256* is compared on the machine. Raises TransferFailed, and as ``try_run``.
        """
        done = self.feed(["sh", "-c", _RECEIVE, "sh", f"{dest}.part", dest, sha256], source, source.name)
        if done.rc == 4:
            raise TransferFailed(
                f"{dest} on {self.name} arrived with the sha256 {done.stdout.strip()}, not {sha256}; it was removed."
            )
        if done.rc == 5:
            raise TransferFailed(
                f"{dest}.part on {self.name} was removed or replaced by somebody else while it arrived."
            )
        if done.rc:
            raise TransferFailed(f"{dest} on {self.name} cannot be written: {done.said}. Nothing of it was left there.")

    def write(self, text: str, dest: str, old: str | None = None) -> None:
        """Write *text* to the file *dest* (mode 0600), whole or not at all.

        If *old* is given, it must be all that the file has. Raises ChrError if it is not,
        TransferFailed, and as ``try_run``.
        """
        script = 'umask 077; cat > "$1" && mv -f "$1" "$2"'
        arguments = [f"{dest}.part", dest]
        if old is not None:
            script = f'[ "$(cat "$2"; echo x)" = "$3x" ] || exit 4; {script}'
            arguments.append(old)
        done = self.try_run(["sh", "-c", script, "sh", *arguments], stdin=text.encode())
        if old is not None and done.rc == 4:
            raise ChrError(f"{dest} on {self.name} was removed or rewritten by somebody else meanwhile.")
        if done.rc:
            raise TransferFailed(f"{dest} on {self.name} cannot be written: {done.said}.")

    def read(self, path: str) -> str | None:
        """Return the text in the file *path*, or None if there is no such file."""
        done = self.try_run(["sh", "-c", '[ ! -e "$1" ] || { cat "$1" && echo x; }', "sh", path])
        if done.rc:
            raise CommandFailed(f"{path} on {self.name} cannot be read: {done.said}", done)
        return done.stdout[:-2] if done.stdout else None

    def free(self, folder: str) -> int:
        """Return the free bytes in the file system of *folder*.

        Raises CommandFailed if there is no such folder.
        """
        return int(self.run(["df", "-Pk", folder]).splitlines()[-1].split()[3]) * 1024

    def where(self, argv: t.Sequence[str]) -> str:
        """Describe a command on this machine, for messages."""
        return f"'{line(shlex.join(map(str, argv)), 300)}' on {self.name}"

    def _ended(self, argv: t.Sequence[str], run: t.Callable[[], Completed], changes: bool = True) -> Completed:
        where = self.where(argv)
        try:
            done = run()
        except NotStarted as error:
            if self._ssh:
                raise Unreachable(f"{where} was not run: {error}.") from None
            raise self._missing(argv[0], str(error)) from None
        except Lost as error:
            text = f"The end of {where} was not seen: {error}."
            if not changes:
                raise Unreachable(text) from None
            raise OutcomeUnknown(
                f"{text} Whether it did its work is unknown; it was not run again, and it may go on "
                "there. Look at it before you repeat it."
            ) from None
        if done.missing:
            raise self._missing(argv[0], done.said)
        return done

    def _missing(self, program: str, said: str) -> NotPossible:
        hint = "" if self._ssh else " Set chr_ssh_host if the hypervisor runs on another machine than the controller."
        return NotPossible(f"{self.name} cannot run {program}: {said}.{hint}")

    @functools.cached_property
    def home(self) -> str:
        """The home folder of the user on the machine."""
        return self.run(["sh", "-c", 'printf %s "$HOME"'])
