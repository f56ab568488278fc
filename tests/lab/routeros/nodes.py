# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that the parser makes and the interpreter walks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from .specs import CommandSpec, Menu
from .values import Value


@dataclass(frozen=True)
class Literal:
    """A quoted string without substitutions, or a typed literal in an expression."""

    value: Value


@dataclass(frozen=True)
class Word:
    """An unquoted argument: its text for properties, its value for colon commands."""

    text: str
    value: Value


@dataclass(frozen=True)
class Template:
    """A quoted string with ``$var``, ``$[...]`` or ``$(...)`` in it."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Variable:
    """``$name``."""

    name: str


@dataclass(frozen=True)
class Property:
    """The property of the item that a ``where`` looks at."""

    name: str


@dataclass(frozen=True)
class Substitution:
    """``[command]``."""

    block: Block


@dataclass(frozen=True)
class ArrayNode:
    """``{1;2;"k"=3}``: (key or None, value) in order."""

    entries: tuple[tuple[str | None, Expr], ...]


@dataclass(frozen=True)
class Unary:
    """``-``, ``!`` or ``~`` before an operand."""

    operator: str
    operand: Expr


@dataclass(frozen=True)
class Binary:
    """Two operands and the operator between them; ``->`` is one of them."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Function:
    """``do={...}`` as a value."""

    block: Block
    source: str


Expr = Union[Literal, Word, Template, Variable, Property, Substitution, ArrayNode, Unary, Binary, Function]  # noqa: UP007 - evaluated at run time, also by Python 3.9


@dataclass(frozen=True)
class Block:
    """Statements that share a scope."""

    statements: tuple[Statement, ...]


@dataclass
class Command:
    """One command with its arguments as written.

    A ``block`` argument is a ``Block``, a name is a ``str``.
    """

    spec: CommandSpec
    menu: Menu
    line: int
    args: dict[str, Expr | Block | str | bool] = field(default_factory=dict)
    rest: list[Expr] = field(default_factory=list)
    where: Expr | None = None
    text: str = ""


@dataclass
class FunctionCall:
    """``$f 1 x=2``."""

    callee: Expr
    line: int
    positional: list[Expr] = field(default_factory=list)
    named: dict[str, Expr] = field(default_factory=dict)
    text: str = ""


@dataclass
class Evaluation:
    """An expression in the place of a statement, such as ``[/ip address print]``."""

    expression: Expr
    line: int
    text: str = ""


Statement = Union[Command, FunctionCall, Evaluation, Block]  # noqa: UP007 - evaluated at run time, also by Python 3.9
