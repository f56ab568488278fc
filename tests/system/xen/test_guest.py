# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend xenstore: Debian's oxenstored and xenstore commands, OpenSSH to dom0, and routers behind
real guest rings.

The manual's section "Guest tools: Xen": base64 scripts in ``vm-data/provision/script``; ``ready``,
``running`` or ``error`` in ``status``; base64 output in ``otuput`` (or ``output``); a script is
accepted only while the status is not ``running``.
"""

from __future__ import annotations

import base64
import io
import socket
import struct
import subprocess
import threading
import time
from datetime import timedelta

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    FileMissing,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    OutputCut,
    ScriptFailed,
    TooLarge,
    TransferFailed,
    Unreachable,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest, small_files
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import guest as guest_module
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import steps as steps_module
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import vm_data
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.relay import Relay
from ansible_collections.outofband.chr.tests.lab.routeros.files import File
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

EACH_WAY = pytest.mark.parametrize("guest", ["socket", "commands"], indirect=True)
LARGEST = vm_data.MAX_STEP - len('\n:put "0123456789abcdef"')
NAME = b":put [/system identity get name]"


@pytest.fixture
def domain(xen):
    """Start domains that end with the test: ``domain("chr1", toolstack="xl",
    output_name="output")``."""
    started = []

    def start(name, toolstack="xapi", **switches):
        started.append(xen.domain(name, toolstack, **switches))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def guest(request, xen, short_path, monkeypatch):
    """A guest on dom0 itself: ``guest("chr1", connect_timeout=1)``; by the way that EACH_WAY gives,
    else ``socket``."""
    for name, value in xen.daemon.environment.items():
        monkeypatch.setenv(name, value)
    way = getattr(request, "param", "socket")

    def make(vm, **options):
        defaults = {"connect_timeout": 30.0, "exec_mode": way, "runtime_directory": short_path / "run"}
        defaults["socket"] = str(xen.daemon.socket)
        return open_guest(options_for("xenstore", str(vm), **{**defaults, **options}))

    return make


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def left(domain) -> dict[str, str]:
    """What is in the store of scripts."""
    return {path: value for path, value in domain.vm_data().items() if path.startswith(vm_data.SCRIPT)}


def user_scripts(domain) -> list[str]:
    """Those that ran, without the probes, and without the line of the nonce."""
    scripts = [text.rpartition("\n:put")[0] for text in domain.log]
    return [text for text in scripts if text]


# -- one script ------------------------------------------------------------------------------------


@EACH_WAY
def test_a_script_runs_once_and_leaves_nothing(domain, guest):
    """Manual 8, script: base64 text in vm-data/provision/script is decoded and run."""
    chr1 = domain("chr1")
    result = guest("chr1").run(NAME, 10)
    assert (result.rc, result.output, result.truncated) == (0, b"chr1\r\n", False)
    assert user_scripts(chr1) == [NAME.decode()]
    assert left(chr1) == {}


@pytest.mark.parametrize(
    "switches",
    [
        {"output_name": "output"},
        {"output_first": False},
        {"output_first": False, "gap": 0.3},
        {"gap": 0.3},
        {"success": "absent"},
        {"success": "absent", "output_first": False, "gap": 0.2},
        {"writes_status": False},
        {"announces": False},
        {"delay": 0.1},
    ],
    ids=str,
)
def test_whatever_the_order_and_the_names(domain, guest, switches):
    """Manual 8, status and output: ``ready``, ``running``, ``error``; base64 output in ``otuput``,
    possibly ``output``."""
    chr1 = domain("chr1", **switches)
    one = guest("chr1")
    for number in range(2):
        result = one.run(f':put "n{number}"'.encode(), 10)
        assert (result.rc, result.output, result.truncated) == (0, f"n{number}\r\n".encode(), False)
    assert user_scripts(chr1) == [f':put "n{number}"' for number in range(2)]
    assert left(chr1) == {}


@pytest.mark.parametrize("switches", [{}, {"output_name": "output", "output_first": False, "gap": 0.2}], ids=str)
def test_an_error_has_routeros_own_words(domain, guest, switches):
    """Manual 8, status: ``error``."""
    chr1 = domain("chr1", **switches)
    result = guest("chr1").run(b':put "before"\n:error "no such luck"', 10)
    assert (result.rc, result.output) == (-1, b"before\r\nno such luck\r\n")
    assert left(chr1) == {}
    assert guest("chr1").run(NAME, 10).rc == 0


@pytest.mark.parametrize(
    ("guest", "length"),
    [("socket", length) for length in (LARGEST, LARGEST + 1, 2048, 2049, 6000)] + [("commands", 2049)],
    indirect=["guest"],
)
def test_scripts_around_and_far_beyond_2048_bytes(domain, guest, length):
    """Manual 8, script: base64, and oxenstored takes 2,048 bytes of a value, so longer scripts come
    in steps."""
    chr1 = domain("chr1")
    source = b':put "end"'.rjust(length, b"\n")
    assert len(source) == length
    result = guest("chr1").run(source, 10)
    assert (result.rc, result.output, result.truncated) == (0, b"end\r\n", False)
    assert chr1.router.items("system script") == []
    assert left(chr1) == {}


def test_the_largest_script_and_one_byte_more(domain, guest):
    domain("chr1")
    one = guest("chr1")
    with pytest.raises(TooLarge, match="32769 bytes.*at most 32768"):
        one.run(b"#" * 32769, 10)
    assert one.run(b":put 1".ljust(32768, b"-").replace(b"-", b" "), 30).output == b"1\r\n"


def test_text_that_is_not_ascii_and_text_that_routeros_would_expand(domain, guest):
    chr1 = domain("chr1")
    note = 'Größe 10 € \U0001f600 $x \\ \\" {} [/system reboot]'
    source = '/system note set note="' + note.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
    for text in (source, source.ljust(4000)):
        assert guest("chr1").run(text.encode(), 10).rc == 0
        assert guest("chr1").read("[/system note get note]", 10).decode() == note
        chr1.router.run('/system note set note=""')


def test_a_long_script_that_fails_leaves_nothing(domain, guest):
    chr1 = domain("chr1")
    result = guest("chr1").run(b"#" * 3000 + b'\n:put "before"\n:error "no such luck"', 10)
    assert (result.rc, result.output) == (-1, b"before\r\nno such luck\r\n")
    assert chr1.router.items("system script") == []
    assert left(chr1) == {}


def test_a_long_script_whose_piece_is_refused_is_not_run_and_leaves_nothing(domain, guest):
    chr1 = domain("chr1")
    one = guest("chr1")
    one.ping()
    run = chr1.router.run
    chr1.router.run = lambda source, **more: run(
        b":error full" if b":local s" in source and b"set $i" in source else source, **more
    )
    with pytest.raises(ScriptFailed, match="Piece 2 of 4.*full.*Nothing of the script was run"):
        one.run(b":put 1".ljust(4000), 10)
    assert chr1.router.items("system script") == []
    assert left(chr1) == {}


def test_a_long_script_that_is_interrupted_by_somebody_else_leaves_nothing_in_the_store(
    xen, domain, guest, monkeypatch
):
    chr1 = domain("chr1")
    one = guest("chr1", connect_timeout=0.5)
    one.ping()
    monkeypatch.setattr(guest_module, "_QUESTION", 0.3)
    run = chr1.router.run

    def busy_after_the_second(source, **more):
        outcome = run(source, **more)
        if b"set $i" in source:
            chr1.guest._end = lambda store, status: None  # the status stays "running"
        return outcome

    chr1.router.run = busy_after_the_second
    with pytest.raises(Unreachable, match="script of somebody else"):
        one.run(b":put 1".ljust(4000), 10)
    assert left(chr1) == {vm_data.SCRIPT: "", vm_data.STATUS: "running"}


@pytest.mark.parametrize("lines", [100, 300, 3000])
@pytest.mark.parametrize("too_long", ["dropped", "cut"])
def test_output_beyond_1536_bytes_is_told_not_guessed(domain, guest, too_long, lines):
    """The guest's own value has the same limit as ours, and a message to xenstore 4096 bytes."""
    chr1 = domain("chr1", too_long=too_long)
    chr1.router.run(f'/system note set note="{"x" * 2000}"')
    source = f':for i from=1 to={lines} do={{ :put "a line of some length" }}'
    result = guest("chr1").run(source.encode(), 10)
    assert (result.rc, result.truncated, len(result.output)) == (0, True, 0 if too_long == "dropped" else 1536)
    assert guest("chr1").run(b":put next", 10).output == b"next\r\n"
    assert guest("chr1").read("[/system note get note]", 10) == b"x" * 2000
    assert left(chr1) == {}


@pytest.mark.parametrize(
    ("guest", "length"),
    [("socket", length) for length in (0, 1, 1100, 1101, 2200, 10000)] + [("commands", 2200)],
    indirect=["guest"],
)
def test_a_value_of_any_length_is_read_exactly_and_leaves_nothing(domain, guest, length):
    chr1 = domain("chr1", too_long="stop")
    value = ('Größe 1 €\r\n$x \\ ";\n' * 1000).encode()[:length]
    chr1.router.files["x"] = File(value)
    assert guest("chr1").read('[/file get [/file find name="x"] contents]', 10) == value
    assert chr1.router.globals == {}
    assert left(chr1) == {}


def test_a_value_whose_line_ends_become_two_characters_is_read_exactly(domain, guest):
    chr1 = domain("chr1")
    chr1.router.values_with_crlf = True
    for value in (b"one\ntwo\n", b"a line\n" * 500):
        chr1.router.files["x"] = File(value)
        assert guest("chr1").read('[/file get [/file find name="x"] contents]', 10) == value


def test_a_value_beyond_the_bound_is_refused_and_not_kept(domain, guest, monkeypatch):
    monkeypatch.setattr(guest_module, "LARGEST_VALUE", 3000)
    chr1 = domain("chr1")
    chr1.router.files["x"] = File(b"x" * 3001)
    with pytest.raises(OutputCut, match="3001 bytes.*At most 3000"):
        guest("chr1").read('[/file get [/file find name="x"] contents]', 10)
    assert chr1.router.globals == {}


@pytest.mark.parametrize("page", [1, 2])
def test_a_long_value_of_which_a_part_is_missing_is_not_guessed_and_leaves_nothing(domain, guest, page):
    chr1 = domain("chr1")
    chr1.router.files["x"] = File(b"x" * 4000)
    one, run, seen = guest("chr1"), chr1.router.run, []

    def spoiled(source, **more):
        if b":pick" in source:
            seen.append(source)
            source = b':put "other"' + source[source.rindex(b"\n") :] if len(seen) == page else source
        return run(source, **more)

    chr1.router.run = spoiled
    with pytest.raises(ScriptFailed, match="could not be read whole.*7 bytes instead of"):
        one.read('[/file get [/file find name="x"] contents]', 10)
    assert len(seen) == page
    assert chr1.router.globals == {}


def test_a_value_that_cannot_be_evaluated_has_routeros_own_words(domain, guest):
    domain("chr1")
    with pytest.raises(ScriptFailed, match="no such item"):
        guest("chr1").read('[/file get [/file find name="x"] contents]', 10)


def test_output_beyond_1536_bytes_that_counts_as_an_error_is_one(domain, guest):
    domain("chr1", too_long="error")
    for lines in (100, 300):
        result = guest("chr1").run(f':for i from=1 to={lines} do={{ :put "a line of some length" }}'.encode(), 10)
        assert (result.rc, result.output) == (-1, b"")


@pytest.mark.parametrize("lines", [100, 300])
def test_output_at_which_the_routers_tools_stop_is_named_as_a_cause_and_a_restart_helps(domain, guest, lines):
    """The script may have run to its end, and no other task is blamed for the status that stays."""
    chr1 = domain("chr1", too_long="stop")
    one = guest("chr1", connect_timeout=0.5)
    one.ping()
    result = one.run(f':for i from=1 to={lines} do={{ :put "a line of some length" }}'.encode(), 1)
    assert (result.rc, result.timed_out) == (None, True)
    assert "more than 1536 bytes" in one.failure(result, 1)
    for attempt in (one.ping, lambda: guest("chr1", connect_timeout=0.5).run(b":put 1", 1)):
        with pytest.raises(Unreachable, match="an earlier task.*more than 1536 bytes.*method: agent") as caught:
            attempt()
        assert "somebody else" not in str(caught.value)
    one.shutdown("reboot")
    until(lambda: chr1.boots == 2)
    assert guest("chr1").run(b":put next", 10).output == b"next\r\n"
    assert left(chr1) == {}


def test_a_script_that_leaves_before_its_end_is_not_taken_for_whole(domain, guest):
    domain("chr1")
    result = guest("chr1").run(b":put 1\n:return 2", 10)
    assert (result.rc, result.truncated, result.output) == (0, True, b"1\r\n")


def test_without_a_status_and_without_the_end_the_outcome_is_unknown(domain, guest):
    chr1 = domain("chr1", writes_status=False)
    with pytest.raises(OutcomeUnknown, match="whether it failed is unknown"):
        guest("chr1").run(b":put 1\n:return 2", 10)
    assert left(chr1) == {}


# -- never twice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_scripts_in_a_row_run_once_each(domain, guest, delay):
    """Tools that look at the script for each watch event would run one twice that follows a removal
    at once."""
    chr1 = domain("chr1", delay=delay)
    for number in range(4):
        guest("chr1").run(f":put {number}".encode(), 10)
    assert user_scripts(chr1) == [":put 0", ":put 1", ":put 2", ":put 3"]


@EACH_WAY
def test_a_status_of_running_is_waited_for_and_then_told(xen, domain, guest):
    """Manual 8, not while running: a script is accepted only while the status is not
    ``running``."""
    chr1 = domain("chr1")
    one = guest("chr1", connect_timeout=1)
    one.ping()
    status = f"{chr1.path}/{vm_data.STATUS}"
    xen.store.write(status, "running")
    began = time.monotonic()
    with pytest.raises(Unreachable, match=f"script of somebody else after 1 s.*xenstore-rm {status}") as caught:
        one.run(b":put 1", 10)
    assert caught.value.silent
    assert 0.9 < time.monotonic() - began < 45
    assert left(chr1) == {vm_data.SCRIPT: "", vm_data.STATUS: "running"}
    timer = threading.Timer(0.4, lambda: xen.store.write(status, "ready"))
    timer.start()
    assert guest("chr1").run(b":put 2", 10).output == b"2\r\n"
    assert user_scripts(chr1) == [":put 2"]


@EACH_WAY
def test_after_a_timeout_the_text_is_gone_and_the_status_keeps_others_out(domain, guest):
    chr1 = domain("chr1")
    one = guest("chr1", connect_timeout=1)
    result = one.run(b":delay 3s; :put late", 0.3)
    assert (result.rc, result.timed_out) == (None, True)
    assert left(chr1) == {vm_data.SCRIPT: "", vm_data.STATUS: "running"}
    with pytest.raises(Unreachable, match="script of an earlier task of this controller"):
        one.ping()
    chr1.reboot()
    guest("chr1").ping()
    assert user_scripts(chr1) == [":delay 3s; :put late"]


def test_a_reboot_runs_nothing_again(domain, guest):
    """XAPI writes vm-data anew at each boot, from what it held last."""
    chr1 = domain("chr1")
    assert guest("chr1").run(b":put 1", 10).rc == 0
    assert guest("chr1").run(b":error 2", 10).rc == -1
    assert guest("chr1").run(b":put 3".ljust(3000), 10).rc == 0
    before = len(chr1.log)
    chr1.reboot()
    time.sleep(0.4)
    assert len(chr1.log) == before
    assert {key: value for key, value in left(chr1).items() if value} == {vm_data.STATUS: "ready"}


@EACH_WAY
def test_a_domain_that_goes_down_in_the_middle_is_an_unknown_outcome_and_runs_nothing_again(domain, guest):
    chr1 = domain("chr1", boot_seconds=0.5)
    one = guest("chr1")
    with pytest.raises(OutcomeUnknown, match="went down while it ran a script"):
        one.run(b"/system reboot", 10)
    time.sleep(1)
    assert user_scripts(chr1) == ["/system reboot"]
    assert chr1.boots == 2
    assert one.run(NAME, 10).output == b"chr1\r\n"


def test_a_restart_in_the_middle_of_a_long_script_runs_nothing_again(domain, guest):
    """Half a second after it began, its text is no longer in the store that the next boot is made
    from."""
    chr1 = domain("chr1", boot_seconds=0.0)
    with pytest.raises(OutcomeUnknown, match="went down"):
        guest("chr1").run(b":delay 1s; /system reboot", 10)
    time.sleep(0.5)
    assert user_scripts(chr1) == [":delay 1s; /system reboot"]


def test_what_a_toolstack_left_there_gives_way(xen, domain, guest):
    """A script of VM.add_to_xenstore_data stays after its boot, and so does its status."""
    chr1 = xen.halted("chr1")
    chr1.data = {vm_data.SCRIPT: "OnB1dCAx"}
    chr1.start()
    one = guest("chr1")
    assert one.run(b":put 2", 10).output == b"2\r\n"
    assert [text for text in chr1.log if "outofband" not in text][0] == ":put 1"
    assert chr1.log.count(":put 1") == 1
    assert left(chr1) == {}
    chr1.stop()


# -- permissions -----------------------------------------------------------------------------------


@EACH_WAY
def test_after_a_live_set_of_xapi_the_guest_may_write_again(xen, domain, guest):
    """XAPI's set on a running VM leaves vm-data to dom0 (n0,r<domid>), so that a router could not
    answer."""
    chr1 = domain("chr1")
    guest("chr1").ping()
    chr1.set_live({"vm-data/mine": "kept", vm_data.SCRIPT: "OnB1dCAx", vm_data.STATUS: "ready"})
    time.sleep(0.1)
    assert xen.store.permissions(f"{chr1.path}/vm-data") == ["n0", f"r{chr1.domid}"]
    before = chr1.log.count(":put 1")
    assert guest("chr1").run(NAME, 10).output == b"chr1\r\n"
    assert xen.store.permissions(f"{chr1.path}/vm-data") == [f"n{chr1.domid}"]
    assert chr1.vm_data()["vm-data/mine"] == "kept"
    assert chr1.log.count(":put 1") == before
    assert left(chr1) == {}


@EACH_WAY
def test_where_the_toolstack_makes_no_vm_data_it_is_made_for_the_guest(xen, domain, guest):
    chr1 = domain("chr1", toolstack="xl", announces=False)
    assert chr1.vm_data() == {}
    assert guest("chr1").run(NAME, 10).output == b"chr1\r\n"
    assert xen.store.permissions(f"{chr1.path}/vm-data") == [f"n{chr1.domid}"]


def test_permissions_that_are_right_are_kept(xen, domain, guest):
    chr1 = domain("chr1")
    guest("chr1").ping()
    xen.store.permit(f"{chr1.path}/vm-data", f"n{chr1.domid}", "r0")
    guest("chr1").run(NAME, 10)
    assert xen.store.permissions(f"{chr1.path}/vm-data") == [f"n{chr1.domid}", "r0"]


# -- which domain ----------------------------------------------------------------------------------


@EACH_WAY
def test_a_domain_is_found_by_domid_name_and_uuid(domain, guest):
    domain("other")
    chr1 = domain('chr "1" é')
    for vm in (chr1.domid, chr1.name, chr1.uuid, chr1.uuid.upper()):
        one = guest(vm)
        assert one.run(b":put 1", 10).rc == 0
        assert one.report().extra == {"domid": chr1.domid, "uuid": chr1.uuid}


def test_a_number_that_is_the_domid_of_one_and_the_name_of_another_reaches_neither(domain, guest):
    """A domain gets another domid at each boot, so it can be one that is the name of a VM."""
    first = domain("first")
    named = domain(str(first.domid))
    with pytest.raises(VmAmbiguous, match="more than one domain.*'first'.*None was touched"):
        guest(first.domid).run(NAME, 10)
    assert (first.log, named.log) == ([], [])
    first.stop()
    assert guest(named.name).read("[/system identity get name]", 10) == named.name.encode()


@EACH_WAY
def test_two_domains_of_one_name_are_both_named_and_neither_is_touched(domain, guest):
    one, two = domain("twin"), domain("twin")
    with pytest.raises(VmAmbiguous, match=f"{one.uuid}.*{two.uuid}"):
        guest("twin").run(b":put 1", 5)
    assert (one.log, two.log) == ([], [])


@EACH_WAY
def test_names_that_were_swapped_a_moment_ago_reach_the_right_domains(xen, domain, guest):
    """The next task uses the list of the last one, and asks if its domain is still so called."""
    first, second = domain("chr1"), domain("chr2")
    assert guest("chr1").place()[1] == first.uuid
    for one, name in ((first, "chr2"), (second, "chr1")):
        xen.store.write(f"{one.path}/name", name)
    assert [guest(name).place()[1] for name in ("chr1", "chr2")] == [second.uuid, first.uuid]


@EACH_WAY
@pytest.mark.parametrize("vm", ["nosuch", "0", "Domain-0", "../0", "999", "a b'\"$(x)"])
def test_an_unknown_domain_and_dom0_itself_are_refused(domain, guest, vm):
    domain("chr1")
    with pytest.raises(Unreachable, match=r"No domain .* runs in .*\(here: chr1\)") as caught:
        guest(vm).run(b":put 1", 5)
    assert not caught.value.silent


def test_a_domid_is_followed_over_a_reboot(domain, guest):
    chr1 = domain("chr1")
    one = guest(chr1.domid)
    one.ping()
    chr1.reboot()
    assert one.run(NAME, 10).output == b"chr1\r\n"


def test_a_router_without_tools_is_not_there_and_nothing_stays(domain, guest):
    chr1 = domain("chr1", watches=False)
    one = guest("chr1", connect_timeout=0.4)
    for attempt in (one.ping, lambda: one.run(b"/system reboot", 5)):
        with pytest.raises(Unreachable, match="took no notice of a harmless script within 0.4 s") as caught:
            attempt()
        assert caught.value.silent
    assert left(chr1) == {}


def test_a_router_that_stops_listening_is_an_unknown_outcome(domain, guest):
    chr1 = domain("chr1")
    one = guest("chr1")
    one.ping()
    chr1.switches.delay = 60
    with pytest.raises(OutcomeUnknown, match="took no notice of the script within 0.5 s"):
        one.run(b":put 1", 0.5)
    assert left(chr1) == {}


def test_a_guest_that_may_write_and_does_not_run_routeros_is_found_out(domain, guest):
    chr1 = domain("linux")
    run = chr1.router.run
    chr1.router.run = lambda source, **more: run(b":put hello", **more)
    with pytest.raises(Unreachable, match="did not print.*Is that RouterOS"):
        guest("linux", connect_timeout=3).require_routeros()


# -- the way to dom0 -------------------------------------------------------------------------------


def test_a_connection_that_breaks_in_the_middle_is_made_again(xen, domain, guest):
    chr1 = domain("chr1")
    one = guest("chr1")
    one.ping()
    job = one.start(b":delay 1s; :put done")
    one._dom0.store._connection._stream.shutdown(2)
    result = one.wait(job, 10)
    assert (result.rc, result.output) == (0, b"done\r\n")
    assert left(chr1) == {}


def test_a_way_that_is_lost_for_good_while_a_script_is_handed_over_says_what_is_left(
    xen, domain, guest, short_path, monkeypatch
):
    """The script arrives, the answer to that does not, and nothing can be asked afterwards."""
    monkeypatch.setattr(steps_module, "_CLEAN", 0.5)
    chr1 = domain("chr1")
    guest("chr1").ping()
    chr1.switches.delay = 60
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "relayed"))
    commit = struct.pack("=I", 2) + b"T\0"
    with Relay(listener, str(xen.daemon.socket), commit) as relay:
        one = guest("chr1", socket=str(short_path / "relayed"), connect_timeout=1)
        watcher = threading.Thread(target=lambda: (until(lambda: left(chr1)), relay.__exit__()))
        watcher.start()
        job = one.start(b':put "handed over"')
        watcher.join()
        with pytest.raises(OutcomeUnknown, match="could not be removed.*may run again.*xenstore-rm") as caught:
            one.wait(job, 1)
    assert f"{chr1.path}/{vm_data.SCRIPT}" in caught.value.left
    assert left(chr1)


def test_a_way_that_is_lost_while_a_restart_is_waited_for_is_told(xen, domain, guest, short_path, monkeypatch):
    """The VM goes down in the middle of a script, and dom0 is gone while a new domain of it is
    looked for."""
    monkeypatch.setattr(steps_module, "_CLEAN", 1.0)
    chr1 = domain("chr1")
    guest("chr1").ping()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "relayed"))
    with Relay(listener, str(xen.daemon.socket)) as relay:
        one = guest("chr1", socket=str(short_path / "relayed"), connect_timeout=0.5)
        job = one.start(b":delay 0.3s; /system shutdown")
        lost = threading.Thread(target=lambda: (until(lambda: not chr1.vm_data()), time.sleep(0.3), relay.__exit__()))
        lost.start()
        with pytest.raises(
            OutcomeUnknown, match="went down while it ran a script.*before the next boot|could not be removed"
        ):
            one.wait(job, 5)
        lost.join()


def test_without_a_socket_the_commands_are_taken_and_remembered(domain, guest, short_path):
    domain("chr1")
    for _unused in range(2):
        one = guest("chr1", exec_mode="auto", socket=f"{short_path}/none")
        assert one.run(NAME, 10).exec_mode == "commands"
    with pytest.raises(Unreachable, match="socket: .*no such file"):
        guest("chr1", exec_mode="socket", socket=f"{short_path}/none").ping()


def test_what_does_not_speak_the_protocol_is_not_xenstored(domain, guest, lab):
    domain("chr1")
    with pytest.raises(Unreachable, match="No way to xenstore"):
        guest("chr1", exec_mode="socket", socket=lab("x").address, connect_timeout=1).ping()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"exec_mode": "inline"}, "'inline' is not known to backend xenstore; set it to one of auto, socket, commands"),
        ({"socket": "tcp://x:1"}, "not an absolute path"),
    ],
)
def test_options_that_cannot_be_right(guest, options, says):
    with pytest.raises(InvalidInput, match=says):
        guest("chr1", **options)


# -- small files -----------------------------------------------------------------------------------

TEXT = 'Größe 10 € $x \\ "{}" [/system reboot]\n' * 60


@pytest.mark.parametrize(
    ("guest", "length"), [("socket", 0), ("socket", 1000), ("socket", 2500), ("commands", 2500)], indirect=["guest"]
)
def test_a_small_file_is_written_and_read_back_exactly_and_nothing_else_is_left(domain, guest, length):
    chr1 = domain("chr1", too_long="stop")
    data = TEXT.encode()[:length].decode("utf-8", "ignore").encode()
    one, target = guest("chr1"), io.BytesIO()
    for before in (None, b"old", data):
        if before is not None:
            chr1.router.files["x.txt"] = File(before)
        assert one.compare("x.txt", io.BytesIO(data)) is (None if before is None else before == data)
        assert one.put(io.BytesIO(data), "x.txt") == len(data)
        assert chr1.router.files["x.txt"].data == data
    assert one.get("x.txt", target) == len(data)
    assert target.getvalue() == data
    assert list(chr1.router.files) == ["x.txt"]
    assert (chr1.router.globals, chr1.router.items("system script")) == ({}, [])
    assert left(chr1) == {}


@pytest.mark.slow
def test_a_file_as_large_as_it_can_be_is_written(domain, guest):
    chr1 = domain("chr1")
    data = (b"/ip address print\n" * 4000)[: 60 * 1024]
    assert guest("chr1").put(io.BytesIO(data), "x.txt") == len(data)
    assert chr1.router.files["x.txt"].data == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x" * (60 * 1024 + 1), "more than 61440 bytes"),
        (b"a\0b", "not text in UTF-8"),
        (b"a\xff", "not text in UTF-8"),
    ],
    ids=["large", "nul", "latin"],
)
def test_a_file_that_is_large_or_no_text_is_refused_before_anything_is_sent(domain, guest, data, says):
    chr1 = domain("chr1")
    with pytest.raises(InvalidInput, match=f"{says}.*Nothing was sent.*/tool fetch"):
        guest("chr1").put(io.BytesIO(data), "x.txt")
    assert chr1.log == []


@pytest.mark.parametrize("step", [b":set outofband", b"/file add"])
def test_a_file_that_the_router_refuses_is_told_and_leaves_nothing(domain, guest, step):
    chr1 = domain("chr1")
    run = chr1.router.run
    chr1.router.run = lambda source, **more: run(b':error "no space left"' if step in source else source, **more)
    with pytest.raises(TransferFailed, match="did not write the file 'x.txt'.*no space left.*7.9 or later"):
        guest("chr1").put(io.BytesIO(TEXT.encode()), "x.txt")
    assert (chr1.router.files, chr1.router.globals) == ({}, {})
    assert left(chr1) == {}


def test_a_file_that_is_not_there_as_it_was_written_is_told(domain, guest, monkeypatch):
    monkeypatch.setattr(small_files, "_SHOWS", 0.1)
    chr1 = domain("chr1")
    run = chr1.router.run
    chr1.router.run = lambda source, **more: run(source.replace(b"payload", b"paylo4d"), **more)
    with pytest.raises(TransferFailed, match="other content"):
        guest("chr1").put(io.BytesIO(b"payload"), "x.txt")


def test_a_file_that_scripts_cannot_read_whole_is_not_fetched(domain, guest):
    chr1 = domain("chr1")
    chr1.router.files = {"large": File(b"x" * 61441)}
    for name, error, says in (
        ("large", TransferFailed, "61441 bytes.*up to 61440"),
        ("none", FileMissing, "not exist"),
    ):
        with pytest.raises(error, match=says):
            guest("chr1").get(name, io.BytesIO())
    assert guest("chr1").compare("large", io.BytesIO(b"x")) is False


# -- as users run it: ansible-playbook, and dom0 behind OpenSSH ------------------------------------


@pytest.fixture(scope="module")
def dom0(xen):
    """sshd of dom0, with the xenstore commands."""
    with temporary_folder() as folder:
        server = Sshd(folder)
        variables = " ".join(f'"{name}={value}"' for name, value in xen.daemon.environment.items())
        server.start(f'SetEnv {variables} "SHLVL=2"')  # so that bash does without the .bashrc of this machine's user
        yield server
        server.stop()


@pytest.fixture(params=["socket", "commands"])
def variables(request, xen, dom0, tmp_path):
    """Those of a host: ``variables(chr_vm="chr1")``."""

    def make(**more):
        return {
            "chr_backend": "xenstore",
            "ansible_host": "192.0.2.1",
            **dom0.variables,
            "chr_socket": str(xen.daemon.socket),
            "chr_exec_mode": request.param,
            "chr_connect_timeout": 30,
            **more,
        }

    yield make
    for master in (tmp_path / "home" / "cp").glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)


def script(source, name="go", **more):
    return {"name": name, "outofband.chr.script": {"source": source, **more}}


def test_a_playbook_does_everything_that_this_backend_can(domain, playbook, variables):
    chr1 = domain("chr1")
    tasks = [
        {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 20}},
        script(":put [/system identity get name]"),
        script("/system note set note=x", "unneeded", unless="true"),
        script(":put long".ljust(3000), "long"),
        script(":error oops", "fails") | {"ignore_errors": True},
        {"name": "raw", "ansible.builtin.raw": ":put raw"},
        {"name": "info", "outofband.chr.guest_info": None},
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["hardware", "interfaces"]}},
        {"name": "refused", "outofband.chr.copy": {"content": "\x00", "dest": "x.txt"}, "ignore_errors": True},
    ]
    run = playbook(tasks, {"chr1": variables()}, "-vvvvv")
    assert run.rc == 0, run.output
    assert run.of("wait")["result"]["tries"] == 1
    result = run.of("go")["result"]
    assert (result["rc"], result["stdout"], result["backend"]) == (0, "chr1", "xenstore")
    assert (result["exec_mode"], result["output_available"]) == (variables()["chr_exec_mode"], True)
    assert run.of("unneeded")["result"]["changed"] is False
    assert run.of("long")["result"]["stdout"] == "long"
    assert run.of("fails")["result"]["msg"] == (
        "The script failed on 'chr1': oops. See 'Script failed' in the troubleshooting guide."
    )
    assert run.of("raw")["result"]["stdout"] == "raw\n"
    info = run.of("info")["result"]
    assert (info["os"]["id"], info["os"]["pretty_name"]) == ("routeros", "RouterOS 7.22 (stable)")
    assert (info["host_name"], info["domid"], info["uuid"]) == ("chr1", chr1.domid, chr1.uuid)
    assert info["interfaces"][0]["addresses"] == [{"address": "10.0.2.15", "prefix": 24, "family": "ipv4"}]
    facts = run.of("facts")["result"]["ansible_facts"]
    assert (facts["ansible_net_hostname"], facts["ansible_net_version"]) == ("chr1", "7.22 (stable)")
    assert "ether1" in facts["ansible_net_interfaces"]
    assert "not text in UTF-8" in run.of("refused")["result"]["msg"]
    assert left(chr1) == {}


@pytest.mark.parametrize("variables", ["socket"], indirect=True)
def test_the_facts_have_a_configuration_that_is_longer_than_an_output(domain, playbook, variables):
    chr1 = domain("chr1")
    for number in range(60):
        chr1.router.run(f"/ip firewall address-list add list=blocked address=192.0.2.{number} comment=number-{number}")
    run = playbook(
        [{"name": "facts", "outofband.chr.facts": {"gather_subset": ["config"]}}],
        {"chr1": variables()},
    )
    assert run.rc == 0, run.output
    facts = run.of("facts")["result"]["ansible_facts"]
    assert len(facts["ansible_net_config_nonverbose"]) > 2 * 1536
    assert facts["ansible_net_config_nonverbose"].count("list=blocked") == 60
    assert "\n/ip firewall address-list\n" in facts["ansible_net_config"]
    assert len(facts["ansible_net_config"]) > len(facts["ansible_net_config_nonverbose"])
    assert chr1.router.files == {}


def test_a_small_file_is_copied_once_and_run_and_fetched(domain, playbook, variables, tmp_path):
    chr1 = domain("chr1")
    copy = {"content": TEXT + "\n:put copied", "dest": "x.rsc"}
    tasks = [
        {"name": "check", "outofband.chr.copy": copy, "check_mode": True, "diff": True},
        {"name": "first", "outofband.chr.copy": {"content": "old\n", "dest": "x.rsc"}},
        {"name": "second", "outofband.chr.copy": copy, "diff": True},
        {"name": "third", "outofband.chr.copy": copy},
        {"name": "fetch", "outofband.chr.fetch": {"src": "x.rsc", "dest": f"{tmp_path}/fetched", "flat": True}},
    ]
    run = playbook(tasks, {"chr1": variables()})
    assert run.rc == 0, run.output
    changed = {task["name"]: run.of(task["name"])["result"]["changed"] for task in tasks}
    assert changed == {"check": True, "first": True, "second": True, "third": False, "fetch": True}
    before = {name: run.of(name)["result"]["diff"]["before"] for name in ("check", "second")}
    assert before == {"check": "", "second": "old\n"}
    assert run.of("second")["result"]["diff"]["after"] == copy["content"]
    assert (tmp_path / "fetched").read_text() == chr1.router.files["x.rsc"].data.decode() == copy["content"]
    assert chr1.router.globals == {}


def test_a_file_with_a_secret_does_not_take_a_way_that_shows_it(domain, playbook, variables):
    chr1 = domain("chr1")
    secret = "s3cr3t-in-the-file"
    for length in (20, 3000):
        task = {"name": "go", "outofband.chr.copy": {"content": secret.ljust(length), "dest": f"{length}.txt"}}
        run = playbook([task | {"no_log": True}], {"chr1": variables()}, "-vvvvv")
        assert secret not in run.output
        written = f"{length}.txt" in chr1.router.files
        assert written == (run.rc == 0)
        assert written != ("would show it in the process list" in run.output)


def test_a_router_reboots_and_shuts_down_and_no_boot_repeats_it(domain, playbook, variables):
    chr1 = domain("chr1")
    power = "outofband.chr.power"
    tasks = [
        {"name": "reboot", power: {"state": "rebooted", "timeout": 30}},
        {"name": "after", "ansible.builtin.raw": ":put [/system identity get name]"},
        {"name": "off", power: {"state": "shutdown", "method": "script", "timeout": 30}},
    ]
    chr1.router.booted_at -= timedelta(seconds=10)
    run = playbook(tasks, {"chr1": variables(chr_vm=chr1.uuid)})
    assert run.rc == 0, run.output
    assert (chr1.boots, chr1.domid) == (2, None)
    chr1.start()
    time.sleep(2.5)
    assert (chr1.boots, chr1.domid is None) == (3, False)


@EACH_WAY
def test_xens_own_request_reboots_and_shuts_down_and_is_withdrawn_where_nobody_takes_it(
    xen, domain, guest, monkeypatch
):
    chr1 = domain("chr1")
    one = guest("chr1")
    one.ping()
    one.shutdown("reboot")
    until(lambda: chr1.boots == 2)
    one.ping()
    assert one.power().is_on()
    one.shutdown("powerdown")
    until(lambda: chr1.domid is None)
    assert not one.power().is_on()
    monkeypatch.setattr(guest_module, "_QUESTION", 0.3)
    deaf = domain("deaf", control_shutdown=False)
    with pytest.raises(NotPossible, match="no notice of Xen's request to poweroff"):
        guest("deaf").shutdown("powerdown")
    assert xen.store.read(f"{deaf.path}/control/shutdown") == ""


def test_hosts_of_equal_address_reach_each_its_own_domain(domain, playbook, variables):
    names = [f"chr{number}" for number in range(10)]
    every = {name: domain(name) for name in names}
    run = playbook([script(":put {{ inventory_hostname }}")], {name: variables() for name in names}, "--forks=10")
    assert run.rc == 0, run.output
    for name, one in every.items():
        assert run.of("go", name)["result"]["stdout"] == name
        assert user_scripts(one) == [f":put {name}"]
        assert left(one) == {}


def test_no_secret_is_shown_or_kept(domain, playbook, variables, tmp_path):
    """The way commands would show it in dom0's process list, so it does not take it."""
    chr1 = domain("chr1")
    secret = "s3cr3t-in-the-script"
    task = script(f':error "{secret}"') | {"no_log": True}
    run = playbook([task], {"chr1": variables()}, "-vvvvv")
    assert run.rc == 2
    assert secret not in run.output
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    encoded = base64.b64encode(secret.encode())[:16]
    assert kept
    assert not any(secret.encode() in path.read_bytes() or encoded in path.read_bytes() for path in kept)
    refused = "would show it in the process list" in run.output
    assert refused != bool(user_scripts(chr1))


@pytest.mark.parametrize("variables", ["socket"], indirect=True)
def test_the_routers_words_are_not_in_the_reason_of_a_raw_task_under_no_log(domain, playbook, variables):
    """An unknown outcome quotes what the router printed, and Ansible shows a reason even under
    no_log."""
    domain("chr1", writes_status=False)
    secret = "s3cr3t-in-the-script"
    task = {"name": "go", "ansible.builtin.raw": f':put "{secret}"\n:return 1'}
    run = playbook([task | {"no_log": True}], {"chr1": variables()}, "-vvvvv")
    assert run.rc == 2
    assert secret not in run.output
    assert secret in playbook([task], {"chr1": variables()}).of("go")["result"]["msg"]


@pytest.mark.parametrize("variables", ["commands"], indirect=True)
def test_dom0_that_cannot_be_reached_is_told_in_ssh_words(domain, playbook, variables):
    run = playbook([script(":put 1")], {"chr1": variables(chr_ssh_host="nobody.invalid")})
    assert run.of("go")["status"] == "unreachable"
    assert "ssh nobody.invalid failed" in run.of("go")["result"]["msg"]


def test_the_script_of_another_controller_is_not_removed(xen, domain, guest):
    chr1 = domain("chr1")
    one = guest("chr1")
    job = one.start(b":put 1")
    until(lambda: f"{vm_data.SCRIPT}/otuput" in chr1.vm_data())
    chr1.switches.delay = 60
    xen.store.write(f"{chr1.path}/{vm_data.SCRIPT}", "OnB1dCAy")
    one.wait(job, 5)
    assert left(chr1)[vm_data.SCRIPT] == "OnB1dCAy"
