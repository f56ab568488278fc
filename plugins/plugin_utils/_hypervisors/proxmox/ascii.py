# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Rewrites RouterOS source in pure ASCII. Pure functions."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def ascii_source(source: bytes) -> str:
    r"""Rewrite *source* (UTF-8) in ASCII.

    Other bytes become ``\XX`` inside double quotes, and ``?`` in comments, so RouterOS sees the
    same strings. Raises InvalidInput where that is not certain: outside quotes, and behind a ``#``
    that may or may not begin a comment.
    """
    if source.isascii():
        return source.decode("ascii")
    text = source.decode("latin-1")
    out: list[str] = []
    stack: list[str] = []  # the closing characters of the open blocks; '"' for a string
    at_start = True  # only blanks since the line began
    position = 0
    while position < len(text):
        letter = text[position]
        following = text[position + 1 : position + 2]
        in_string = bool(stack) and stack[-1] == '"'
        if letter > "\x7f":
            if not in_string:
                raise InvalidInput(_where(source, position, "stands outside double quotes"))
            out.append(f"\\{ord(letter):02X}")
        elif letter == "\\":
            if following > "\x7f":
                raise InvalidInput(_where(source, position + 1, "follows a backslash"))
            out.append(letter + following)
            position += 1
        elif in_string:
            if letter == "$" and following in ("[", "("):
                stack.append(_CLOSING[following])
                out.append(letter + following)
                position += 1
            else:
                if letter == '"':
                    stack.pop()
                out.append(letter)
        elif letter == "#":
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            if not at_start:
                late = next((at for at in range(position, len(text)) if text[at] > "\x7f"), None)
                if late is not None:
                    raise InvalidInput(_where(source, late, "stands behind a '#' that may begin a comment"))
            out.append("".join("?" if one > "\x7f" else one for one in text[position:end]))
            position = end - 1
        else:
            if letter == '"' or letter in _CLOSING:
                stack.append(_CLOSING.get(letter, letter))
            elif stack and letter == stack[-1]:
                stack.pop()
            out.append(letter)
        at_start = letter == "\n" or (at_start and letter in " \t\r")
        position += 1
    return "".join(out)


def _where(source: bytes, position: int, what: str) -> str:
    line = source.count(b"\n", 0, position) + 1
    return (
        f"Line {line} of the script has a character beyond ASCII that {what}. Proxmox VE carries ASCII only in a script, and "
        r"this cannot be rewritten safely: put the text into double quotes, or write its bytes as RouterOS escapes such as "
        r'"\C3\A9".'
    )
