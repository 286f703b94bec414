"""Bounded mailbox between the executor and the one thread that owns the model."""

from __future__ import annotations

import threading
from collections import deque

from lrm_reward_node.schedule import Query


class QueryQueue:
    """Queries in order; when full, the oldest regular query gives way. A final query never does.

    Final queries are one per episode, and the policy waits for theirs before it starts another, so they cannot pile up.

    Args:
        capacity: most queries that wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queries: deque[Query] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queries)

    def put(self, query: Query) -> Query | None:
        """Append ``query``. Returns the one that had to give way."""
        with self._changed:
            self._queries.append(query)
            self._changed.notify()
            if len(self._queries) <= self._capacity:
                return None
            oldest = next((waiting for waiting in self._queries if not waiting.final), None)
            if oldest is not None:
                self._queries.remove(oldest)
            return oldest

    def take(self) -> Query | None:
        """The oldest query; waits for one. None when the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queries or self._closed)
            return None if self._closed else self._queries.popleft()

    def drain(self) -> list[Query]:
        """Take out all that wait."""
        with self._changed:
            waiting = list(self._queries)
            self._queries.clear()
            return waiting

    def close(self) -> None:
        """Wake the taker for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
