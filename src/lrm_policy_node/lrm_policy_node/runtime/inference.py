"""Inference beside the control loop: the arm goes on while the base policy plans."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np


class Inference:
    """One plan at a time, on a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inference")
        self._pending: Future[np.ndarray] | None = None

    def start(self, work: Callable[[], np.ndarray]) -> None:
        """Begin ``work``; what was begun before is finished first, and its result is lost."""
        self._pending = self._thread.submit(work)

    def ready(self, timeout_s: float) -> bool:
        """Whether the work is done, after a wait of at most ``timeout_s``."""
        assert self._pending is not None
        return bool(wait([self._pending], timeout_s).done)

    def result(self) -> np.ndarray:
        """The plan (H, J); raises what the work raised."""
        assert self._pending is not None
        return self._pending.result()

    def settle(self) -> None:
        """Wait for work that nobody wants any more: a policy is asked one thing at a time."""
        if self._pending is not None:
            wait([self._pending])

    def close(self) -> None:
        """End the thread, once its work is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)
