# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of others, unmodified, as the judges: napalm-ros and mktxp."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.kill import kill_tree
from ansible_collections.outofband.chr.tests.lab.peers import programs
from ansible_collections.outofband.chr.tests.lab.routeros.values import text
from ansible_collections.outofband.chr.tests.system.api.conftest import IDENTITY, Endpoint

NAPALM = """
import json, sys
from napalm import get_network_driver

given = json.load(sys.stdin)
answers = {}
with get_network_driver("ros")(given["hostname"], given["username"], given["password"], 30, {"port": given["port"]}) as device:
    for name in ("get_facts", "get_interfaces", "get_arp_table"):
        try:
            answers[name] = getattr(device, name)()
        except Exception as error:
            answers[name] = f"{type(error).__name__}: {error}"
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def judges() -> Path:
    return programs(cache())


def test_napalm_ros_reads_interfaces_and_neighbours(endpoint: Endpoint, judges: Path) -> None:
    router = endpoint.router
    prepare = """
/interface set ether2 comment="to the lab" disabled=yes mtu=1400
/ip arp add address=192.168.88.7 mac-address=02:00:00:00:00:07 interface=ether2
/ip arp add address=192.168.88.8 interface=ether2
"""
    assert router.run(prepare).exitcode == 0
    given = {name: getattr(endpoint, name) for name in ("hostname", "port", "username", "password")}
    command = [judges / "python", "-c", NAPALM]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    # It asks for /system routerboard, which a CHR does not have.
    assert answers["get_facts"] == "TrapError: no such command prefix"
    first = router.items("interface")[0]
    common = {"last_flapped": -1.0, "speed": -1.0}
    assert answers["get_interfaces"]["ether1"] == {
        **common,
        "is_up": True,
        "is_enabled": True,
        "description": "",
        "mtu": 1500,
        "mac_address": text(first.value("mac-address")),
    }
    assert answers["get_interfaces"]["ether2"] == {
        **common,
        "is_up": False,
        "is_enabled": False,
        "description": "to the lab",
        "mtu": 1400,
        "mac_address": text(router.items("interface")[1].value("mac-address")),
    }
    assert set(answers["get_interfaces"]) == {"ether1", "ether2", "lo"}
    assert answers["get_arp_table"] == [
        {"interface": "ether1", "mac": "52:55:0A:00:02:02", "ip": "10.0.2.2", "age": -1.0},
        {"interface": "ether2", "mac": "02:00:00:00:00:07", "ip": "192.168.88.7", "age": -1.0},
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def scraped(url: str, process: subprocess.Popen[bytes]) -> str:
    """The metrics, as soon as the exporter listens."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)


def values(metrics: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The values of one metric, by some of its labels."""
    found = {}
    for line in metrics.splitlines():
        if match := re.fullmatch(rf"mktxp_{name}\{{(.*)\}} (\S+)", line):
            given: dict[str, str] = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1]))
            found[tuple(given[label] for label in labels)] = float(match[2])
    return found


def test_mktxp_scrapes_once(endpoint: Endpoint, judges: Path, short_path: Path) -> None:
    router = endpoint.router
    prepare = """
/ip pool add name=p1 ranges=192.168.88.10-192.168.88.20
/ip route add gateway=10.0.2.2
/interface disable ether2
/ip firewall filter add chain=input action=accept comment="counted"
"""
    assert router.run(prepare).exitcode == 0
    router.items("ip firewall filter")[0].values.update(bytes=4096, packets=12)
    router.items("interface")[0].values.update({"rx-byte": 1234567, "tx-byte": 89})
    port = free_port()
    wanted: dict[str, t.Any] = {"hostname": endpoint.hostname, "port": endpoint.port, "username": endpoint.username}
    wanted |= {"password": f'"{endpoint.password}"', "enabled": True, "dns": True, "address_list": "mgmt"}
    wanted |= dict.fromkeys(("health", "monitor", "netwatch", "public_ip", "queue", "user"), False)  # not in the lab
    (short_path / "mktxp.conf").write_text("[lab]\n" + "".join(f"    {key} = {wanted[key]}\n" for key in wanted))
    (short_path / "_mktxp.conf").write_text(
        f"[MKTXP]\n    listen = '127.0.0.1:{port}'\n    socket_timeout = 20\n    verbose_mode = False\n"
    )
    with (short_path / "log").open("wb") as log:
        command = [judges / "mktxp", "--cfg-dir", short_path, "export"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            metrics = scraped(f"http://127.0.0.1:{port}/metrics", process)
        finally:
            kill_tree(process.pid)
            process.wait()
    told = (short_path / "log").read_text()
    assert values(metrics, "system_identity_info", "name") == {(IDENTITY,): 1}, told
    assert values(metrics, "system_total_memory", "board_name", "version") == {("CHR", "7.22 (stable)"): router.memory}
    assert values(metrics, "interface_rx_byte_total", "name") == {("ether1",): 1234567, ("ether2",): 0, ("lo",): 0}
    assert values(metrics, "interface_tx_byte_total", "name")[("ether1",)] == 89
    assert values(metrics, "interface_running", "name") == {("ether1",): 1, ("ether2",): 0, ("lo",): 1}
    assert values(metrics, "interface_actual_mtu", "name")[("lo",)] == 65536
    assert values(metrics, "firewall_filter_total", "name") == {("| input | accept | counted",): 4096}
    assert values(metrics, "firewall_address_list", "address", "disabled") == {
        ("10.1.1.1", "0"): 0,
        ("10.1.1.2", "1"): 0,
    }
    assert values(metrics, "firewall_address_list_all_count", "count_type")[("total",)] == 3
    assert values(metrics, "ip_pool_total", "pool") == {("p1",): 11}
    assert values(metrics, "routes_protocol_count", "protocol")[("static",)] == 1
    assert values(metrics, "installed_packages_info", "name", "version") == {("routeros", "7.22"): 1}
    # What it asks for and a CHR does not have, it names.
    assert re.search("PoE info .*no such command prefix", told)
    assert "Exception while scraping" not in told
