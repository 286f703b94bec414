"""The replay buffer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_policy_node.rl.buffer import ReplayBuffer
from lrm_policy_node.rl.features import ACTIONS, FEATURES


def add(buffer: ReplayBuffer, reward: float) -> None:
    features = np.full(FEATURES, reward)
    buffer.add(features, np.full(ACTIONS, 0.5), reward, features + 1, done=reward % 2 == 0)


@given(st.integers(1, 20), st.integers(0, 60))
def test_it_keeps_the_newest_and_keeps_rows_together(capacity: int, count: int) -> None:
    buffer = ReplayBuffer(capacity)
    for index in range(count):
        add(buffer, float(index))
    kept = buffer.all()
    assert sorted(kept.rewards) == [float(i) for i in range(max(0, count - capacity), count)]
    assert np.array_equal(kept.features[:, 0], kept.rewards)
    assert np.array_equal(kept.next_features[:, -1], kept.rewards + 1)
    assert np.array_equal(kept.done, (kept.rewards % 2 == 0).astype(float))
    assert kept.actions.shape == (len(buffer), ACTIONS)


def test_join_puts_one_after_the_other() -> None:
    one, two = ReplayBuffer(5), ReplayBuffer(5)
    add(one, 1.0)
    add(two, 2.0)
    assert list(one.all().join(two.all()).rewards) == [1.0, 2.0]


def test_wrong_shapes_and_numbers_are_refused() -> None:
    buffer, good = ReplayBuffer(5), np.zeros(FEATURES)
    with pytest.raises(BadInput, match="shapes"):
        buffer.add(np.zeros(2), np.zeros(ACTIONS), 0.0, good, False)
    with pytest.raises(BadInput, match="finite"):
        buffer.add(good, np.zeros(ACTIONS), float("nan"), good, False)
    with pytest.raises(BadInput, match="capacity"):
        ReplayBuffer(0)
