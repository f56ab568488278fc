# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A call that is given up when its time is over."""

from __future__ import annotations

import threading
import typing as t

_T = t.TypeVar("_T")


class Overrun(Exception):
    """The call did not return in time, and may still be running."""


def bounded(function: t.Callable[[], _T], seconds: float, moved: t.Callable[[], int] | None = None) -> _T:
    """Run *function* in a thread, and return its result or raise its exception.

    Raises Overrun when it takes longer than *seconds*. With *moved*, a counter, it may take any
    time, and Overrun is raised when the counter has not changed for *seconds*.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    seen = -1
    while True:
        thread.join(max(seconds, 0.001))
        if results:
            return results[0]
        if errors:
            raise errors[0]
        count = seen if moved is None else moved()
        if count == seen:
            raise Overrun(f"no answer within {seconds:.3g} s")
        seen = count
