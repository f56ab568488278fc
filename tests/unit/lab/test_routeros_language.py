# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script language: values, operators, control flow, scopes, errors and limits."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router


def put(source: str, **options: object) -> str:
    outcome = Router(**options).run(source)  # type: ignore[arg-type]
    assert outcome.exitcode == 0, outcome.output
    return outcome.output.decode("latin-1").replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(1 + 2 * 3)", "7"),
        ("((1 + 2) * 3)", "9"),
        ("(10 / 3)", "3"),
        ("(-7 / 2)", "-3"),
        ("(7 % 4)", "3"),
        ("(0xFF & 15)", "15"),
        ("(1 << 4 | 1)", "17"),
        ("(6 ^ 3)", "5"),
        ("(9223372036854775807 + 1)", "-9223372036854775808"),
        ('("a" . "b" . 3)', "ab3"),
        ('("a" . 1 + 2)', "a3"),
        ('("a" = "a" && 1 < 2)', "true"),
        ("(true and false or true)", "true"),
        ("(!true)", "false"),
        ("(not (1 = 2))", "true"),
        ('("abc" ~ "^a.c$")', "true"),
        ("(1.2.3.4 in 1.2.3.0/24)", "true"),
        ("(10.0.0.1 + 5)", "10.0.0.6"),
        ("(10.0.0.6 - 10.0.0.1)", "5"),
        ("(255.255.255.0 & 10.1.2.3)", "10.1.2.0"),
        ("(1h + 30m)", "01:30:00"),
        ("(5s * 2)", "00:00:10"),
        ("(1d02:03:04)", "1d02:03:04"),
        ("(1,2,3)", "1;2;3"),
        ("({1;2} , {3})", "1;2;3"),
        ('({"k"=5}->"k")', "5"),
        ("({7;8}->1)", "8"),
        ("(2001:db8::1)", "2001:db8::1"),
        ("1w2d", "1w2d00:00:00"),
        ("*1a", "*1A"),
        ("yes", "yes"),
        ("(yes = true)", "true"),
        ("word", "word"),
        ('("b" > "a")', "true"),
        ('("5" + 1)', "6"),
    ],
)
def test_expressions_have_the_value_of_the_router(expression: str, expected: str) -> None:
    assert put(f":put {expression}") == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1", "num"),
        ('"1"', "str"),
        ("true", "bool"),
        ("1.2.3.4", "ip"),
        ("1.2.3.0/24", "ip-prefix"),
        ("fe80::1", "ip6"),
        ("fe80::/64", "ip6-prefix"),
        ("5s", "time"),
        ("*1", "id"),
        ("{1;2}", "array"),
        ("$missing", "nothing"),
        ("[:nothing]", "nothing"),
        ('[:find "abc" "z"]', "nil"),
        ('[:tonum "x"]', "nil"),
        ("[/interface find]", "array"),
    ],
)
def test_every_value_knows_its_type(value: str, name: str) -> None:
    assert put(f":put [:typeof {value}]") == name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (":put [:len {1;2;3}]", "3"),
        (':put [:len "abc"]', "3"),
        (':put [:pick "abcdef" 1 3]', "bc"),
        (':put [:pick "abcdef" 2]', "c"),
        (":put [:pick {1;2;3} 0 2]", "1;2"),
        (':put [:find "abcabc" "c"]', "2"),
        (':put [:find "abcabc" "a" 0]', "3"),
        (':put [:find {"x";"y"} "y"]', "1"),
        (':put ([:tonum "12"] + 1)', "13"),
        (':put [:tobool "yes"]', "true"),
        (":put [:toip 167772161]", "10.0.0.1"),
        (":put [:totime 90]", "00:01:30"),
        (':put [:toid "*a"]', "*A"),
        (':put [:toarray "a,b"]', "a;b"),
        (":put [:tostr 5s]", "00:00:05"),
        (':put [[:parse ":return 5"]]', "5"),
        (':local f [:parse ":return 5"]; :put [$f]', "5"),
        (":for i from=1 to=3 do={ :put $i }", "1\n2\n3"),
        (":for i from=5 to=1 step=-2 do={ :put $i }", "5\n3\n1"),
        (':foreach k,v in={2; "a"=1; 5} do={ :put "$k=$v" }', "0=2\n1=5\na=1"),
        (":local i 0; :while ($i < 3) do={ :set i ($i + 1) }; :put $i", "3"),
        (":local i 0; :do { :set i ($i + 1) } while=($i < 3); :put $i", "3"),
        (":if (1 = 2) do={ :put a } else={ :put b }", "b"),
        (':local a {"x"={"y"=1}}; :set ($a->"x"->"y") 2; :put ($a->"x"->"y")', "2"),
        (":local a {1}; :set ($a->1) 2; :put $a", "1;2"),
        (':put [:serialize to=json value={"a"=1;"b"={1;"x"}}]', '{"a":1,"b":[1,"x"]}'),
        (':put ([:deserialize from=json value="{\\"a\\":{\\"b\\":7}}"]->"a"->"b")', "7"),
        (':put [:convert from=raw to=base64 "hi"]', "aGk="),
        (':put [:convert from=hex to=raw "6869"]', "hi"),
        (':put [:convert transform=uc "hi"]', "HI"),
        (":put [:len [:rndstr length=8]]", "8"),
        (":put [:rndnum from=4 to=4]", "4"),
        ("put 1", "1"),
        ("/put 1", "1"),
        (":put \\\n  1", "1"),
        ("# note\n  # indented\n:put 1;;:put 2", "1\n2"),
        ("{ :put 1 }", "1"),
        (':put "a\\\n     b"', "ab"),
    ],
)
def test_commands_do_what_the_router_does(source: str, expected: str) -> None:
    assert put(source) == expected


def test_functions_see_only_their_arguments_and_declared_globals() -> None:
    source = """
:global g 7
:local outer 1
:local f do={ :global g; :return "$1,$x,$g,<$outer>" }
:put [$f 1 x=2]
"""
    assert put(source) == "1,2,7,<>"


def test_locals_end_with_their_block_and_shadow_outer_ones() -> None:
    source = ":local x 1; { :local x 2; :put $x }; :put $x; { :local y 3 }; :put [:typeof $y]"
    assert put(source) == "2\n1\nnothing"


def test_globals_stay_for_the_next_script_until_reboot() -> None:
    router = Router()
    router.run(":global a 5")
    assert router.run(":put [:typeof $a]").output == b"nothing\r\n"
    assert router.run(":global a; :put $a").output == b"5\r\n"
    router.reboot()
    assert router.run(":global a; :put [:typeof $a]").output == b"nothing\r\n"


def test_run_time_error_keeps_earlier_output_and_ends_the_script() -> None:
    outcome = Router().run(':put before\n:error "boom"\n:put after')
    assert (outcome.exitcode, outcome.output) == (-1, b"before\r\nboom\r\n")


def test_parse_error_runs_nothing() -> None:
    outcome = Router().run(":put before\n/foo bar")
    assert (outcome.exitcode, outcome.output) == (-1, b"bad command name foo (line 2 column 2)\r\n")


def test_errors_are_caught_only_at_run_time() -> None:
    assert put(":do { :error x } on-error={ :put caught }") == "caught"
    assert put(':onerror e in={ :error bad } do={ :put "got $e" }') == "got bad"
    assert Router().run(":do { /foo } on-error={ :put caught }").exitcode == -1
    assert put(":local n 0; :retry command={ :set n ($n + 1); :error x } delay=0 max=3 on-error={ :put $n }") == "3"


def test_newer_commands_do_not_exist_on_older_versions() -> None:
    source = ":onerror e in={ :error x } do={ :put caught }"
    assert Router(version="7.12").run(source).output == b"bad command name onerror (line 1 column 2)\r\n"
    assert Router(version="7.13").run(source).exitcode == 0
    assert Router(version="6.49").run("/ip/address/print").exitcode == -1
    assert Router(version="6.49").run("/ip address print").exitcode == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (":if (1) do={}", "conditional not boolean"),
        (":put (1 / 0)", "division by zero"),
        (':put ("a" + 1)', "cannot add str to num"),
        (":put ({1} < 2)", "cannot compare if array is less than num"),
        (":delay abc", "invalid time value for argument delay-time"),
        (':put ("a" ~ "[")', "failure: invalid regular expression"),
        (":local f do={ :return 1 }; :local g 5; $g 1", "bad command name"),
    ],
)
def test_run_time_errors_say_what_is_wrong(source: str, message: str) -> None:
    outcome = Router().run(source)
    assert (outcome.exitcode, outcome.output.decode()) == (-1, message + "\r\n")


def test_endless_recursion_is_an_error() -> None:
    outcome = Router().run(":global f do={ :global f; :return [$f] }; $f")
    assert outcome.exitcode == -1
    assert b"recursion" in outcome.output


def test_deep_nesting_is_a_syntax_error() -> None:
    assert Router().run(":put " + "(" * 5000 + "1" + ")" * 5000).exitcode == -1


def test_stop_ends_a_loop_and_a_delay_with_exit_code_one() -> None:
    for source in (":while (true) do={}", ":put a; :delay 60s", "/import loop.rsc"):
        router, stop = Router(), threading.Event()
        router.write_file("loop.rsc", b":while (true) do={}")
        threading.Timer(0.1, stop.set).start()
        begin = time.monotonic()
        assert router.run(source, stop=stop).exitcode == 1
        assert time.monotonic() - begin < 5


def test_a_script_without_end_stops_by_itself() -> None:
    assert Router(max_steps=1000).run(":while (true) do={}").exitcode == 1


def test_delay_lets_other_scripts_work() -> None:
    router, stop = Router(), threading.Event()
    thread = threading.Thread(target=router.run, args=(":delay 30s",), kwargs={"stop": stop})
    thread.start()
    assert router.run(":put 1").output == b"1\r\n"
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_jobs_side_by_side_lose_nothing() -> None:
    router = Router()
    source = ':for i from=1 to=50 do={ /ip firewall address-list add list=x address="10.0.0.$i" }'
    threads = [threading.Thread(target=router.run, args=(source,)) for _unused in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert router.run(":put [:len [/ip firewall address-list find]]").output == b"200\r\n"
