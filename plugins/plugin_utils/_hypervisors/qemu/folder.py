# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The folder of a VM that ``qemu_vm`` made: what runs from there, and how it is started and ended.

It holds ``notes`` with the mark and ``start``, a shell script with the command line of QEMU. While
the VM runs, it also holds ``pid`` and the sockets. With systemd, a unit outside runs ``start``.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

# In all scripts, $1 is the VM's folder. A number in the file pid counts while that process has the
# file's name in its command line.
OURS = """\
ours() { pid=$(cat "$1/pid" 2>/dev/null) && { tr '\\0' '\\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF -- "$1/pid"; }
"""
END = f"""{OURS}
for signal in TERM KILL; do
    tries=0
    while [ $tries -lt 100 ] && ours "$1"; do
        [ $tries -gt 0 ] || kill -$signal "$pid"
        tries=$((tries + 1))
        sleep 0.1
    done
done
if ours "$1"; then echo "process $pid does not end" >&2; exit 1; fi
"""
_LOOK = f"""{OURS}
[ -e "$1" ] || exit 0
all=$(ls -A -- "$1/") || exit 1
[ -n "$all" ] || exit 0
if ours "$1"; then echo running; else echo stopped; fi
[ ! -e "$1/notes" ] || cat "$1/notes"
"""
_PROBE = f"""{OURS}
ours "$1"
"""


_ARGUMENTS = f"""{OURS}
! ours "$1" || tr '\\0' '\\n' <"/proc/$pid/cmdline"
"""


class QemuFolder:
    """The folder at *path* on *machine*.

    *root* is the folder that stands for / in the paths of systemd.
    """

    def __init__(self, machine: Machine, path: str, root: str = "") -> None:
        self.machine = machine
        self.path = path
        self.name = PurePosixPath(path).name
        self.unit = f"outofband-chr-{self.name}.service"
        self.unit_file = f"{root}/etc/systemd/system/{self.unit}"

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def sh(self, script: str, *arguments: str) -> str:
        """Run a shell script with the folder and *arguments*, and return what it prints."""
        return self.machine.run(["sh", "-c", script, "sh", self.path, *arguments])

    def look(self) -> tuple[str, str] | None:
        """The state of the VM, ``running`` or ``stopped``, and its notes. None without a folder."""
        looked = self.sh(_LOOK)
        state, _unused, notes = looked.partition("\n")
        return (state, notes) if looked else None

    def arguments(self) -> list[str]:
        """The arguments with which QEMU runs. Empty if it does not run."""
        return self.sh(_ARGUMENTS).splitlines()

    def start(self) -> None:
        """Start QEMU, with its unit if it has one. Raises ChrError."""
        unit = self.machine.try_run(["test", "-e", self.unit_file]).rc == 0
        started = self.machine.try_run(
            ["systemctl", "start", "--", self.unit] if unit else ["sh", self.file("start"), "-daemonize"]
        )
        title = f"QEMU on {self.machine.name}"
        if started.rc:
            look = f" 'journalctl -u {self.unit}' there has QEMU's words." if unit else ""
            raise ChrError(
                f"{self.name!r} was not switched on by {title}: {started.said}.{look} The "
                f"VM exists and is off, and the next run tries again. {self.file('start')} there "
                "has QEMU's command line."
            )
        if self.machine.try_run(["sh", "-c", _PROBE, "sh", self.path]).rc:
            raise NotPossible(f"{self.name!r} was switched on by {title}, but ended at once.")

    def stop(self) -> None:
        """End QEMU. systemd does not start it again. Raises CommandFailed."""
        self.sh(END)
