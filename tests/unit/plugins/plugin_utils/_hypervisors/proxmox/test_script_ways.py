# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which way backend proxmox chooses for a script, and what it leaves on the router."""

from __future__ import annotations

import io
import re

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NoSecretWay,
    NotPossible,
    TooLarge,
)
from ansible_collections.outofband.chr.tests.lab.routeros import File
from ansible_collections.outofband.chr.tests.lab.switches import Switches

NAME = b":put [/system identity get name]"
FILE = {"path_mode": "works", "accepts_path_with_arg": True, "write_modes": ("w", "wb")}
BOTH = {"accepts_null_path": True, **FILE}
BEYOND_ASCII = ':local a 1; # first\n/system note set note="Café"\n/ip address'.encode()
"""The '#' may begin a comment, so the quotes behind it are not certain."""


def executed(pve) -> list[dict[str, object]]:
    return [values for _method, path, values in pve.log if path.endswith("/agent/exec")]


# -- what the script needs -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["7.4", "9.1"])
def test_bytes_that_a_request_cannot_carry_go_by_a_way_that_can(cluster, reach, version):
    pve = cluster(version)
    vm = pve.add(100, "chr1", **BOTH)
    chr1 = reach(pve, "chr1")
    assert chr1.run(NAME, 5).exec_mode == ("inline" if version < "8" else "json")
    result = chr1.run(BEYOND_ASCII, 5)
    assert (result.rc, result.exec_mode) == (0, "file")
    assert vm.router.run(":put [/system note get note]").output == "Café\r\n".encode()
    assert chr1.run(NAME, 5).exec_mode == ("inline" if version < "8" else "json")
    assert reach(pve, "chr1").run(BEYOND_ASCII, 5).exec_mode == "file"


def test_what_no_way_can_carry_is_refused_with_the_reason_of_each_before_anything_is_sent(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **BOTH)
    too_much = b"/system note set note=\xc3\xa9\n" * 2500
    with pytest.raises(InvalidInput, match="json: Line 1 .* outside double quotes.*file: it takes at most 45568 bytes"):
        reach(pve, "chr1").run(too_much, 5)
    with pytest.raises(InvalidInput, match="json: Line 2 .*Leave chr_exec_mode at auto"):
        reach(pve, "chr1", "json").run(BEYOND_ASCII, 5)
    assert vm.wire == []


@pytest.mark.parametrize(("version", "size"), [("6.2", 64_000), ("7.4", 64_000), ("8.0", 64_000), ("9.1", 65_000)])
def test_too_large_is_said_before_it_is_sent(cluster, reach, version, size):
    """With quotes, a script is longer in JSON; and before 8.4 a request may have 64 KiB in all."""
    pve = cluster(version)
    vm = pve.add(100, "chr1", **BOTH)
    line = b':put "xxxxxx";\n' if version < "8.4" else ':put "éé";\n'.encode()
    source = line * (size // len(line))
    assert len(source) < 65_536
    with pytest.raises(TooLarge, match="nothing was sent") as caught:
        reach(pve, "chr1").run(source, 5)
    assert vm.wire == executed(pve) == []
    assert "outofband.chr.copy" not in str(caught.value)  # it takes 60 KiB without ssh
    assert "Set chr_ssh_host to the node" in str(caught.value)


def test_what_to_do_with_a_script_that_is_too_large_names_only_what_works_here(cluster, reach):
    pve = cluster("8.0")
    pve.add(100, "chr1", **BOTH)
    with_ssh = {"ssh_host": "root@node", "ssh_args": ""}
    for mode, size, more, says in (
        ("json", 61_000, {}, "Leave chr_exec_mode.*outofband.chr.copy.*set chr_ssh_host to the node.*or split it"),
        ("file", 50_000, {}, "Leave chr_exec_mode at auto, put it on the router with outofband.chr.copy"),
        ("auto", 70_000, {}, "takes at most 65536. Set chr_ssh_host to the node .root., which opens the way qm"),
        ("auto", 2_000_000, {}, "copy it with outofband.chr.copy"),
        ("auto", 2_000_000, with_ssh, "takes at most 1048576. Put it on the router with outofband.chr.copy"),
        ("json", 200_000, with_ssh, "takes at most 65536. Leave chr_exec_mode at auto, or split it"),
    ):
        with pytest.raises(TooLarge, match=says) as caught:
            reach(pve, "chr1", mode, **more).run(b':put "a"\n' * (size // 9), 5)
        assert not (more and "chr_ssh_host" in str(caught.value))
        assert not (size > 61_440 and not more and "it on the router with outofband.chr.copy" in str(caught.value))


def test_a_file_that_is_too_large_is_refused_with_what_is_missing_here(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **BOTH)
    vm.router.files["big"] = File(b"x" * 70_000)
    for mode, more, says in (
        ("auto", {}, "Set chr_ssh_host to the node"),
        ("json", {"ssh_host": "root@node", "ssh_args": ""}, "Leave chr_exec_mode at auto"),
    ):
        with pytest.raises(TooLarge, match=f"more than 61440 bytes.*{says}: larger files go through"):
            reach(pve, "chr1", mode, **more).put(io.BytesIO(b"x" * 70_000), "x")
        with pytest.raises(NotPossible, match=f"70000 bytes.*{says}: larger files go through"):
            reach(pve, "chr1", mode, **more).get("big", io.BytesIO())


def test_a_secret_is_never_put_into_a_file_of_the_router_even_if_only_a_file_could_carry_it(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **BOTH)
    with pytest.raises(NoSecretWay, match=r"file: it would put a secret.*json: Line 2.*Set chr_ssh_host") as caught:
        reach(pve, "chr1").run_secret(BEYOND_ASCII, 5)
    assert "Caf" not in str(caught.value)
    assert [one for one in vm.wire if one["execute"] in ("guest-exec", "guest-file-open")] == []


def test_a_body_that_is_too_large_is_refused_before_it_is_sent_whatever_the_request_is(cluster, reach):
    pve = cluster("8.0")
    pve.add(100, "chr1")
    vm = reach(pve, "chr1")._vm
    assert vm.version == (8, 0)
    with pytest.raises(TooLarge, match="at most 65280 bytes in the body of a request, and PUT .* nothing was sent"):
        vm.machine(lambda vm: vm.config.put(description="x" * 65_300), changes=True)
    assert [method for method, _path, _values in pve.log if method == "PUT"] == []


def test_a_refusal_on_the_header_of_a_request_is_read_although_the_body_could_not_be_sent(cluster, reach):
    """It is answered with 501 and closed, while the body is still on its way."""
    pve = cluster("8.4")
    pve.add(100, "chr1", **BOTH)
    reach(pve, "chr1").run(NAME, 5)
    pve.largest_body = 64 * 1024  # Proxmox VE 8.4 with an older pve-http-server
    for _unused in range(5):
        with pytest.raises(TooLarge, match="for data too large.*nothing reached the router.*or split it"):
            reach(pve, "chr1", "json").run(b"#" + b"\x01" * 65_000, 5)  # six bytes each in JSON
    assert reach(pve, "chr1").run(NAME, 5).exec_mode == "json"


# -- who runs it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("accepts", [True, False])
def test_an_agent_that_refuses_a_null_path_is_called_stock_only_if_it_is_not_routeros(cluster, reach, accepts):
    pve = cluster()
    vm = pve.add(100, "box", **FILE)
    if accepts:
        vm.lab.agent._guest_get_osinfo = lambda: {"id": "debian"}
    says = "is not RouterOS's: it runs programs" if accepts else "refused exec: Invalid parameter type for 'path'"
    with pytest.raises(NotPossible, match=says):
        reach(pve, "box", "json").run(NAME, 5)


# -- what stays on the router ----------------------------------------------------------------------


def test_tasks_that_found_no_way_leave_one_file_and_the_next_way_removes_it(cluster, reach, tmp_path):
    pve = cluster()
    vm = pve.add(100, "chr1", write_modes=("w", "wb"))
    for _task in range(5):
        with pytest.raises(NotPossible, match=r"No way to hand a script.*Left on the router: outofband-probe\.rsc"):
            reach(pve, "chr1").run(NAME, 5)
        assert list(vm.router.files) == ["outofband-probe.rsc"]
    for memory in (tmp_path / "run").glob("chr-pve-*.json"):
        memory.unlink()  # as a container that starts anew for each job
    with pytest.raises(NotPossible, match="No way to hand a script"):
        reach(pve, "chr1").run(NAME, 5)
    assert list(vm.router.files) == ["outofband-probe.rsc"]
    vm.lab.switches.accepts_null_path = True
    assert reach(pve, "chr1").run(NAME, 5).output == b"chr1\r\n"
    vm.router.run(":delay 200ms")
    assert vm.router.files == {}
    assert reach(pve, "chr1")._known().left == []


def test_a_script_whose_file_is_refused_does_not_stay_in_it(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **FILE)
    assert reach(pve, "chr1").run(NAME, 5).exec_mode == "file"
    vm.lab.switches.path_mode = Switches.path_mode
    with pytest.raises(ChrError, match="path"):
        reach(pve, "chr1").run(b'/system note set note="who am I"', 5)
    ((name, file),) = vm.router.files.items()
    assert re.fullmatch(r"outofband-[0-9a-f]{12}\.rsc", name)
    assert file.data == b""
    vm.lab.switches.accepts_null_path = True
    reach(pve, "chr1").run(NAME, 5)
    vm.router.run(":delay 200ms")
    assert vm.router.files == {}
