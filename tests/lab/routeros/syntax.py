# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser, which turns RouterOS source into a tree.

It checks every menu, command and parameter name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import ScriptSyntaxError
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
from .specs import CommandSpec, Menu, Param
from .values import Nil, literal, parse_typed, wrap

MAX_DEPTH = 60
MAX_SOURCE = 4 * 1024 * 1024

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_NAMED = re.compile(r"([A-Za-z0-9.][A-Za-z0-9._-]*)=(?!=)")
_VARIABLE = re.compile(r"[A-Za-z0-9]+")
_BARE = re.compile(r"""[^\s;()\[\]{}"$\\]+""")
_LITERAL = re.compile(
    r"\*[0-9A-Fa-f]+|0x[0-9A-Fa-f]+|\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}(?!\d))?"
    r"|(?:\d+w)?(?:\d+d)?\d+:\d\d(?::\d\d(?:\.\d+)?)?(?![\w:])|(?:\d+(?:ms|us|[wdhms]))+(?!\w)"
    r"|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:/\d{1,3})?|\d+"
)
_OPERAND = re.compile(r"""[^\s;()\[\]{}"$\\&|]+""")
_PROPERTY = re.compile(r"\.?[A-Za-z][A-Za-z0-9.-]*")
_CONTINUATION = re.compile(r"\\\r?\n")
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "$": "$", "?": "?", "_": " "}
_ESCAPES.update({"a": "\a", "b": "\b", "f": "\f", "v": "\v"})
_HEX_ESCAPE = re.compile(r"[0-9A-F]{2}")
_COMPARISONS = ("<=", ">=", "!=", "=", "<", ">", "~")

# Weakest first; a word operator must stand between blanks or brackets.
_LEVELS: tuple[tuple[str, ...], ...] = (
    (",",),
    ("||", "or"),
    ("&&", "and"),
    ("!=", "<=", ">=", "=", "<", ">", "~", "in"),
    (".",),
    ("|", "^"),
    ("&",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
_NOT_BEFORE = {"|": "|", "&": "&", "<": "<", ">": ">", "-": ">"}


class Parser:
    """One pass over one source text."""

    def __init__(self, source: str, root: Menu) -> None:
        self.source = source
        self.root = root
        self.menu = root
        self.position = 0
        self.depth = 0
        self.counted = (0, 1)
        self.where: Menu | None = None
        self.declared: list[set[str]] = [set()]
        if len(source) > MAX_SOURCE:
            raise ScriptSyntaxError("script too large", 1, 1)

    def parse(self) -> Block:
        """The whole source as a block, or ``ScriptSyntaxError``."""
        statements = self._statements("")
        if self.position < len(self.source):
            raise self._error("syntax error")
        return Block(tuple(statements))

    # -- characters --------------------------------------------------------------------------------

    def _error(self, message: str, position: int | None = None) -> ScriptSyntaxError:
        at = self.position if position is None else position
        before = self.source[:at]
        return ScriptSyntaxError(message, before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)

    def _line(self) -> int:
        """The line of the current position; counts on from the last one asked for."""
        at, line = self.counted
        if at > self.position:
            at, line = 0, 1
        line += self.source.count("\n", at, self.position)
        self.counted = (self.position, line)
        return line

    def _peek(self, length: int = 1) -> str:
        return self.source[self.position : self.position + length]

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return pattern.match(self.source, self.position)

    def _expect(self, token: str) -> None:
        if self._peek(len(token)) != token:
            raise self._error("syntax error")
        self.position += len(token)

    def _blanks(self) -> None:
        while True:
            if self._peek() in (" ", "\t"):
                self.position += 1
                continue
            match = self._match(_CONTINUATION)
            if not match:
                return
            self.position = match.end()

    def _at_end(self) -> bool:
        return self._peek() in ("", "\n", ";", "]", "}", ")") or self._peek(2) == "\r\n"

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error("too many nested brackets")
        try:
            yield
        finally:
            self.depth -= 1

    # -- statements --------------------------------------------------------------------------------

    def _statements(self, closer: str) -> list[Statement]:
        found: list[Statement] = []
        while True:
            self._blanks()
            char = self._peek()
            if char in ("\n", ";", "\r"):
                self.position += 1
            elif char == "#":
                end = self.source.find("\n", self.position)
                self.position = len(self.source) if end < 0 else end
            elif char == closer or not char:
                return found
            else:
                start = self.position
                statement = self._statement()
                if statement is not None:
                    if not isinstance(statement, Block):
                        statement.text = self.source[start : self.position].rstrip()
                    found.append(statement)
                self._end_of_statement()

    def _end_of_statement(self) -> None:
        self._blanks()
        if not self._at_end():
            raise self._error("expected end of command")

    def _statement(self) -> Statement | None:
        char = self._peek()
        if char == "{":
            return self._block()
        if char in ("(", "["):
            line = self._line()
            return Evaluation(self._value(), line)
        if char == "$":
            return self._function_call()
        return self._command()

    def _block(self, fresh: bool = False) -> Block:
        """``{ ... }``; ``fresh``: variables from outside are not known inside, as in a function."""
        self._expect("{")
        menu, where, declared = self.menu, self.where, self.declared
        self.declared = [set()] if fresh else [*declared, set()]
        self.where = None
        with self._nested():
            statements = self._statements("}")
        self._expect("}")
        self.menu, self.where, self.declared = menu, where, declared
        return Block(tuple(statements))

    def _function_call(self) -> Statement:
        line = self._line()
        call = FunctionCall(self._variable(), line)
        while True:
            self._blanks()
            if self._at_end():
                return call
            named = self._match(_NAMED)
            if named:
                self.position = named.end()
                call.named[named[1]] = self._value()
            else:
                call.positional.append(self._value())

    def _command(self) -> Statement | None:
        line, outer, start = self._line(), self.menu, self.position
        menu = outer
        if self._peek() in (":", "/"):
            self.position += 1
            menu = self.root
            self._blanks()
            if self._at_end():
                if self.source[start] == ":":
                    raise self._error("syntax error")
                self.menu = menu
                return None
        while True:
            begin = self.position
            if self._peek(2) == "..":
                self.position += 2
                menu = self._parent(menu)
            else:
                match = self._match(_WORD)
                if not match:
                    raise self._error("syntax error", begin)
                if match[0] not in menu.children and match[0] not in menu.commands:
                    raise self._error(f"bad command name {match[0]}", begin)
                self.position = match.end()
                if match[0] not in menu.children:
                    return self._arguments(menu, menu.commands[match[0]], line)
                menu = menu.children[match[0]]
            if self._peek() == "/" and self.root.slashes:
                self.position += 1
            self._blanks()
            if self._at_end() or self._peek() == "{":
                self.menu = menu
                if self._peek() != "{":
                    return None
                block = self._block()
                self.menu = outer
                return block

    def _parent(self, menu: Menu) -> Menu:
        parent = self.root
        for name in menu.path[:-1]:
            parent = parent.children[name]
        return parent

    # -- arguments ---------------------------------------------------------------------------------

    def _arguments(self, menu: Menu, spec: CommandSpec, line: int) -> Command:
        command = Command(spec, menu, line)
        start, declared, outer = self.position, self.declared, self.menu
        if menu is not self.root:
            self.menu = menu  # so that [find ...] among the arguments means this menu's find
        if spec.declares == "inside":
            self.declared = [*declared, set()]
        positional = list(spec.positional)
        while True:
            self._blanks()
            if self._at_end():
                break
            if start == self.position and self._peek() not in ('"', "$", "(", "[", "{"):
                raise self._error("expected end of command")
            if self._filter(command):
                break
            self._one_argument(command, positional)
        self.declared, self.menu = declared, outer
        missing = [name for name in spec.required if name not in command.args]
        if missing:
            raise self._error("syntax error")
        self._declare(command)
        return command

    def _filter(self, command: Command) -> bool:
        """Reads the filter of ``find`` or ``print``; True when there was one."""
        spec = command.spec
        if not spec.where:
            return False
        match = self._match(_WORD)
        word = match is not None and match[0] == "where"
        if match and word:
            self.position = match.end()
            self._blanks()
        elif spec.where != "bare":
            return False
        outer, self.where = self.where, command.menu
        command.where = self._conjunction()
        self.where = outer
        return True

    def _conjunction(self) -> Expr | None:
        """Filters side by side, all of which must hold."""
        found: Expr | None = None
        while not self._at_end():
            following = self._expression()
            found = following if found is None else Binary("&&", found, following)
            self._blanks()
        return found

    def _one_argument(self, command: Command, positional: list[str]) -> None:
        spec, start = command.spec, self.position
        named = self._match(_NAMED)
        if named:
            param = spec.param(named[1])
            if param is None or param.kind == "flag" or param.name in command.args:
                raise self._error("expected end of command")
            self.position = named.end()
            command.args[param.name] = self._argument(param, command)
            return
        word = self._match(_WORD)
        param = spec.param(word[0]) if word else None
        ends = word is not None and (self.source[word.end() : word.end() + 1] or " ") in " \t\r\n;]})\\"
        if word and ends and param and param.kind in ("flag", "yes-no"):
            self.position = word.end()
            command.args[param.name] = True if param.kind == "flag" else Literal(True)
            return
        if self._peek() == "!" and self._unset(command):
            return
        while positional and positional[0] in command.args:
            positional.pop(0)
        if not positional:
            raise self._error("expected end of command", start)
        param = spec.param(positional.pop(0))
        assert param is not None
        command.args[param.name] = self._argument(param, command)

    def _unset(self, command: Command) -> bool:
        """``!name`` takes the value of a property away."""
        match = _WORD.match(self.source, self.position + 1)
        param = command.spec.param(match[0]) if match else None
        if not match or param is None or param.kind != "text" or param.name not in command.menu.properties:
            return False
        self.position = match.end()
        command.args[param.name] = Literal(None)
        return True

    def _argument(self, param: Param, command: Command | None = None) -> Expr | Block | str:
        readers: dict[str, Callable[[], Expr | Block | str]] = {
            "block": self._block_argument,
            "function": self._function_argument,
            "source": self._source_argument,
            "name": lambda: self._names(1),
            "names": lambda: self._names(2),
            "target": self._target,
        }
        if param.kind in readers:
            result = readers[param.kind]()
            if command and command.spec.declares == "inside" and param.kind in ("name", "names"):
                self.declared[-1].update(str(result).split(","))
            return result
        if param.kind == "key":
            return self._key(command)
        return self._value()

    def _key(self, command: Command | None) -> Expr:
        start = self.position
        value = self._value()
        if isinstance(value, Word) and command and value.text not in command.menu.properties and value.text != ".id":
            raise self._error("input does not match any value of value-name", start)
        return value

    def _block_argument(self) -> Expr | Block:
        if self._peek() == "{":
            return self._block()
        start = self.position
        value = self._value()
        if not isinstance(value, Literal) or not isinstance(value.value, str):
            raise self._error("syntax error", start)
        inner = Parser(value.value, self.root)
        inner.menu, inner.declared, inner.depth = self.menu, [*self.declared, set()], self.depth
        try:
            return inner.parse()
        except ScriptSyntaxError as error:
            raise self._error("syntax error", start) from error

    def _function_argument(self) -> Expr:
        start = self.position
        if self._peek() != "{":
            raise self._error("syntax error")
        block = self._block(fresh=True)
        return Function(block, self.source[start + 1 : self.position - 1])

    def _source_argument(self) -> Expr:
        if self._peek() != "{":
            return self._value()
        start, menu = self.position, self.menu
        self.menu = self.root
        self._block(fresh=True)
        self.menu = menu
        return Literal(self.source[start + 1 : self.position - 1])

    def _name(self) -> str:
        if self._peek() == '"':
            value = self._string()
            if isinstance(value, Literal) and value.value:
                return str(value.value)
            raise self._error("syntax error")
        match = self._match(_VARIABLE)
        if not match:
            raise self._error("syntax error")
        self.position = match.end()
        return match[0]

    def _names(self, most: int) -> str:
        names = [self._name()]
        while len(names) < most and self._peek() == ",":
            self.position += 1
            names.append(self._name())
        if not (self._at_end() or self._peek() in (" ", "\t", "\\")):
            raise self._error("syntax error")
        return ",".join(names)

    def _target(self) -> Expr | str:
        start = self.position
        if self._peek() != "(":
            name = self._names(1)
            self._check_declared(name, start)
            return name
        value = self._value()
        base = value
        while isinstance(base, Binary) and base.operator == "->":
            base = base.left
        if value is base or not isinstance(base, Variable):
            raise self._error("syntax error", start)
        self._check_declared(base.name, start)
        return value

    def _check_declared(self, name: str, position: int) -> None:
        if not any(name in names for names in self.declared):
            raise self._error(f"syntax error: undeclared variable {name}", position)

    def _declare(self, command: Command) -> None:
        if command.spec.declares == "here":
            self.declared[-1].add(str(command.args["name"]))

    # -- values ------------------------------------------------------------------------------------

    def _value(self) -> Expr:
        """One argument as it stands after a blank or a ``=``."""
        char = self._peek()
        if char == '"':
            value = self._string()
        elif char == "$":
            value = self._variable()
        elif char == "[":
            value = self._substitution()
        elif char == "(":
            value = self._parentheses()
        elif char == "{":
            value = self._array()
        else:
            return self._bare()
        if not (self._at_end() or self._peek() in (" ", "\t", "\\")):
            raise self._error("expected end of command")
        return value

    def _bare(self) -> Expr:
        """An unquoted word; empty (``comment=``) where a value could stand."""
        match = self._match(_BARE)
        if not match:
            if self._at_end() or self._peek() in (" ", "\t"):
                return Literal("")
            raise self._error("syntax error")
        self.position = match.end()
        if not (self._at_end() or self._peek() in (" ", "\t") or self._match(_CONTINUATION)):
            raise self._error("expected end of command")
        return Word(match[0], literal(match[0]))

    def _variable(self) -> Expr:
        self._expect("$")
        if self._peek() == '"':
            return Variable(self._name())
        match = self._match(_VARIABLE)
        if not match:
            raise self._error("syntax error")
        self.position = match.end()
        return Variable(match[0])

    def _substitution(self) -> Expr:
        self._expect("[")
        menu, where, declared = self.menu, self.where, self.declared
        self.where, self.declared = None, [*declared, set()]
        with self._nested():
            statements = self._statements("]")
        self._expect("]")
        self.menu, self.where, self.declared = menu, where, declared
        return Substitution(Block(tuple(statements)))

    def _parentheses(self) -> Expr:
        self._expect("(")
        with self._nested():
            self._blanks()
            value = self._expression()
            self._blanks()
        self._expect(")")
        return value

    def _array(self) -> Expr:
        self._expect("{")
        entries: list[tuple[str | None, Expr]] = []
        with self._nested():
            self._blanks()
            while self._peek() != "}":
                entries.append(self._entry())
                self._blanks()
                if self._peek() == ";":
                    self.position += 1
                    self._blanks()
                elif self._peek() != "}":
                    raise self._error("syntax error")
        self._expect("}")
        return ArrayNode(tuple(entries))

    def _entry(self) -> tuple[str | None, Expr]:
        start = self.position
        if self._peek() == '"':
            value = self._string()
            if self._peek() != "=":
                self.position = start
                return None, self._value()
            if not isinstance(value, Literal):
                raise self._error("syntax error", start)
            self.position += 1
            return str(value.value), self._value()
        named = self._match(_NAMED)
        if named:
            self.position = named.end()
            return named[1], self._value()
        if self._at_end():
            raise self._error("syntax error")
        return None, self._value()

    def _string(self) -> Expr:
        self._expect('"')
        start = self.position - 1
        parts: list[Expr] = []
        chars: list[str] = []
        while self._peek() != '"':
            char = self._peek()
            if not char:
                raise self._error("syntax error", start)
            if char == "\\":
                chars.append(self._escape())
            elif char == "$" and (self._peek(2)[1:] in ("[", "(") or _VARIABLE.match(self.source, self.position + 1)):
                parts += [Literal("".join(chars)), self._interpolation()]
                chars = []
            else:
                chars.append(char)
                self.position += 1
        self.position += 1
        tail = Literal("".join(chars))
        return Template((*parts, tail)) if parts else tail

    def _interpolation(self) -> Expr:
        following = self._peek(2)[1:]
        if following not in ("[", "("):
            return self._variable()
        self.position += 1
        return self._substitution() if following == "[" else self._parentheses()

    def _escape(self) -> str:
        match = self._match(_CONTINUATION)
        if match:
            self.position = match.end()
            while self._peek() in (" ", "\t"):
                self.position += 1
            return ""
        digits = _HEX_ESCAPE.match(self.source, self.position + 1)
        if digits:
            self.position = digits.end()
            return chr(int(digits[0], 16))
        char = self._peek(2)[1:]
        if char not in _ESCAPES:
            raise self._error("syntax error")
        self.position += 2
        return _ESCAPES[char]

    # -- expressions -------------------------------------------------------------------------------

    def _expression(self, level: int = 0) -> Expr:
        if level == len(_LEVELS):
            return self._unary()
        left = self._expression(level + 1)
        while True:
            self._blanks()
            operator = self._operator(_LEVELS[level])
            if operator is None:
                return left
            self._blanks()
            if self.where and operator in _COMPARISONS and isinstance(left, Property):
                left = Binary(operator, left, self._operand(level + 1))
            else:
                left = Binary(operator, left, self._expression(level + 1))

    def _operator(self, choices: tuple[str, ...]) -> str | None:
        for choice in choices:
            if self._peek(len(choice)) != choice:
                continue
            after = self.source[self.position + len(choice) : self.position + len(choice) + 1]
            if choice.isalpha():
                if after not in (" ", "\t", "(", "[", "$", '"', "\\", "!"):
                    continue
            elif after and after in _NOT_BEFORE.get(choice, ""):
                continue
            self.position += len(choice)
            return {"or": "||", "and": "&&"}.get(choice, choice)
        return None

    def _operand(self, level: int) -> Expr:
        """What a property is compared with: an expression, or an unquoted word."""
        if self._peek() in ('"', "$", "(", "[", "{"):
            return self._expression(level)
        match = self._match(_OPERAND)
        if not match:
            raise self._error("syntax error")
        self.position = match.end()
        return Word(match[0], literal(match[0]))

    def _unary(self) -> Expr:
        with self._nested():
            return self._prefixed()

    def _prefixed(self) -> Expr:
        char = self._peek()
        if char in ("!", "~", "-") and self._peek(2) != "->":
            self.position += 1
            self._blanks()
            operand = self._unary()
            if (
                char == "-"
                and isinstance(operand, Literal)
                and isinstance(operand.value, int)
                and not isinstance(operand.value, bool)
            ):
                return Literal(wrap(-operand.value))
            return Unary(char, operand)
        word = self._match(_WORD)
        if word and word[0] == "not":
            self.position = word.end()
            self._blanks()
            return Unary("!", self._unary())
        return self._suffixed(self._primary())

    def _suffixed(self, base: Expr) -> Expr:
        while True:
            mark = self.position
            self._blanks()
            if self._peek(2) != "->":
                self.position = mark
                return base
            self.position += 2
            self._blanks()
            base = Binary("->", base, self._primary())

    def _primary(self) -> Expr:
        char = self._peek()
        readers: dict[str, Callable[[], Expr]] = {
            '"': self._string,
            "[": self._substitution,
            "(": self._parentheses,
            "{": self._array,
            "$": self._variable,
        }
        if char in readers:
            return readers[char]()
        match = self._match(_LITERAL)
        if match and self._stands_alone(match):
            value = parse_typed(match[0])
            if not isinstance(value, Nil):
                self.position = match.end()
                return Literal(value)
        return self._named_operand()

    def _stands_alone(self, match: re.Match[str]) -> bool:
        after = self.source[match.end() : match.end() + 1]
        return not (after.isalnum() or (self.where is not None and after in ("=", "~") and match[0].isalpha()))

    def _named_operand(self) -> Expr:
        start = self.position
        match = self._match(_PROPERTY)
        if not match:
            raise self._error("syntax error")
        word = match[0]
        if self.where is not None and (word == ".id" or word in self.where.properties):
            self.position = match.end()
            return Property(word)
        if word in ("true", "false", "yes", "no"):
            self.position = match.end()
            return Literal(word in ("true", "yes"))
        if self.where is not None:
            raise self._error("expected end of command" if self._plain_end(match) else "syntax error", start)
        raise self._error("syntax error", start)

    def _plain_end(self, match: re.Match[str]) -> bool:
        return self.source[match.end() : match.end() + 1] in ("", " ", "=", "~", "!")


def parse(source: str, root: Menu) -> Block:
    """The tree of a script; raises ``ScriptSyntaxError``."""
    try:
        return Parser(source, root).parse()
    except RecursionError:
        raise ScriptSyntaxError("too many nested brackets", 1, 1) from None
