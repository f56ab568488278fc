# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a playbook on slices of an inventory, one slice on each of several nodes.

    python3 slices.py run --job job --playbook outofband.chr.license_renew node1 node2 node3
    python3 slices.py report runs/20261130-120000

For each slice, "run" starts "ansible-runner transmit | ssh NODE ansible-runner worker |
ansible-runner process". Both say for each router whether the playbook was done with it, also when a
node died in the middle. It needs Python's standard library, the programs of ansible-core and
ansible-runner, and ssh. The guide "Slices on several nodes" of the collection tells the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

OK, FAILED, UNKNOWN, NOT_BEGUN = "ok", "failed", "unknown", "not begun"
_RESULTS = {
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}
_ANY = tuple(_RESULTS.values())
_RUN = ("ok", "failed", "unreachable")
DONE_AFTER = {
    "Renew where that is needed": ("skipped",),
    "Try the account on one router": _RUN,
    "Renew the licenses of the others": _RUN,
}
"""Tasks of outofband.chr.license_renew with the results after which it is done with a router."""

DONE_FOR_ALL = ("Read the licenses of all routers",)
"""Tasks of outofband.chr.license_audit that work on all routers of a slice at once."""

# A node that goes away without a word is noticed after a minute.
_SSH = ("-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
# The end of the input ends the job on the node. Otherwise it would go on, unseen, after its
# connection is lost.
_WORKER = "{{ cat; kill 0; }} | {}"
_END_SECONDS = 30.0  # for ssh, after everything was received
_LONGEST_ARGUMENT = 131_071  # bytes, in Linux
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LIMIT = re.compile(r"-l|--lim")


class CannotRun(Exception):
    """Nothing was begun, or nothing can be reported; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What is known of one router.

    ``state`` is OK; FAILED; UNKNOWN: the playbook began on the router, and its end was not seen, or
    what the node sent cannot be read; or NOT_BEGUN when the last message came. ``task`` is the last
    task that is known of, ``under_way`` whether its result is missing, and ``msg`` the reason of a
    failure.
    """

    state: str
    task: str = ""
    under_way: bool = False
    msg: str = ""


def cut(hosts: list[str], count: int) -> list[list[str]]:
    """Cut hosts into slices as AWX does.

    Ordered by name, slice k of n has the hosts at the positions k, k + n, k + 2n, ... There are
    never more slices than hosts.
    """
    ordered = sorted(set(hosts))
    return [ordered[first::count] for first in range(min(count, len(ordered)))]


def exactly(host: str) -> str:
    """Return a pattern of Ansible that matches this host and no other one, see check_names.

    Ansible splits patterns at commas, colons and blanks, and gives other characters a meaning, too.
    """
    if _PLAIN.fullmatch(host):
        return host
    return "~" + "".join(one if _PLAIN.fullmatch(one) else f"\\U{ord(one):08x}" for one in host) + "\\Z"


def outcomes(
    hosts: list[str], events: list[dict[str, t.Any]], done_after: dict[str, tuple[str, ...]]
) -> dict[str, Outcome]:
    """Say what is known of each host of a slice from the events that came back, in their order.

    The last event of a job that came to its end has its statistics. Without them, a host is done
    only when a task of *done_after* has one of the results that are named there.
    """
    last: dict[str, Outcome] = {}
    done: dict[str, Outcome] = {}
    for_all: Outcome | None = None
    for event in events:
        data, kind = event.get("event_data", {}), event.get("event", "")
        host, task = data.get("host"), data.get("task") or ""
        if kind == "playbook_on_stats":
            return {name: _counted(name, data, last.get(name) or for_all) for name in hosts}
        if kind == "runner_on_start":
            last[host] = Outcome(UNKNOWN, task, under_way=True)
        elif kind in _RESULTS:
            result = _RESULTS[kind]
            bad = result in ("failed", "unreachable") and not data.get("ignore_errors")
            msg = str((data.get("res") or {}).get("msg", "")) if bad else ""
            last[host] = Outcome(FAILED if bad else UNKNOWN, task, msg=msg)
            if task in DONE_FOR_ALL and not bad:
                for_all = Outcome(OK, task)
            if result in done_after.get(task, ()):
                done[host] = Outcome(FAILED if bad else OK, task, msg=msg)
    return {name: done.get(name) or last.get(name) or Outcome(NOT_BEGUN) for name in hosts}


def _counted(name: str, stats: dict[str, t.Any], last: Outcome | None) -> Outcome:
    """What the statistics of a job that came to its end say of a host."""
    task, msg = (last.task, last.msg) if last else ("", "")
    counts = {word for word, numbers in stats.items() if isinstance(numbers, dict) and numbers.get(name)}
    if counts & {"failures", "dark"}:
        return Outcome(FAILED, task, msg=msg)
    if last and last.state == OK:
        return last
    if (stats.get("failures") or stats.get("dark")) and not counts & {"ok", "changed", "rescued", "ignored"}:
        return Outcome(NOT_BEGUN)  # the play was ended before its turn
    return Outcome(OK, task)


@dataclass(frozen=True)
class Slice:
    """One node's part of a run; ``folder`` has what the node sent."""

    node: str
    hosts: list[str]
    folder: Path

    @property
    def ended(self) -> bool:
        """Whether the job came to its end on the node: its exit status is the last that comes."""
        return (self.folder / "artifacts" / "rc").exists()

    @property
    def heard(self) -> Path:
        """A file that is there as soon as anything came from the node, readable or not."""
        return self.folder / "heard"

    def known(self, done_after: dict[str, tuple[str, ...]]) -> dict[str, Outcome]:
        """What is known of each host, see ``outcomes``."""
        events = self.events()
        if not events and not self.ended and self.heard.exists():
            return dict.fromkeys(self.hosts, Outcome(UNKNOWN))
        return outcomes(self.hosts, events, done_after)

    def events(self) -> list[dict[str, t.Any]]:
        """What came of the job's events, in their order."""
        found = []
        for file in (self.folder / "artifacts" / "job_events").glob("[0-9]*.json"):
            with contextlib.suppress(ValueError):  # it was being written when this machine stopped
                found.append(json.loads(file.read_text(encoding="utf-8")))
        return sorted(found, key=lambda event: int(event["counter"]))

    def said(self) -> str:
        """The last line that ssh or ansible-runner printed about it."""
        messages = self.folder / "messages.txt"
        if not messages.exists():
            return "it was not started"
        text = messages.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and "Permanently added" not in line]
        return lines[-1] if lines else "no message"


class Job:
    """The three programs of a slice, which is being run."""

    def __init__(self, slice_: Slice, transmit: list[str], worker: list[str]) -> None:
        slice_.folder.mkdir()
        messages = (slice_.folder / "messages.txt").open("wb")
        output = (slice_.folder / "output.txt").open("wb")
        reading, self._writing = os.pipe()  # kept open until the end, see _WORKER
        with messages, output, os.fdopen(reading) as stream:
            self._sender = subprocess.Popen(transmit, stdin=subprocess.DEVNULL, stdout=self._writing, stderr=messages)
            self._ssh = subprocess.Popen(worker, stdin=stream, stdout=subprocess.PIPE, stderr=messages)
            process = ["ansible-runner", "process", str(slice_.folder)]
            self._receiver = subprocess.Popen(process, stdin=subprocess.PIPE, stdout=output, stderr=messages)
        self._heard = slice_.heard
        self._carrier = threading.Thread(target=self._carry)
        self._carrier.start()

    def _carry(self) -> None:
        """Give what comes from the node to the receiver, and note that something came."""
        node, receiver = self._ssh.stdout, self._receiver.stdin
        assert node and receiver
        with contextlib.suppress(BrokenPipeError), contextlib.closing(node), contextlib.closing(receiver):
            while part := os.read(node.fileno(), 1 << 16):
                self._heard.touch()
                receiver.write(part)
                receiver.flush()

    def wait(self) -> None:
        """Return when everything was received, or nothing more can come."""
        if self._sender.wait() == 0:
            self._receiver.wait()
        os.close(self._writing)
        self._receiver.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._ssh.wait(_END_SECONDS)
        self._ssh.kill()
        self._ssh.wait()
        self._carrier.join()


def find_hosts(inventory: Path, pattern: str, limit: str) -> list[str]:
    """The hosts of a pattern, as ansible lists them. Raises CannotRun."""
    command = ["ansible", "--inventory", str(inventory), "--list-hosts", f"--limit={limit or 'all'}", "--", pattern]
    return _told(command, r"^ {4}(.+)$", "gave no hosts")


def check_names(inventory: Path, hosts: list[str]) -> None:
    """Refuse a host that no pattern can name without a group of the same name. Raises CannotRun.

    A plain name is that of the host for Ansible. A name with other characters is matched by an
    expression, which Ansible compares with the names of groups, too.
    """
    odd = [name for name in hosts if not _PLAIN.fullmatch(name)]
    graph = ["ansible-inventory", "--inventory", str(inventory), "--graph"]
    groups = _told(graph, r"@(.+):$", "gave no groups") if odd else []
    if both := sorted(set(odd).intersection(groups)):
        raise CannotRun(
            f"Nothing was begun, because {both[0]!r} is the name of a host and of a group, so a slice would have all hosts of "
            "the group. Rename one of them."
        )


def _told(command: list[str], expression: str, nothing: str) -> list[str]:
    """Return what a program of Ansible tells of the inventory.

    Raises CannotRun, which says that it did *nothing* if it failed.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found: list[str] = re.findall(expression, done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise CannotRun(f"Nothing was begun, because {shlex.join(command)} {nothing}. {done.stderr.strip()}")
    return found


def split(text: str, option: str) -> list[str]:
    """Split the value of an option into arguments. Raises CannotRun."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise CannotRun(f"Nothing was begun, because {option} cannot be split into arguments: {error}.") from error


def check_cmdline(arguments: argparse.Namespace) -> None:
    """Refuse a --limit for ansible-playbook, which that of the slice would replace unseen.

    Raises CannotRun.
    """
    file = arguments.job / "env" / "cmdline"
    given = bool(arguments.cmdline) or not file.is_file()
    text, option = (arguments.cmdline, "--cmdline") if given else (file.read_text(encoding="utf-8"), str(file))
    if any(map(_LIMIT.match, split(text, option))):
        raise CannotRun(f"Nothing was begun, because {option} has a --limit. Give it to this program as --limit.")


def run(arguments: argparse.Namespace) -> int:
    """Run a playbook on slices, and report. Raises CannotRun."""
    for program in ("ansible", "ansible-runner", "ssh"):
        if shutil.which(program) is None:
            raise CannotRun(f"Nothing was begun, because {program} is not in PATH. Install it on this machine.")
    check_cmdline(arguments)
    ssh_args = split(arguments.ssh_args, "--ssh-args")
    hosts = find_hosts(arguments.job / "inventory", arguments.hosts, arguments.limit)
    check_names(arguments.job / "inventory", hosts)
    parts = cut(hosts, len(arguments.nodes))
    limits = [",".join(map(exactly, part)) for part in parts]
    if max(map(len, limits)) > _LONGEST_ARGUMENT:
        raise CannotRun(
            "Nothing was begun, because a slice has more names than one argument takes (128 KiB). Use more nodes, or --limit."
        )
    folder = arguments.dest / time.strftime("%Y%m%d-%H%M%S")
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise CannotRun(f"Nothing was begun, because {folder} cannot be made: {error}.") from error
    described = [{"node": node, "hosts": part} for node, part in zip(arguments.nodes, parts, strict=False)]
    (folder / "slices.json").write_text(json.dumps(described) + "\n", encoding="utf-8")

    job = ["ansible-runner", "transmit", str(arguments.job), "--playbook", arguments.playbook]
    job += [f"--cmdline={arguments.cmdline}"] if arguments.cmdline else []
    ssh = ["ssh", *ssh_args, *_SSH, "--"]
    worker = shlex.join(["sh", "-c", _WORKER.format(arguments.worker)])
    waits = []
    for one, limit in zip(load(folder), limits, strict=True):
        print(f"{one.node}: {len(one.hosts)} hosts", flush=True)
        started = Job(one, [*job, f"--limit={limit}"], [*ssh, one.node, worker])
        waits.append(threading.Thread(target=started.wait))
        waits[-1].start()
    try:
        for wait in waits:
            wait.join()
    except KeyboardInterrupt:  # ssh and ansible-runner have it, too
        for wait in waits:
            wait.join()
    return report(folder, DONE_AFTER | dict.fromkeys(arguments.done_after, _ANY))


def load(folder: Path) -> list[Slice]:
    """The slices of a run. Raises CannotRun."""
    try:
        described = json.loads((folder / "slices.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotRun(f"{folder} is not the folder of a run: {error}.") from error
    return [Slice(one["node"], one["hosts"], folder / str(number)) for number, one in enumerate(described, 1)]


def report(folder: Path, done_after: dict[str, tuple[str, ...]]) -> int:
    """Print and write what is known of each router; return the exit status. Raises CannotRun."""
    routers: dict[str, dict[str, t.Any]] = {}
    for one in load(folder):
        events, found = one.events(), one.known(done_after)
        routers |= {name: {"node": one.node, **asdict(outcome)} for name, outcome in found.items()}
        print(f"{one.node}: {_numbers(outcome.state for outcome in found.values())}")
        if not one.ended:
            last = f"Its last event was at {events[-1]['created'][:19]} UTC" if events else "No event came"
            print(f"  The job of {one.node} did not come to an end here ({one.said()}). {last}.")
            print(f"  Before you run it again, make sure that {one.node} is off, or that its job has ended.")
    for name, router in sorted(routers.items()):
        if router["state"] in (FAILED, UNKNOWN):
            where = (
                f"{'no result of' if router['under_way'] else 'last result:'} {router['task']!r} on {router['node']}"
            )
            where = where if router["task"] else f"what {router['node']} sent cannot be read"
            print(f"{name}: {router['state']}; {where} {router['msg']}".rstrip())
    untouched = sorted(name for name, router in routers.items() if router["state"] == NOT_BEGUN)
    if untouched:
        print(f"not begun: {', '.join(untouched)}")
    print(f"all: {_numbers(router['state'] for router in routers.values())}")

    rest = sorted(name for name, router in routers.items() if router["state"] != OK)
    (folder / "routers.json").write_text(json.dumps(routers, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "rest.txt").write_text("".join(f"{exactly(name)}\n" for name in rest), encoding="utf-8")
    print(f"All routers: {folder}/routers.json" + (f"; those to run again: --limit @{folder}/rest.txt" if rest else ""))
    states = {router["state"] for router in routers.values()}
    return 4 if states & {UNKNOWN, NOT_BEGUN} else 2 if FAILED in states else 0


def _numbers(states: t.Iterable[str]) -> str:
    found = list(states)
    counts = {state: found.count(state) for state in (OK, FAILED, UNKNOWN, NOT_BEGUN)}
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number)


def main() -> int:
    """Return the exit status."""
    status = "exit status: 0 all routers are done, 1 nothing was begun, 2 some failed, 4 some are unknown or not begun"
    parser = argparse.ArgumentParser(description="Run a playbook on slices of an inventory on several nodes.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("run", help="run a playbook, one slice on each node, and report", epilog=status)
    new.add_argument("--job", type=Path, required=True, help="ansible-runner's private data directory")
    new.add_argument("--playbook", required=True, help="for example outofband.chr.license_renew")
    new.add_argument("--hosts", default="all", metavar="PATTERN", help="what is cut into slices; default: all")
    new.add_argument("--limit", default="", metavar="PATTERN", help="a part of them, or @FILE with their names")
    new.add_argument("--cmdline", default="", help="arguments for ansible-playbook, instead of env/cmdline")
    new.add_argument("--dest", type=Path, default=Path("runs"), help="gets a folder for the run; default: runs")
    new.add_argument("--ssh-args", default="", help="arguments for ssh")
    new.add_argument("--worker", default="ansible-runner worker", help="the command on a node; default: %(default)s")
    new.add_argument("nodes", nargs="+", metavar="NODE", help="the destination for ssh")
    old = commands.add_parser("report", help="say again what is known of a run", epilog=status)
    old.add_argument("folder", type=Path)
    for command in (new, old):
        command.add_argument(
            "--done-after",
            action="append",
            default=[],
            metavar="TASK",
            help="the playbook's last task on a router: its result counts although the job broke off; may be repeated",
        )
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            return run(arguments)
        return report(arguments.folder, DONE_AFTER | dict.fromkeys(arguments.done_after, _ANY))
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
