# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request of an API with its library, beside the same request over the bare transport.

And a script in a process of its own, as in Ansible's worker, beside as many bare requests: what TLS
costs a task at least. All is the processor time of the client alone.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import typing as t
import xmlrpc.client

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import tls

from .clock import medians, processor_seconds_of
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
    yield _script(stage)


def _script(stage: Stage) -> Row:
    with server("proxmox", 1) as running:
        (host,) = running.routers.values()

        def script() -> None:
            tls.context.cache_clear()  # a worker has none for the authority of its host yet
            guest(host, stage.folder / "script").run(b":put 1", 30.0)

        def bare() -> None:
            trusted = ssl.create_default_context(cafile=host["chr_ca_path"])
            connection = http.client.HTTPSConnection(host["chr_api_host"], host["chr_api_port"], context=trusted)
            login = {"Authorization": f"PVEAPIToken={host['chr_api_token_id']}={host['chr_api_token_secret']}"}
            for _request in range(3):  # the VM's name, the start, the end
                connection.request("GET", "/api2/json/version", headers=login)
                json.loads(connection.getresponse().read())

        script()  # which way works is known, and the library is imported
        found = [[1000 * processor_seconds_of(work) for work in (script, bare)] for _round in range(stage.of(5, 40))]
    ours, floor = medians(found)
    return Row(TITLE, "proxmox, a script in a new process", ours, "ms", "TLS and three bare requests", floor)


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
