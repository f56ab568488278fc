# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A relay to a server that breaks when a test wants it to.

It resets connections in the middle of a reply, on sockets of any kind.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time


class Relay:
    """A context manager that relays between *listener* and *target* (a path, or host and port).

    *breaks_after*: bytes of a request. When they have been passed on, nothing more goes back and
    the connection is reset; so many *times*.
    """

    def __init__(
        self,
        listener: socket.socket,
        target: str | tuple[str, int],
        breaks_after: bytes = b"",
        times: float = math.inf,
    ) -> None:
        self._times = times
        self._listener, self._target, self._breaks_after = listener, target, breaks_after
        self._open: set[socket.socket] = set()
        self._muted: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Relay:
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """End all connections at once, without a word."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if one.family == socket.AF_UNIX:
                        one.shutdown(socket.SHUT_RDWR)
                    one.close()
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _unused = self._listener.accept()
            except OSError:
                return
            kind = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
            server = socket.socket(kind)
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, self._breaks_after), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, b""), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, breaks_after: bytes) -> None:
        seen = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen = (seen + data)[-65536 - len(breaks_after) :]
                if breaks_after and breaks_after in seen and self._times > 0:
                    with self._lock:
                        self._times -= 1
                        self._muted.add(source)
                    target.sendall(data)
                    time.sleep(0.3)  # the server has the request, and its reply goes nowhere
                    self.reset()
                    return
                if target not in self._muted:
                    target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
