# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API service of a router, on a port of 127.0.0.1.

It works on the menus of the router itself, and so judges what brings the API there by other ways.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .api_words import BadSentence, Sentence, encoded, fits, parsed, read_sentence
from .errors import LimitError, PowerEvent, ScriptError, ScriptSyntaxError
from .evaluate import Call, Interpreter, Scope
from .menus import Item, ItemMenu, SettingsMenu
from .specs import CommandSpec, Menu
from .values import Array, ItemId, Time, Value, is_void, parse_bool, parse_id, text, unit_text

if TYPE_CHECKING:
    from .device import Router

_ROOT_COMMANDS = ("import", "export", "execute")
_ITEMS = ("number", "numbers", "place-before", "destination", "from", "copy-from")
"""Arguments that name items: by id or name, never by their place in the list."""
_OF_ONE_ITEM = ("get", "enable", "disable")
"""Commands that need an item here, though not in a script."""
_CATEGORIES = (
    (re.compile("no such item|missing =.id="), 0),
    (re.compile("input does not match|invalid value|value of|missing|ambiguous|invalid time value"), 1),
    (re.compile("interrupted"), 2),
    (re.compile("failure:"), 4),
)


@dataclass
class ApiSwitches:
    """How the service behaves. Times are in seconds."""

    login_seconds: float = 5.0
    """How long a client may take for its login, and later for the rest of a sentence."""
    send_seconds: float = 10.0
    """How long a client may leave an answer unread."""
    sends_empty: bool = False
    """``!empty`` comes where a list has no item, as from 7.18 on; many clients do not know it."""
    two_traps: bool = False
    """A menu that is not there is reported in two ``!trap``, as seen on 7.1 to 7.14."""


class ApiService:
    """The service; a context manager. ``port`` is where it listens."""

    def __init__(self, router: Router, switches: ApiSwitches | None = None) -> None:
        self.router = router
        self.switches = switches or ApiSwitches()
        self._sessions: set[_Session] = set()
        self._lock = threading.Lock()

    def start(self) -> ApiService:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close all connections, and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.end()

    __enter__ = start

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                client, _unused = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        session = _Session(self.router, self.switches, client)
        with self._lock:
            self._sessions.add(session)
        with client, contextlib.suppress(OSError):
            session.serve()
        with self._lock:
            self._sessions.remove(session)


class _Fatal(Exception):
    """The session ends; the client is told why."""


class _Session:
    """One client."""

    def __init__(self, router: Router, switches: ApiSwitches, client: socket.socket) -> None:
        self._router = router
        self._switches = switches
        self._client = client
        client.settimeout(switches.send_seconds)
        self._buffer, self._at = b"", 0
        self._sending = threading.Lock()
        self._logged_in = self._gone = False
        self._booted_at = router.booted_at
        self._running: dict[threading.Event, str | None] = {}
        """Commands that take long, by the event that stops them, with their tags."""

    def end(self) -> None:
        """Close the connection, stop what it runs, and do nothing of what it still wants."""
        self._gone = True
        for stop in list(self._running):
            stop.set()
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer until the client or the router is gone. Raises OSError."""
        try:
            while not self._gone:
                if self._logged_in and self._at == len(self._buffer):
                    select.select([self._client], [], [])
                if words := read_sentence(self._read):
                    self._answer(parsed(words))
        except BadSentence:
            pass
        except _Fatal as error:
            self._send([["!fatal", str(error)]])
        finally:
            self.end()

    # -- bytes -------------------------------------------------------------------------------------

    def _read(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            if not select.select([self._client], [], [], self._switches.login_seconds)[0]:
                raise TimeoutError
            data = self._client.recv(65536)
            if not data:
                raise ConnectionResetError
            self._buffer, self._at = self._buffer[self._at :] + data, 0
        self._at += size
        return self._buffer[self._at - size : self._at]

    def _send(self, sentences: list[list[str]], tag: str | None = None) -> None:
        marked = [] if tag is None else [f".tag={tag}"]
        data = b"".join(encoded(sentence + marked) for sentence in sentences)
        with self._sending:
            self._client.sendall(data)

    # -- sentences ---------------------------------------------------------------------------------

    def _answer(self, sentence: Sentence) -> None:
        if self._router.booted_at != self._booted_at:
            raise ConnectionResetError
        command = sentence.command
        if command == "/quit":
            raise _Fatal("session terminated on request")
        if command == "/login":
            self._login(sentence)
        elif not self._logged_in:
            raise _Fatal("not logged in")
        elif command == "/cancel":
            self._cancel(sentence)
        else:
            self._run(sentence)

    def _login(self, sentence: Sentence) -> None:
        name, password = (sentence.arguments.get(one) or "" for one in ("name", "password"))
        self._logged_in = self._router.check_login(name, password)
        refused = [] if self._logged_in else [["!trap", "=message=invalid user name or password (6)"]]
        self._send([*refused, ["!done"]], sentence.tag)

    def _cancel(self, sentence: Sentence) -> None:
        wanted = sentence.arguments.get("tag")
        for stop, tag in list(self._running.items()):
            if wanted in (None, tag):
                stop.set()
        self._send([["!done"]], sentence.tag)

    def _run(self, sentence: Sentence) -> None:
        try:
            menu, spec = _command(self._router.root, sentence)
        except ScriptError as error:
            traps = [["!trap", f"=message={error.text}"], ["!done"]]
            if self._switches.two_traps and error.text == "no such command prefix":
                missing = sentence.command.rpartition("/")[0].rpartition("/")[2]
                traps.insert(0, ["!trap", f"=message=no such command or directory ({missing})"])
            self._send(traps, sentence.tag)
            return
        stop = threading.Event()
        arguments = (sentence, menu, spec, stop)
        if spec.locked:
            self._carry_out(*arguments)
        else:  # it may take long, and the client may send more meanwhile
            self._running[stop] = sentence.tag
            threading.Thread(target=self._carry_out, args=arguments, daemon=True).start()

    def _carry_out(self, sentence: Sentence, menu: Menu, spec: CommandSpec, stop: threading.Event) -> None:
        power = ""
        try:
            answer = _Command(self._router, menu, spec, sentence, stop).run(self._switches.sends_empty)
        except (ScriptError, ScriptSyntaxError) as error:
            answer = [_trap(str(error)), ["!done"]]
        except LimitError:
            answer = [_trap("interrupted"), ["!done"]]
        except PowerEvent as event:
            answer, power = [["!done"]], event.action
        self._running.pop(stop, None)
        try:
            self._send(answer, sentence.tag)
        except OSError:
            self.end()
        self._router.changed()
        if power:
            self.end()
            if self._router.on_power is not None:
                self._router.on_power(power)


def _trap(message: str) -> list[str]:
    category = next((f"={number}" for pattern, number in _CATEGORIES if pattern.match(message)), "")
    return ["!trap", *([f"=category{category}"] if category else []), f"=message={message}"]


def _command(root: Menu, sentence: Sentence) -> tuple[Menu, CommandSpec]:
    """The menu and the command that a sentence names, in full. Raises ScriptError."""
    start, *path, name = sentence.command.split("/") if "/" in sentence.command else ("no slash", "")
    menu = root
    for part in path:
        if part not in menu.children:
            raise ScriptError("no such command prefix")
        menu = menu.children[part]
    spec = menu.commands.get("print" if name == "getall" else name)
    if start or spec is None or (menu is root and name not in _ROOT_COMMANDS):
        raise ScriptError("no such command")
    return menu, spec


class _Command:
    """One command of a client, on its way through the router."""

    def __init__(
        self, router: Router, menu: Menu, spec: CommandSpec, sentence: Sentence, stop: threading.Event
    ) -> None:
        self._router = router
        self._menu = menu
        self._spec = spec
        self._sentence = sentence
        interpreter = Interpreter(router, stop)
        self._call = Call(interpreter, router, menu, Scope(router.globals), 0)

    def run(self, sends_empty: bool) -> list[list[str]]:
        """The sentences of the answer. Raises ScriptError, LimitError, PowerEvent."""
        with self._router.lock:
            self._call.args = self._arguments()
            if self._spec.name == "print":
                return self._print(sends_empty)
            if self._spec.locked:
                value = self._spec.run(self._call)
        if not self._spec.locked:
            value = self._spec.run(self._call)
        if isinstance(value, Array) and value.items and all(isinstance(one, Array) for one in value.items):
            rows = [["!re", *(f"={name}={shown(part)}" for name, part in row.pairs())] for row in value.items]  # type: ignore[union-attr]
            return [*rows, ["!done"]]
        return [["!done", *self._returned(value)]]

    def _returned(self, value: Value) -> list[str]:
        if "value-name" in self._call.args and self._spec.name == "get":
            return [f"=ret={shown(value)}"]
        return [] if is_void(value) else [f"=ret={text(value)}"]

    # -- arguments ---------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        known = {param.name: param.kind for param in self._spec.params}
        found: dict[str, Any] = {}
        if self._sentence.unknown is not None:
            raise ScriptError(f"unknown parameter {self._sentence.unknown}")
        for given, value in self._sentence.arguments.items():
            name = next((one for one in _ITEMS[:2] if one in known), given) if given == ".id" else given
            if known.get(name) in (None, "block", "function", "condition"):
                raise ScriptError(f"unknown parameter {given}")
            found[name] = self._argument(name, known[name], value)
        of_items = isinstance(self._menu.behaviour, ItemMenu) and self._spec.name in _OF_ONE_ITEM
        for name in (*self._spec.required, *(self._spec.positional[:1] if of_items else ())):
            if name not in found:
                raise ScriptError(f"missing ={'.id' if name in _ITEMS[:2] else name}=")
        return found

    def _argument(self, name: str, kind: str, value: str | None) -> Any:
        if kind == "flag" or value is None:
            return True if kind == "flag" else None
        if kind == "yes-no":
            return parse_bool(value)
        behaviour = self._menu.behaviour
        if name in _ITEMS and isinstance(behaviour, ItemMenu):
            return Array([ItemId(item.number) for item in self._items(behaviour, value)])
        return value

    def _items(self, menu: ItemMenu, value: str) -> list[Item]:
        rows = menu.rows(self._router)

        def one(name: str) -> list[Item]:
            number = parse_id(name)
            return [
                row
                for row in rows
                if (number is not None and row.number == number.number)
                or (menu.key != ".id" and text(row.value(menu.key)) == name)
            ][:1]

        found = [one(name) for name in ([value] if one(value) else value.split(","))]
        if not all(found):
            raise ScriptError("no such item")
        return [item for items in found for item in items]

    # -- print -------------------------------------------------------------------------------------

    def _print(self, sends_empty: bool) -> list[list[str]]:
        menu = self._menu.behaviour
        of_settings = isinstance(menu, SettingsMenu)
        items = [menu.item(self._router)] if of_settings else menu.listed(self._router, self._call.args)
        items = [item for item in items if fits(self._sentence.queries, self._reader(item))]
        if "count-only" in self._call.args:
            return [["!done", f"=ret={len(items)}"]]
        rows = [["!re", *self._words(item)] for item in items]
        return [*rows, *([["!empty"]] if sends_empty and not rows else []), ["!done"]]

    def _reader(self, item: Item) -> Callable[[str], Value]:
        menu = self._menu.behaviour
        known = {prop.name for prop in menu.properties(self._router).values() if not prop.write_only}

        def read(name: str) -> Value:
            value = item.value(name) if name in known or (name == ".id" and isinstance(menu, ItemMenu)) else None
            return None if name == "comment" and value == "" else value

        return read

    def _words(self, item: Item) -> list[str]:
        menu = self._menu.behaviour
        names = [".id", *(prop.name for prop in menu.visible(self._router))]
        read = self._reader(item)
        chosen = names if self._sentence.proplist is None else self._sentence.proplist
        found = [(name, read(name)) for name in chosen]
        return [f"={name}={shown(value)}" for name, value in found if not is_void(value)]


def shown(value: Value) -> str:
    """A value in the form that the API gives it."""
    if isinstance(value, Time):
        return unit_text(value)
    if isinstance(value, Array):
        return ",".join(shown(one) for one in value.values())
    return text(value)
