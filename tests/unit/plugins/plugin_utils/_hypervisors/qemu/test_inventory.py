# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs of a machine with QEMU processes, which are listed without a connection to a socket."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.command_line import CommandLine

# Stands for QEMU: it listens where its arguments say, and refuses nobody, but must not be asked.
LISTENS = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print(flush=True)
server.accept()
print("asked")
"""
MARK = f"outofband.chr: image {'ab' * 32} imported for {'0' * 16}\n"


def vms(tmp_path, *sockets):
    options = server_from_options({"backend": "qemu", "sockets": sockets, "runtime_directory": tmp_path / "run"})
    return {vm.id: vm for vm in list_vms(options, Deadline(30.0))}


@pytest.fixture
def qemu():
    """Start a process with the command line of a QEMU."""
    running = []

    def start(socket, *arguments):
        command = [
            sys.executable,
            "-c",
            LISTENS,
            str(socket),
            "-chardev",
            f"socket,id=agent,path={socket},server=on,wait=off",
        ]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE)
        process.stdout.readline()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_the_command_line_of_the_process_tells_what_the_vm_is(tmp_path, qemu):
    arguments = ["-name", "guest=edge 7,debug-threads=on", "-smp", "cpus=2,cores=2", "-m", "size=1G"]
    arguments += ["-netdev", "bridge,id=net0,br=br0", "-device", "virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01"]
    process = qemu(tmp_path / "a b.sock", *arguments)
    (vm,) = vms(tmp_path, str(tmp_path)).values()
    assert (vm.name, vm.power, vm.cpus, vm.memory, vm.networks) == ("edge 7", "on", 2, 1024, ("bridge:br0",))
    assert vm.variables == {"chr_socket": vm.id} == {"chr_socket": f"{tmp_path}/a b.sock"}
    process.kill()
    assert process.stdout.read() == b""  # nobody has connected
    process.wait()
    assert vms(tmp_path, str(tmp_path))[vm.id].power == "off"  # killed, it leaves its socket


def test_vms_of_qemu_vm_are_listed_with_their_mark_also_if_they_are_off(tmp_path, qemu):
    for name in ("chr1", "chr2"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "notes").write_text(MARK)
        (folder / "start").write_text(
            f"#!/bin/sh\nexec qemu-system-x86_64 \\\n    -name {name} \\\n    -smp 1 -m 256M\n"
        )
    (tmp_path / "other").mkdir()  # a folder of something else
    qemu(tmp_path / "chr1" / "agent.sock", "-name", "chr1", "-m", "512M")
    found = vms(tmp_path, f"{tmp_path}/*/agent.sock")
    assert {(vm.name, vm.power, vm.memory, vm.mark.complete) for vm in found.values()} == {
        ("chr1", "on", 512, True),
        ("chr2", "off", 256, True),
    }
    assert found.keys() == {f"{tmp_path}/{name}/agent.sock" for name in ("chr1", "chr2")}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("chr1.agent.sock", "chr1"),
        (r"a\nb.sock", r"a\nb"),
        ("chr1.sock", "chr1"),
        ("100.qga", "100"),
        ("edge/qga.sock", "edge"),
        ("x", "x"),
    ],
)
def test_a_name_is_made_of_the_file_where_no_process_tells_one(tmp_path, qemu, file, name):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    qemu(path)
    assert vms(tmp_path, str(path))[str(path)].name == name


def test_patterns_are_those_of_the_shell_and_nothing_in_them_is_run(tmp_path):
    assert (
        vms(tmp_path, f"{tmp_path}/$(touch {tmp_path}/x)", f"{tmp_path}/`touch {tmp_path}/x`/agent.sock", "/nowhere/*")
        == {}
    )
    assert not (tmp_path / "x").exists()
    for pattern in ("x.sock", "", "/a\nb"):
        with pytest.raises(InvalidInput, match="is not an absolute path"):
            vms(tmp_path, pattern)


@pytest.mark.parametrize(
    ("text", "memory"),
    [("512", 512), ("512M", 512), ("2G", 2048), ("size=1G,slots=2", 1024), ("2097152k", 2048), ("x", None)],
)
def test_memory_is_in_mib(text, memory):
    assert CommandLine.parse(["qemu", "-m", text]).memory == memory


def test_a_comma_in_a_path_is_written_twice():
    assert CommandLine.parse(["-chardev", "socket,id=a,path=/run/a,,b.sock,server=on"]).sockets == {"/run/a,b.sock"}


@pytest.mark.parametrize("count", [1, 100])
def test_one_command_lists_the_vms_however_many_there_are(tmp_path, monkeypatch, count):
    folder, commands = tmp_path / "s", tmp_path / "commands"
    folder.mkdir()
    for number in range(count):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"{folder}/chr{number}.sock")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sh").write_text(f'#!/bin/sh\necho run >>{commands}\nexec /bin/sh "$@"\n')
    (programs / "sh").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    assert len(vms(tmp_path, str(folder))) == count
    assert commands.read_text().splitlines() == ["run"]


def test_a_boot_index_that_is_not_a_plain_number_does_not_cost_the_list():
    """Any user of the machine can start a program with such arguments."""
    words = ["qemu", "-device", "virtio-net-pci,bootindex=\u00b2", "-smp", "\u0663"]
    assert CommandLine.parse(words).boot == "disk"
