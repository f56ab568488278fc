# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many agents that take next to nothing: ``python -m ...light_agents FOLDER FIRST NUMBER``.

Each is a socket, whose scripts end at once with the same output.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
import threading
import typing as t

_OUTPUT = "MQ0K"  # "1" and a line end
_ANSWERS: dict[str, t.Any] = {
    "guest-exec": {"pid": 1},
    "guest-exec-status": {"exited": True, "exitcode": 0, "out-data": _OUTPUT},
    "guest-get-osinfo": {"id": "routeros"},
}


def main(folder: str, first: int, number: int) -> None:
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector = selectors.DefaultSelector()
    for one in range(first, first + number):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/chr{one:05d}.sock")
        listener.listen(8)
        selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    threading.Thread(target=_serve, args=(selector,), daemon=True).start()
    sys.stdin.read()


def _serve(selector: selectors.BaseSelector) -> None:
    while True:
        for key, _events in selector.select():
            ready = t.cast("socket.socket", key.fileobj)
            if key.data is None:
                client, _address = ready.accept()
                selector.register(client, selectors.EVENT_READ, b"")
            elif data := ready.recv(1 << 16):
                *requests, rest = (key.data + data).split(b"\n")
                ready.sendall(b"".join(_answer(request.lstrip(b"\xff")) for request in requests if request))
                if rest != key.data:
                    selector.modify(ready, selectors.EVENT_READ, rest)
            else:
                selector.unregister(ready)
                ready.close()


def _answer(request: bytes) -> bytes:
    message = json.loads(request)
    command = message["execute"]
    if command == "guest-sync-delimited":
        return b"\xff" + json.dumps({"return": message["arguments"]["id"]}).encode() + b"\n"
    return json.dumps({"return": _ANSWERS.get(command, {})}).encode() + b"\n"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
