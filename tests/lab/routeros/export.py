# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/export`` and ``/import``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .errors import ScriptError, ScriptSyntaxError
from .evaluate import Call
from .kinds import Prop, shown
from .menus import Item, ItemMenu, SettingsMenu
from .nodes import Block
from .specs import CommandSpec, Menu, Param, params
from .values import Value, equal, is_void, parse_number, quote, text

if TYPE_CHECKING:
    from .device import Router

_PLAIN = re.compile(r"[A-Za-z0-9._/:,@+-]+\Z")


def export_text(router: Router, menu: Menu, verbose: bool = False, secrets: bool = False, terse: bool = False) -> str:
    """Export the configuration of a menu and everything below as a script.

    Lines end with a newline character.
    """
    lines = [f"# {router.date_time(router.clock.now())} by RouterOS {router.version}", "#"]
    if router.number_version >= (7,):
        lines.insert(1, f"# system id = {router.system_id}")
    for node in sorted(menu.walk(), key=_order):
        commands = _commands(router, node, verbose, secrets)
        if commands and terse:
            lines += [f"{node.title} {command}" for command in commands]
        elif commands:
            lines += [node.title, *commands]
    return "".join(line + "\n" for line in [*lines, *router.export_errors])


def _order(menu: Menu) -> tuple[int, tuple[str, ...]]:
    """Sort interfaces first and lists before their members.

    So a later line may name what an earlier one made.
    """
    first = ("interface bridge", "interface vlan", "interface", "ip pool", "ip dhcp-server")
    path = " ".join(menu.path)
    head = next((at for at, name in enumerate(first) if path == name), len(first))
    return (-1 if path == "interface ethernet" else head), menu.path


def _commands(router: Router, node: Menu, verbose: bool, secrets: bool) -> list[str]:
    menu = node.behaviour
    if menu is None or not menu.exported:
        return []
    props = [prop for prop in node.properties.values() if not prop.read_only and (secrets or not prop.secret)]
    if isinstance(menu, ItemMenu):
        found = [_item(router, menu, props, item, verbose) for item in menu.rows(router) if not item.dynamic]
        return [line for line in found if line]
    assert isinstance(menu, SettingsMenu)
    if menu.path == "system clock":
        props = [prop for prop in props if prop.name not in ("time", "date")]
    item = menu.item(router)
    default = {prop.name: prop.default for prop in props}
    if menu.path == "system identity":
        default["name"] = router.default_identity
    words = _words(props, item, default, verbose)
    return ["set " + " ".join(words)] if words else []


def _item(router: Router, menu: ItemMenu, props: list[Prop], item: Item, verbose: bool) -> str:
    if item.built_in is None:
        return " ".join(["add", *_words(props, item, menu.defaults(router), verbose)])
    words = _words(props, item, item.built_in, verbose=False)
    key = "default-name" if "default-name" in item.built_in else menu.key
    if not words:
        return ""
    chosen = f"*{item.number:X}" if key == ".id" else f"[ find {key}={_quoted(text(item.built_in[key]))} ]"
    return " ".join(["set", chosen, *words])


def _words(props: list[Prop], item: Item, defaults: dict[str, Value], verbose: bool) -> list[str]:
    words = []
    for prop in sorted(props, key=lambda prop: prop.name):
        value = item.value(prop.name)
        if is_void(value) or (not verbose and equal(value, defaults.get(prop.name, prop.default))):
            continue
        words.append(f"{prop.name}={_quoted(shown(value))}")
    return words


def _quoted(content: str) -> str:
    return content if _PLAIN.match(content) else quote(content)


def _export(call: Call) -> Value:
    router = call.router
    shows = "show-sensitive" in call.args or (router.number_version < (7,) and "hide-sensitive" not in call.args)
    content = export_text(router, call.menu, "verbose" in call.args, shows, "terse" in call.args)
    if "file" not in call.args:
        for line in content.splitlines():
            call.output.line(line)
        return None
    name = text(call.args["file"])
    data = content.replace("\n", call.output.newline).encode("latin-1")
    router.write_late(name if name.endswith(".rsc") else f"{name}.rsc", data)
    return None


def _import(call: Call) -> Value:
    """Runs a file as a script of its own; reports success after the script's output."""
    router, name = call.router, text(call.args["file-name"])
    with router.lock:
        file = router.files.get(name)
    if file is None or file.directory:
        raise ScriptError(f"failure: file {name} not found")
    source = _from_line(file.data.decode("latin-1"), call.get("from-line"))
    try:
        block = call.interpreter.parse(source)
        if call.get("verbose") is True:
            _verbosely(call, block)
        else:
            call.interpreter.run_block(block)
    except ScriptSyntaxError as error:
        raise ScriptError(str(error)) from None
    except ScriptError as error:
        if router.quiet_import:
            call.output.line(_located(error).text)
            return None
        raise _located(error) from None
    call.output.line("Script file loaded and executed successfully")
    return None


def _verbosely(call: Call, block: Block) -> None:
    for statement in block.statements:
        if not isinstance(statement, Block):
            call.output.line(f"#line {statement.line}")
            call.output.line(statement.text)
    call.interpreter.run_block(block)


def _from_line(source: str, value: Value) -> str:
    """The source with everything before that line made empty, so that line numbers stay right."""
    if is_void(value):
        return source
    first = parse_number(text(value)) or 0
    lines = source.split("\n")
    if not 1 <= first <= len(lines):
        raise ScriptError("value of from-line out of range")
    return "\n" * (first - 1) + "\n".join(lines[first - 1 :])


def _located(error: ScriptError) -> ScriptError:
    if re.search(r"\(line \d+", error.text) or error.line is None:
        return error
    return ScriptError(f"{error.text} (line {error.line})")


_EXPORT_PARAMS = (*params("flag", "compact", "verbose", "terse", "hide-sensitive"), Param("file", "text"))
EXPORT = (
    CommandSpec("export", _export, _EXPORT_PARAMS),
    CommandSpec("export", _export, (*_EXPORT_PARAMS, Param("show-sensitive", "flag")), since=(7,)),
)
IMPORT = CommandSpec(
    "import",
    _import,
    (Param("file-name", "text"), Param("verbose", "yes-no"), Param("from-line")),
    ("file-name",),
    ("file-name",),
    locked=False,
)
