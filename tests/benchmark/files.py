# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files to and from a router, beside the same chunks on the same channel without any check."""

from __future__ import annotations

import io
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.guest import LibvirtGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import ChunkSize
from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.missing import need_library, programs_named
from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

from . import raw_agent
from .clock import medians, seconds
from .row import Row
from .servers import guest, server
from .stage import CACHE, Stage

TITLE = "A file"
AT_MOST = 1 / 0.9
MB = 1_000_000


def measure(stage: Stage) -> t.Iterator[Row]:
    with server("sockets", 1) as running:
        (host,) = running.routers.values()
        client, address = guest(host, stage.folder), Path(host["chr_socket"])
        for size in stage.of((1, 10), (1, 10, 100)):
            content = os.urandom(size * MB)
            found = []
            for _round in range(min(stage.rounds, 3) + 1):
                took = [
                    seconds(lambda content=content: raw_agent.write(address, content, ChunkSize.LIMIT)),
                    seconds(lambda content=content: client.put(io.BytesIO(content), "ours.bin")),
                    seconds(lambda: raw_agent.read(address, ChunkSize.LIMIT)),
                    seconds(lambda: client.get("ours.bin", io.BytesIO())),
                ]
                found.append(took)
            yield from _rows(f"{size} MB on a socket", medians(found[1:]))
    yield from _over_libvirt(stage)


def _rows(name: str, found: list[float], peer: str = "the raw protocol") -> t.Iterator[Row]:
    write, put, read, get = found
    yield Row(TITLE, f"{name}, put and verified", put, "s", peer, write, AT_MOST)
    yield Row(TITLE, f"{name}, get and verified", get, "s", peer, read, AT_MOST)


def _over_libvirt(stage: Stage) -> t.Iterator[Row]:
    """Beside libvirt's own call with the same pieces: libvirtd synchronises before each one."""
    need_library("libvirt", "libvirt-python")
    with programs_named(), temporary_folder() as folder, Libvirtd(folder, build_image(CACHE)) as daemon:
        daemon.define("chr01", memory_mb=1536)
        daemon.virsh("start", "chr01")
        host = {"chr_backend": "libvirt", "chr_libvirt_uri": daemon.uri, "chr_connect_timeout": 90.0}
        client = guest(host, stage.folder)
        client.ping()
        for size, rounds in stage.of(((1, 1),), ((1, 3), (10, 3), (100, 1))):
            content = os.urandom(size * MB)
            found = []
            for _round in range(rounds):
                put = seconds(lambda content=content: client.put(io.BytesIO(content), "ours.bin"))
                get = seconds(lambda: client.get("ours.bin", io.BytesIO()))
                write, read = _by_libvirt(daemon.uri, content)
                found.append([write, put, read, get])
            yield from _rows(f"{size} MB over libvirt, emulated", medians(found), "libvirt's own agent command")


def _by_libvirt(uri: str, content: bytes) -> tuple[float, float]:
    """Seconds for writing and reading a file. Closing it, which is not answered, does not count."""
    times = []
    with raw_agent.LibvirtChannel(uri, "chr01") as channel:
        for work in (
            lambda: raw_agent.write_open(channel, content, LibvirtGuest.max_write),
            lambda: raw_agent.read_open(channel, LibvirtGuest.max_write),
        ):
            began = time.perf_counter()
            handle = work()
            times.append(time.perf_counter() - began)
            channel.close(handle)
    return times[0], times[1]
