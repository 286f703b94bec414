"""A bounded cache that computes what it misses in one go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence


class BatchCache[Key: Hashable, Value]:
    """Least recently used out.

    Args:
        limit: bound of the sum of the sizes of all values.
        size: size of one value, in the unit of ``limit``.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        self.limit, self.total = limit, 0
        self._size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def gather(self, keys: Sequence[Key], compute: Callable[[list[Key]], Sequence[Value]]) -> list[Value]:
        """One value per key; ``compute`` gets the keys that are missing, each once, all together."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._values]
        for key, value in zip(missing, compute(missing) if missing else (), strict=True):
            self._values[key] = value
            self.total += self._size(value)
        values = [self._values[key] for key in keys]
        for key in keys:
            self._values.move_to_end(key)
        while self.total > self.limit:
            self.total -= self._size(self._values.popitem(last=False)[1])
        return values

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.total = 0
