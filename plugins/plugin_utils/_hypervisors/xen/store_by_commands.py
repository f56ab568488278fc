# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The way ``commands``: a shell script on dom0 with ``xenstore-read``, ``-write``, ``-watch``.

The shell script travels on standard input, but ``xenstore-write`` takes its value as an argument.
So a RouterOS script is in dom0's process list for a moment.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.programs import Lost, NotStarted

from . import vm_data
from .store import Busy, Domain, Follower, Moved, NotOurs, Seen, Store, StoreChange, StoreLost, StoreNode, StoreRefused

_TIMEOUT = 20.0  # seconds for a command that does not wait
_LONGEST_LOOK = 30.0  # seconds that dom0 waits for one change

# xenstore-ls -f, with -p: /path = "value"   (n0,r3)
_LINE = re.compile(r'(/[^ ]*) = "(.*)"(?:[ .]*\(((?:[nrwb]\d+,?)+)\))?')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}

_PROLOGUE = """\
PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin"
name() { xenstore-read "/local/domain/$1/name" 2>/dev/null; }
vm() { xenstore-read "/local/domain/$1/vm" 2>/dev/null; }
"""

# The loop runs once for each event. The first event tells that the watch is set, and then the
# changes are made. The loop ends when the nodes differ from the last time. The last line of the
# output says how often the status changed.
_FOLLOW = """\
look() { if name @DOMID@ >/dev/null; then xenstore-ls -f @PROVISION@ 2>/dev/null; else echo gone; fi; }
known=@KNOWN@
changes=0
changed=@CHANGED@
sh -c 'echo $$; exec timeout @SECONDS@ xenstore-watch @SCRIPT@ @releaseDomain' | {
    read -r watcher
    while read -r path; do
        if [ -z "$changed" ]; then
            changed=$(@CHANGE@)
            if [ "$changed" != done ]; then echo "$changed"; break; fi
            known=$(look)
            case "$known" in *'@STATUS@ = '*) break ;; esac # so quickly
            continue
        fi
        [ "$path" = @STATUS@ ] && changes=$((changes + 1))
        [ "$(look)" = "$known" ] || break
    done
    kill "$watcher" 2>/dev/null
    while read -r path; do
        [ "$path" = @STATUS@ ] && changes=$((changes + 1))
    done
    look
    echo "status changes: $changes"
}
"""


class CommandStore(Store):
    """Runs shell scripts on *machine*, which is dom0. *where* names it in messages."""

    mode = "commands"

    def __init__(self, machine: Machine, where: str) -> None:
        self._machine = machine
        self._where = where

    @classmethod
    def open(cls, machine: Machine, where: str) -> CommandStore:
        """Check that dom0 has the commands. Raises StoreLost, and the errors of ssh."""
        store = cls(machine, where)
        try:
            store.sh("xenstore-list /local/domain")
        except (StoreLost, StoreRefused) as error:
            raise StoreLost(f"xenstore-list on {where}: {error}", refused=True) from None
        return store

    def close(self) -> None:
        return

    def sh(self, script: str, timeout: float = _TIMEOUT) -> str:
        """Run a shell script on dom0 for at most *timeout* seconds, and return its output."""
        try:
            done = self._machine.execute(["sh", "-s"], (_PROLOGUE + script).encode(), timeout)
        except NotStarted as error:
            raise StoreLost(str(error), refused=True) from None
        except Lost as error:
            raise StoreLost(str(error)) from None
        if done.rc:
            raise StoreRefused(message(done.errors) or f"exit status {done.rc}")
        return done.output.decode("utf-8", "surrogateescape")

    def domains(self) -> list[Domain]:
        listed = self.sh(
            'for domid in $(xenstore-list /local/domain); do printf "%s\\t%s\\t%s\\n" $domid "$(vm $domid)" "$(name $domid)"; done'
        )
        found = []
        for line in listed.split("\n"):
            domid, vm, name = [*line.split("\t", 2), "", ""][:3]
            if name and re.fullmatch(r"[1-9][0-9]{0,8}", domid):
                found.append(Domain(int(domid), _plain(name), _plain(vm)))
        return found

    def domain(self, domid: int) -> Domain | None:
        vm, _tab, name = self.sh(f'printf "%s\\t%s" "$(vm {domid})" "$(name {domid})"').partition("\t")
        return Domain(domid, _plain(name), _plain(vm)) if name else None

    def tree(self, path: str) -> dict[str, str]:
        listed = self.sh(f"xenstore-ls -f {shlex.quote(path)} 2>/dev/null; true")
        return {where.removeprefix(f"{path}/"): value for where, value, _permissions in _lines(listed)}

    def nodes(self, domain: Domain) -> dict[str, StoreNode]:
        listed = self.sh(f"xenstore-ls -f -p {domain.path} 2>/dev/null; true")
        found = {}
        for where, value, permissions in _lines(listed):
            path = where.removeprefix(f"{domain.path}/")
            if path == vm_data.ROOT or path.startswith(f"{vm_data.ROOT}/"):
                found[path] = StoreNode(value, permissions)
        return found

    def change(
        self, domain: Domain, changes: t.Sequence[StoreChange], *, unless_busy: bool, script: t.Sequence[str] = ()
    ) -> None:
        _judge(self.sh(_changing(domain, changes, unless_busy, script)))

    def follow(self, domain: Domain, changes: t.Sequence[StoreChange]) -> Follower:
        return _CommandFollower(self, domain, changes)


class _CommandFollower(Follower):
    def __init__(self, store: CommandStore, domain: Domain, changes: t.Sequence[StoreChange]) -> None:
        self._store, self._domain = store, domain
        self._status_changes = 0
        self._known = "nothing yet"
        self._first: Seen | None = self._ask(changes, 0.3) if changes else None

    def look(self, timeout: float) -> Seen:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return self._ask((), min(timeout, _LONGEST_LOOK))

    def _ask(self, changes: t.Sequence[StoreChange], timeout: float) -> Seen:
        path = self._domain.path
        change = _changing(self._domain, changes, True)
        values = {
            "@DOMID@": str(self._domain.domid),
            "@PROVISION@": f"{path}/{vm_data.ROOT}/provision",
            "@SCRIPT@": f"{path}/{vm_data.SCRIPT}",
            "@STATUS@": f"{path}/{vm_data.STATUS}",
            "@KNOWN@": shlex.quote(self._known),
            "@CHANGED@": "''" if changes else "done",
            "@CHANGE@": change,
            "@SECONDS@": f"{max(timeout, 0.05):.2f}",
        }
        script = re.sub("|".join(values), lambda match: values[match[0]], _FOLLOW)
        output = self._store.sh(script, timeout + _TIMEOUT)
        body, _unused, count = output.rpartition("status changes: ")
        if changes and body.split("\n")[0] in _VERDICTS:
            _judge(body)
        count = count.strip()
        if not re.fullmatch(r"[0-9]{1,9}", count):
            raise StoreLost(f"xenstore-watch gave no answer ({message(output)})")
        self._known = body.rstrip("\n")
        self._status_changes += int(count)
        if body.startswith("gone"):
            return Seen({}, self._status_changes, gone=True)
        found = {where.removeprefix(f"{path}/"): value for where, value, _permissions in _lines(body)}
        return Seen(found, self._status_changes)

    def close(self) -> None:
        return


_VERDICTS = ("moved", "other", "busy", "failed")


def _changing(domain: Domain, changes: t.Sequence[StoreChange], unless_busy: bool, script: t.Sequence[str] = ()) -> str:
    """A shell script that carries out *changes* and prints ``done``, or one of _VERDICTS."""
    lines = [
        f'[ "$(vm {domain.domid})" = {shlex.quote(domain.vm)} ] && name {domain.domid} >/dev/null || {{ echo moved; exit; }}'
    ]
    if script:
        patterns = "|".join(shlex.quote(value) if value else "''" for value in script)
        there = f"{domain.path}/{vm_data.SCRIPT}"
        lines.append(
            f"value=$(xenstore-read {there} 2>/dev/null) || {{ echo other; exit; }}\n"
            f'case "$value" in {patterns}) ;; *) echo other; exit ;; esac'
        )
    if unless_busy:
        status = f"{domain.path}/{vm_data.STATUS}"
        lines.append(f'[ "$(xenstore-read {status} 2>/dev/null)" != running ] || {{ echo busy; exit; }}')
    for change in changes:
        path = shlex.quote(f"{domain.path}/{change.path}")
        if change.permissions is not None:
            made = f"{{ xenstore-exists {path} || xenstore-write {path} ''; }}"
            line = f"{made} && xenstore-chmod {path} {' '.join(change.permissions)}"
        elif change.value is not None:
            line = f"xenstore-write {path} {shlex.quote(change.value)}"
        else:
            line = f"{{ xenstore-rm {path} 2>/dev/null || true; }}"
        lines.append(f"{line} || {{ echo failed; exit; }}")
    return "\n".join([*lines, "echo done"])


def _judge(output: str) -> None:
    verdict = output.split("\n")[0]
    if verdict == "moved":
        raise Moved
    if verdict == "other":
        raise NotOurs
    if verdict == "busy":
        raise Busy
    if verdict != "done":
        raise StoreRefused("xenstore-write failed (is the value too large, or the store full?)")


def _lines(listed: str) -> t.Iterator[tuple[str, str, tuple[str, ...]]]:
    """The (path, value, permissions) of each node that xenstore-ls printed."""
    for line in listed.split("\n"):
        if match := _LINE.fullmatch(line.rstrip()):
            yield match[1], _plain(match[2]), tuple((match[3] or "").split(","))


def _plain(shown: str) -> str:
    """The value that the commands show, with other bytes as ``\\xE9`` (old versions: octal)."""

    def byte(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        if len(code) == 3:
            return chr(int(code, 8) & 0xFF)
        return _LETTERS.get(code, code)

    if "\\" not in shown:
        return shown
    data = _ESCAPE.sub(byte, shown.encode("utf-8", "surrogateescape").decode("latin-1"))
    return data.encode("latin-1").decode("utf-8", "surrogateescape")
