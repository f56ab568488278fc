# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A machine on which a hypervisor's own commands run: the controller itself, or another one through the OpenSSH client."""

from __future__ import annotations

import functools
import shlex
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.channels.base import ConnectError
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.channels.direct import UnixChannel
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.channels.ssh import SshChannel, execute, feed
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._progress import Progress, Source

_COMMAND = 120.0  # seconds for one command
_STALL = 60.0  # seconds in which a transfer must move
# Arguments: the file beside, the file, the sha256 that it must have. 3: it cannot be written; 4: it has another sha256, which is
# printed. openssl comes first, as it is five times as fast where the processor helps.
_RECEIVE = """\
umask 077
trap 'rm -f "$1"' EXIT
cat > "$1" || exit 3
for hash in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256'; do command -v ${hash%% *} >/dev/null && break; done
sum=$($hash "$1" | cut -c 1-64)
[ "$sum" = "$3" ] || { echo "$sum"; exit 4; }
mv -f "$1" "$2" && trap - EXIT
"""


class CommandFailed(GuestError):
    """A command ended with an error. Attribute ``done``: how."""

    def __init__(self, text: str, done: Completed) -> None:
        super().__init__(text)
        self.done = done


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    rc: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Its words, for messages."""
        return (self.stderr.strip() or self.stdout.strip() or "it printed nothing")[-1000:]


class Host:
    """Commands and files of one machine, as the user that logs in there. All errors are GuestError."""

    def __init__(self, options: GuestOptions, say: t.Callable[[str], None]) -> None:
        """*options*: ssh_host and ssh_args of the connection. *say* takes a line about a long transfer."""
        self.name = options.ssh_host or "this machine"
        self._connect_timeout = options.connect_timeout
        self._say = say
        self._ssh: SshChannel | None = None
        if options.ssh_host:
            nothing = UnixChannel(Path("/dev/null"))  # that is forwarded
            self._ssh = SshChannel(options.ssh_host, options.ssh_args, nothing, options.runtime_directory)

    def try_run(self, argv: t.Sequence[str], *, stdin: bytes = b"", seconds: float = _COMMAND) -> Completed:
        """Run a program with exactly these arguments, and return how it ended. Nothing secret belongs into them.

        Raises AgentNotThere where the machine is not reached, NotPossible without that program, OutcomeUnknown when it did not end
        within *seconds* or the connection was lost.
        """
        command = [str(one) for one in argv]
        run = self._ssh.run if self._ssh else execute
        return self._ended(command, lambda: run(command, stdin, Deadline(seconds)))

    def run(self, argv: t.Sequence[str], *, stdin: bytes = b"", seconds: float = _COMMAND) -> str:
        """What the program prints. Raises CommandFailed, and as ``try_run``."""
        done = self.try_run(argv, stdin=stdin, seconds=seconds)
        if done.rc:
            raise CommandFailed(
                f"'{shlex.join(argv)[:300]}' on {self.name} failed with exit code {done.rc}: {done.said}", done
            )
        return done.stdout

    def feed(self, argv: t.Sequence[str], source: Path, what: str, skip: int = 0) -> Completed:
        """As ``try_run``, with a file of the controller as standard input, from byte *skip* on, sent block by block.

        *what* names it in the progress.
        """
        command = [str(one) for one in argv]
        run = self._ssh.feed if self._ssh else feed
        with source.open("rb") as file:
            file.seek(skip)
            progress = Progress(self._say, f"{what} to {self.name}", source.stat().st_size - skip)
            return self._ended(command, lambda: run(command, Source(file, progress), _STALL))

    def put(self, source: Path, sha256: str, dest: str) -> None:
        """Copy a file of the controller to *dest* (mode 0600), whole or not at all: its *sha256* is computed there, too.

        Raises TransferFailed, and as ``try_run``.
        """
        done = self.feed(["sh", "-c", _RECEIVE, "sh", f"{dest}.part", dest, sha256], source, source.name)
        if done.rc == 4:
            raise TransferFailed(
                f"{dest} on {self.name} arrived with the sha256 {done.stdout.strip()}, not {sha256}; it was removed."
            )
        if done.rc:
            raise TransferFailed(f"{dest} on {self.name} cannot be written: {done.said}. Nothing of it was left there.")

    def write(self, text: str, dest: str) -> None:
        """Have *text* in the file *dest* (mode 0600), whole or not at all. Raises TransferFailed, and as ``try_run``."""
        script = 'umask 077; cat > "$1" && mv -f "$1" "$2"'
        done = self.try_run(["sh", "-c", script, "sh", f"{dest}.part", dest], stdin=text.encode())
        if done.rc:
            raise TransferFailed(f"{dest} on {self.name} cannot be written: {done.said}.")

    def read(self, path: str) -> str | None:
        """The text in the file *path*; None where there is none."""
        done = self.try_run(["sh", "-c", '[ ! -e "$1" ] || { cat "$1" && echo x; }', "sh", path])
        if done.rc:
            raise CommandFailed(f"{path} on {self.name} cannot be read: {done.said}", done)
        return done.stdout[:-2] if done.stdout else None

    def free(self, folder: str) -> int:
        """Bytes that are free where *folder* is. Raises CommandFailed where it is not there."""
        return int(self.run(["df", "-Pk", folder]).splitlines()[-1].split()[3]) * 1024

    def _ended(self, command: list[str], run: t.Callable[[], tuple[int, bytes, bytes]]) -> Completed:
        where = f"'{shlex.join(command)[:300]}' on {self.name}"
        try:
            status, output, errors = run()
        except ConnectError as error:
            raise AgentNotThere(f"{where} was not run: {error}.") from None
        except TimeoutError as error:
            raise OutcomeUnknown(
                f"{where} did not end: {error}. It may go on there; look at it before you repeat it."
            ) from None
        except OSError as error:
            raise self._missing(command[0], str(error)) from None
        done = Completed(status, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))
        if status == 127:
            raise self._missing(command[0], done.said)
        if status == 255 and self._ssh:
            raise OutcomeUnknown(f"{where} was not seen to end: {done.said}. Look at it before you repeat it.")
        return done

    def _missing(self, program: str, said: str) -> NotPossible:
        hint = "" if self._ssh else " Set chr_ssh_host where it is another machine than the controller."
        return NotPossible(f"{self.name} cannot run {program}: {said}.{hint}")

    @functools.cached_property
    def home(self) -> str:
        """The home of the user there."""
        return self.run(["sh", "-c", 'printf %s "$HOME"'])
