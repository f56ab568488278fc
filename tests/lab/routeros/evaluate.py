# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter of RouterOS scripts.

It walks the tree, keeps variables, collects output, and stops when it is told to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..recorder import record
from .errors import LimitError, ScriptError
from .nodes import (
    ArrayNode,
    Binary,
    Block,
    Command,
    Evaluation,
    Expr,
    Function,
    FunctionCall,
    Literal,
    Property,
    Statement,
    Substitution,
    Template,
    Unary,
    Variable,
    Word,
)
from .operators import binary, logical, unary
from .specs import Menu
from .syntax import parse
from .values import Array, Code, Value, bounded, is_void, text

if TYPE_CHECKING:
    from .device import Router

MAX_CALLS = 24
MAX_OUTPUT = 16 * 1024 * 1024
_DEFERRED = ("block", "condition", "name", "names", "target")


class ReturnValue(Exception):
    """``:return`` on its way to the function's caller."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Scope:
    """The variables of one block.

    A name that is declared global leads to the router's own table.
    """

    def __init__(self, shared: dict[str, Value], parent: Scope | None = None) -> None:
        self.shared = shared
        self.parent = parent
        self.local: dict[str, Value] = {}
        self.globals: set[str] = set()

    def _owner(self, name: str) -> dict[str, Value] | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.local:
                return scope.local
            if name in scope.globals:
                return scope.shared
            scope = scope.parent
        return None

    def get(self, name: str) -> Value:
        """The variable's value; *nothing* when it is not declared here."""
        owner = self._owner(name)
        return owner.get(name) if owner is not None else None

    def set(self, name: str, value: Value) -> None:
        """Changes a declared variable."""
        owner = self._owner(name)
        if owner is None:
            raise ScriptError(f"unknown variable {name}")
        owner[name] = value

    def declare(self, name: str, value: Value) -> None:
        """A new local variable in this block."""
        self.globals.discard(name)
        self.local[name] = value

    def declare_global(self, name: str) -> None:
        """Makes the global variable of that name visible in this block."""
        self.local.pop(name, None)
        self.globals.add(name)
        self.shared.setdefault(name, None)


class Output:
    """The bytes that one run has written so far."""

    def __init__(self, newline: str) -> None:
        self.newline = newline
        self.data = bytearray()

    def line(self, content: str = "") -> None:
        """One line; the bytes inside stay as they are."""
        if len(self.data) + len(content) > MAX_OUTPUT:
            raise LimitError("too much output")
        self.data += (content + self.newline).encode("latin-1", "replace")


@dataclass
class Call:
    """What a command's function gets: the evaluated arguments and the ways to go on."""

    interpreter: Interpreter
    router: Router
    menu: Menu
    scope: Scope
    line: int
    args: dict[str, Any] = field(default_factory=dict)
    where: Expr | None = None

    @property
    def output(self) -> Output:
        """Where the command writes."""
        return self.interpreter.output

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default."""
        return self.args.get(name, default)

    def block(self, name: str, scope: Scope | None = None) -> Value:
        """Runs a block argument (nothing happens when it was not given)."""
        block = self.args.get(name)
        return self.interpreter.block(block, scope or self.scope) if block is not None else None

    def test(self, item: Any) -> bool:
        """True when the item fits the filter."""
        if self.where is None:
            return True
        value = self.interpreter.evaluate(self.where, self.scope, item)
        return value if isinstance(value, bool) else text(value) not in ("", "0")


class Interpreter:
    """One run of one script on a router; not to be shared between threads."""

    def __init__(self, router: Router, stop: threading.Event | None = None, dialect: str = "") -> None:
        self.router = router
        self.stop = stop
        self.dialect = dialect
        self.output = Output(router.output_newline)
        self.steps = 0
        self.calls = 0

    # -- running -----------------------------------------------------------------------------------

    def run(self, source: str) -> None:
        """Parse and run a whole script in a scope of its own."""
        self.run_block(self.parse(source))

    def parse(self, source: str) -> Block:
        """Parse a script, or one inside it: a file, a stored script, the text of ``:parse``.

        Raises ScriptSyntaxError.
        """
        if self.dialect:
            record(source.encode("latin-1"), self.dialect)
        return parse(source, self.router.root)

    def run_block(self, block: Block) -> Value:
        """Run a parsed script in a scope of its own; ``:return`` ends it."""
        with self._call():
            try:
                return self.block(block, Scope(self.router.globals), own=True)
            except ReturnValue as result:
                return result.value

    def sleep(self, seconds: float) -> None:
        """Waits in real time; wakes with ``LimitError`` when the run is stopped."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return self.check()
            if self.stop is not None and self.stop.wait(min(left, 1.0)):
                raise LimitError("stopped")
            if self.stop is None:
                time.sleep(min(left, 1.0))

    def check(self) -> None:
        """Counts a step and raises ``LimitError`` when the run must end."""
        self.steps += 1
        if self.steps > self.router.max_steps or (self.stop is not None and self.stop.is_set()):
            raise LimitError("stopped")

    @contextmanager
    def _call(self) -> Iterator[None]:
        self.calls += 1
        try:
            if self.calls > MAX_CALLS:
                raise ScriptError("failure: maximum recursion depth reached")
            yield
        finally:
            self.calls -= 1

    def block(self, block: Block, scope: Scope, own: bool = False) -> Value:
        """Run statements, and return the value of the last one.

        They run in a new scope below ``scope``, or with ``own`` in that scope.
        """
        inner = scope if own else Scope(scope.shared, scope)
        result: Value = None
        for statement in block.statements:
            result = self.statement(statement, inner)
        return result

    def statement(self, statement: Statement, scope: Scope) -> Value:
        """Runs one statement; a run-time error learns the line it happened on."""
        self.check()
        if isinstance(statement, Block):
            return self.block(statement, scope)
        try:
            if isinstance(statement, Command):
                return self._command(statement, scope)
            if isinstance(statement, FunctionCall):
                return self._function_call(statement, scope)
            return self._evaluation(statement, scope)
        except ScriptError as error:
            error.line = error.line or statement.line
            raise

    def _evaluation(self, statement: Evaluation, scope: Scope) -> Value:
        value = self.evaluate(statement.expression, scope)
        return self.call(value, [], {}) if isinstance(value, Code) else value

    def _command(self, command: Command, scope: Scope) -> Value:
        call = Call(self, self.router, command.menu, scope, command.line, where=command.where)
        for name, argument in command.args.items():
            call.args[name] = self._argument(command, name, argument, scope)
        if not command.spec.locked:
            return command.spec.run(call)  # type: ignore[no-any-return]
        with self.router.lock:
            return command.spec.run(call)  # type: ignore[no-any-return]

    def _argument(self, command: Command, name: str, argument: Any, scope: Scope) -> Any:
        param = command.spec.param(name)
        kind = param.kind if param else "value"
        if kind in _DEFERRED or isinstance(argument, bool):
            return argument
        if isinstance(argument, Word) and kind in ("text", "source", "key"):
            return argument.text
        return self.evaluate(argument, scope)

    # -- functions ---------------------------------------------------------------------------------

    def _function_call(self, call: FunctionCall, scope: Scope) -> Value:
        code = self.evaluate(call.callee, scope)
        positional = [self.evaluate(argument, scope) for argument in call.positional]
        named = {name: self.evaluate(argument, scope) for name, argument in call.named.items()}
        if not isinstance(code, Code):
            if not positional and not named:
                return code
            raise ScriptError("bad command name")
        return self.call(code, positional, named)

    def call(self, code: Code, positional: list[Value], named: dict[str, Value]) -> Value:
        """Calls a function; ``$1``... and the named arguments are its only variables."""
        inner = Scope(self.router.globals)
        inner.local.update(named)
        for number, value in enumerate(positional, 1):
            inner.local[str(number)] = value
        with self._call():
            try:
                self.block(code.block, inner, own=True)
            except ReturnValue as result:
                return result.value
        return None

    # -- expressions -------------------------------------------------------------------------------

    def evaluate(self, node: Expr, scope: Scope, item: Any = None) -> Value:
        """The value of an expression; ``item`` is what properties refer to inside a filter."""
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Variable):
            return scope.get(node.name)
        if isinstance(node, Binary):
            return self._binary(node, scope, item)
        if isinstance(node, Word):
            return node.value
        if isinstance(node, Template):
            return bounded("".join(text(self.evaluate(part, scope, item)) for part in node.parts))
        if isinstance(node, Substitution):
            return self.block(node.block, scope)
        if isinstance(node, Unary):
            return unary(node.operator, self.evaluate(node.operand, scope, item))
        if isinstance(node, Property):
            return item.value(node.name) if item is not None else None
        if isinstance(node, ArrayNode):
            return self._array(node, scope, item)
        if isinstance(node, Function):
            return Code(node.block, node.source)
        raise AssertionError(node)

    def _array(self, node: ArrayNode, scope: Scope, item: Any) -> Array:
        result = Array()
        for key, entry in node.entries:
            value = self.evaluate(entry, scope, item)
            if key is None:
                result.items.append(value)
            else:
                result.keyed[key] = value
        return result

    def _binary(self, node: Binary, scope: Scope, item: Any) -> Value:
        left = self.evaluate(node.left, scope, item)
        if node.operator in ("&&", "||"):
            # A bare property in a filter asks whether it is set.
            first = self._logical(node, node.left, left)
            if first == (node.operator == "||"):
                return first
            return self._logical(node, node.right, self.evaluate(node.right, scope, item))
        right_node = node.right
        if isinstance(node.left, Property) and is_void(left):
            if node.operator in ("<", ">", "<=", ">="):
                return False
            left = ""  # so that comment="" finds the items without one
        if isinstance(node.left, Property) and isinstance(right_node, Word):
            return self._compare_word(node.operator, left, right_node)
        return binary(node.operator, left, self.evaluate(right_node, scope, item))

    def _logical(self, node: Binary, side: Expr, value: Value) -> bool:
        if isinstance(side, Property) and not isinstance(value, bool):
            return text(value) != ""
        return logical(node.operator, value)

    def _compare_word(self, operator: str, left: Value, word: Word) -> Value:
        if isinstance(left, str) or operator == "~":
            return binary(operator, left, word.text)
        return binary(operator, left, word.value)
