# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request of an API with its library, beside the same request over the bare transport.

It is the processor time of the client alone.
"""

from __future__ import annotations

import json
import time
import typing as t
import xmlrpc.client

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline

from .clock import medians
from .row import Row
from .servers import guest, server
from .stage import Stage

TITLE = "A request with a library"
REQUESTS = 20
Request = t.Callable[[], object]


def measure(stage: Stage) -> t.Iterator[Row]:
    for kind, requests in {"proxmox": _proxmox, "xenapi": _xenapi}.items():
        with server(kind, 1) as running:
            (host,) = running.routers.values()
            bare, library = requests(guest(host, stage.folder / kind))
            found = [[_processor(library), _processor(bare)] for _block in range(stage.of(10, 60))]
        ours, floor = medians(found)
        yield Row(TITLE, kind, ours, "ms", "the bare transport", floor)


def _processor(request: Request) -> float:
    """The processor time of a request, in milliseconds."""
    began = time.process_time()
    for _unused in range(REQUESTS):
        request()
    return (time.process_time() - began) / REQUESTS * 1000


def _proxmox(client: t.Any) -> tuple[Request, Request]:
    api = client._vm.api
    api.version(10.0)  # logs in
    headers = {"Accept": "application/json", **api._credentials("GET", api._ticket)}

    def bare() -> object:
        sent = ("GET /version", "GET", "/api2/json/version", None, headers)
        return json.loads(api._server.exchange(*sent, Deadline(10.0), 10.0).body)["data"]

    return bare, lambda: api.call(lambda pve: pve.version.get())


def _xenapi(client: t.Any) -> tuple[Request, Request]:
    xapi, vm = client._vm.xapi, client._vm.ref  # logs in
    session = xapi._session
    endpoint = xapi._server(session["host"])

    def bare() -> object:
        body = xmlrpc.client.dumps((session["ref"], vm), "VM.get_record").encode()
        sent = ("VM.get_record", "POST", "/", body, {"Content-Type": "text/xml"})
        return xmlrpc.client.loads(endpoint.exchange(*sent, Deadline(10.0), 10.0).body)[0][0]["Value"]

    return bare, lambda: xapi.call("VM.get_record", vm)
