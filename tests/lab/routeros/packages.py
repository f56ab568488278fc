# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/system package``, and what a boot makes of the package files among the router's files."""

from __future__ import annotations

import re
import struct
import threading
from typing import TYPE_CHECKING, Any

from .errors import PowerEvent, ScriptError
from .evaluate import Call
from .kinds import BOOL, STRING, Prop, enum
from .menus import BaseMenu, Item, ItemMenu, SettingsMenu
from .specs import CommandSpec, Param, params
from .values import Array, Value, text

if TYPE_CHECKING:
    from .device import Router

MAGIC = 0xBAD0F11E
_INFO, _ARCHITECTURE, _CONTENT = 0x12, 0x10, 0x15
_STAGES = {"a": "alpha", "b": "beta", "c": "rc", "f": "."}
_FOR_EVER = 3600.0


def parse_version(version: str) -> tuple[int, ...]:
    """``7.22rc4`` as (7, 22); ``ValueError`` when it does not begin with a number."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not match:
        raise ValueError(f"not a RouterOS version: {version!r}")
    return tuple(int(group) for group in match.groups() if group)


def npk(name: str, version: str, architecture: str = "x86_64", size: int = 2000) -> bytes:
    """A package file whose header is that of MikroTik's, as public parsers read it."""
    found = re.fullmatch(r"(\d+)\.(\d+)(?:(alpha|beta|rc|\.)(\d+))?", version)
    assert found
    stage = next(letter for letter, word in _STAGES.items() if word == (found[3] or "."))
    number = bytes((int(found[4] or 0), ord(stage), int(found[2]), int(found[1])))
    info = struct.pack("<16s4sI12s", name.encode(), number, 1_790_000_000, b"")
    parts = ((_INFO, info), (_ARCHITECTURE, architecture.encode()), (_CONTENT, b"\xa5" * size))
    content = b"".join(struct.pack("<HI", kind, len(data)) + data for kind, data in parts)
    return struct.pack("<II", MAGIC, len(content)) + content


def _read(data: bytes) -> tuple[str, str, str]:
    """Name, version and architecture of a package; ``ValueError`` when it is none."""
    try:
        if struct.unpack_from("<II", data) != (MAGIC, len(data) - 8):
            raise ValueError("not a package, or a damaged one")
        parts, at = {}, 8
        while at < len(data):
            kind, length = struct.unpack_from("<HI", data, at)
            parts[kind] = data[at + 6 : at + 6 + length]
            at += 6 + length
        name, (revision, stage, minor, major), _built, _rest = struct.unpack("<16s4sI12s", parts[_INFO])
    except (struct.error, KeyError) as error:
        raise ValueError(f"damaged package: {error}") from None
    version = f"{major}.{minor}"
    if revision or chr(stage) != "f":
        version += f"{_STAGES[chr(stage)]}{revision}"
    return name.rstrip(b"\0").decode(), version, parts[_ARCHITECTURE].decode()


def _order(version: str) -> tuple[Any, ...]:
    found = re.fullmatch(r"(\d+)\.(\d+)(?:(alpha|beta|rc|\.)(\d+))?", version)
    assert found
    return int(found[1]), int(found[2]), ["alpha", "beta", "rc", "."].index(found[3] or "."), int(found[4] or 0)


def boot(router: Router) -> None:
    """Install what lies among the files, and take away what was uninstalled."""
    state = router.packages
    for name in state.uninstalled:
        state.installed.pop(name, None)
    before = router.version
    for path in [path for path in router.files if path.endswith(".npk") and "/" not in path]:
        try:
            name, version, architecture = _read(router.files[path].data)
            if architecture != router.architecture:
                raise ValueError(f"wrong architecture {architecture}")
            if router.license.limited_upgrades:
                raise ValueError("upgrades are limited by the license")
            if not state.downgrade and _order(version) < _order(router.version):
                raise ValueError(f"{version} is older than {router.version}")
        except ValueError as error:
            router.add_log("system,error", f"can not install {path}: {error}")
            continue
        if not router.package_switches.refused_at_boot:
            state.installed[name] = version
            del router.files[path]
    state.uninstalled, state.downgrade = set(), False
    state.status = state.latest = ""
    if state.installed["routeros"] != before:
        router.become(state.installed["routeros"])
        for menu in router.package_switches.lost_at_upgrade:
            router.tables[menu].items.clear()


class Packages:
    """The packages of one router, and the state of its update."""

    def __init__(self) -> None:
        self.installed: dict[str, str] = {}
        self.uninstalled: set[str] = set()
        self.downgrade = False
        self.latest = ""
        self.status = ""
        self.turn = 0
        """Which check or download is the last one."""


class PackageMenu(ItemMenu):
    """``/system package``. A package of another version than RouterOS is disabled."""

    def rows(self, router: Router) -> list[Item]:
        state = router.packages
        return [
            Item(at, {"name": name, "version": version, "disabled": version != router.version, "scheduled": word})
            for at, (name, version) in enumerate(sorted(state.installed.items()), 1)
            for word in ["scheduled for uninstall" if name in state.uninstalled else ""]
        ]


def _uninstall(keep: bool) -> Any:
    def run(call: Call) -> Value:
        menu: PackageMenu = call.menu.behaviour
        names = {text(item.value("name")) for item in menu.select(call.router, call.args["numbers"])}
        if "routeros" in names:
            raise ScriptError("failure: can not uninstall routeros")
        state = call.router.packages
        state.uninstalled = state.uninstalled - names if keep else state.uninstalled | names
        return None

    return run


def _downgrade(call: Call) -> Value:
    call.router.packages.downgrade = True
    if call.router.package_switches.downgrade_reboots:
        raise PowerEvent("reboot")
    return None


class UpdateMenu(SettingsMenu):
    """``/system package update``."""

    def item(self, router: Router) -> Item:
        item = super().item(router)
        state = router.packages
        item.values.update({"installed-version": router.version, "latest-version": state.latest or None})
        item.values["status"] = state.status or None
        return item

    def change(self, router: Router, values: dict[str, Value]) -> None:
        super().change(router, values)
        router.packages.latest = router.packages.status = ""


def _offered(router: Router) -> str:
    """What the update server has; the status tells when it has nothing."""
    if router.offers is None:
        router.packages.status = "ERROR: could not resolve dns name"
        return ""
    channel = text(router.behaviour_of_settings("system package update").item(router).value("channel"))
    return router.offers.get(channel, router.version)


def _checked(router: Router) -> None:
    state = router.packages
    state.latest = _offered(router)
    if state.latest:
        same = state.latest == router.version
        state.status = "System is already up to date" if same else "New version is available"


def _downloaded(router: Router) -> None:
    state, size = router.packages, router.package_switches.download_size
    version = _offered(router)
    if not version:
        return
    state.latest = version
    if size > router.free_space:
        state.status = f"ERROR: not enough disk space, {size} bytes are required and only {router.free_space} are free"
        return
    for name in state.installed:
        router.write_file(f"{name}-{version}.npk", npk(name, version, router.architecture, size))
    state.status = router.package_switches.downloaded


def _monitor(word: str, done: Any, then: Any = None) -> Any:
    """A command that shows what goes on until it is done, or for ever."""

    def run(call: Call) -> Value:
        router, switches = call.router, call.router.package_switches
        with router.lock:
            state = router.packages
            state.status, state.turn = word, state.turn + 1
            turn = state.turn

        def end() -> None:
            if router.packages.turn == turn:
                done(router)

        timer = threading.Timer(switches.seconds, end)
        timer.start()
        if "once" not in call.args:
            call.interpreter.sleep(switches.seconds + 0.02)
            timer.join()
            if not switches.monitors_end:
                call.interpreter.sleep(_FOR_EVER)
        if then is not None:
            then(router)
        if "as-value" in call.args:
            return Array([], {"status": state.status, "latest-version": state.latest})
        call.output.line(f"  status: {state.status}")
        return None

    return run


def _cancel(call: Call) -> Value:
    state = call.router.packages
    state.status, state.turn = "", state.turn + 1
    return None


def _then_reboot(router: Router) -> None:
    if router.packages.status == router.package_switches.downloaded and router.package_switches.install_reboots:
        raise PowerEvent("reboot")


_WATCHED = (*params("flag", "once", "as-value", "without-paging"), *params("text", "duration", "interval", "file"))
_LOADED = (*_WATCHED, Param("ignore-missing", "flag"))
UPDATE = (
    CommandSpec("cancel", _cancel),
    CommandSpec("check-for-updates", _monitor("finding out latest version...", _checked), _WATCHED, locked=False),
    CommandSpec("download", _monitor("calculating download size...", _downloaded), _LOADED, locked=False),
    CommandSpec("install", _monitor("calculating download size...", _downloaded, _then_reboot), _LOADED, locked=False),
)
_NUMBERS = (Param("numbers", "text"),)

MENUS: tuple[BaseMenu, ...] = (
    PackageMenu(
        "system package",
        *(Prop(name, STRING, read_only=True) for name in ("name", "version", "scheduled")),
        Prop("disabled", BOOL, read_only=True, flag="X"),
        without="add set remove",
        exported=False,
        more=(
            CommandSpec("uninstall", _uninstall(False), _NUMBERS, ("numbers",), ("numbers",)),
            CommandSpec("unschedule", _uninstall(True), _NUMBERS, ("numbers",), ("numbers",)),
            CommandSpec("downgrade", _downgrade),
        ),
    ),
    UpdateMenu(
        "system package update",
        Prop("channel", enum("stable", "long-term", "testing", "development"), default="stable"),
        *(Prop(name, STRING, read_only=True) for name in ("installed-version", "latest-version", "status")),
        exported=False,
        more=UPDATE,
    ),
)
