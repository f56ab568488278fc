# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of targets."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """A function that takes any bytes and raises something if its promise does not hold."""

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...]
    """What its input is made of; without them, few inputs would come far."""

    @property
    def promise(self) -> str:
        return " ".join((self.check.__doc__ or "").split())

    @property
    def corpus(self) -> list[bytes]:
        """The inputs that are kept: one of each kind, and what once broke the promise."""
        file = CORPUS / f"{self.name}.json"
        kept: list[str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        return [one.encode("latin-1") for one in kept]


TARGETS: dict[str, Target] = {}


def target(*words: bytes) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Add the decorated function to the table."""

    def add(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
        name = check.__name__
        TARGETS[name] = Target(name, check, words)
        return check

    return add


def parts(data: bytes, count: int) -> list[bytes]:
    """Cut *data* at its first NULs into exactly *count* parts."""
    found = data.split(b"\0", count - 1)
    return found + [b""] * (count - len(found))


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@contextlib.contextmanager
def without_sleep() -> Iterator[None]:
    with mock.patch.object(time, "sleep", lambda _seconds: None):
        yield
