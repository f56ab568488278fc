# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colon commands: control flow, variables and the functions on values."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from .convert import CONVERSIONS, convert, deserialize, serialize
from .errors import ScriptError, ScriptSyntaxError
from .evaluate import Call, ReturnValue, Scope
from .nodes import Binary, Expr
from .operators import truth
from .specs import CommandSpec, Param, params
from .values import (
    NIL,
    Array,
    Code,
    Time,
    Value,
    bounded,
    equal,
    is_void,
    text,
    to_array,
    to_bool,
    to_id,
    to_ip,
    to_number,
    to_time,
    typeof,
)


def _integer(value: Value, name: str) -> int:
    number = to_number(value)
    if isinstance(number, int):
        return int(number)
    raise ScriptError(f"invalid value for argument {name}")


def _seconds(value: Value, name: str) -> float:
    result = to_time(value)
    if isinstance(result, Time) and result.micros >= 0:
        return result.seconds
    raise ScriptError(f"invalid time value for argument {name}")


# -- control flow ----------------------------------------------------------------------------------


def _condition(call: Call, name: str) -> bool:
    return truth(call.interpreter.evaluate(call.args[name], call.scope))


def _if(call: Call) -> Value:
    return call.block("do" if _condition(call, "condition") else "else")


def _do(call: Call) -> Value:
    if "while" not in call.args:
        return _guarded(call)
    while True:
        call.interpreter.check()
        _guarded(call)
        if not _condition(call, "while"):
            return None


def _guarded(call: Call) -> Value:
    if "on-error" not in call.args:
        return call.block("command")
    try:
        return call.block("command")
    except ScriptError:
        return call.block("on-error")


def _while(call: Call) -> Value:
    while _condition(call, "condition"):
        call.interpreter.check()
        call.block("do")
    return None


def _for(call: Call) -> Value:
    start, end = _integer(call.args["from"], "from"), _integer(call.args["to"], "to")
    step = _integer(call.get("step", 1 if start <= end else -1), "step")
    if step == 0:
        raise ScriptError("invalid value for argument step")
    for number in range(start, end + (1 if step > 0 else -1), step):
        _loop(call, {call.args["counter"]: number})
    return None


def _foreach(call: Call) -> Value:
    names = call.args["counter"].split(",")
    for key, value in _elements(call.args["in"]):
        _loop(call, {names[0]: key, names[1]: value} if len(names) == 2 else {names[0]: value})
    return None


def _elements(value: Value) -> Iterator[tuple[Value, Value]]:
    if isinstance(value, Array):
        yield from value.pairs()
    elif not is_void(value):
        yield 0, value


def _loop(call: Call, names: dict[str, Value]) -> None:
    call.interpreter.check()
    scope = Scope(call.scope.shared, call.scope)
    scope.local.update(names)
    call.block("do", scope)


def _error(call: Call) -> Value:
    raise ScriptError(text(call.args["message"]))


def _return(call: Call) -> Value:
    raise ReturnValue(call.get("value"))


def _onerror(call: Call) -> Value:
    try:
        call.block("in")
    except ScriptError as error:
        scope = Scope(call.scope.shared, call.scope)
        scope.declare(call.args["error"], error.text)
        call.block("do", scope)
        return True
    return False


def _retry(call: Call) -> Value:
    delay, most = _seconds(call.args["delay"], "delay"), _integer(call.args["max"], "max")
    for attempt in range(1, most + 1):
        try:
            return call.block("command")
        except ScriptError:
            if attempt == most:
                if "on-error" not in call.args:
                    raise
                return call.block("on-error")
        call.interpreter.sleep(delay)
    return None


def _delay(call: Call) -> Value:
    call.interpreter.sleep(_seconds(call.get("delay-time", 1), "delay-time"))
    return None


def _time(call: Call) -> Value:
    begin = time.monotonic()
    call.block("command")
    return Time.of(time.monotonic() - begin)


# -- variables -------------------------------------------------------------------------------------


def _local(call: Call) -> Value:
    call.scope.declare(call.args["name"], call.get("do", call.get("value")))
    return None


def _global(call: Call) -> Value:
    name = call.args["name"]
    call.scope.declare_global(name)
    if "do" in call.args or "value" in call.args:
        call.scope.set(name, call.get("do", call.get("value")))
    return None


def _set(call: Call) -> Value:
    target, value = call.args["name"], call.get("do", call.get("value"))
    if isinstance(target, str):
        call.scope.set(target, value)
    else:
        _set_element(call, target, value)
    return None


def _set_element(call: Call, target: Expr, value: Value) -> None:
    """``:set ($a->"k") 1``; changes a copy, because arrays are values."""
    keys: list[Value] = []
    while isinstance(target, Binary):
        keys.insert(0, call.interpreter.evaluate(target.right, call.scope))
        target = target.left
    name = target.name  # type: ignore[union-attr]
    call.scope.set(name, _replaced(call.scope.get(name), keys, value))


def _replaced(array: Value, keys: list[Value], value: Value) -> Value:
    if not keys:
        return value
    if is_void(array):
        array = Array()
    if not isinstance(array, Array):
        raise ScriptError(f"cannot set an element of {typeof(array)}")
    copy = Array(list(array.items), dict(array.keyed))
    key = keys[0]
    if isinstance(key, int) and not isinstance(key, bool):
        if not 0 <= key <= len(copy.items):
            raise ScriptError("invalid array index")
        old = copy.items[key] if key < len(copy.items) else None
        copy.items[key : key + 1] = [_replaced(old, keys[1:], value)]
        return copy
    name = text(key)
    new = _replaced(copy.keyed.get(name), keys[1:], value)
    if is_void(new):
        copy.keyed.pop(name, None)
    else:
        copy.keyed[name] = new
    return copy


# -- values ----------------------------------------------------------------------------------------


def _put(call: Call) -> Value:
    shown = text(call.args["message"])
    call.output.line(shown.replace("\n", "\r\n") if call.router.values_with_crlf else shown)
    return None


def _len(call: Call) -> Value:
    value = call.args["value"]
    return len(value) if isinstance(value, Array) else len(text(value))


def _pick(call: Call) -> Value:
    value = call.args["counter"]
    begin = max(_integer(call.args["begin"], "begin"), 0)
    end = _integer(call.args["end"], "end") if "end" in call.args else begin + 1
    if not isinstance(value, Array):
        return text(value)[begin : max(end, begin)]
    picked = value.pairs()[begin : max(end, begin)]
    if "end" not in call.args:
        return picked[0][1] if picked else None
    result = Array()
    for key, element in picked:
        if isinstance(key, str):
            result.keyed[key] = element
        else:
            result.items.append(element)
    return result


def _find(call: Call) -> Value:
    value, sought = call.args["in"], call.args["key"]
    start = max(_integer(call.get("from", -1), "from"), -1) + 1
    if isinstance(value, Array):
        pairs = value.pairs()[start:]
        return next((key for key, element in pairs if equal(element, sought)), NIL)
    index = text(value).find(text(sought), start)
    return NIL if index < 0 else index


def _parse(call: Call) -> Value:
    source = text(call.args["value"])
    try:
        return Code(call.interpreter.parse(source), source)
    except ScriptSyntaxError as error:
        raise ScriptError(str(error)) from None


def _execute(call: Call) -> Value:
    """In the background; the value is the id of the job."""
    source = text(call.args["script"]).encode("latin-1")
    threading.Thread(target=call.router.run, args=(source,), daemon=True).start()
    return "*1"


def _timestamp(call: Call) -> Value:
    return Time.of(call.router.clock.now().timestamp())


def _rndnum(call: Call) -> Value:
    low, high = _integer(call.args["from"], "from"), _integer(call.args["to"], "to")
    if low > high:
        raise ScriptError("invalid value for argument to")
    return random.randint(low, high)


def _rndstr(call: Call) -> Value:
    letters = text(call.get("from", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
    length = _integer(call.get("length", 16), "length")
    if not letters or not 0 <= length <= 4096:
        raise ScriptError("invalid value for argument length")
    return "".join(random.choice(letters) for _unused in range(length))


def _serialize(call: Call) -> Value:
    if call.args["to"] != "json":
        raise ScriptError("input does not match any value of to")
    return bounded(serialize(call.args["value"], _options(call, "json.pretty")))


def _deserialize(call: Call) -> Value:
    if call.args["from"] != "json":
        raise ScriptError("input does not match any value of from")
    return deserialize(text(call.args["value"]), _options(call, "json.no-string-conversion"))


def _options(call: Call, known: str) -> bool:
    option = text(call.get("options", ""))
    if option not in ("", known):
        raise ScriptError("input does not match any value of options")
    return bool(option)


def _convert(call: Call) -> Value:
    source, target = text(call.get("from", "raw")), text(call.get("to", "raw"))
    for name, choice in (("from", source), ("to", target)):
        if choice not in CONVERSIONS:
            raise ScriptError(f"input does not match any value of {name}")
    return convert(text(call.args["value"]), source, target, text(call.get("transform", "none")))


def _one_value(name: str, function: object, since: tuple[int, ...] = (0,)) -> CommandSpec:
    def run(call: Call) -> Value:
        return function(call.args["value"])  # type: ignore[operator, no-any-return]

    return CommandSpec(name, run, params("value", "value"), ("value",), ("value",), since=since, locked=False)


def _spec(
    name: str,
    run: object,
    positional: str = "",
    optional: str = "",
    *more: Param,
    declares: str = "",
    since: tuple[int, ...] = (0,),
) -> CommandSpec:
    """Make a command with arguments in order.

    The words in ``positional`` are required values, those in ``optional`` further ones.
    """
    required, extra = tuple(positional.split()), tuple(optional.split())
    declared = {param.name for param in more}
    plain = params("value", *(word for word in required + extra if word not in declared))
    return CommandSpec(name, run, plain + more, required + extra, required, declares, since=since, locked=False)  # type: ignore[arg-type]


def _json(name: str, run: object, form: str) -> tuple[CommandSpec, ...]:
    """Make the command without and with ``options``.

    The argument *form* says to or from which form it converts.
    """
    return tuple(
        CommandSpec(
            name, run, params("value", "value", form, *more), ("value",), ("value", form), since=since, locked=False
        )  # type: ignore[arg-type]
        for since, more in (((7, 13), ()), ((7, 16), ("options",)))
    )


_DO = Param("do", "block")
_VALUE = (Param("name", "name"), Param("do", "function"))

COMMANDS: tuple[CommandSpec, ...] = (
    _spec("if", _if, "condition", "", Param("condition", "condition"), _DO, Param("else", "block")),
    _spec(
        "do",
        _do,
        "command",
        "",
        Param("command", "block"),
        Param("on-error", "block"),
        Param("while", "condition"),
    ),
    _spec("while", _while, "condition", "", Param("condition", "condition"), _DO),
    CommandSpec(
        "for",
        _for,
        (Param("counter", "name"), *params("value", "from", "to", "step"), _DO),
        ("counter",),
        ("counter", "from", "to", "do"),
        "inside",
        locked=False,
    ),
    CommandSpec(
        "foreach",
        _foreach,
        (Param("counter", "names"), Param("in"), _DO),
        ("counter",),
        ("counter", "in", "do"),
        "inside",
        locked=False,
    ),
    CommandSpec(
        "onerror",
        _onerror,
        (Param("error", "name"), Param("in", "block"), _DO),
        ("error",),
        ("error", "in", "do"),
        "inside",
        since=(7, 13),
        locked=False,
    ),
    CommandSpec(
        "retry",
        _retry,
        (Param("command", "block"), Param("on-error", "block"), Param("delay"), Param("max")),
        ("command",),
        ("command", "delay", "max"),
        since=(7, 13),
        locked=False,
    ),
    _spec("error", _error, "message"),
    _spec("return", _return, "", "value"),
    _spec("delay", _delay, "", "delay-time"),
    _spec("time", _time, "command", "", Param("command", "block")),
    _spec("local", _local, "name", "value", *_VALUE, declares="here"),
    _spec("global", _global, "name", "value", *_VALUE, declares="here"),
    _spec("set", _set, "name", "value", Param("name", "target"), Param("do", "function")),
    _spec("put", _put, "message"),
    _spec("len", _len, "value"),
    _spec("pick", _pick, "counter begin", "end"),
    _spec("find", _find, "in key", "from"),
    _spec("parse", _parse, "value"),
    _spec("execute", _execute, "script"),
    _spec("nothing", lambda call: None),
    _spec("timestamp", _timestamp, since=(7,)),
    CommandSpec("rndnum", _rndnum, params("value", "from", "to"), (), ("from", "to"), since=(7,), locked=False),
    CommandSpec("rndstr", _rndstr, params("value", "from", "length"), since=(7,), locked=False),
    *_json("serialize", _serialize, "to"),
    *_json("deserialize", _deserialize, "from"),
    CommandSpec(
        "convert",
        _convert,
        params("value", "value", "from", "to", "transform"),
        ("value",),
        ("value",),
        since=(7, 12),
        locked=False,
    ),
    _one_value("typeof", typeof),
    _one_value("tostr", text),
    _one_value("tonum", to_number),
    _one_value("tobool", to_bool),
    _one_value("toip", to_ip),
    _one_value("totime", to_time),
    _one_value("toid", to_id),
    _one_value("toarray", to_array),
)
