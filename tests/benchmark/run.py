# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What things cost, each against its floor in the same run. Ratios count; seconds depend on the
machine.

run.py [--hosts 50] [--forks 20] [--rounds 5] [--fleet 1000]
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import io
import json
import os
import resource
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
    parser.add_argument("--fleet", type=int, default=1000, metavar="HOSTS")
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
            whole = backends(folder, arguments.hosts, arguments.forks, arguments.rounds)
            sys.path.insert(0, str(folder / "collections"))
            waiting(whole)
            libraries(whole)
            inventories(folder, arguments.rounds)
            bridge(folder / "lab" / "chr01.sock", folder)
            files(folder / "lab" / "chr01.sock")
            files_over_libvirt()
        finally:
            lab.terminate()
        fleet(folder, arguments.fleet)
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


def backends(folder: Path, hosts: int, forks: int, rounds: int) -> float:
    """The same script on each API's routers against routers on sockets, without what the server
    takes.

    Server and client share the processors of this machine: the server's processor time, over their
    number, is the part of the run that the client would not have with a server of its own. Returns
    the processor seconds of a script on sockets.
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
    return (floor or 0.0) / hosts * (os.cpu_count() or 1)


def waiting(whole: float, hosts: int = 12) -> None:
    """The same for XenAPI, where a script waits for a boot: processor time of the client alone, in
    a process for each host.

    *whole* is what Ansible and the client take for a script on sockets.
    """
    own: dict[str, float] = {}
    for kind in ("sockets", "xenapi"):
        with _server(kind, hosts) as (_process, inventory), tempfile.TemporaryDirectory() as run:
            guests = [_guest(name, host, Path(run)) for name, host in inventory.items()]
            if kind == "xenapi":  # a script comes with a start
                for guest in guests:
                    guest.shutdown("powerdown")
            guests[0].run(b":put 1", 10)  # logs in
            own[kind] = statistics.median(_processor_seconds_of(guest) for guest in guests[1:])
    print("A script that waits for a boot, in ms of the client's processor for each host:")
    for kind, seconds in own.items():
        ratio = (whole - own["sockets"] + seconds) / whole
        print(f"  {kind:<12}{seconds * 1000:8.1f}   with Ansible's own work {ratio:4.2f} x sockets")


def libraries(whole: float, blocks: int = 60, requests: int = 20) -> None:
    """What a request costs with a library, against the same request over the bare transport, in
    turns.

    Processor time of the client alone. *whole* is what Ansible and the client take for a script on
    sockets, in seconds.
    """
    print("The same request with a library and without it, in ms of the client's processor, and its part of a task:")
    for kind, ways in {"proxmox": _proxmox_requests, "xenapi": _xenapi_requests}.items():
        with _server(kind, 1) as (_process, inventory), tempfile.TemporaryDirectory() as run:
            ((name, host),) = inventory.items()
            guest = _guest(name, host, Path(run))
            bare, library = ways(guest)
            spent: dict[t.Callable[[], object], list[float]] = {bare: [], library: []}
            for _block in range(blocks):
                for request, seconds in spent.items():
                    began = time.process_time()
                    for _unused in range(requests):
                        request()
                    seconds.append((time.process_time() - began) / requests)
            floor, cost = (statistics.median(seconds) for seconds in spent.values())
            if kind == "xenapi":
                guest.shutdown("powerdown")
            count = _requests_of_a_script(name, host, Path(run))
        part = count * (cost - floor) / whole
        print(
            f"  {kind:<12}{floor * 1000:8.3f}{cost * 1000:8.3f}   {cost / floor:4.2f} x bare   "
            f"{part:+.1%} of a task with {count} requests"
        )


def inventories(folder: Path, rounds: int, vms: int = 1000) -> None:
    """The list of a hypervisor's VMs: how long it takes, and the processor time of the client and
    of the server, which shares the processors of this machine. Then ansible-inventory and its
    processor time, beside one that reads as many hosts from a file."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options

    hosts = {f"chr{number:04d}": {"chr_vm": str(number)} for number in range(vms)}
    (folder / "written.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    floor = _medians([_listing(folder, "written.yml") for _round in range(rounds)])
    print(f"The list of {vms} VMs, median of {rounds}, in ms; the goal is 2000 on 2 processors:")
    print(f"  {'backend':<12}{'run':>8}{'client':>8}{'server':>8}{'ansible-inventory':>20}{'its processor':>16}")
    print(f"  {'(a file)':<12}{'':24}{floor[0] * 1000:20.0f}{floor[1] * 1000:16.0f}")
    for kind in LISTED_KINDS:
        with _server(kind, 1, vms) as (process, inventory):
            ((_name, host),) = inventory.items()
            options = {
                key[4:]: value for key, value in host.items() if key.startswith("chr_") and key != "chr_exec_mode"
            }
            if place := options.pop("socket", None):
                options["sockets"] = [str(Path(place).parent)]
            source = server_from_options({**options, "runtime_directory": folder / "run"})
            list_vms(source, Deadline(60.0))  # logs in
            spent = []
            for _round in range(rounds):
                before = time.monotonic(), time.process_time(), _processor_seconds(process.pid)
                assert len(list_vms(source, Deadline(60.0))) > vms
                after = time.monotonic(), time.process_time(), _processor_seconds(process.pid)
                spent.append([end - begin for begin, end in zip(before, after, strict=True)])
            file = {"plugin": "outofband.chr.routers", "recognise": ["all"], **options}
            (folder / "fleet.chr.yml").write_text(json.dumps(file))
            whole = _medians([_listing(folder, "fleet.chr.yml", vms) for _round in range(rounds)])
        parts = "".join(f"{seconds * 1000:8.0f}" for seconds in _medians(spent))
        print(f"  {kind:<12}{parts}{whole[0] * 1000:20.0f}{whole[1] * 1000:16.0f}")


def _medians(rounds: t.Sequence[t.Sequence[float]]) -> list[float]:
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def _listing(folder: Path, file: str, at_least: int = 0) -> tuple[float, float]:
    """The seconds of ansible-inventory, and those of its processor time."""
    command = [Path(sys.executable).parent / "ansible-inventory", "-i", file, "--list"]
    places = {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections")}
    before = time.monotonic(), _of_children()
    done = subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, check=True)
    took = time.monotonic() - before[0], _of_children() - before[1]
    assert len(json.loads(done.stdout)["_meta"]["hostvars"]) >= at_least, done.stderr
    return took


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _proxmox_requests(guest: t.Any) -> tuple[t.Callable[[], object], t.Callable[[], object]]:
    """(a request over the transport, the same with proxmoxer)."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline

    api = guest._vm.api
    api.version(10.0)  # logs in
    headers = {"Accept": "application/json", **api._credentials("GET", api._ticket)}

    def bare() -> object:
        sent = ("GET /version", "GET", "/api2/json/version", None, headers)
        return json.loads(api._server.exchange(*sent, Deadline(10.0), 10.0).body)["data"]

    return bare, lambda: api.call(lambda pve: pve.version.get())


def _xenapi_requests(guest: t.Any) -> tuple[t.Callable[[], object], t.Callable[[], object]]:
    """(a request over the transport, the same with XenAPI)."""
    import xmlrpc.client

    from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline

    xapi, vm = guest._vm.xapi, guest._vm.ref  # logs in
    session = xapi._session
    server = xapi._server(session["host"])

    def bare() -> object:
        body = xmlrpc.client.dumps((session["ref"], vm), "VM.get_record").encode()
        sent = ("VM.get_record", "POST", "/", body, {"Content-Type": "text/xml"})
        return xmlrpc.client.loads(server.exchange(*sent, Deadline(10.0), 10.0).body)[0][0]["Value"]

    return bare, lambda: xapi.call("VM.get_record", vm)


def _requests_of_a_script(name: str, host: dict[str, t.Any], run: Path) -> int:
    """How many requests a new task sends for one script."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Https

    exchange, sent = Https.exchange, []
    try:
        Https.exchange = lambda *values: (sent.append(values[1]), exchange(*values))[1]  # type: ignore[method-assign]
        _guest(name, host, run).run(b":put 1", 10)
    finally:
        Https.exchange = exchange  # type: ignore[method-assign]
    return len(sent)


def _guest(name: str, host: dict[str, t.Any], run: Path) -> t.Any:
    """The guest of a host of the inventory."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
    from ansible_collections.outofband.chr.tests.lab.options import options_for

    options = {key[4:]: value for key, value in host.items() if key.startswith("chr_")}
    defaults = {"connect_timeout": 10.0, "exec_mode": "auto", "runtime_directory": run}
    return open_guest(options_for(vm=name, **{**defaults, **options}))


def _processor_seconds_of(guest: t.Any) -> float:
    """Return the processor time of one script, run in a process of its own, in seconds."""
    child = os.fork()
    if not child:
        guest.run(b":put 1", 10)
        os._exit(0)
    _pid, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


DEBUG = {"ansible.builtin.debug": {"msg": "x"}}
API_KINDS = ("sockets", "proxmox", "vmware")
LISTED_KINDS = ("sockets", "proxmox", "vmware", "xenapi", "libvirt")


@contextlib.contextmanager
def _server(kind: str, hosts: int, listed: int = 0) -> t.Iterator[tuple[subprocess.Popen[bytes], dict[str, t.Any]]]:
    """(the process of a hypervisor, its routers' variables)."""
    command = [sys.executable, "-m", "lab", "hypervisor", kind, "--count", str(hosts), "--listed", str(listed)]
    process = subprocess.Popen(command, cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
    finally:
        process.communicate()


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process and all that it started so far, in seconds."""
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


def fleet(folder: Path, hosts: int, forks: int = 50, rounds: int = 3) -> None:
    """The audit of many routers in one task, against the same in a task of each router, the bare
    protocol, and a playbook that asks no router.

    The lab's routers live in a process of their own on the same machine. Memory is the most that
    one process of Ansible took. A quarter of the routers shows how it grows. The variables have no
    templates, as the inventory plugin gives them; one row shows what a template in each costs.
    """
    from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import READ_SCRIPT

    home = folder / "fleet"
    command = [sys.executable, "-m", "lab", "serve", home, "--count", str(hosts)]
    lab = subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE)
    report = {"outofband.chr.license_report": {"dest": str(folder / "report"), "registered": "read"}, **ONCE}
    one_by_one = {"outofband.chr.license_info": None, "register": "read"}
    addresses = [home / f"chr{number:02d}.sock" for number in range(1, hosts + 1)]
    variables = {"ansible_connection": "outofband.chr.guest_agent", "chr_backend": "qemu"}
    routers = {path.stem: {**variables, "chr_socket": str(path)} for path in addresses}
    templates = {name: {**variables, "chr_socket": f"{home}/{{{{ inventory_hostname }}}}.sock"} for name in routers}
    quarter = dict(list(routers.items())[: hosts // 4])
    audit = "outofband.chr.license_audit"
    rows: list[tuple[str, dict[str, t.Any], t.Any, int]] = [
        ("no router is asked", routers, [{**DEBUG, **ONCE}] * 2, rounds),
        (f"license_info, forks {forks}", routers, [one_by_one, report], 1),
        ("license_audit", routers, audit, rounds),
        ("  with a template in each", templates, audit, rounds),
        (f"  of {len(quarter)} routers", quarter, audit, rounds),
    ]
    try:
        assert lab.stdout
        lab.stdout.readline()
        _bare_scripts(addresses, READ_SCRIPT.encode(), threads=8)  # warms up
        before = _processor_seconds(lab.pid)
        bare = [_seconds(lambda: _bare_scripts(addresses, READ_SCRIPT.encode(), threads=8)) for _round in range(rounds)]
        floor, server = statistics.median(bare), (_processor_seconds(lab.pid) - before) / rounds
        print(
            f"Licenses of {hosts} routers on sockets, and a report, median of {rounds}; the goal is 5 s on 2 processors:"
        )
        print(f"  {'':<28}{'s':>7}{'processor':>11}{'lab':>7}{'MiB':>7}")
        print(f"  {'the bare protocol':<28}{floor:7.2f}{'':>11}{server:7.2f}")
        for name, inventory, tasks, times in rows:
            found = [_audit(folder, inventory, tasks, forks, lab.pid) for _round in range(times)]
            wall, own, server, memory = (statistics.median(column) for column in zip(*found, strict=True))
            print(
                f"  {name:<28}{wall:7.2f}{own:11.2f}{server:7.2f}{memory / 1024:7.0f}   {wall / floor:5.1f} x the bare protocol"
            )
    finally:
        lab.terminate()
        lab.wait()


ONCE = {"run_once": True, "delegate_to": "localhost"}


def _audit(
    folder: Path, inventory: dict[str, t.Any], tasks: list[t.Any] | str, forks: int, server: int
) -> tuple[float, float, float, float]:
    """Run a playbook. Returns (seconds, processor seconds of Ansible and of *server*, KiB)."""
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": inventory}}))
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_HOME": str(folder / "home"),
    }
    playbook = str(Path(sys.executable).parent / "ansible-playbook")
    what = tasks if isinstance(tasks, str) else str(folder / "play.yml")
    command = [playbook, "-i", str(folder / "inventory.json"), "-f", str(forks), what]
    before, began = _processor_seconds(server), time.monotonic()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execve(playbook, [*command, "-e", f"license_audit_dest={folder}/report"], environment)
    _pid, status, usage = os.wait4(child, 0)
    assert status == 0, command
    wall = time.monotonic() - began
    return wall, usage.ru_utime + usage.ru_stime, _processor_seconds(server) - before, usage.ru_maxrss


def _bare_scripts(addresses: list[Path], source: bytes, threads: int) -> None:
    """Run a script on each agent, with nothing but the messages that this needs."""
    run = {"input-data": base64.b64encode(source).decode(), "capture-output": True}

    def one(address: Path) -> None:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(address))
            with channel.makefile("rb") as replies:

                def ask(command: str, arguments: dict[str, t.Any]) -> t.Any:
                    channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                    return json.loads(replies.readline())["return"]

                job = ask("guest-exec", run)
                while not ask("guest-exec-status", job)["exited"]:
                    time.sleep(0.004)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, addresses))


def bridge(address: Path, folder: Path, items: int = 1000) -> None:
    """A print through the API bridge by librouteros, against the script that prints the same
    records."""
    import librouteros

    from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
    from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.records import listing
    from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs
    from ansible_collections.outofband.chr.tests.lab.options import options_for

    options = options_for("qemu", "chr01", 10, "auto", folder / "cp", socket=str(address))
    guest = open_guest(options)
    lines = (f"add address=10.{one // 250}.{one % 250}.1/24 interface=ether1\n" for one in range(items))
    assert guest.run(f"/ip address\n{''.join(lines)}".encode(), 60).rc == 0
    run = runs.begin()
    began = time.perf_counter()
    access = client.start("chr01", options, 60.0, 600.0)
    opened = time.perf_counter() - began
    try:
        host, user, password = (access[key] for key in ("hostname", "username", "password"))
        api = librouteros.connect(host, user, password, port=access["port"], timeout=60)
        script = _seconds(lambda: guest.run(listing("/ip address").encode(), 60))
        printed = _seconds(lambda: list(api.path("ip", "address")))
        one = _seconds(lambda: guest.run(b":put [/system identity get name]", 60))
        small = _seconds(lambda: list(api.path("system", "identity")))
    finally:
        client.end(run, folder / "cp")
        guest.run(b"/ip address remove [find where !dynamic]", 60)
    print(f"The API bridge, opened in {opened:.2f} s (the process of a run is started once):")
    print(f"  {items} addresses          {printed:6.3f} s           {printed / script:4.2f} x the bare script")
    print(f"  one setting             {small * 1000:6.1f} ms          {small / one:4.2f} x the bare script")


def files(address: Path, size: int = 20_000_000) -> None:
    """put and get against the same chunks sent to the channel without any check."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import ChunkSize
    from ansible_collections.outofband.chr.tests.lab.options import options_for

    guest = open_guest(options_for("qemu", "chr01", 10, "auto", Path("/nonexistent"), socket=str(address)))
    content = os.urandom(size)
    direct = _seconds(lambda: _direct(address, content, ChunkSize.LIMIT))
    put = _seconds(lambda: guest.put(io.BytesIO(content), "bench.bin"))
    get = _seconds(lambda: guest.get("bench.bin", io.BytesIO()))
    print(f"A file of {size / 1e6:g} MB over a unix socket, the lab's own work included:")
    for what, seconds in (("direct writes", direct), ("put, verified", put), ("get", get)):
        print(f"  {what:<24} {size / 1e6 / seconds:6.1f} MB/s        {direct / seconds:4.2f} x direct")


def files_over_libvirt(size: int = 10_000_000) -> None:
    """put and get over a private libvirtd, against the same chunks sent to the domain's channel
    without it."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.guest import LibvirtGuest
    from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
    from ansible_collections.outofband.chr.tests.lab.options import options_for
    from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
    from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

    image = build_image(Path(os.environ.get("OUTOFBAND_LAB_CACHE", ROOT / ".build" / "lab")))
    content = os.urandom(size)
    with temporary_folder() as folder, Libvirtd(folder, image) as daemon:
        daemon.define("chr01", memory_mb=384)
        daemon.virsh("start", "chr01")
        guest = open_guest(options_for("libvirt", "chr01", 90, "auto", Path("/nonexistent"), libvirt_uri=daemon.uri))
        guest.ping()
        put = _seconds(lambda: guest.put(io.BytesIO(content), "bench.bin"))
        get = _seconds(lambda: guest.get("bench.bin", io.BytesIO()))
        channel = next(folder.rglob("org.qemu.guest_agent.0"))
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
