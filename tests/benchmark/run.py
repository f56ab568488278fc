# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What things cost, each against its floor in the same run. Ratios count; seconds depend on the machine.

run.py [--hosts 50] [--forks 20] [--rounds 5]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chr-bench-") as temporary:
        folder = Path(temporary)
        collection = folder / "collections" / "ansible_collections" / "outofband" / "chr"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(ROOT)
        lab = subprocess.Popen(
            [sys.executable, "-m", "lab", "serve", folder / "lab", "--count", str(arguments.hosts)],
            cwd=ROOT / "tests",
            stdout=subprocess.PIPE,
        )
        try:
            assert lab.stdout
            lab.stdout.readline()
            tasks(folder, arguments.hosts, arguments.forks, arguments.rounds)
            backends(folder, arguments.hosts, arguments.forks, arguments.rounds)
            sys.path.insert(0, str(folder / "collections"))
            files(folder / "lab" / "chr01.sock")
            files_over_libvirt()
        finally:
            lab.terminate()
    return 0


def tasks(folder: Path, hosts: int, forks: int, rounds: int) -> None:
    """A script of no duration against ansible.builtin.debug, on the same hosts, in turns."""
    pair = [
        {"ansible.builtin.debug": {"msg": "x"}},
        {"outofband.chr.script": {"source": ":put 1"}, "changed_when": False},
    ]
    variables = {
        "ansible_connection": "outofband.chr.guest_agent",
        "chr_backend": "qemu",
        "chr_socket": f"{folder}/lab/{{{{ inventory_hostname }}}}.sock",
    }
    inventory = {f"chr{number:02d}": variables for number in range(1, hosts + 1)}
    began = _run(folder, inventory, pair * (rounds + 1), forks)
    seconds: dict[str, list[float]] = {}
    for (action, start), (_next, end) in list(zip(began, began[1:], strict=False))[2:]:  # the first pair warms up
        seconds.setdefault(action, []).append(end - start)
    floor = statistics.median(seconds["ansible.builtin.debug"])
    print(f"{hosts} hosts, forks {forks}, median of {rounds}, with the lab on the same machine:")
    for action, each in seconds.items():
        median = statistics.median(each)
        print(f"  {action:<24} {median / hosts * 1000:6.1f} ms per host   {median / floor:4.2f} x debug")


def backends(folder: Path, hosts: int, forks: int, rounds: int) -> None:
    """The same script on each API's routers against routers on sockets, without what the server takes.

    Server and client share the processors of this machine: the server's processor time, over their number, is the part of the
    run that the client would not have with a server of its own.
    """
    task = {"outofband.chr.script": {"source": ":put 1"}, "changed_when": False}
    print(f"A script on {hosts} hosts, forks {forks}, median of {rounds} runs in turns, in ms per host:")
    print(f"  {'backend':<12}{'run':>8}{'server':>8}{'apart':>8}")
    with contextlib.ExitStack() as running:
        servers = {kind: running.enter_context(_server(kind, hosts)) for kind in API_KINDS}
        apart: dict[str, list[tuple[float, float]]] = {kind: [] for kind in servers}
        for turn in range(rounds + 1):
            for kind, (process, inventory) in servers.items():
                before = _processor_seconds(process.pid)
                began = _run(folder, inventory, [task, DEBUG], forks)
                wall = began[1][1] - began[0][1]
                if turn:  # the first run logs in and finds out what the server takes
                    apart[kind].append((wall, (_processor_seconds(process.pid) - before) / (os.cpu_count() or 1)))
    floor = None
    for kind, measured in apart.items():
        wall = statistics.median(one for one, _server in measured)
        server = statistics.median(one for _wall, one in measured)
        floor = floor or wall - server
        ratio = (wall - server) / floor
        columns = "".join(f"{seconds / hosts * 1000:8.1f}" for seconds in (wall, server, wall - server))
        print(f"  {kind:<12}{columns}   {ratio:4.2f} x sockets")


DEBUG = {"ansible.builtin.debug": {"msg": "x"}}
API_KINDS = ("sockets", "proxmox", "vmware")


@contextlib.contextmanager
def _server(kind: str, hosts: int) -> t.Iterator[tuple[subprocess.Popen[bytes], dict[str, t.Any]]]:
    """(the process of a hypervisor, its routers' variables)."""
    command = [sys.executable, "-m", "lab", "hypervisor", kind, "--count", str(hosts)]
    process = subprocess.Popen(command, cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
    finally:
        process.communicate()


def _processor_seconds(pid: int) -> float:
    """Of a process and all that it started, so far."""
    own = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own / os.sysconf("SC_CLK_TCK") + sum(_processor_seconds(int(child)) for child in children)


def _run(folder: Path, inventory: dict[str, t.Any], tasks: list[t.Any], forks: int) -> list[tuple[str, float]]:
    """(action, time of its start in seconds) of each task of a playbook."""
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": inventory}}))
    pace = folder / "pace"
    pace.unlink(missing_ok=True)
    environment = os.environ | {
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "pace",
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "PACE_TO": str(pace),
    }
    playbook = Path(sys.executable).parent / "ansible-playbook"
    command = [playbook, "-i", folder / "inventory.json", "-f", str(forks), folder / "play.yml"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    began = [json.loads(line) for line in pace.read_text().splitlines()]
    return [(one[0], one[1]) for one in began]


def files(address: Path, size: int = 20_000_000) -> None:
    """put and get against the same chunks sent to the channel without any check."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.qga_guest import ChunkSize

    guest = open_guest(GuestOptions("qemu", "chr01", 10, "auto", Path("/nonexistent"), socket=str(address)))
    content = os.urandom(size)
    direct = _seconds(lambda: _direct(address, content, ChunkSize.LIMIT))
    put = _seconds(lambda: guest.put(io.BytesIO(content), "bench.bin"))
    get = _seconds(lambda: guest.get("bench.bin", io.BytesIO()))
    print(f"A file of {size / 1e6:g} MB over a unix socket, the lab's own work included:")
    for what, seconds in (("direct writes", direct), ("put, verified", put), ("get", get)):
        print(f"  {what:<24} {size / 1e6 / seconds:6.1f} MB/s        {direct / seconds:4.2f} x direct")


def files_over_libvirt(size: int = 10_000_000) -> None:
    """put and get over a libvirtd of our own, against the same chunks sent to the domain's channel without it."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
    from ansible_collections.outofband.chr.plugins.plugin_utils._guest.libvirt import LibvirtGuest
    from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
    from ansible_collections.outofband.chr.tests.lab.qemu.libvirtd import Libvirtd

    image = build_image(Path(os.environ.get("OUTOFBAND_LAB_CACHE", ROOT / ".build" / "lab")))
    content = os.urandom(size)
    with tempfile.TemporaryDirectory(prefix="chr-", dir="/tmp") as name, Libvirtd(Path(name), image) as daemon:
        daemon.define("chr01", memory_mb=384)
        daemon.virsh("start", "chr01")
        guest = open_guest(GuestOptions("libvirt", "chr01", 90, "auto", Path("/nonexistent"), libvirt_uri=daemon.uri))
        guest.ping()
        put = _seconds(lambda: guest.put(io.BytesIO(content), "bench.bin"))
        get = _seconds(lambda: guest.get("bench.bin", io.BytesIO()))
        channel = next(Path(name).rglob("org.qemu.guest_agent.0"))
        daemon.stop()  # it holds the channel; the domain goes on
        try:
            direct = _seconds(lambda: _direct(channel, content, LibvirtGuest.max_write))
        finally:
            daemon.start()
    print(f"A file of {size / 1e6:g} MB over libvirt, into a guest with an emulated CPU:")
    for what, seconds in (("direct writes", direct), ("put, verified", put), ("get", get)):
        print(f"  {what:<24} {size / 1e6 / seconds:6.1f} MB/s        {direct / seconds:4.2f} x direct")


def _seconds(work: t.Callable[[], object]) -> float:
    best = float("inf")
    for _unused in range(3):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def _direct(address: Path, content: bytes, chunk: int) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(address))
        replies = channel.makefile("rb")

        def call(command: str, **arguments: object) -> t.Any:
            channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            return json.loads(replies.readline())["return"]

        handle = call("guest-file-open", path="bench.bin", mode="w")
        for start in range(0, len(content), chunk):
            part = content[start : start + chunk]
            call("guest-file-write", handle=handle, **{"buf-b64": base64.b64encode(part).decode(), "count": len(part)})
        channel.sendall(
            b'{"execute":"guest-file-close","arguments":{"handle":%d}}\n{"execute":"guest-ping"}\n' % handle
        )
        replies.readline()


if __name__ == "__main__":
    sys.exit(main())
