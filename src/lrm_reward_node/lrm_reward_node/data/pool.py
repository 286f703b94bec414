"""Work in several processes, in order, with a bounded number of tasks on their way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from lrm_core.errors import BadInput

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4
"""Tasks per process that are handed out beforehand."""

_work: Callable[[Any], Any] | None = None


def in_processes(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """``work`` of every task, in their order; ``workers`` of at most 1 stays in this process.

    Raises:
        BadInput: a process died, as one does that runs out of memory.
    """
    if workers <= 1:
        yield from map(work, tasks)
        return
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (work,)) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for task in tasks:
                waiting.append(_handed_out(pool, task))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            fix = "Start the same command again with fewer --workers: it goes on where it stopped."
            raise BadInput("--workers", workers, "processes that live; one of them died", fix) from error
        finally:
            for future in waiting:
                future.cancel()


def _handed_out(pool: ProcessPoolExecutor, task: Any) -> Future[Any]:
    """Processes that start here inherit the mask: Ctrl-C reaches all of a terminal, also one that is just starting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_one, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, after the task at hand
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed sends no more tasks, and says nothing either."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(task: Any) -> Any:
    assert _work is not None
    return _work(task)
