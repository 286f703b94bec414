"""What the base policy is shown of a demonstration."""

from __future__ import annotations

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.transitions import Scores
from lrm_policy_node.rl.demos import decision_frames, transitions
from test_runtime_loop import HOME, KINEMATICS, K, RememberingPolicy

STEPS = 2 * K + 1


def test_a_policy_sees_a_demonstration_as_it_sees_a_robot() -> None:
    states = np.tile(HOME, (STEPS, 1))
    states[:, 0] = np.arange(STEPS) / 100
    front, nothing = np.zeros((STEPS, 2, 2, 3), np.uint8), np.zeros(STEPS)
    record = EpisodeRecord("put it there", 4, "success", front, front[:0], states, states, nothing, nothing > 0, {}, {})
    frames = decision_frames(record, K)
    policy, scores = RememberingPolicy(), [Scores(0.1 * n, 0.0) for n in range(len(frames))]
    made = list(transitions(record, K, scores, policy, KINEMATICS, max_steps=STEPS))
    assert policy.told == [("put it there", 4)]
    assert policy.asked == [[0.0], [0.02, 0.03, 0.04], [0.06, 0.07, 0.08]]
    assert list(record.images) == ["front"], "no picture was kept of the wrist"
    assert [one.transition.terminated for one in made] == [False, True]
