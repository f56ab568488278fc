# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only the bridge has: an agent behind it that is slow, silent or gone, and an end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import librouteros
import pytest
from librouteros.connections import SocketTransport
from librouteros.exceptions import FatalError, LibRouterosError, TrapError
from librouteros.protocol import ApiProtocol

from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches
from ansible_collections.outofband.chr.tests.lab.xen.host import Domain, XenHost

LISTS = "/ip/firewall/address-list"


def connected(access: dict[str, t.Any]) -> librouteros.Api:
    """A client of the endpoint."""
    return librouteros.connect(
        access["hostname"], access["username"], access["password"], port=access["port"], timeout=30
    )


class Bridged(t.NamedTuple):
    """A router, its agent, and the way to it."""

    router: Router
    agent: LabRouter
    access: dict[str, t.Any]
    name: str
    folder: Path

    def connect(self) -> librouteros.Api:
        return connected(self.access)

    def executed(self) -> list[str]:
        """The commands that came to the agent since the last call, without those that ask for the
        end of a script."""
        log = [one for one in self.agent.agent.log if one != "guest-exec-status"]
        self.agent.agent.log.clear()
        return log


@pytest.fixture
def bridged(bridges: Path) -> Iterator[t.Callable[..., Bridged]]:
    """Open the bridge of a lab router: ``bridged("chr1", timeout=2.0, mute=("guest-exec",))``."""
    with contextlib.ExitStack() as running:

        def start(name: str, timeout: float = 20.0, idle_timeout: float = 600.0, **switches: t.Any) -> Bridged:
            router = Router(identity=name)
            agent = LabRouter(router, f"unix:{bridges / name}", Switches(**switches)).start()
            running.callback(agent.stop)
            options = options_for(
                "qemu", vm=name, socket=str(bridges / name), runtime_directory=bridges, connect_timeout=2
            )
            access = client.start(name, options, timeout, idle_timeout)
            running.callback(client.stop, name, bridges, timeout)
            return Bridged(router, agent, access, name, bridges)

        yield start


def test_a_command_costs_the_router_no_more_than_one_script(bridged):
    """Cost: at most 2 agent exchanges beyond what one script needs."""
    one = bridged("chr1")
    api = one.connect()
    list(api.path("system", "identity"))
    per_script = len(one.executed())
    assert per_script <= 3  # a sync, what the agent is, and the script
    list(api.path("ip", "address"))
    once = one.executed()
    assert once.count("guest-exec") == 1
    for command, words in (
        (f"{LISTS}/add", {"list": "a", "address": "192.0.2.1"}),
        (f"{LISTS}/set", {".id": "*1", "comment": "x"}),
        ("/interface/set", {".id": "ether1", "comment": "x"}),
        (f"{LISTS}/remove", {".id": "*1"}),
    ):
        tuple(api(command, **words))
        assert one.executed() == once, command


def test_an_agent_that_dies_in_the_middle_of_a_print_is_a_trap(bridged):
    one = bridged("chr1", timeout=3.0)
    api = one.connect()
    list(api.path("system", "identity"))
    one.agent.switches.hang_up_on = ("guest-exec-status",)
    start = time.monotonic()
    with pytest.raises(LibRouterosError):
        list(api.path("ip", "address"))
    assert time.monotonic() - start < 20
    one.agent.switches.hang_up_on = ()
    assert list(api.path("system", "identity")) == [{"name": "chr1"}]


def test_a_change_whose_end_is_not_seen_is_a_trap_and_is_not_repeated(bridged):
    one = bridged("chr1", timeout=2.0)
    api = one.connect()
    one.agent.switches.mute = ("guest-exec",)  # it is carried out, and the answer is lost
    with pytest.raises(TrapError):
        api.path("ip", "firewall", "address-list").add(list="a", address="192.0.2.1")
    one.agent.switches.mute = ()
    one.agent.agent.log.clear()
    assert [row["address"] for row in api.path("ip", "firewall", "address-list")] == ["192.0.2.1"]
    assert one.executed().count("guest-exec") == 1


def test_a_router_that_reboots_under_a_command_ends_it(bridged):
    one = bridged("chr1", timeout=2.0, boot_seconds=0.3)
    api = one.connect()
    api.path("system", "script").add(name="slow", source=":delay 3s")
    threading.Timer(0.5, lambda: one.agent._power("reboot")).start()
    with pytest.raises(LibRouterosError):
        tuple(api("/system/script/run", **{".id": "slow"}))
    assert list(api.path("system", "identity")) == [{"name": "chr1"}]


def test_the_end_of_the_router_that_a_client_orders_is_told(bridged):
    one = bridged("chr1", timeout=5.0)
    api = one.connect()
    with contextlib.suppress(FatalError):  # it need not answer any more
        tuple(api("/system/shutdown"))
    time.sleep(0.2)
    with pytest.raises((LibRouterosError, OSError)):
        list(one.connect().path("system", "identity"))


def test_a_router_that_goes_down_without_an_answer_ends_the_session_in_plain_words(bridged):
    one = bridged("chr1", timeout=2.0)
    api = one.connect()
    one.agent.switches.mute = ("guest-exec",)
    with pytest.raises(FatalError, match="^session terminated: the router goes down$"):
        tuple(api("/system/reboot"))


def test_a_router_that_is_away_is_a_trap_with_the_reason(bridged):
    one = bridged("chr1")
    api = one.connect()
    one.agent.stop()
    with pytest.raises(TrapError, match="no such file|nobody listens|was not reached|refused"):
        list(api.path("system", "identity"))
    one.agent.start()
    assert list(api.path("system", "identity")) == [{"name": "chr1"}]


def test_commands_of_several_clients_run_one_after_the_other(bridged):
    one = bridged("chr1")
    apis = [one.connect() for _unused in range(4)]
    apis[0].path("system", "script").add(
        name="count",
        source=":global n; :set n ($n + 1); :local m $n; :delay 0.2s; :if ($m != $n) do={ :error overlap }",
    )
    one.router.globals["n"] = 0
    failed: list[Exception] = []

    def work(api: librouteros.Api) -> None:
        try:
            tuple(api("/system/script/run", **{".id": "count"}))
        except LibRouterosError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert one.router.globals["n"] == 4


def slow(one: Bridged, seconds: int) -> librouteros.Api:
    """Begin a script that takes so long, and return the client that waits for it."""
    api = one.connect()
    api.path("system", "script").add(name="slow", source=f":delay {seconds}s")
    api.protocol.writeSentence("/system/script/run", "=.id=slow")
    deadline = time.monotonic() + 10
    while not int(str(one.router.items("system script")[0].value("run-count"))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return api


@pytest.mark.parametrize("commands", [1, 300])
def test_what_a_client_had_not_begun_is_not_run_after_it_left(bridged, commands):
    one = bridged("chr1")
    leaving = one.connect()
    waiting = slow(one, 3)
    for number in range(commands):
        leaving.protocol.writeSentence("/system/identity/set", f"=name=late {number}")
    leaving.close()
    waiting.readResponse()
    assert list(waiting.path("system", "identity")) == [{"name": "chr1"}]  # it waited behind them


def test_nothing_that_waits_is_begun_after_its_own_client_left(bridged):
    one = bridged("chr1")
    leaving = slow(one, 2)
    for number in range(300):
        leaving.protocol.writeSentence("/system/identity/set", f"=name=late {number}")
    leaving.close()
    assert list(one.connect().path("system", "identity")) == [{"name": "chr1"}]
    assert list(one.connect().path("system", "identity")) == [{"name": "chr1"}]


def test_no_further_command_runs_for_a_client_that_does_not_read(bridged):
    one = bridged("chr1")
    one.router.run(f'/system note set note="{"n" * 800_000}"')
    with socket.create_connection((one.access["hostname"], one.access["port"]), timeout=10) as silent:
        protocol = ApiProtocol(SocketTransport(silent), "utf-8")
        protocol.writeSentence("/login", "=name=bridge", f"=password={one.access['password']}")
        assert protocol.readSentence() == ("!done", ())
        for _unused in range(60):
            protocol.writeSentence("/system/note/print")
        time.sleep(3)
        run = 0
        while more := one.executed().count("guest-exec"):
            run += more
            time.sleep(3)
        assert 0 < run < 60
        # The end of the bridge is the end of the connection, too.
        client.stop(one.name, one.folder, 20.0)
        local = f"0100007F:{one.access['port']:04X}"
        fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        assert not [field for field in fields if field[1] == local and field[3] == "01"]


def test_a_router_that_is_busy_at_its_end_keeps_no_other_waiting(bridged):
    busy = bridged("chr1")
    other = bridged("chr2")
    slow(busy, 6)
    stopping = threading.Thread(target=client.stop, args=(busy.name, busy.folder, 20.0))
    stopping.start()
    time.sleep(0.2)
    start = time.monotonic()
    options = options_for(
        "qemu", vm="chr2", socket=str(other.folder / "chr2"), runtime_directory=other.folder, connect_timeout=2
    )
    assert client.start("chr2", options, 20.0, 600.0) == other.access
    assert client.stop("chr2", other.folder, 20.0)
    assert time.monotonic() - start < 4
    assert stopping.is_alive()  # a command that runs ends first
    stopping.join()


def test_an_item_may_have_a_number_as_its_name(bridged):
    one = bridged("chr1")
    api = one.connect()
    scripts = api.path("system", "script")
    scripts.add(name="a", source="")
    scripts.add(name="0", source="")
    scripts.update(**{".id": "0", "source": "changed"})
    assert [(row["name"], row.get("source", "")) for row in scripts] == [("a", ""), (0, "changed")]
    with pytest.raises(TrapError, match="no such item"):
        scripts.update(**{".id": "1", "source": "changed"})
    addresses = api.path("ip", "address")
    addresses.add(address="192.0.2.1/24", interface="ether1")
    for number in ("0", "*1,1"):  # in a script, it would be a place in the list
        with pytest.raises(TrapError, match="no such item"):
            addresses.update(**{".id": number, "comment": "changed"})
    assert not [row for row in addresses if "comment" in row]


@pytest.fixture
def listed(bridges: Path, xen: XenHost) -> Iterator[tuple[Domain, librouteros.Api]]:
    """A router whose agent shows little at once, with 30 addresses in a list, and a client."""
    domain = xen.domain(f"listed{len(xen.domains)}")
    domain.router.run("".join(f"{LISTS.replace('/', ' ')} add list=a address=192.0.2.{n}\n" for n in range(30)))
    options = options_for("xenstore", vm=domain.name, socket=str(xen.daemon.socket), runtime_directory=bridges)
    access = client.start(domain.name, options, 20.0, 600.0)
    with contextlib.closing(connected(access)) as api:
        yield domain, api
    client.stop(domain.name, bridges, 20.0)


def begun(domain: Domain, scripts: int) -> None:
    """Wait until the router has run so many scripts that read the list."""
    deadline = time.monotonic() + 30
    while len([one for one in domain.log if "print" in one]) < scripts and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_menu_that_changes_while_it_is_read_in_several_scripts_lacks_no_item(listed):
    domain, api = listed

    def change() -> None:
        begun(domain, 2)
        domain.router.run(f"{LISTS.replace('/', ' ')} remove *1")

    changing = threading.Thread(target=change)
    changing.start()
    rows = list(api.path("ip", "firewall", "address-list"))
    changing.join()
    assert [row["address"] for row in rows] == [f"192.0.2.{n}" for n in range(1, 30)]


def test_the_rest_of_a_menu_is_not_read_for_a_client_that_left(listed):
    domain, api = listed
    api.protocol.writeSentence(f"{LISTS}/print")
    begun(domain, 2)
    api.close()
    time.sleep(3)
    assert 2 <= len([one for one in domain.log if "print" in one]) <= 4


def test_a_switch_about_passwords_is_not_hidden_in_errors(bridged):
    api = bridged("chr1").connect()
    with contextlib.suppress(TrapError):  # the lab's routers lack it
        tuple(api("/ppp/profile/set", **{".id": "*0", "use-encryption": False}))
    with pytest.raises(TrapError, match="no such item"):
        api.path("system", "script").remove("*99")


def test_the_same_bridge_is_returned_again_until_it_is_stopped(bridged):
    one = bridged("chr1")
    options = options_for(
        "qemu", vm="chr1", socket=str(one.folder / "chr1"), runtime_directory=one.folder, connect_timeout=2
    )
    assert client.start("chr1", options, 20.0, 600.0) == one.access
    assert client.stop("chr1", one.folder, 20.0)
    assert not client.stop("chr1", one.folder, 20.0)
    with pytest.raises(ConnectionRefusedError):
        one.connect()
    assert client.start("chr1", options, 20.0, 600.0)["password"] != one.access["password"]


def test_a_name_that_means_another_vm_now_gets_another_bridge(bridged):
    """Host variables can change during a run."""
    one, other = bridged("chr1"), bridged("chr2")
    options = options_for(
        "qemu", vm="chr2", socket=str(one.folder / "chr2"), runtime_directory=one.folder, connect_timeout=2
    )
    access = client.start("chr1", options, 20.0, 600.0)
    assert access["password"] not in (one.access["password"], other.access["password"])
    api = one._replace(access=access).connect()
    assert list(api.path("system", "identity")) == [{"name": "chr2"}]
    with pytest.raises(ConnectionRefusedError):
        one.connect()


def test_a_bridge_that_nobody_uses_is_closed(bridged):
    one = bridged("chr1", idle_timeout=1.0)
    idle = one.connect()
    deadline = time.monotonic() + 10
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            socket.create_connection((one.access["hostname"], one.access["port"]), timeout=5).close()
            time.sleep(0.2)
    assert time.monotonic() < deadline
    with pytest.raises((LibRouterosError, OSError)):
        list(idle.path("system", "identity"))


def test_it_listens_on_the_loopback_address_only(bridged):
    access = bridged("chr1").access
    assert access["hostname"] == "127.0.0.1"
    port = f"{access['port']:04X}"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [one for one in listening if one.endswith(f":{port}")] == [f"0100007F:{port}"]


def test_a_folder_with_too_long_a_name_is_refused(tmp_path):
    with pytest.raises(NotPossible, match="Set ANSIBLE_HOME to a shorter path"):
        client.stop("chr1", tmp_path / ("x" * 100), 20.0)


@pytest.mark.parametrize(
    "command",
    [
        ["/interface/listen"],
        ["/interface/monitor-traffic", "=interface=ether1"],
        ["/interface/mon", "=once="],
        ["/tool/torch", "=interface=ether1"],
        ["/tool/ping", "=address=192.0.2.1"],
        ["/ping", "=address=192.0.2.1"],
        ["/interface/print", "=follow="],
        ["/interface/print", "=interval=1"],
    ],
)
def test_a_command_without_an_end_is_refused_and_says_why(bridged, command):
    one = bridged("chr1")
    api = one.connect()
    one.executed()
    with pytest.raises(TrapError, match="goes on until the client ends it"):
        tuple(api.rawCmd(*command))
    assert one.executed() == []


def test_on_xen_a_list_comes_in_several_scripts_and_a_too_large_item_is_a_trap(xen, bridges):
    """Xen's store carries 1,536 bytes of output."""
    router = xen.domain("chr9").router
    lines = "".join(f"add list=many address=10.0.{number}.0/24 comment={'c' * 100}\n" for number in range(8))
    assert router.run("/ip firewall address-list\n" + lines).exitcode == 0
    options = options_for(
        "xenstore", vm="chr9", socket=str(xen.daemon.socket), runtime_directory=bridges, connect_timeout=10
    )
    access = client.start("chr9", options, 60.0, 600.0)
    try:
        api = librouteros.connect(
            access["hostname"], access["username"], access["password"], port=access["port"], timeout=60
        )
        lists = api.path("ip", "firewall", "address-list")
        assert [row["address"] for row in lists] == [f"10.0.{number}.0/24" for number in range(8)]
        assert all(row["comment"] == "c" * 100 for row in lists)
        assert list(api(f"{LISTS}/print", **{"count-only": ""})) == [{"ret": 8}]
        router.run(f"/ip firewall address-list set *7 comment={'x' * 3000}")
        with pytest.raises(TrapError, match="A script printed more than can be read from"):
            list(lists)
        assert len(list(api(f"{LISTS}/print", **{".proplist": "address"}))) == 8
        with pytest.raises(TrapError, match="takes at most"):
            api.path("system", "script").add(name="big", source="x" * 40_000)
    finally:
        client.stop("chr9", bridges, 60.0)
