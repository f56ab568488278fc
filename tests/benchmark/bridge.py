# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A print through the API bridge by librouteros, beside the script that prints the same records."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.records import listing
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs
from ansible_collections.outofband.chr.tests.lab.missing import need_library
from ansible_collections.outofband.chr.tests.lab.options import options_for

from .clock import medians_in_turns, seconds
from .row import Row
from .servers import guest, server
from .stage import Stage

TITLE = "The API bridge"


def measure(stage: Stage) -> t.Iterator[Row]:
    need_library("librouteros", "librouteros")
    import librouteros  # noqa: PLC0415

    items = stage.of(100, 1000)
    with server("sockets", 1) as running:
        (host,) = running.routers.values()
        router = guest(host, stage.folder)
        lines = (f"add address=10.{one // 250}.{one % 250}.1/24 interface=ether1\n" for one in range(items))
        assert router.run(f"/ip address\n{''.join(lines)}".encode(), 60).rc == 0
        options = options_for("qemu", "chr01", 10, "auto", stage.folder, socket=host["chr_socket"])
        run = runs.begin()
        access: dict[str, t.Any] = {}
        opened = seconds(lambda: access.update(client.start("chr01", options, 60.0, 600.0)))
        try:
            login = (access[key] for key in ("hostname", "username", "password"))
            api = librouteros.connect(*login, port=access["port"], timeout=60)
            script, printed, one, small = medians_in_turns(
                stage.of(1, 5),
                lambda: router.run(listing("/ip address").encode(), 60),
                lambda: list(api.path("ip", "address")),
                lambda: router.run(b":put [/system identity get name]", 60),
                lambda: list(api.path("system", "identity")),
            )
        finally:
            client.end(run, stage.folder)
    yield Row(TITLE, "opened, once in a run", opened, "s")
    yield Row(TITLE, f"{items} addresses", printed * 1000, "ms", "the bare script", script * 1000)
    yield Row(TITLE, "one setting", small * 1000, "ms", "the bare script", one * 1000)
