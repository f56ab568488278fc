# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The menus under ``/system``, the users and the log."""

from __future__ import annotations

import base64
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import PowerEvent, ScriptError, ScriptSyntaxError
from .evaluate import Call
from .interfaces import COMMENT, DISABLED
from .kinds import BOOL, IP, STRING, TIME, TIME_OF_DAY, Prop, either, enum, reference, several
from .menus import BaseMenu, Item, ItemMenu, SettingsMenu
from .specs import CommandSpec, Param, params
from .values import Array, Time, Value, parse_time, text

if TYPE_CHECKING:
    from .device import Router

MEBIBYTE = 1024 * 1024
MAX_LOG = 1000
_NAME = Prop("name", STRING, required=True, unique=True)


def _shown(*names: str, kind: Any = STRING) -> tuple[Prop, ...]:
    return tuple(Prop(name, kind, read_only=True) for name in names)


class IdentityMenu(SettingsMenu):
    """``/system identity``."""

    def check(self, router: Router, item: Item) -> None:
        if not 0 < len(text(item.value("name"))) <= 64:
            raise ScriptError("failure: name must be 1 to 64 characters long")

    def item(self, router: Router) -> Item:
        return Item(0, {"name": router.identity})

    def change(self, router: Router, values: dict[str, Value]) -> None:
        super().change(router, values)
        router.identity = text(values.get("name", router.identity))


class ResourceMenu(SettingsMenu):
    """``/system resource``; the numbers are those of a small CHR."""

    def item(self, router: Router) -> Item:
        values: dict[str, Value] = {
            "uptime": Time.of(int(router.uptime)),
            "version": f"{router.version} ({router.channel})",
            "build-time": router.date_time(datetime(2026, 3, 9, 10, 0, 0)),
            "free-memory": router.memory * 3 // 4,
            "total-memory": router.memory,
            "cpu": "QEMU Virtual CPU",
            "cpu-count": 1,
            "cpu-frequency": 2400,
            "cpu-load": 0,
            "free-hdd-space": router.free_space,
            "total-hdd-space": 89 * MEBIBYTE,
            "architecture-name": router.architecture,
            "board-name": "CHR",
            "platform": "MikroTik",
        }
        return Item(0, values)


class ClockMenu(SettingsMenu):
    """``/system clock``: date and time come from the router's clock."""

    def item(self, router: Router) -> Item:
        item = super().item(router)
        moment = router.clock.now()
        item.values["date"] = router.date(moment)
        item.values["time"] = f"{moment:%H:%M:%S}"
        return item

    def show(self, router: Router, name: str, item: Item) -> Value:
        value = super().show(router, name, item)
        return parse_time(text(value)) if name == "time" else value

    def change(self, router: Router, values: dict[str, Value]) -> None:
        moment = now = router.clock.now()
        if "date" in values:
            day = router.parse_date(text(values["date"]))
            moment = moment.replace(year=day.year, month=day.month, day=day.day)
        if "time" in values:
            hour, minute, second = (int(part) for part in text(values["time"]).split(".")[0].split(":"))
            moment = moment.replace(hour=hour, minute=minute, second=second)
        router.clock.shift((moment - now).total_seconds())
        super().change(router, {name: value for name, value in values.items() if name not in ("date", "time")})


class LogMenu(ItemMenu):
    """``/log``: a view of ``router.log``."""

    def rows(self, router: Router) -> list[Item]:
        return [
            Item(entry.number, {"time": router.date_time(entry.time), "topics": entry.topics, "message": entry.message})
            for entry in router.log
        ]


class ScriptMenu(ItemMenu):
    """``/system script``: the source is only parsed when it runs."""

    def check(self, router: Router, item: Item) -> None:
        item.values.setdefault("owner", "admin")
        item.values.setdefault("run-count", 0)


class UserMenu(ItemMenu):
    """``/user``: somebody must keep full access."""

    def check(self, router: Router, item: Item) -> None:
        self._keep_one(router, [item if row.number == item.number else row for row in self.rows(router)], item)

    def create(self, router: Router, values: dict[str, Value]) -> Item:
        self._may(router, values)
        return super().create(router, values)

    def change(self, router: Router, item: Item, values: dict[str, Value]) -> None:
        self._may(router, values)
        super().change(router, item, values)

    def _may(self, router: Router, values: dict[str, Value]) -> None:
        if "password" in values and not router.scripts_set_passwords:
            raise ScriptError("failure: not enough permissions (9)")

    def delete(self, router: Router, item: Item) -> None:
        self._keep_one(router, [row for row in self.rows(router) if row is not item], item)
        super().delete(router, item)

    def _keep_one(self, router: Router, rows: list[Item], changed: Item) -> None:
        if not any(row.value("group") == "full" and row.value("disabled") is not True for row in rows):
            raise ScriptError(f"failure: last user with full access ({text(changed.value('name'))}) must stay")


class KeyMenu(ItemMenu):
    """``/user ssh-keys``: a key cannot be read again, only its comment, type and length."""

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        found = [spec for spec in super().commands(version) if spec.name != "add" or version >= self.add_since]
        return (*found, CommandSpec("import", _import_key, params("text", "user", "public-key-file")))

    add_since = (7,)
    """The first version that takes a key without a file. It is not known; 7.9 has it."""

    def create(self, router: Router, values: dict[str, Value]) -> Item:
        kind, blob, comment = [*text(values.pop("key")).split(" ", 2), "", ""][:3]
        try:
            data = base64.b64decode(blob, validate=True)
        except ValueError:
            data = b""
        if not data.startswith(struct.pack(">I", len(kind)) + kind.encode()):
            raise ScriptError("unable to load key file (wrong format or bad passphrase)!")
        shown = "info" if router.number_version >= (7, 22) else "key-owner"
        return super().create(router, values | {shown: comment, "key-type": kind.removeprefix("ssh-"), "bits": 256})


def _import_key(call: Call) -> Value:
    name = text(call.args["public-key-file"])
    if name not in call.router.files:
        raise ScriptError("input does not match any value of public-key-file")
    menu: KeyMenu = call.menu.behaviour
    key = call.router.files[name].data.decode("latin-1").strip()
    menu.create(call.router, menu.read(call.router, {"user": call.args["user"], "key": key}))
    del call.router.files[name]
    return None


class GroupMenu(ItemMenu):
    """``/user group``: the built-in groups stay."""

    def delete(self, router: Router, item: Item) -> None:
        if item.built_in is not None:
            raise ScriptError("failure: can not remove system group")
        if any(user.value("group") == item.value("name") for user in router.items("user")):
            raise ScriptError("failure: group is in use")
        super().delete(router, item)


class EnvironmentMenu(ItemMenu):
    """``/system script environment``: the global variables."""

    def rows(self, router: Router) -> list[Item]:
        names = sorted(router.globals)
        return [Item(at, {"name": name, "value": text(router.globals[name])}) for at, name in enumerate(names, 1)]

    def delete(self, router: Router, item: Item) -> None:
        router.globals.pop(text(item.value("name")), None)


def _run_script(call: Call) -> Value:
    menu: ItemMenu = call.menu.behaviour
    with call.router.lock:
        items = menu.select(call.router, call.args["number"])
    if len(items) != 1:
        raise ScriptError("no such item")
    item = items[0]
    item.values["run-count"] = int(text(item.value("run-count"))) + 1
    item.values["last-started"] = call.router.date_time(call.router.clock.now())
    try:
        block = call.interpreter.parse(text(item.value("source")))
    except ScriptSyntaxError as error:
        raise ScriptError(str(error)) from None
    return call.interpreter.run_block(block)


def _power(action: str) -> Any:
    def run(call: Call) -> Value:
        raise PowerEvent(action)

    return run


def _log(level: str) -> Any:
    def run(call: Call) -> Value:
        call.router.add_log(f"script,{level}", text(call.args["message"]))
        return None

    return run


POWER = tuple(CommandSpec(action, _power(action)) for action in ("reboot", "shutdown"))
LOG = tuple(
    CommandSpec(level, _log(level), (Param("message"),), ("message",), ("message",))
    for level in ("debug", "error", "info", "warning")
)
_POLICY = "local,telnet,ssh,ftp,reboot,read,write,policy,test,winbox,password,web,sniff,sensitive,api,romon,rest-api"
_RUN = CommandSpec("run", _run_script, (Param("number", "text"),), ("number",), ("number",), locked=False)


class PowerMenu(SettingsMenu):
    """``/system`` itself: it has commands only."""

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        return POWER


MENUS: tuple[BaseMenu, ...] = (
    PowerMenu("system", exported=False),
    IdentityMenu("system identity", Prop("name", STRING)),
    ResourceMenu(
        "system resource",
        *_shown("uptime", "version", "build-time", "free-memory", "total-memory", "cpu", "cpu-count", "cpu-frequency"),
        *_shown("cpu-load", "free-hdd-space", "total-hdd-space", "architecture-name", "board-name", "platform"),
        exported=False,
    ),
    ClockMenu(
        "system clock",
        Prop("time", TIME_OF_DAY),
        Prop("date", STRING),
        Prop("time-zone-autodetect", BOOL, default=True),
        Prop("time-zone-name", STRING, default="UTC"),
        Prop("gmt-offset", STRING, default="+00:00", read_only=True),
    ),
    SettingsMenu("system note", Prop("show-at-login", BOOL, default=True), Prop("note", STRING, default="")),
    ScriptMenu(
        "system script",
        _NAME,
        *_shown("owner"),
        Prop("policy", several(STRING)),
        Prop("dont-require-permissions", BOOL, default=False),
        *_shown("last-started", "run-count"),
        Prop("source", STRING, default=""),
        COMMENT,
        unset=(7, 24),
        columns="name owner run-count",
        more=(_RUN,),
    ),
    EnvironmentMenu(
        "system script environment",
        *_shown("name", "value"),
        without="add set export",
        exported=False,
    ),
    ItemMenu(
        "system scheduler",
        _NAME,
        Prop("start-date", STRING),
        Prop("start-time", either(TIME_OF_DAY, enum("startup"))),
        Prop("interval", TIME, default=Time(0)),
        Prop("on-event", STRING, default=""),
        Prop("policy", several(STRING)),
        *_shown("run-count", "next-run"),
        DISABLED,
        COMMENT,
        unset=(7, 24),
        columns="name start-date start-time interval on-event",
    ),
    SettingsMenu(
        "system ntp client",
        Prop("enabled", BOOL, default=False),
        Prop("mode", enum("broadcast", "manycast", "multicast", "unicast"), default="unicast", since=(7,)),
        Prop("servers", several(either(IP, STRING)), default=Array(), since=(7,)),
        Prop("primary-ntp", IP, until=(7,)),
        Prop("secondary-ntp", IP, until=(7,)),
    ),
    ItemMenu(
        "system logging",
        Prop("topics", several(STRING), default=Array(["info"])),
        Prop("action", enum("memory", "disk", "echo", "remote"), default="memory"),
        Prop("prefix", STRING, default=""),
        DISABLED,
        key=".id",
        start=tuple({"topics": Array([topic])} for topic in ("info", "error", "warning", "critical")),
    ),
    ItemMenu(
        "ppp secret",
        _NAME,
        Prop("password", STRING, default="", secret=True),
        Prop("service", enum("any", "async", "l2tp", "ovpn", "pppoe", "pptp", "sstp"), default="any"),
        DISABLED,
        COMMENT,
        columns="name service password",
    ),
    GroupMenu(
        "user group",
        _NAME,
        Prop("policy", STRING, default=""),
        Prop("skin", STRING, default="default"),
        COMMENT,
        exported=False,
        start=tuple({"name": name, "policy": _POLICY} for name in ("read", "write", "full")),
    ),
    UserMenu(
        "user",
        _NAME,
        Prop("group", reference("user group"), required=True),
        Prop("address", STRING, default=""),
        Prop("password", STRING, default="", secret=True, write_only=True),
        Prop("inactivity-timeout", TIME, default=Time.of(600), since=(7, 16)),
        Prop("inactivity-policy", enum("none", "lockscreen", "logout"), default="none", since=(7, 16)),
        Prop("expired", BOOL, default=False, read_only=True, flag="E"),
        *_shown("last-logged-in"),
        DISABLED,
        COMMENT,
        exported=False,
        start=({"name": "admin", "group": "full", "comment": "system default user"},),
    ),
    KeyMenu(
        "user ssh-keys",
        Prop("user", reference("user"), required=True),
        Prop("key", STRING, required=True, write_only=True),
        *_shown("bits", "key-type"),
        Prop("key-owner", STRING, read_only=True, until=(7, 22)),
        Prop("info", STRING, read_only=True, since=(7, 22)),
        COMMENT,
        key=".id",
        without="set comment export copy-from",
        exported=False,
    ),
    LogMenu(
        "log",
        *_shown("time", "topics", "message"),
        key=".id",
        without="add set remove from export",
        exported=False,
        more=LOG,
    ),
)
