# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``:convert``, ``:serialize`` and ``:deserialize``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .errors import ScriptError
from .values import Array, Value, is_void, parse_typed, text


def _decode_base64(data: bytes) -> bytes:
    return base64.b64decode(data, validate=True)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "base64": _decode_base64,
    "hex": lambda data: bytes.fromhex(data.decode("ascii")),
    "url": unquote_to_bytes,
}
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "base64": base64.b64encode,
    "hex": lambda data: data.hex().encode(),
    "url": lambda data: quote_from_bytes(data, safe="").encode(),
}
_TRANSFORMS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "lc": bytes.lower,
    "uc": bytes.upper,
    "reverse": lambda data: data[::-1],
    "md5": lambda data: hashlib.md5(data).hexdigest().encode(),
}
CONVERSIONS = frozenset(_DECODERS)


def convert(content: str, source: str, target: str, transform: str) -> str:
    """Decode, transform and encode the bytes of ``content``.

    Raises ``ScriptError`` if they do not fit ``source``.
    """
    if transform not in _TRANSFORMS:
        raise ScriptError("input does not match any value of transform")
    try:
        raw = _DECODERS[source](content.encode("latin-1"))
    except (ValueError, binascii.Error):
        raise ScriptError(f"failure: invalid {source} data") from None
    return _ENCODERS[target](_TRANSFORMS[transform](raw)).decode("latin-1")


def _plain(value: Value) -> Any:
    if isinstance(value, Array):
        if not value.keyed:
            return [_plain(item) for item in value.items]
        return {str(key): _plain(item) for key, item in value.pairs()}
    if is_void(value):
        return None
    return value if isinstance(value, (bool, int, str)) else text(value)


def serialize(value: Value, pretty: bool = False) -> str:
    """The value as JSON; bytes beyond ASCII stay as they are."""
    separators = (",", ": ") if pretty else (",", ":")
    return json.dumps(_plain(value), ensure_ascii=False, separators=separators, indent=4 if pretty else None)


def _value(data: Any, keep_strings: bool) -> Value:
    if isinstance(data, dict):
        return Array([], {_bytes(key): _value(item, keep_strings) for key, item in data.items()})
    if isinstance(data, list):
        return Array([_value(item, keep_strings) for item in data])
    if isinstance(data, float):
        return str(data)
    if isinstance(data, str):
        content = _bytes(data)
        typed = None if keep_strings else parse_typed(content)
        return content if is_void(typed) else typed
    return data  # type: ignore[no-any-return]


def _bytes(content: str) -> str:
    """Code points as the UTF-8 bytes that a router keeps."""
    return content.encode("utf-8", "replace").decode("latin-1")


def deserialize(content: str, keep_strings: bool = False) -> Value:
    """A value from JSON; ``ScriptError`` when it is none."""
    try:
        return _value(json.loads(content.encode("latin-1").decode("utf-8", "replace")), keep_strings)
    except (ValueError, RecursionError):
        raise ScriptError("failure: invalid json") from None
