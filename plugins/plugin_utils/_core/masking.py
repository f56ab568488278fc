# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Masking of secrets in what is shown.

A server, an agent or a proxy can repeat what it was sent: a login, a header, a script. So the
values of secret options are known here, for as long as the process lives, and are masked wherever
the words of others are cut, and once more in every result.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import re
import threading
import typing as t

MASK = "********"
_ALONE = 6  # characters below which a secret is masked only where it is a whole word
_DATA = 8  # characters below which it is not masked in data, which may have the same word
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_CONTROLS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\x0b": "v", "\x07": "a"}
_known: tuple[str, ...] = ()
"""The secrets, the longest one first: another one can be a part of it.

Many threads read it, so it is replaced and never changed.
"""
_replacing = threading.Lock()


def protect(*secrets: str | None) -> None:
    """Mask these *secrets* from now on."""
    global _known
    added = {str(one) for one in secrets if one}
    with _replacing:
        if not added <= set(_known):
            _known = tuple(sorted(added | set(_known), key=len, reverse=True))


def forget() -> None:
    """Mask nothing any more."""
    global _known
    with _replacing:
        _known = ()


def masked(text: str) -> str:
    """Return *text* without secrets, in any encoding in which others may repeat them.

    These are their plain form, and that in URLs, JSON, XML, string literals of RouterOS, Python's
    quotes, hex and base64.
    """
    return _masked(text, 1)


def masked_data(value: t.Any) -> t.Any:
    """Return *value*, with lists and dictionaries in it, without secrets.

    Short secrets stay: data such as a fact can have the same word for another reason. Most data
    have no secret at all, and are returned as they are.
    """
    return each_text(value, lambda text: _masked(text, _DATA)) if _may_have_secret(value) else value


def _may_have_secret(value: t.Any) -> bool:
    forms = [form for secret in _known if len(secret) >= _DATA for form in _forms(secret)]
    try:
        whole = json.dumps(value, ensure_ascii=False, default=str) if forms else ""
    except (TypeError, ValueError, RecursionError):
        return True
    return any(form.in_text(whole) for form in forms)


def each_text(value: t.Any, change: t.Callable[[str], str]) -> t.Any:
    """Return *value* with *change* applied to each text in it, also in lists and dictionaries."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        return [each_text(one, change) for one in value]
    if isinstance(value, dict):
        return {each_text(key, change): each_text(one, change) for key, one in value.items()}
    return value


def _masked(text: str, shortest: int) -> str:
    for secret in _known:
        if len(secret) < shortest:
            break
        for form in _forms(secret):
            # Most texts have no secret, and searching for a plain text is much faster.
            if form.in_text(text):
                text = _compiled(form.pattern).sub(MASK, text)
    return text


class _Form(t.NamedTuple):
    """An encoding of a secret, and a text that is in every instance of it."""

    pattern: str
    anchor: str
    folded: bool = False
    """Whether the anchor is in lower case, and the instance may be in another."""

    def in_text(self, text: str) -> bool:
        """Whether the anchor is in *text*, so that an instance may be."""
        return self.anchor in (text.lower() if self.folded else text)


_compiled = functools.lru_cache(maxsize=64)(re.compile)


@functools.cache
def _forms(secret: str) -> tuple[_Form, ...]:
    """All encodings of *secret*."""
    plain = _pattern(secret, 1)
    anchor = max(re.split(r"[^0-9A-Za-z]+", secret), key=len)
    if len(secret) < _ALONE:
        # In a URL, the character before it can be an encoded one.
        return (_Form(rf"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{{2}})){plain}(?!\w)", anchor),)
    data = _bytes(secret)
    forms = [_Form(plain, anchor), _Form(f"(?i:{data.hex()})", data.hex(), folded=True)]
    if not secret.isascii():
        forms.append(_Form(_pattern(secret, None), anchor))
    for offset in range(3):
        # A character of base64 has six bits; those that it shares with other bytes are left out.
        code = base64.b64encode(bytes(offset) + data).decode("ascii")
        code = code[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        anchor = max(re.split(r"[+/]", code), key=len)
        forms.append(_Form("".join(_BASE64.get(one, one) for one in code), anchor))
    return tuple(forms)


_BASE64 = {"+": r"(?:\+|-|%2[bB])", "/": r"(?:\\*/|_|%2[fF])"}


def _bytes(text: str) -> bytes:
    """The bytes of *text* as they are sent; what was not UTF-8 is in it as surrogate escapes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # another lone surrogate
        return text.encode("utf-8", "surrogatepass")


def _pattern(secret: str, placeholders: int | None) -> str:
    """A pattern for the encodings of *secret* that go character by character.

    *placeholders*: how many characters stand for one that cannot be shown; None: one for each of
    its bytes. No two parts of the pattern can take the same character of a text: with a long run of
    backslashes or placeholders, matching would not end.
    """
    parts: list[str] = []
    escapes = _Escapes(r"(?:(?<!\\)\\++)?", r"(?<!\\)\\++")
    for backslashes, letters in itertools.groupby(secret, "\\".__eq__):
        if backslashes:
            start = "" if parts else r"(?<!\\)"
            parts.append(_backslashes(len(list(letters)), start))
            escapes = _Escapes(r"\\*+", r"\\*+")  # those of the next character may be taken, too
            continue
        for letter in letters:
            parts.append(_character(letter, escapes, placeholders))
            escapes = _Escapes(r"\\*+", r"\\++")
    return "".join(parts)


class _Escapes(t.NamedTuple):
    """Patterns for the backslashes before a character."""

    any: str
    some: str


def _backslashes(count: int, start: str) -> str:
    """A pattern for all encodings of so many backslashes."""
    encoded = "|".join(("%5[cC]", r"\\++x?5[cC]", r"\\++u005[cC]", r"&(?:amp;)*#(?:0*92|x0*5[cC]);"))
    return rf"(?:{start}(?:{encoded}){{{count}}}|{start}\\{{{count},}}+)"


def _character(letter: str, escapes: _Escapes, placeholders: int | None) -> str:
    """A pattern for all encodings of one character."""
    if letter.isascii() and letter.isalnum():
        return letter  # no encoding changes it
    data = _bytes(letter)
    units = letter.encode("utf-16-be", "surrogatepass")
    forms = [
        rf"{escapes.any}{re.escape(letter)}",
        "".join(f"%(?i:{byte:02x})" for byte in data),
        escapes.some + r"\\++".join(rf"x?(?i:{byte:02x})" for byte in data),
        escapes.some + r"\\++".join(rf"u(?i:{units[at]:02x}{units[at + 1]:02x})" for at in range(0, len(units), 2)),
        rf"&(?:amp;)*#(?:0*{ord(letter)}|x0*(?i:{ord(letter):x}));",
    ]
    if letter in _ENTITIES:
        forms.append(f"&(?:amp;)*{_ENTITIES[letter]};")
    if letter in _CONTROLS:
        forms.append(rf"{escapes.some}{_CONTROLS[letter]}")
    if letter == " ":
        forms.append(r"\+")
    if not letter.isascii() or not letter.isprintable():
        forms.append(re.escape(data.decode("latin-1")))  # bytes that were taken for characters
        forms.append(rf"[?\ufffd]{{{placeholders or len(data)}}}")  # what cannot be shown
    if not letter.isprintable():
        forms.append(" ")
    return f"(?:{'|'.join(forms)})"
