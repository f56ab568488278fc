# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Lists the VMs of a machine with QEMU processes by the sockets of their agent channels.

One command looks for the sockets, for the processes of QEMU that listen on them, and for the files
of outofband.chr.qemu_vm beside them. No socket is connected to: QEMU serves one client at a time.

A VM is known by the path of its socket, which stays when the VM gets another name.
"""

from __future__ import annotations

import collections
from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .command_line import CommandLine, start_words
from .options import QemuServer

# The arguments are patterns. Each line of the output is the kind of a fact, and the fact: "host",
# "socket" and "listens" (a path), "notes" (of the last socket), "process" and "start" (a command
# line, in which \\001 stands for the ends of words and lines). A folder with "notes" of
# outofband.chr.qemu_vm is that of a VM, which has no socket while it is off.
_LIST = """\
one() {
    folder=${1%/*}
    printf 'socket %s\\n' "$1"
    [ "${1##*/}" = agent.sock ] && [ -f "$folder/notes" ] || return 0
    printf 'notes %s\\n' "$(head -n 1 "$folder/notes" | cut -c 1-300)"
    [ ! -f "$folder/start" ] || { printf 'start '; head -c 65536 "$folder/start" | tr '\\n' '\\001'; echo; }
}
echo "host $(uname -n)"
IFS=
for pattern; do
    for path in $pattern; do
        if [ -d "$path" ]; then
            for inner in "${path%/}"/*; do [ ! -S "$inner" ] || one "$inner"; done
        elif [ -S "$path" ]; then one "$path"
        fi
    done
    [ "${pattern##*/}" = agent.sock ] || continue
    for notes in ${pattern%/*}/notes; do
        [ ! -f "$notes" ] || [ -S "${notes%/notes}/agent.sock" ] || one "${notes%/notes}/agent.sock"
    done
done
grep -ls -e -chardev /proc/[0-9]*/cmdline | while read -r file; do
    printf 'process '; tr '\\n\\000' ' \\001' <"$file"; echo
done 2>/dev/null
sed -n 's/^[^ ]* [^ ]* [^ ]* 00010000 [^ ]* [^ ]* *[0-9]* /listens /p' /proc/net/unix 2>/dev/null
:
"""
_LONGEST = 64 * 1024  # characters of a command line


def list_vms(options: QemuServer, deadline: Deadline) -> list[FoundVm]:
    """The VMs whose agent channels match ``sockets``. The contract is in ``inventory.py``."""
    for pattern in options.sockets:
        if not pattern.startswith("/") or not pattern.isprintable():
            raise InvalidInput(f"sockets: {pattern!r} is not an absolute path, such as /run/routers/*.sock.")
    machine = Machine(options)
    argv = ["sh", "-c", _LIST, "sh", *options.sockets]
    done = machine.try_run(argv, seconds=max(deadline.remaining, 0.1), changes=False)
    if done.rc:
        raise ChrError(f"The sockets on {machine.name} cannot be listed (exit code {done.rc}): {done.said}")
    if deadline.expired:
        raise Unreachable(f"The sockets on {machine.name} were not listed within {deadline.seconds:g} s.")
    return _vms(done.stdout)


def _vms(output: str) -> list[FoundVm]:
    facts: dict[str, list[str]] = collections.defaultdict(list)
    sockets: dict[str, dict[str, str]] = {}
    for line in output.split("\n"):
        kind, _unused, value = line.partition(" ")
        if kind == "socket":
            sockets.setdefault(value, {})
        elif kind in ("notes", "start") and sockets:
            sockets[next(reversed(sockets))].setdefault(kind, value)
        else:
            facts[kind].append(value)
    running: dict[str, CommandLine] = {}
    for process in facts["process"]:
        told = CommandLine.parse(process[:_LONGEST].split("\x01"))
        running |= {_place(path): told for path in told.sockets}
    listening = {_place(path) for path in facts["listens"]}
    host = next(iter(facts["host"]), None)
    return [_vm(path, files, running, listening, host) for path, files in sockets.items()]


def _vm(
    path: str, files: dict[str, str], running: dict[str, CommandLine], listening: set[str], host: str | None
) -> FoundVm:
    place = _place(path)
    start = files.get("start", "").replace("\x01", "\n")
    told = running.get(place) or CommandLine.parse(start_words(start))
    return FoundVm(
        id=path,
        name=told.name or _file_name(path),
        power="on" if place in running or place in listening else "off",
        node=host,
        cpus=told.cpus,
        memory=told.memory,
        networks=tuple(card.network or "" for card in told.cards),
        mark=Mark.parse(files.get("notes")),
        variables={"chr_socket": path},
    )


def _place(path: str) -> str:
    """One text for the two paths that a socket below /run usually has."""
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _file_name(path: str) -> str:
    """The name of a VM whose process does not tell it: ``chr1`` of ``/run/chr1.agent.sock``."""
    file = PurePosixPath(path)
    name = file.name.partition(".")[0]
    return file.parent.name if name in ("agent", "qga", "ga", "") and file.parent.name else name
