# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""librouteros, unmodified, as the judge: what it returns, and what became of the router."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import typing as t

import librouteros
import pytest
from librouteros.exceptions import TrapError
from librouteros.query import And, Key, Or

from ansible_collections.outofband.chr.tests.lab.routeros.values import Value
from ansible_collections.outofband.chr.tests.system.api.conftest import IDENTITY, Endpoint

LISTS = "/ip/firewall/address-list"
EVERY_BYTE = bytes(range(1, 256)).decode("latin-1")


def connected(endpoint: Endpoint, **settings: t.Any) -> librouteros.Api:
    return librouteros.connect(
        endpoint.hostname, endpoint.username, endpoint.password, port=endpoint.port, encoding="utf-8", **settings
    )


@pytest.fixture
def api(endpoint: Endpoint) -> t.Iterator[librouteros.Api]:
    connection = connected(endpoint, timeout=20)
    yield connection
    connection.close()


def kept(endpoint: Endpoint, path: str, name: str) -> list[Value]:
    """A property of every item of a menu, from the router itself."""
    return [item.value(name) for item in endpoint.router.items(path)]


def test_print_add_set_and_remove(endpoint: Endpoint, api: librouteros.Api) -> None:
    lists = api.path("ip", "firewall", "address-list")
    first, second, third = lists
    assert first == {
        ".id": "*1",
        "list": "mgmt",
        "address": "10.1.1.1",
        "creation-time": first["creation-time"],
        "dynamic": False,
        "disabled": False,
        "comment": "first",
    }
    assert "comment" not in second
    assert second["disabled"] is True
    assert third["timeout"] == "1d2h3m4s"
    new = lists.add(list="mgmt", address="10.1.1.9", comment="new", disabled=True)
    assert new == "*4"
    lists.update(**{".id": new, "address": "10.1.1.8", "disabled": False})
    assert lists.add(list="mgmt", address="10.1.1.7") == "*5"
    assert kept(endpoint, "ip firewall address-list", "address")[3:] == ["10.1.1.8", "10.1.1.7"]
    assert endpoint.router.items("ip firewall address-list")[3].value("disabled") is False
    lists.remove("*1", new)
    assert kept(endpoint, "ip firewall address-list", "address") == ["10.1.1.2", "10.1.1.3", "10.1.1.7"]
    assert [row[".id"] for row in lists] == ["*2", "*3", "*5"]


def test_select_has_the_chosen_properties_only(api: librouteros.Api) -> None:
    lists = api.path(LISTS)
    assert list(lists.select(Key("comment"), Key(".id"), Key("nothing"))) == [
        {"comment": "first", ".id": "*1"},
        {".id": "*2"},
        {".id": "*3"},
    ]
    assert list(api.path("/system/identity").select(Key("name"))) == [{"name": IDENTITY}]


YES, NO = True, False
QUERIES = [
    ([Key("list") == "mgmt"], ["*1", "*2"]),
    ([Key("disabled") == YES], ["*2"]),
    ([Key("list") != "mgmt"], ["*3"]),
    ([Key("list") == "mgmt", Key("disabled") == NO], ["*1"]),
    ([Key("address").In("10.1.1.1", "10.1.1.3", "10.9.9.9")], ["*1", "*3"]),
    ([Or(Key("address") == "10.1.1.1", Key("disabled") == YES, Key("list") == "x")], ["*1", "*2"]),
    ([And(Key("list") == "mgmt", Or(Key("comment") == "first", Key("comment") == "z"))], ["*1"]),
    ([Key("timeout") == "1d2h3m4s"], ["*3"]),
    ([Key("timeout") > "1h"], ["*3"]),
    ([Key("timeout") < "1h"], []),
    ([Key(".id") == "*2"], ["*2"]),
    ([Key("dynamic") == YES], []),
    ([["?comment"]], ["*1"]),
    ([["?-comment"]], ["*2", "*3"]),
    ([["?>comment="]], ["*1"]),
    ([["?address=10.1.1.2"]], ["*2"]),
    ([["?comment", "?disabled=true", "?#|!"]], ["*3"]),
    ([["?list=mgmt", "?disabled=true", "?#!&"]], ["*1"]),
    ([["?list=x", "?list=mgmt", "?#0"]], ["*1", "*2"]),
    ([["?list=x", "?list=mgmt", "?#1"]], []),
    ([["?list=mgmt", "?comment", "?#1.1!.&|&"]], ["*1"]),
]


# A condition can be read once, and it is for two endpoints.
@pytest.mark.parametrize(
    ("condition", "found"), [([list(part) for part in condition], found) for condition, found in QUERIES]
)
def test_queries(api: librouteros.Api, condition: list[t.Any], found: list[str]) -> None:
    assert [row[".id"] for row in api.path(LISTS).select(Key(".id")).where(*condition)] == found


def test_arguments_of_print_and_get(api: librouteros.Api) -> None:
    assert list(api.rawCmd(f"{LISTS}/print", "=count-only=")) == [{"ret": 3}]
    assert list(api.rawCmd(f"{LISTS}/print", "=count-only=", "?list=mgmt")) == [{"ret": 2}]
    assert list(api.rawCmd(f"{LISTS}/print", "?list=x")) == []
    detail = list(api.rawCmd(f"{LISTS}/print", "=detail="))
    assert detail == list(api(f"{LISTS}/getall")) == list(api(f"{LISTS}/print"))
    assert list(api(f"{LISTS}/get", **{".id": "*1", "value-name": "comment"})) == [{"ret": "first"}]
    assert list(api(f"{LISTS}/get", **{".id": "*2", "value-name": "disabled"})) == [{"ret": True}]
    assert list(api(f"{LISTS}/get", **{".id": "*3", "value-name": "timeout"})) == [{"ret": "1d2h3m4s"}]
    assert list(api(f"{LISTS}/find")) == [{"ret": "*1;*2;*3"}]
    assert list(api("/interface/print", **{".proplist": "name,type"}))[0] == {"name": "ether1", "type": "ether"}


def test_one_set_of_settings(endpoint: Endpoint, api: librouteros.Api) -> None:
    (dns,) = api.path("ip", "dns")
    assert (dns["servers"], dns["allow-remote-requests"], dns["cache-max-ttl"]) == ("1.1.1.1,8.8.8.8", False, "1w")
    assert ".id" not in dns
    api.path("ip", "dns").update(servers="9.9.9.9,1.0.0.1,dns.test", **{"allow-remote-requests": True})
    assert list(api("/ip/dns/get", **{"value-name": "servers"})) == [{"ret": "9.9.9.9,1.0.0.1,dns.test"}]
    assert endpoint.router.run(":put [/ip dns get servers]").output == b"9.9.9.9;1.0.0.1;dns.test\r\n"
    api.path("system", "identity").update(name="other name")
    assert endpoint.router.identity == "other name"
    (resource,) = api.path("system", "resource")
    assert (resource["board-name"], resource["version"]) == ("CHR", "7.22 (stable)")
    assert resource["uptime"].endswith("s")


def test_times_of_day_keep_their_form(api: librouteros.Api) -> None:
    (clock,) = api.path("system", "clock")
    assert len(clock["time"]) == len("12:34:56")
    assert clock["time"].count(":") == 2
    api.path("system", "scheduler").add(name="n", interval="90m", **{"start-time": "01:02:03", "on-event": ":put 1"})
    (job,) = api.path("system", "scheduler")
    assert (job["start-time"], job["interval"]) == ("01:02:03", "1h30m")


def test_items_by_name_and_several_at_once(endpoint: Endpoint, api: librouteros.Api) -> None:
    tuple(api("/interface/set", **{".id": "ether2", "name": "lan", "comment": "x"}))
    assert kept(endpoint, "interface", "name")[:2] == ["ether1", "lan"]
    tuple(api(f"{LISTS}/disable", **{".id": "*1,*3"}))
    assert kept(endpoint, "ip firewall address-list", "disabled") == [True, True, True]
    tuple(api(f"{LISTS}/enable", **{"numbers": "*1,*2"}))
    assert kept(endpoint, "ip firewall address-list", "disabled") == [False, False, True]
    tuple(api(f"{LISTS}/comment", **{".id": "*2,*3", "comment": "both"}))
    assert kept(endpoint, "ip firewall address-list", "comment") == ["first", "both", "both"]


def test_values_are_taken_away(endpoint: Endpoint, api: librouteros.Api) -> None:
    tuple(api.rawCmd(f"{LISTS}/set", "=.id=*1", "=!comment="))
    tuple(api("/ip/firewall/filter/add", chain="input", protocol="tcp", **{"dst-port": "22", "action": "drop"}))
    tuple(api("/ip/firewall/filter/unset", **{".id": "*1", "value-name": "dst-port"}))
    tuple(api.rawCmd("/ip/firewall/filter/set", "=.id=*1", "=!protocol="))
    assert "comment" not in list(api(f"{LISTS}/print"))[0]
    (rule,) = api("/ip/firewall/filter/print")
    assert (rule["chain"], rule["action"]) == ("input", "drop")
    assert not {"dst-port", "protocol"} & set(rule)
    assert kept(endpoint, "ip firewall filter", "dst-port") == [None]


def test_rules_are_moved(endpoint: Endpoint, api: librouteros.Api) -> None:
    rules = api.path("/ip/firewall/filter")
    ids = [rules.add(chain="input", action="accept", comment=name) for name in "abcd"]
    tuple(rules("move", **{"numbers": ids[3], "destination": ids[0]}))
    assert kept(endpoint, "ip firewall filter", "comment") == ["d", "a", "b", "c"]
    tuple(rules("move", **{"numbers": f"{ids[0]},{ids[1]}"}))
    assert kept(endpoint, "ip firewall filter", "comment") == ["d", "c", "a", "b"]
    rules.add(chain="input", comment="e", **{"place-before": ids[2]})
    assert [row["comment"] for row in rules] == ["d", "e", "c", "a", "b"]
    assert kept(endpoint, "ip firewall filter", "comment") == ["d", "e", "c", "a", "b"]


@pytest.mark.parametrize(
    "comment",
    [
        "Größe ✓ 日本語",
        'a "quoted" $word [:put 1] \\n (1+1) {x} ; # = ?',
        "two\r\nlines\tand a tab",
        "=disabled=yes",
        "yes",
        " blanks ",
        "x" * 4000,
    ],
)
def test_text_arrives_and_comes_back_as_it_is(endpoint: Endpoint, api: librouteros.Api, comment: str) -> None:
    new = api.path(LISTS).add(list="u", address="10.0.0.1", comment=comment)
    (value,) = kept(endpoint, "ip firewall address-list", "comment")[3:]
    assert str(value).encode("latin-1") == comment.encode()
    found = list(api.path(LISTS).select(Key("comment"), Key(".id")).where(Key("comment") == comment))
    assert found == [{"comment": True if comment == "yes" else comment, ".id": new}]


def test_every_byte_arrives_and_comes_back(endpoint: Endpoint) -> None:
    api = librouteros.connect(
        endpoint.hostname, endpoint.username, endpoint.password, port=endpoint.port, encoding="latin-1"
    )
    api.path("/system/note").update(note=EVERY_BYTE)
    assert endpoint.router.settings["system note"]["note"] == EVERY_BYTE
    assert next(iter(api.path("/system/note")))["note"] == EVERY_BYTE
    api.close()


@pytest.mark.parametrize(
    ("command", "words", "message", "category"),
    [
        ("/system/routerboard/print", {}, "no such command prefix", None),
        ("/ip/adress/print", {}, "no such command prefix", None),
        ("/ip/addr/print", {}, "no such command prefix", None),
        ("/ip/address/pri", {}, "no such command", None),
        ("/ip/address/fly", {}, "no such command", None),
        ("/ip/address/add", {"adress": "1.1.1.1/24"}, "unknown parameter adress", None),
        ("/ip/address/add", {"interface": "ether1"}, "missing value(s) of argument(s) address", 1),
        ("/ip/address/add", {"interface": "x", "address": "1.1.1.1/24"}, "input does not match any value of interface", 1),
        ("/ip/address/set", {".id": "*77", "comment": "x"}, "no such item", 0),
        ("/ip/address/remove", {".id": "0"}, "no such item", 0),
        ("/ip/address/remove", {".id": "1"}, "no such item", 0),
        ("/ip/address/remove", {"numbers": "*2,*77"}, "no such item", 0),
        ("/interface/set", {".id": "nothere", "comment": "x"}, "no such item", 0),
        ("/interface/set", {".id": "ether1", "disabled": "maybe"}, "input does not match any value of disabled", 1),
        ("/user/remove", {".id": "nobody"}, "no such item", 0),
        ("/user/add", {"name": "admin", "group": "full", "password": "x"}, "failure: already have user with such name", 4),
        ("/ip/address/remove", {".id": "*1"}, "failure: can not remove dynamic item", 4),
    ],
)  # fmt: skip
def test_errors(
    endpoint: Endpoint, api: librouteros.Api, command: str, words: dict[str, str], message: str, category: int | None
) -> None:
    before = endpoint.router.run("/export").output.split(b"\n", 1)[1]
    with pytest.raises(TrapError) as caught:
        tuple(api(command, **words))
    assert caught.value.message == message
    assert caught.value.category == category
    assert endpoint.router.run("/export").output.split(b"\n", 1)[1] == before
    assert list(api("/system/identity/print")) == [{"name": IDENTITY}]


def test_scripts_run_and_the_router_reboots(endpoint: Endpoint, api: librouteros.Api) -> None:
    source = ':if (1 > 0) do={ /system identity set name="by \\"script\\"" }'
    new = api.path("/system/script").add(name="s1", source=source)
    assert list(api("/system/script/print", **{".proplist": "name,source"})) == [{"name": "s1", "source": source}]
    tuple(api("/system/script/run", **{".id": new}))
    assert endpoint.router.identity == 'by "script"'
    api.path("/system/script").update(**{".id": "s1", "source": ":error boom"})
    with pytest.raises(TrapError, match="boom"):
        tuple(api("/system/script/run", number="s1"))
    ordered: queue.Queue[str] = queue.Queue()
    endpoint.router.on_power = ordered.put
    tuple(api("/system/reboot"))
    assert ordered.get(timeout=10) == "reboot"
    assert ordered.empty()


def test_a_reboot_under_an_open_session(endpoint: Endpoint, api: librouteros.Api) -> None:
    """The session is closed, or goes on with right answers."""
    assert list(api("/system/identity/print")) == [{"name": IDENTITY}]
    endpoint.router.clock.shift(60)
    endpoint.router.reboot()
    with contextlib.suppress(librouteros.exceptions.LibRouterosError, OSError):
        assert list(api("/system/identity/print")) == [{"name": IDENTITY}]
    again = connected(endpoint)
    assert list(again("/system/identity/print")) == [{"name": IDENTITY}]
    again.close()


def test_several_clients_at_once(endpoint: Endpoint) -> None:
    async def work(number: int) -> list[str]:
        api = await librouteros.async_connect(
            endpoint.hostname, endpoint.username, endpoint.password, port=endpoint.port, timeout=30
        )
        lists = api.path("/ip/firewall/address-list")
        ids = [await lists.add(list=f"l{number}", address=f"10.{number}.0.{last}") for last in range(1, 6)]
        found = [row[".id"] async for row in lists.select(Key(".id")).where(Key("list") == f"l{number}")]
        assert found == ids
        await api.close()
        return ids

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(work(number) for number in range(4)))

    ids = [one for some in asyncio.run(all_of_them()) for one in some]
    assert len(set(ids)) == 20
    assert len(endpoint.router.items("ip firewall address-list")) == 23
