# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parser must know of commands and menus: names, parameters and how each argument is read.

Kinds of parameters:

========== ==============================================================
value      any value; an unquoted word is typed (``5`` is a number)
text       a property; an unquoted word keeps its text
source     a property that may also be written as ``{ script }``
flag       a bare word such as ``detail``
yes-no     ``name=yes`` or ``name=no``, or the bare word
block      ``{ statements }``
function   ``{ statements }`` with only its own variables
condition  an expression that is evaluated each time it is needed
name       the name of a variable
names      one name, or two with a comma between
target     a declared variable, or ``($array->"key")``
key        the name of a property of the menu
========== ==============================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Param:
    """One parameter of a command."""

    name: str
    kind: str = "value"


@dataclass(frozen=True)
class CommandSpec:
    """One command: its parameters and the function that runs it with a ``Call``.

    ``declares`` says where its ``name`` arguments become variables: ``here`` or only ``inside`` its
    own blocks. ``where`` says that a filter may follow: after the word ``where`` (``word``), or
    also without it (``bare``). ``rest`` is the kind of any further unnamed arguments; empty: none
    may follow.
    """

    name: str
    run: Handler
    params: tuple[Param, ...] = ()
    positional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    declares: str = ""
    where: str = ""
    since: tuple[int, ...] = (0,)
    locked: bool = True

    def param(self, name: str) -> Param | None:
        """The parameter of that name."""
        return next((param for param in self.params if param.name == name), None)


def params(kind: str, *names: str) -> tuple[Param, ...]:
    """Several parameters of one kind."""
    return tuple(Param(name, kind) for name in names)


@dataclass
class Menu:
    """A place in the menu tree.

    ``slashes`` of the root says whether paths may be written with slashes inside.
    """

    path: tuple[str, ...]
    children: dict[str, Menu] = field(default_factory=dict)
    commands: dict[str, CommandSpec] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    behaviour: Any = None
    slashes: bool = True

    @property
    def title(self) -> str:
        """The path as an export writes it."""
        return "/" + " ".join(self.path)

    def walk(self) -> list[Menu]:
        """This menu and everything below, in order of definition."""
        return [self] + [menu for child in self.children.values() for menu in child.walk()]
