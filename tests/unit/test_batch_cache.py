"""The cache of the reward engine computes what it misses once and stays within its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lrm_reward_node.vlm.cache import BatchCache

KEYS = st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=12)


@given(KEYS, st.integers(1, 30))
def test_values_are_right_and_the_bound_holds_after_every_batch(batches: list[list[int]], limit: int) -> None:
    cache: BatchCache[int, int] = BatchCache(limit, lambda value: value)
    for batch in batches:
        assert cache.gather(batch, lambda missing: [key + 1 for key in missing]) == [key + 1 for key in batch]
        assert cache.total == sum(cache._values.values()) <= limit


def test_missing_keys_are_computed_together_and_once() -> None:
    asked: list[list[int]] = []
    cache: BatchCache[int, int] = BatchCache(10, lambda _: 1)
    for batch in ([1, 2, 1], [2, 3], [1, 2, 3]):
        cache.gather(batch, lambda missing: asked.append(missing) or missing)
    assert asked == [[1, 2], [3]]


def test_the_least_recently_used_goes_first() -> None:
    cache: BatchCache[int, int] = BatchCache(2, lambda _: 1)
    for key in (1, 2, 1, 3):
        cache.gather([key], lambda missing: missing)
    assert list(cache._values) == [1, 3]
