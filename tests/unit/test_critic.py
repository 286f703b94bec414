"""The critics and the residual policy on a task small enough to know the answer: a contextual displacement."""

from __future__ import annotations

import numpy as np
import pytest

from lrm_core.errors import BadInput
from lrm_policy_node.rl.actor import ActingParams, ResidualPolicy, Weights
from lrm_policy_node.rl.buffer import ReplayBuffer
from lrm_policy_node.rl.critic import CriticEnsemble, CriticParams, cautious
from lrm_policy_node.rl.features import ACTIONS, FEATURES

BEST = np.array([-0.6, -0.5, 0.0])
GRASP, PLACE = 0.0, 1.0


def features(kind: float, rng: np.random.Generator) -> np.ndarray:
    """A state in which displacement harms (GRASP), or helps in one direction (PLACE)."""
    vector = rng.normal(0.0, 0.1, FEATURES)
    vector[6], vector[9], vector[21] = kind, 1.0 - kind, 1.4 * kind
    return vector.astype(np.float32)


def reward(kind: float, action: np.ndarray, rng: np.random.Generator) -> float:
    gone_wrong = np.linalg.norm(action) > 0.4 if kind == GRASP else np.linalg.norm(action - BEST) > 0.75
    return float(not gone_wrong) * 1.5 + rng.normal(0.0, 0.3)


def filled(count: int, spread: float, seed: int) -> ReplayBuffer:
    rng, buffer = np.random.default_rng(seed), ReplayBuffer(1000)
    for index in range(count):
        kind = (GRASP, PLACE)[index % 2]
        action = np.clip(rng.normal(0.0, spread, ACTIONS), -1.0, 1.0)
        buffer.add(features(kind, rng), action, reward(kind, action, rng), features(kind, rng), True)
    return buffer


def trained(online: int, seed: int = 0) -> CriticEnsemble:
    critic = CriticEnsemble(CriticParams(), seed)
    critic.fit(filled(80, 0.0, 1).all(), filled(online, 0.6, 2 + seed).all())
    return critic


def policy(critic: CriticEnsemble, **acting: float) -> ResidualPolicy:
    return ResidualPolicy.from_bytes(Weights(critic, ActingParams(**acting), version=7).to_bytes())


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_where_a_displacement_helps_and_where_it_harms(seed: int) -> None:
    rng, acts = np.random.default_rng(9), policy(trained(240, seed), act_empty=True)
    place = [acts.act(features(PLACE, rng), False, rng) for _ in range(30)]
    grasp = [acts.act(features(GRASP, rng), False, rng) for _ in range(30)]
    assert np.mean([np.linalg.norm(a - BEST) < 0.75 for a in place]) > 0.85
    assert np.mean([np.linalg.norm(a) < 0.4 for a in grasp]) > 0.9


def test_with_an_empty_gripper_the_base_policy_acts_alone() -> None:
    rng, acts = np.random.default_rng(9), policy(trained(240))
    acts.begin_episode(rng)
    assert not any(acts.act(features(GRASP, rng), True, rng).any() for _ in range(20))
    assert any(acts.act(features(PLACE, rng), True, rng).any() for _ in range(20))


def test_with_demonstrations_alone_it_stays_with_the_base_policy() -> None:
    rng, acts = np.random.default_rng(9), policy(trained(0))
    assert all(not acts.act(features(kind, rng), False, rng).any() for kind in (GRASP, PLACE) for _ in range(10))


def test_no_residual_gains_nothing_for_every_member() -> None:
    critic, rng = trained(40), np.random.default_rng(3)
    assert np.abs(critic.gain(np.stack([features(PLACE, rng)]), np.zeros((1, ACTIONS)))).max() == 0.0


def test_members_agree_more_where_there_are_data() -> None:
    rng = np.random.default_rng(4)
    states = np.stack([features(PLACE, rng) for _ in range(20)])
    action = np.array([[0.4, 0.4, 0.0]])
    assert trained(300).gain(states, action).std(-1).mean() < 0.6 * trained(0).gain(states, action).std(-1).mean()


def test_values_are_discounted_along_an_episode() -> None:
    rng, buffer = np.random.default_rng(5), ReplayBuffer(1000)
    for _ in range(60):
        chain = [features(kind, rng) for kind in (0.0, 1.0, 2.0)]
        buffer.add(chain[0], np.zeros(3), 0.0, chain[1], False)
        buffer.add(chain[1], np.zeros(3), 1.0, chain[2], True)
    critic = CriticEnsemble(CriticParams(discount=0.5), 0)
    critic.fit(buffer.all(), ReplayBuffer(10).all())
    values = [critic.value(np.stack([features(kind, rng)])).mean() for kind in (0.0, 1.0)]
    assert values == pytest.approx([0.5, 1.0], abs=0.15)


def test_the_same_seed_gives_the_same_bytes() -> None:
    images = [Weights(trained(40), ActingParams(), 1).to_bytes() for _ in range(2)]
    assert images[0] == images[1]


def test_exploration_is_drawn_per_episode_and_stops_when_its_weight_is_zero() -> None:
    critic, rng = trained(20), np.random.default_rng(1)
    state = features(PLACE, rng)
    bold, still = policy(critic), policy(critic, exploration=0.0)
    chosen = []
    for episode in range(6):
        for acts in (bold, still):
            acts.begin_episode(np.random.default_rng(episode))
        chosen.append(bold.act(state, True, np.random.default_rng(0)))
        assert np.array_equal(
            still.act(state, True, np.random.default_rng(0)), still.act(state, True, np.random.default_rng(0))
        )
    assert len({tuple(action) for action in chosen}) > 1


def test_without_weights_it_is_the_base_policy() -> None:
    rng = np.random.default_rng(0)
    assert not ResidualPolicy().act(features(PLACE, rng), True, rng).any()


@pytest.mark.parametrize("damage", ["truncated", "another layout", "not finite", "empty"])
def test_weights_that_do_not_fit_are_refused_and_the_old_ones_stay(damage: str) -> None:
    critic = trained(20)
    acts = policy(critic)
    data = Weights(critic, ActingParams(), 8).to_bytes()
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "another layout":
        data = data.replace(b'features_version\\": 1', b'features_version\\": 9')
    elif damage == "not finite":
        critic.weights[0] = np.nan
        data = Weights(critic, ActingParams(), 8).to_bytes()
    else:
        data = b""
    with pytest.raises(BadInput, match="weights"):
        acts.load(data)
    assert acts.version == 7


def test_caution_prefers_the_sure_thing() -> None:
    gain = np.array([[1.0, 1.0, 1.0], [4.0, 0.0, -0.5]])
    assert cautious(gain, 1.0).argmax() == 0 and cautious(gain, 0.0).argmax() == 1
