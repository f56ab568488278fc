# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The same work on many things at once, in a bounded number of threads."""

from __future__ import annotations

import queue
import threading
import typing as t

# Seconds after which the caller looks again. A signal that comes just before a wait without an end
# would be noticed only after it.
_LOOK = 1.0
_ItemT = t.TypeVar("_ItemT")
_ResultT = t.TypeVar("_ResultT")


def side_by_side(
    items: t.Iterable[_ItemT], work: t.Callable[[_ItemT], _ResultT], concurrency: int
) -> t.Iterator[tuple[_ItemT, _ResultT]]:
    """Call *work* on each of *items*, at most *concurrency* at once, and yield what is done.

    The next item is taken, in the thread of the caller, when a thread is free for it. So an
    iterator of *items* that ends keeps further work from being begun, and what was begun is still
    yielded. Raises what *work* raises.

    The threads do not keep the process alive: a caller that is interrupted leaves the work that
    has begun behind, and it ends with the process.
    """
    todo: queue.SimpleQueue[tuple[_ItemT] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_ItemT, _ResultT | None, BaseException | None]] = queue.SimpleQueue()

    def serve() -> None:
        while (one := todo.get()) is not None:
            (item,) = one
            try:
                done.put((item, work(item), None))
            except BaseException as error:  # the caller's thread raises it
                done.put((item, None, error))

    source = iter(items)
    threads = running = 0
    exhausted = False
    try:
        while True:
            while not exhausted and running < concurrency and (done.empty() or not running):
                try:
                    item = next(source)
                except StopIteration:
                    exhausted = True
                    break
                running += 1
                if threads < running:
                    threading.Thread(target=serve, daemon=True).start()
                    threads += 1
                todo.put((item,))
            if not running:
                return
            try:
                item, result, error = done.get(timeout=_LOOK)
            except queue.Empty:
                continue
            running -= 1
            if error is not None:
                raise error
            yield item, t.cast("_ResultT", result)
    finally:
        for _unused in range(threads):
            todo.put(None)


def in_order(items: t.Sequence[_ItemT], work: t.Callable[[_ItemT], _ResultT], concurrency: int) -> list[_ResultT]:
    """Return what *work* makes of each of *items*, in their order; else as ``side_by_side``."""
    done = dict(side_by_side(range(len(items)), lambda place: work(items[place]), concurrency))
    return [done[place] for place in range(len(items))]
