# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's files and the ``/file`` menu."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from .clock import UTC
from .errors import ScriptError
from .kinds import STRING, Prop, enum
from .menus import BaseMenu, Item, ItemMenu
from .specs import CommandSpec
from .values import Value, text

if TYPE_CHECKING:
    from .device import Router

MAX_CONTENTS = 60 * 1024
_TYPES = {"rsc": "script", "backup": "backup", "npk": "package", "key": "ssh key"}


@dataclass
class File:
    """A file, or with ``directory`` a folder.

    ``number`` is its internal number once a script has seen it.
    """

    data: bytes = b""
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    directory: bool = False
    number: int = 0


def file_type(name: str, file: File) -> str:
    """The type that ``/file print`` shows."""
    if file.directory:
        return "directory"
    suffix = name.rsplit("/", 1)[-1].rpartition(".")
    if not suffix[1]:
        return "file"
    return _TYPES.get(suffix[2], f".{suffix[2]} file")


def check_name(router: Router, name: str) -> None:
    """Refuses a name that the router could not store."""
    parts = name.split("/")
    if not all(parts) or ".." in parts or len(name) > 255 or any(char < " " for char in name):
        raise ScriptError("failure: bad file name")
    folder = "/".join(parts[:-1])
    if folder and not (folder in router.files and router.files[folder].directory):
        raise ScriptError(f"failure: no such directory {folder}")


def check_room(router: Router, data: bytes) -> None:
    """Refuses *data* for a file when the disk is full."""
    if data and router.disk_full:
        raise ScriptError("failure: no space left on disk")


class FileMenu(ItemMenu):
    """``/file``: a view of ``router.files``."""

    def rows(self, router: Router) -> list[Item]:
        return [self._item(router, name) for name in sorted(router.files)]

    def _item(self, router: Router, name: str) -> Item:
        file = router.files[name]
        if not file.number:
            table = self.table(router)
            table.last += 1
            file.number = table.last
        moment = router.date_time(file.modified)
        values: dict[str, Value] = {"name": name, "type": file_type(name, file)}
        values.update({"creation-time": moment, "last-modified": moment})
        if not file.directory:
            values["size"] = len(file.data)
            values["contents"] = file.data.decode("latin-1") if len(file.data) <= self._limit(router) else ""
        return Item(file.number, values)

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        found = {spec.name: spec for spec in super().commands(version)}
        if version < (7, 14):  # a file cannot be renamed
            kept = tuple(param for param in found["set"].params if param.name != "name")
            found["set"] = replace(found["set"], params=kept)
        if version < (7, 9):
            del found["add"]
        return tuple(found.values())

    def _limit(self, router: Router) -> int:
        return MAX_CONTENTS if router.number_version >= (7,) else 4095

    def create(self, router: Router, values: dict[str, Value]) -> Item:
        name = text(values["name"])
        if name in router.files:
            raise ScriptError("failure: file already exists")
        check_name(router, name)
        router.files[name] = File(b"", router.clock.now(), values.get("type") == "directory")
        self._write(router, name, values)
        return self._item(router, name)

    def _write(self, router: Router, name: str, values: dict[str, Value]) -> None:
        if "contents" not in values:
            return
        data = text(values["contents"]).encode("latin-1")
        if router.files[name].directory:
            raise ScriptError("failure: can not write to a directory")
        if len(data) > self._limit(router):
            raise ScriptError("failure: contents too large")
        check_room(router, data)
        router.files[name].data, router.files[name].modified = data, router.clock.now()

    def change(self, router: Router, item: Item, values: dict[str, Value]) -> None:
        old, new = text(item.value("name")), text(values.get("name", item.value("name")))
        if new != old:
            if new in router.files:
                raise ScriptError("failure: file already exists")
            check_name(router, new)
            router.files[new] = router.files.pop(old)
            for name in [name for name in router.files if name.startswith(old + "/")]:
                router.files[new + name[len(old) :]] = router.files.pop(name)
        self._write(router, new, values)

    def delete(self, router: Router, item: Item) -> None:
        name = text(item.value("name"))
        for inner in [other for other in router.files if other == name or other.startswith(name + "/")]:
            del router.files[inner]


MENUS: tuple[BaseMenu, ...] = (
    FileMenu(
        "file",
        Prop("name", STRING, required=True),
        Prop("type", enum("file", "directory"), since=(7, 16)),
        Prop("type", STRING, read_only=True, until=(7, 16)),
        Prop("size", STRING, read_only=True),
        Prop("creation-time", STRING, read_only=True),
        Prop("last-modified", STRING, read_only=True, since=(7, 10)),
        Prop("contents", STRING, hidden=True),
        exported=False,
        without="export copy-from",
        columns="name type size creation-time last-modified",
    ),
)
