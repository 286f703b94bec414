"""Bounded mailbox between the executor and the one thread that owns the model."""

from __future__ import annotations

import threading
from collections import deque

from lrm_reward_node.schedule import Query


class QueryQueue:
    """What waits for the model: at most one regular query, the newest, and what must not be dropped.

    A newer regular query takes the place of the one that waits, so that a model that is too slow is asked less often
    instead of ever later. Kept are the query at the end of an episode and the one a restarted node goes on with: one
    per episode, and the policy waits for their answer before it starts another, so they cannot pile up.
    """

    def __init__(self) -> None:
        self._waiting: deque[Query] = deque()
        self._regular: Query | None = None
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, query: Query, keep: bool = False) -> Query | None:
        """Append ``query``. Returns the one that gave way to it.

        Args:
            query: a final one is kept in any case.
            keep: no newer query takes its place.
        """
        with self._changed:
            gave_way = None
            if not (keep or query.final):
                gave_way, self._regular = self._regular, query
            if gave_way is not None:
                self._waiting.remove(gave_way)
            self._waiting.append(query)
            self._changed.notify()
            return gave_way

    def keep(self, query: Query) -> bool:
        """Put ``query`` in the place of the waiting one of the same key and keep it; False when none waits."""
        with self._changed:
            for place, waiting in enumerate(self._waiting):
                if waiting.key == query.key:
                    self._waiting[place] = query
                    self._regular = None if waiting is self._regular else self._regular
                    return True
            return False

    def take(self) -> Query | None:
        """The oldest query; waits for one. None when the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            query = self._waiting.popleft()
            self._regular = None if query is self._regular else self._regular
            return query

    def close(self) -> None:
        """Wake the taker for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
