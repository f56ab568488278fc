# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generic menus, with the commands that every such menu has.

A menu is a list of items, or one set of settings.

A menu is an ``ItemMenu`` or a ``SettingsMenu`` with a tuple of ``Prop``. What is special about a
menu goes into a subclass that overrides ``rows``, ``check``, ``create``, ``change`` or ``delete``,
or adds to ``more``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .errors import ScriptError
from .evaluate import Call
from .kinds import Prop
from .printing import print_items, print_settings
from .specs import CommandSpec, Menu, Param, params
from .values import Array, ItemId, Value, equal, is_void, parse_id, parse_number, text

if TYPE_CHECKING:
    from .device import Router

NEVER = (99,)
"""The version from which on there is what no version has."""
COUNTERS = frozenset(
    ("bytes", "packets", "tx-queue-drop")
    + tuple(f"{way}-{what}" for way in ("rx", "tx") for what in ("byte", "packet", "drop", "error"))
)
_PRINT_SETTINGS = (*params("flag", "as-value", "without-paging"), Param("file", "text"))
_PRINT_ITEMS = (
    *_PRINT_SETTINGS,
    *params("flag", "detail", "terse", "brief", "value-list", "count-only"),
    *params("text", "from", "proplist"),
)


@dataclass(eq=False)
class Item:
    """One row of a menu.

    ``built_in`` items come with the router and keep their first values for the export.
    """

    number: int
    values: dict[str, Value]
    dynamic: bool = False
    built_in: dict[str, Value] | None = None

    def value(self, name: str) -> Value:
        """A property, *nothing* when it has no value; ``.id`` is the item's number."""
        if name == "dynamic":
            return self.dynamic
        return ItemId(self.number) if name == ".id" else self.values.get(name)


@dataclass
class Table:
    """The items of one menu; numbers grow and are never used again."""

    items: list[Item] = field(default_factory=list)
    last: int = 0

    def new(self, values: dict[str, Value], dynamic: bool = False, built_in: bool = False) -> Item:
        """Appends an item."""
        self.last += 1
        item = Item(self.last, dict(values), dynamic, dict(values) if built_in else None)
        self.items.append(item)
        return item


class BaseMenu:
    """What both sorts of menus share."""

    def __init__(
        self,
        path: str,
        *properties: Prop,
        exported: bool = True,
        without: str = "",
        more: tuple[CommandSpec, ...] = (),
    ) -> None:
        self.path = path
        self.without = without.split()
        self.all_properties = properties
        self.exported = exported
        self.more = more

    def for_version(self, version: tuple[int, ...]) -> dict[str, Prop]:
        """The properties that this version of RouterOS has."""
        return {prop.name: prop for prop in self.all_properties if prop.since <= version < prop.until}

    def properties(self, router: Router) -> dict[str, Prop]:
        """The properties on this router, by name."""
        return router.menu(self.path).properties

    def writable(self, version: tuple[int, ...]) -> tuple[Param, ...]:
        """One parameter for each property that scripts may set."""
        found = self.for_version(version).values()
        return tuple(
            Param(prop.name, "source" if prop.name in ("source", "on-event") else "text")
            for prop in found
            if not prop.read_only
        )

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        """The commands of the menu."""
        raise NotImplementedError

    def read(self, router: Router, given: dict[str, Any]) -> dict[str, Value]:
        """Check and convert the given arguments.

        A property that is removed becomes its default.
        """
        known = self.properties(router)
        return {
            name: known[name].default if value is None else known[name].kind.read(router, name, value)
            for name, value in given.items()
            if name in known
        }

    def show(self, router: Router, name: str, item: Item) -> Value:
        """What ``get`` gives for one property."""
        prop = self.properties(router).get(name)
        if name != ".id" and (prop is None or prop.write_only):
            raise ScriptError("input does not match any value of value-name")
        return item.value(name)

    def visible(self, router: Router) -> list[Prop]:
        """The properties that ``print`` may show, in order."""
        return [prop for prop in self.properties(router).values() if not (prop.write_only or prop.hidden)]


class ItemMenu(BaseMenu):
    """A list of items.

    ``without`` names commands, and arguments of ``print`` and ``add``, that it does not have.
    ``unset`` is the first version with that command.
    """

    def __init__(
        self,
        path: str,
        *properties: Prop,
        key: str = "name",
        without: str = "",
        ordered: bool = False,
        columns: str = "",
        exported: bool = True,
        unset: tuple[int, ...] = NEVER,
        more: tuple[CommandSpec, ...] = (),
        start: tuple[dict[str, Value], ...] = (),
    ) -> None:
        super().__init__(path, *properties, exported=exported, without=without, more=more)
        self.key = key
        self.ordered = ordered
        self.columns = columns.split()
        self.unset = unset
        self.start = start

    # -- what subclasses change --------------------------------------------------------------------

    def setup(self, router: Router) -> None:
        """Puts the items there that a new router has."""
        for values in self.start:
            self.table(router).new({**self.defaults(router), **values}, built_in=True)

    def table(self, router: Router) -> Table:
        """Where the items are kept."""
        return router.tables.setdefault(self.path, Table())

    def rows(self, router: Router) -> list[Item]:
        """The items, in order."""
        return self.table(router).items

    def listed(self, router: Router, given: dict[str, Any]) -> list[Item]:
        """What ``print`` shows with these arguments."""
        rows = self.rows(router)
        if "from" in given:
            wanted = [item.number for item in self.select(router, given["from"])]
            return [item for item in rows if item.number in wanted]
        return rows

    def check(self, router: Router, item: Item) -> None:
        """Refuse a bad combination, and fill in what follows from other properties.

        It is called after every change.
        """

    def create(self, router: Router, values: dict[str, Value]) -> Item:
        """A new item."""
        table = self.table(router)
        item = Item(table.last + 1, {**self.defaults(router), **values})
        self.check(router, item)
        table.last += 1
        table.items.append(item)
        return item

    def change(self, router: Router, item: Item, values: dict[str, Value]) -> None:
        """New values for an item; nothing changes when they are refused."""
        if item.dynamic:
            raise ScriptError("failure: can not change dynamic item")
        tried = replace(item, values={**item.values, **values})
        self.check(router, tried)
        before = item.values
        item.values = tried.values
        if not equal(before.get(self.key), item.values.get(self.key)):
            router.renamed(self.path, text(before.get(self.key)), text(item.values.get(self.key)))

    def delete(self, router: Router, item: Item) -> None:
        """Takes an item away."""
        if item.dynamic:
            raise ScriptError("failure: can not remove dynamic item")
        self.table(router).items.remove(item)

    # -- common ------------------------------------------------------------------------------------

    def defaults(self, router: Router) -> dict[str, Value]:
        """The values of an item of which nothing was said."""
        return {name: prop.default for name, prop in self.properties(router).items() if prop.default is not None}

    def select(self, router: Router, value: Value) -> list[Item]:
        """The items that numbers, ids, names or the result of ``find`` stand for."""
        if isinstance(value, Array):
            return [item for part in value.values() for item in self.select(router, part)]
        if isinstance(value, str) and "," in value:
            return [item for part in value.split(",") for item in self.select(router, part)]
        return [] if is_void(value) else [self._one(router, value)]

    def _one(self, router: Router, value: Value) -> Item:
        rows = self.rows(router)
        content = text(value)
        number = value if isinstance(value, ItemId) else parse_id(content)
        if number is not None:
            for item in rows:
                if item.number == number.number:
                    return item
        for item in rows:
            if text(item.value(self.key)) == content:
                return item
        index = parse_number(content)
        if index is not None and 0 <= index < len(rows):
            return rows[index]
        raise ScriptError("no such item")

    def refuse_twins(self, router: Router, item: Item) -> None:
        """Refuses a second item with the same value of a unique property."""
        for prop in self.properties(router).values():
            value = item.value(prop.name)
            if not prop.unique or is_void(value):
                continue
            if any(row.number != item.number and equal(row.value(prop.name), value) for row in self.rows(router)):
                raise ScriptError(f"failure: already have {self.path.split()[-1]} with such {prop.name}")

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        writable = self.writable(version)
        numbers = Param("numbers", "text")
        place = (Param("place-before", "text"),) if self.ordered else ()
        origin = () if "copy-from" in self.without else (Param("copy-from", "text"),)
        found_properties = self.for_version(version).values()
        stats = params("flag", "stats") if any(prop.counter for prop in found_properties) else ()
        shown = tuple(param for param in _PRINT_ITEMS if param.name not in self.without) + stats
        found = [
            CommandSpec("add", _add, writable + place + origin),
            CommandSpec("set", _set, (numbers, *writable), ("numbers",), ("numbers",)),
            CommandSpec("remove", _remove, (numbers,), ("numbers",), ("numbers",)),
            CommandSpec("find", _find, where="bare"),
            CommandSpec("get", _get, (Param("number", "text"), Param("value-name", "key")), ("number", "value-name")),
            CommandSpec("print", _print, shown, where="word"),
        ]
        names = [prop.name for prop in found_properties if not prop.read_only]
        if "disabled" in names:
            found += [CommandSpec(name, _toggle(name), (numbers,), ("numbers",)) for name in ("enable", "disable")]
        if "comment" in names:
            both = (numbers, Param("comment", "text"))
            found.append(CommandSpec("comment", _set, both, ("numbers", "comment"), ("numbers", "comment")))
        if self.ordered:
            both = (numbers, Param("destination", "text"))
            found.append(CommandSpec("move", _move, both, ("numbers", "destination"), ("numbers",)))
        both = (numbers, Param("value-name", "key"))
        names_of_both = ("numbers", "value-name")
        found.append(CommandSpec("unset", _unset, both, names_of_both, names_of_both, since=self.unset))
        return tuple(spec for spec in found if spec.name not in self.without) + self.more


class SettingsMenu(BaseMenu):
    """One set of settings."""

    read_only = False

    def item(self, router: Router) -> Item:
        """The settings as one item."""
        kept = router.settings.setdefault(self.path, {})
        defaults = {name: prop.default for name, prop in self.properties(router).items()}
        return Item(0, {**defaults, **kept})

    def check(self, router: Router, item: Item) -> None:
        """Refuses a bad combination; called before a change is kept."""

    def change(self, router: Router, values: dict[str, Value]) -> None:
        """New values for some settings."""
        item = self.item(router)
        item.values.update(values)
        self.check(router, item)
        router.settings.setdefault(self.path, {}).update(values)

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        writable = self.writable(version)
        found = [
            CommandSpec("get", _get_setting, (Param("value-name", "key"),), ("value-name",)),
            CommandSpec("print", _print_settings, _PRINT_SETTINGS),
        ]
        if writable:
            found.append(CommandSpec("set", _set_setting, writable))
        return (*found, *self.more)


# -- the commands ----------------------------------------------------------------------------------


def _items(call: Call) -> ItemMenu:
    return call.menu.behaviour  # type: ignore[no-any-return]


def _given(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.args.items() if name in call.menu.properties}


def _add(call: Call) -> Value:
    menu, router = _items(call), call.router
    values = menu.read(router, _given(call))
    if "copy-from" in call.args:
        origin = menu.select(router, call.args["copy-from"])[0]
        values = {**{name: origin.value(name) for name in menu.properties(router)}, **values}
    missing = [
        prop.name for prop in menu.properties(router).values() if prop.required and is_void(values.get(prop.name))
    ]
    if missing:
        raise ScriptError(f"missing value(s) of argument(s) {' '.join(missing)}")
    menu.refuse_twins(router, Item(0, values))
    before = menu.select(router, call.args["place-before"])[:1] if "place-before" in call.args else []
    item = menu.create(router, values)
    if before:
        _place(menu.table(router).items, [item], before[0])
    return ItemId(item.number)


def _set(call: Call) -> Value:
    menu, router = _items(call), call.router
    items = menu.select(router, call.args["numbers"])
    values = menu.read(router, _given(call))
    for item in items:
        menu.refuse_twins(router, replace(item, values={**item.values, **values}))
        menu.change(router, item, dict(values))
    return None


def _remove(call: Call) -> Value:
    menu = _items(call)
    for item in menu.select(call.router, call.args["numbers"]):
        menu.delete(call.router, item)
    return None


def _toggle(name: str) -> Any:
    def run(call: Call) -> Value:
        menu = _items(call)
        for item in menu.select(call.router, call.get("numbers")):
            menu.change(call.router, item, {"disabled": name == "disable"})
        return None

    return run


def _move(call: Call) -> Value:
    menu = _items(call)
    moved = menu.select(call.router, call.args["numbers"])
    target = menu.select(call.router, call.get("destination"))
    _place(menu.table(call.router).items, moved, target[0] if target else None)
    return None


def _place(rows: list[Item], moved: list[Item], before: Item | None) -> None:
    rows[:] = [row for row in rows if row not in moved or row is before]
    index = rows.index(before) if before is not None else len(rows)
    rows[index:index] = [item for item in moved if item is not before]


def _unset(call: Call) -> Value:
    menu, name = _items(call), text(call.args["value-name"])
    prop = menu.properties(call.router).get(name)
    if prop is None or prop.read_only or prop.required or not is_void(prop.default):
        raise ScriptError("input does not match any value of value-name")
    for item in menu.select(call.router, call.args["numbers"]):
        menu.change(call.router, item, {name: None})
    return None


def _reset_counters(call: Call) -> Value:
    for item in _items(call).select(call.router, call.get("numbers")):
        item.values.update({name: 0 for name in item.values if name in COUNTERS})
    return None


RESET_COUNTERS = CommandSpec("reset-counters", _reset_counters, params("text", "numbers"), ("numbers",))


def _find(call: Call) -> Value:
    return Array([ItemId(item.number) for item in _items(call).rows(call.router) if call.test(item)])


def _get(call: Call) -> Value:
    menu = _items(call)
    items = menu.select(call.router, call.get("number"))
    if len(items) != 1:
        raise ScriptError("invalid internal item number" if items else "no such item")
    if "value-name" in call.args:
        return menu.show(call.router, text(call.args["value-name"]), items[0])
    return as_array(menu, call.router, items[0], with_id=True)


def as_array(
    menu: BaseMenu, router: Router, item: Item, with_id: bool, with_flags: bool = True, with_counters: bool = True
) -> Array:
    """All properties of an item that have a value."""
    result = Array([], {".id": item.value(".id")} if with_id else {})
    for prop in menu.visible(router):
        value = item.value(prop.name)
        if not is_void(value) and (with_flags or not prop.flag) and (with_counters or not prop.counter):
            result.keyed[prop.name] = value
    return result


def _print(call: Call) -> Value:
    menu = _items(call)
    wanted = {item.number for item in menu.listed(call.router, call.args)}
    rows = enumerate(menu.rows(call.router))
    numbered = [(index, item) for index, item in rows if item.number in wanted and call.test(item)]
    if "count-only" in call.args:
        if "as-value" not in call.args:
            _emit(call, [str(len(numbered))])
        return len(numbered)
    if "as-value" in call.args:
        flags, counters = call.router.as_value_flags, call.router.as_value_counters or "stats" in call.args
        arrays = [as_array(menu, call.router, item, True, flags, counters) for _unused, item in numbered]
        return Array([_chosen(call, array) for array in arrays])
    columns = [prop for prop in menu.visible(call.router) if _wanted(call, prop.name)]
    columns = [prop for prop in columns if "stats" in call.args or not prop.counter]
    style = next((name for name in ("detail", "terse", "brief", "value-list") if name in call.args), "")
    _emit(call, print_items(menu, columns, numbered, style or ("proplist" if "proplist" in call.args else "")))
    return None


def _wanted(call: Call, name: str) -> bool:
    return "proplist" not in call.args or name in text(call.args["proplist"]).split(",")


def _chosen(call: Call, values: Array) -> Array:
    for name in [name for name in values.keyed if not (name == ".id" or _wanted(call, name))]:
        del values.keyed[name]
    return values


def _emit(call: Call, lines: list[str]) -> None:
    if "file" not in call.args:
        for line in lines:
            call.output.line(line)
        return
    newline = call.output.newline
    call.router.write_file(
        f"{text(call.args['file'])}.txt", "".join(line + newline for line in lines).encode("latin-1")
    )


def _get_setting(call: Call) -> Value:
    menu: SettingsMenu = call.menu.behaviour
    item = menu.item(call.router)
    if "value-name" in call.args:
        return menu.show(call.router, text(call.args["value-name"]), item)
    return as_array(menu, call.router, item, with_id=False)


def _set_setting(call: Call) -> Value:
    menu: SettingsMenu = call.menu.behaviour
    menu.change(call.router, menu.read(call.router, _given(call)))
    return None


def _print_settings(call: Call) -> Value:
    menu: SettingsMenu = call.menu.behaviour
    item = menu.item(call.router)
    if "as-value" in call.args:
        return _chosen(call, as_array(menu, call.router, item, with_id=False))
    _emit(call, print_settings([prop for prop in menu.visible(call.router) if _wanted(call, prop.name)], item))
    return None


def build(menus: tuple[BaseMenu, ...], common: tuple[CommandSpec, ...], version: tuple[int, ...]) -> Menu:
    """The menu tree for one version; ``common`` commands are in every menu."""
    root = Menu((), slashes=version >= (7,))
    for behaviour in menus:
        node = root
        for name in behaviour.path.split():
            node = node.children.setdefault(name, Menu((*node.path, name)))
        node.behaviour = behaviour
        node.properties = behaviour.for_version(version)
        node.commands.update({spec.name: spec for spec in behaviour.commands(version) if spec.since <= version})
    for node in root.walk():
        without = () if node.behaviour is None else node.behaviour.without
        here = (spec for spec in common if spec.name not in without and spec.since <= version)
        node.commands.update({spec.name: spec for spec in here})
    return root
