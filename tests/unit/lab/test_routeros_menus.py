# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus: items and settings, files, import and export, power, and what is refused."""

from __future__ import annotations

import re

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import File, Router

CONFIGURED = r"""
/system identity set name="core \"1\""
/system note set note="two\r\nlines" show-at-login=no
/interface ethernet set ether1 name=wan comment="uplink \C3\A9"
/interface bridge add name=br1 protocol-mode=none
/interface vlan add name=v10 vlan-id=10 interface=br1
/interface bridge port add bridge=br1 interface=ether2 pvid=7
/interface list add name=WAN
/interface list member add list=WAN interface=wan
/ip address add address=192.168.1.1/24 interface=br1 comment=lan
/ip address add address=10.9.9.9/32 interface=wan disabled=yes
/ip route add gateway=10.0.2.2
/ip route add dst-address=10.5.0.0/16 gateway=wan distance=5
/ip dns set servers=1.1.1.1,8.8.8.8 allow-remote-requests=yes
/ip dns static add name=x.test address=10.0.0.5 ttl=1h
/ip service set www disabled=yes
/ip service set ssh port=2222
/ip pool add name=p1 ranges=192.168.1.10-192.168.1.20
/ip dhcp-server add name=d1 interface=br1 address-pool=p1 lease-time=10m
/ip dhcp-server network add address=192.168.1.0/24 gateway=192.168.1.1
/ip dhcp-client add interface=wan
/ip firewall filter add chain=input action=accept connection-state=established,related
/ip firewall filter add chain=input action=drop src-address=10.0.0.0/8 comment="no \$way"
/ip firewall nat add chain=srcnat action=masquerade out-interface=wan
/ip firewall address-list add list=mgmt address=10.1.1.1
/ipv6 address add address=2001:db8::1/64 interface=br1
/ipv6 route add dst-address=2001:db8:1::/48 gateway=2001:db8::2
/system ntp client set enabled=yes servers=1.2.3.4,pool.test
/system script add name=s1 source={ :put "s1 $[:len abc]" }
/system scheduler add name=n1 interval=1d on-event="/system script run s1"
/system logging add topics=script,debug
"""


def lines(router: Router, source: str) -> list[str]:
    outcome = router.run(source)
    assert outcome.exitcode == 0, outcome.output
    return outcome.output.decode("latin-1").split("\r\n")[:-1]


def configured() -> Router:
    router = Router(interfaces=("ether1", "ether2"), system_id="HDlXorQ3f7L")
    assert lines(router, CONFIGURED) == []
    return router


def without_dates(text: list[str]) -> list[str]:
    return [line for line in text if not line.startswith("# 20")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (":put [/system identity get name]", "MikroTik"),
        (":put [/system resource get version]", "7.22 (stable)"),
        (":put [/system resource get uptime]", "00:06:48"),
        (":put [/system resource get architecture-name]", "x86_64"),
        (":put [/system resource get total-memory]", "1073741824"),
        (":put [/system license get level]", "free"),
        (
            "/ip address print terse",
            " 0 D address=10.0.2.15/24 network=10.0.2.0 interface=ether1 actual-interface=ether1",
        ),
    ],
)
def test_published_transcripts(source: str, expected: str) -> None:
    router = Router()
    router.clock.shift(6 * 60 + 48)
    assert lines(router, source) == [expected]


def test_a_chr_has_no_menu_for_a_routerboard() -> None:
    assert Router().run(":put [/system routerboard get serial-number]").exitcode == -1
    source = ":put before\n:do { :put [/system routerboard get serial-number] } on-error={ :put none }"
    outcome = Router().run(source)
    assert outcome.exitcode == -1
    assert b"before" not in outcome.output


def test_free_license_prints_padded_lines_without_dates() -> None:
    router = Router(system_id="7WwsTkLUKQG")
    assert router.run("/system license print").output == b"  system-id: 7WwsTkLUKQG\r\n      level: free       \r\n"
    assert lines(router, ":put [:typeof [/system license get deadline-at]]") == ["nothing"]


def test_items_add_get_set_remove() -> None:
    router = Router()
    source = """
/ip address
add address=10.1.1.1/24 interface=ether1 comment=x
:put [get [find comment=x] network]
set [find address="10.1.1.1/24"] address=10.2.2.2/16
:put [get [find comment=x] network]
:put [find where comment=x and !disabled]
disable [find comment=x]
:put [get 1 disabled]
remove [find comment=x]
:put [:len [find]]
add address=10.3.3.3/24 interface=ether1
:put [find address~"^10.3"]
"""
    assert lines(router, source) == ["10.1.1.0", "10.2.0.0", "*2", "true", "1", "*3"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("name=b", "*2"),
        ("name!=b", "*1;*3"),
        ('name~"[ab]"', "*1;*2"),
        ("where list~a and name=a || name=c", None),
        ("(name=a or name=c)", "*1;*3"),
        ("!(name=a)", "*2;*3"),
        ("comment=two name=b", "*2"),
        ("comment", "*2"),
        ('comment=""', "*1;*3"),
        ("where name=$wanted", "*3"),
        (".id=*2", "*2"),
        ("", "*1;*2;*3"),
    ],
)
def test_find_filters(where: str, found: str | None) -> None:
    router = Router()
    source = f"""
/ip pool
add name=a ranges=10.0.0.1
add name=b ranges=10.0.0.2 comment=two
add name=c ranges=10.0.0.3
:local wanted c
:put [find {where}]
"""
    if found is None:
        assert router.run(source).exitcode == -1
    else:
        assert lines(router, source) == [found]


def test_every_menu_exports_what_imports_again() -> None:
    first = configured()
    exported = lines(first, "/export")
    second = Router(interfaces=("ether1", "ether2"), system_id="HDlXorQ3f7L")
    second.write_file("conf.rsc", ("\n".join(exported) + "\n").encode("latin-1"))
    assert lines(second, "/import conf.rsc") == ["Script file loaded and executed successfully"]
    assert without_dates(lines(second, "/export")) == without_dates(exported)
    menus = {line for line in exported if line.startswith("/")}
    assert len(menus) == len({command.rsplit(" add ")[0].split(" set ")[0] for command in CONFIGURED.split("\n")[1:-1]})


@pytest.mark.parametrize("mode", ["terse", "verbose", "compact show-sensitive"])
def test_other_export_modes_import_again(mode: str) -> None:
    exported = lines(configured(), f"/export {mode}")
    second = Router(interfaces=("ether1", "ether2"), system_id="HDlXorQ3f7L")
    assert lines(second, "\n".join(exported).encode("latin-1").decode("utf-8")) == []
    assert without_dates(lines(second, "/export")) == without_dates(lines(configured(), "/export"))


def test_every_menu_can_be_printed_in_every_style() -> None:
    router = configured()
    menus = [menu for menu in router.root.walk() if "print" in menu.commands]
    assert len(menus) > 35
    for menu in menus:
        styles = [param.name for param in menu.commands["print"].params if param.kind == "flag"]
        assert "as-value" in styles
        for style in ("", *styles):
            assert router.run(f"{menu.title} print {style}").exitcode == 0, (menu.title, style)


def test_import_reports_errors_with_their_line() -> None:
    router = Router()
    router.write_file("x.rsc", b":put a\n:error boom\n")
    outcome = router.run("/import file-name=x.rsc")
    assert (outcome.exitcode, outcome.output) == (-1, b"a\r\nboom (line 2)\r\n")
    missing = router.run("/import nothere.rsc")
    assert missing.exitcode == -1
    assert b"nothere.rsc" in missing.output
    router.write_file("y.rsc", b":put executed-via-file-api")
    expected = b"executed-via-file-api\r\nScript file loaded and executed successfully\r\n"
    assert router.run("/import y.rsc").output == expected


def test_files_through_scripts() -> None:
    router = Router()
    router.files["up.rsc"] = File(b"\x00\xff")
    source = """
:put [/file get up.rsc size]
:put [/file get up.rsc type]
/file add name=d type=directory
/file add name=d/x.txt contents="one"
/file set d/x.txt contents="three"
:put [/file get d/x.txt contents]
/file set [find name=d/x.txt] name=y.txt
/file remove d
:put [:len [/file find]]
/ip address print file=out
"""
    assert lines(router, source.replace("[find name=d", "[/file find name=d")) == ["2", "script", "three", "2"]
    assert router.files["y.txt"].data == b"three"
    assert b"10.0.2.15/24" in router.files["out.txt"].data
    assert router.files["up.rsc"].data == b"\x00\xff"


def test_power_commands_end_the_script_successfully() -> None:
    seen: list[str] = []
    router = Router()
    router.on_power = seen.append
    outcome = router.run(":put a; /system reboot; :put b")
    assert (outcome.exitcode, outcome.output, seen) == (0, b"a\r\n", ["reboot"])
    router.run(":do { /system shutdown } on-error={ :put caught }")
    assert seen == ["reboot", "shutdown"]


def test_reboot_keeps_configuration_and_files() -> None:
    router = configured()
    router.write_file("x", b"1")
    before = without_dates(lines(router, "/export"))
    router.clock.shift(1000)
    assert router.uptime >= 1000
    router.reboot()
    assert router.uptime < 5
    assert without_dates(lines(router, "/export")) == before
    assert "x" in router.files
    assert len(lines(router, "/ip address print terse")) == 3


def test_interfaces_report_has_the_agent_shape() -> None:
    report = Router().interfaces_report()
    assert [entry["name"] for entry in report] == ["ether1", "lo"]
    assert report[0]["ip-addresses"] == [{"ip-address-type": "ipv4", "ip-address": "10.0.2.15", "prefix": 24}]
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", report[0]["hardware-address"])
    assert report[1] == {"name": "lo", "ip-addresses": []}


def test_dates_follow_the_version() -> None:
    assert re.fullmatch(r"[a-z]{3}/\d\d/\d{4}", lines(Router(version="6.49.10"), ":put [/system clock get date]")[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", lines(Router(), ":put [/system clock get date]")[0])


def test_users_and_passwords() -> None:
    router = Router()
    assert router.check_login("admin", "")
    lines(router, '/user add name=bob group=full password="s3"; /user set admin password=x')
    assert router.check_login("bob", "s3")
    assert not router.check_login("admin", "")
    assert "s3" not in "".join(lines(router, "/user print detail; /export show-sensitive; :put [/user print as-value]"))


def test_scripts_run_and_log() -> None:
    router = Router()
    lines(router, '/system script add name=s source=":log warning \\"hey\\"; :put ran"')
    assert lines(router, "/system script run s; :put [/log get [/log find message=hey] topics]") == [
        "ran",
        "script,warning",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("foo", "bad command name foo (line 1 column 1)"),
        ("/ip adress print", "bad command name adress (line 1 column 5)"),
        ("/ip address put 1", "bad command name put (line 1 column 13)"),
        ("/ip address add adress=1.1.1.1/24", "expected end of command (line 1 column 17)"),
        (":put 1 2", "expected end of command (line 1 column 8)"),
        (":put [/ip address get 0 nothere]", "input does not match any value of value-name (line 1 column 25)"),
        (":set undeclared 1", "syntax error: undeclared variable undeclared (line 1 column 6)"),
        (":put (1 +)", "syntax error (line 1 column 10)"),
        (":put (abc)", "syntax error (line 1 column 7)"),
        (":if (true) do={ :put 1", "syntax error (line 1 column 23)"),
        ("}", "syntax error (line 1 column 1)"),
        (":local my-var 1", "syntax error (line 1 column 10)"),
        ("/tool fetch url=x", "bad command name tool (line 1 column 2)"),
        ("/user get admin password", None),
        ("/user remove admin", "failure: last user with full access (admin) must stay"),
        ("/user set admin group=read", "failure: last user with full access (admin) must stay"),
        ("/user add name=x group=nope", "input does not match any value of group"),
        ("/user add name=admin group=full", "failure: already have user with such name"),
        ("/ip address add interface=ether1", "missing value(s) of argument(s) address"),
        ("/ip address add address=1.1.1.300/24 interface=ether1", "value of address expects ip address/netmask"),
        ("/ip address add address=1.1.1.1/24 interface=x", "input does not match any value of interface"),
        ("/ip address add address=10.0.2.15/24 interface=ether1", "failure: already have such address"),
        ("/ip route add dst-address=10.0.0.1/8 gateway=1.1.1.1", "value of dst-address must have all host bits zero"),
        ("/interface vlan add name=v vlan-id=5000 interface=ether1", "value of vlan-id out of range (1..4095)"),
        ("/interface bridge add name=ether1", "failure: already have interface with such name"),
        ("/interface set ether1 disabled=maybe", "input does not match any value of disabled"),
        ("/interface remove ether1", "bad command name remove (line 1 column 12)"),
        ("/ip pool remove nothere", "no such item"),
        (":put [/interface get [find name=x] name]", "no such item"),
        ("/ip firewall filter add chain=input action=fly", "input does not match any value of action"),
        ("/file add name=nodir/x", "failure: no such directory nodir"),
        ("/file add name=../x", "failure: bad file name"),
        ('/system identity set name=""', "failure: name must be 1 to 64 characters long"),
        ("/system resource set version=1", "bad command name set (line 1 column 18)"),
    ],
)
def test_the_router_refuses(source: str, message: str | None) -> None:
    outcome = Router().run(source)
    assert outcome.exitcode == -1
    if message is not None:
        assert outcome.output.decode() == message + "\r\n"


FLAGGED = {
    "ip address": "address=10.3.3.3/24 interface=ether1",
    "ip arp": "address=10.3.3.3 interface=ether1",
    "ip firewall filter": "chain=input",
    "ip firewall nat": "chain=srcnat",
}


@pytest.mark.parametrize("menu", FLAGGED)
def test_flags_are_properties(menu: str) -> None:
    router = Router()
    source = f"""
/{menu}
:local new [add {FLAGGED[menu]} disabled=yes]
:put [get $new dynamic]
:put [get $new invalid]
:put ([get $new]->"dynamic")
:put ([print as-value where .id=$new]->0->"disabled")
:put [:len [find where dynamic and .id=$new]]
:put [:len [find where !dynamic and .id=$new]]
"""
    assert lines(router, source) == ["false", "false", "false", "true", "0", "1"]


def test_what_the_router_made_itself_is_dynamic() -> None:
    source = """
:put [/ip address find where dynamic]
:put ([/ip address get *1]->"dynamic")
:put [/ip arp find where dynamic=yes complete]
"""
    assert lines(Router(), source) == ["*1", "true", "*1"]


def test_an_address_is_invalid_without_its_interface() -> None:
    router = Router()
    source = """
/interface bridge add name=br1
/ip address add address=10.3.3.3/24 interface=br1
/interface bridge remove br1
:put [/ip address find where invalid]
:put [/ip address print]
"""
    shown = lines(router, source)
    assert shown[0] == "*2"
    assert "I - INVALID" in shown[1]


def test_as_value_without_flags() -> None:
    router = Router()
    router.as_value_flags = False
    source = """
:foreach name,value in=([/ip address print as-value]->0) do={ :put $name }
:put ([/ip address get *1]->"disabled")
:put ([/ip address get *1]->"dynamic")
:put [:len ([/interface print as-value]->0->"running")]
"""
    assert lines(router, source) == [".id", "actual-interface", "address", "interface", "network", "false", "true", "0"]


def test_unset_takes_one_value_away() -> None:
    router = Router()
    source = """
/ip firewall filter
add chain=input protocol=tcp dst-port=22 comment=x
add chain=input protocol=udp dst-port=22
unset [find] dst-port
:put [:len [find where dst-port]]
:put [get 0 protocol]
"""
    assert lines(router, source) == ["0", "tcp"]
    for name in ("chain", "bytes", "action"):
        assert router.run(f"/ip firewall filter unset 0 {name}").exitcode == -1


def test_unset_is_where_the_version_has_it() -> None:
    for version, exitcode in (("7.22", -1), ("7.24", 0)):
        router = Router(version=version)
        lines(router, "/system script add name=s comment=x")
        assert router.run("/system script unset s comment").exitcode == exitcode


def test_counters() -> None:
    router = Router()
    lines(router, "/ip firewall filter add chain=input comment=counted")
    rule = router.items("ip firewall filter")[0]
    rule.values.update(bytes=77, packets=3)
    assert "77" in "".join(lines(router, "/ip firewall filter print stats"))
    assert "77" not in "".join(lines(router, "/ip firewall filter print detail"))
    assert lines(router, ":put [/ip firewall filter get 0 bytes]") == ["77"]
    with_stats, without = (
        f':put ([/ip firewall filter print {word}as-value]->0->"packets")' for word in ("stats ", "")
    )
    assert lines(router, f"{with_stats}\n{without}") == ["3", ""]
    router.as_value_counters = True
    assert lines(router, without) == ["3"]
    lines(router, "/ip firewall filter reset-counters [find comment=counted]; /interface reset-counters ether1")
    assert (rule.value("bytes"), rule.value("packets")) == (0, 0)


def test_leases_in_use() -> None:
    router = Router()
    lines(router, "/ip dhcp-server lease; add address=10.1.1.1; add address=10.1.1.2")
    router.items("ip dhcp-server lease")[1].values["status"] = "bound"
    assert lines(router, ":put [/ip dhcp-server lease print count-only active]") == ["1", "1"]
