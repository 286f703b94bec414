"""The mailbox of the control loop: its waits end when they should, for the reason they should."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from lrm_core.episodes import TerminationReason
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeCut

NAMES = ("a", "b")
PARAMS = PolicyParams(
    lockstep=True,
    reward_timeout_s=0.3,
    reward_heartbeat_timeout_s=0.6,
    reward_lost_timeout_s=1.0,
    safety_timeout_s=0.1,
    learner_sync_timeout_s=0.3,
)
PERIOD_NS = 100_000_000


def see(inbox: Inbox, stamp_ns: int) -> None:
    for camera in ("front", "wrist"):
        inbox.add_frame(CameraFrame(np.zeros((2, 2, 3), np.uint8), stamp_ns, camera))
    inbox.add_joints(stamp_ns, NAMES, (0.1, 0.2))


def running(params: PolicyParams = PARAMS) -> Inbox:
    inbox = Inbox(params, NAMES)
    inbox.watch(("front", "wrist"))
    inbox.begin_reset()
    see(inbox, 10 * PERIOD_NS)
    inbox.begin_episode()
    return inbox


def cut_of(inbox: Inbox) -> EpisodeCut:
    with pytest.raises(EpisodeCut) as caught:
        inbox.observe(10 * PERIOD_NS, 5.0)
    return caught.value


def test_an_observation_ends_the_wait_at_once() -> None:
    inbox = running()
    threading.Timer(0.05, see, (inbox, 11 * PERIOD_NS)).start()
    begin_s = time.monotonic()
    observation = inbox.observe(10 * PERIOD_NS, 5.0)
    assert observation is not None
    assert observation.stamp_ns == 11 * PERIOD_NS
    assert time.monotonic() - begin_s < 1.0


def test_in_real_time_the_next_observation_waits_for_the_tick() -> None:
    inbox = running(replace(PARAMS, lockstep=False))
    see(inbox, 11 * PERIOD_NS)
    assert inbox.observe(10 * PERIOD_NS, 0.15) is None
    threading.Timer(0.05, inbox.tick).start()
    assert inbox.observe(10 * PERIOD_NS, 5.0) is not None


def test_cancel_ends_a_wait_and_every_later_one_until_the_next_run() -> None:
    inbox = running()
    threading.Timer(0.05, inbox.stop, (TerminationReason.CANCELLED, "by the client")).start()
    assert cut_of(inbox).reason is TerminationReason.CANCELLED
    assert cut_of(inbox).reason is TerminationReason.CANCELLED
    inbox.open()
    assert inbox.observe(0, 1.0) is not None


def test_a_joint_that_is_not_a_number_cuts_the_episode_and_is_named() -> None:
    inbox = running()
    inbox.add_joints(11 * PERIOD_NS, NAMES, (0.1, math.nan))
    cut = cut_of(inbox)
    assert cut.reason is TerminationReason.JOINT_STATES_INVALID
    assert "b is nan" in str(cut)


def test_a_clock_that_jumps_back_cuts_the_episode() -> None:
    inbox = running()
    see(inbox, 2 * PERIOD_NS)
    assert cut_of(inbox).reason is TerminationReason.CLOCK_JUMPED


def test_a_clock_that_starts_again_at_a_reset_is_no_fault() -> None:
    inbox = running()
    inbox.begin_reset()
    see(inbox, 2 * PERIOD_NS)
    inbox.begin_episode()
    assert inbox.observe(0, 1.0) is not None


def test_only_a_hold_against_commands_cuts_the_episode() -> None:
    inbox = running()
    inbox.add_safety_status("no command for 0.3 s", 0)
    assert inbox.observe(10 * PERIOD_NS, 0.3) is None
    inbox.add_safety_status("joint state is 2.0 s old", 1)
    cut = cut_of(inbox)
    assert cut.reason is TerminationReason.SAFETY_HOLD
    assert "joint state is 2.0 s old" in str(cut)
    inbox.add_safety_status("", 1)
    assert inbox.observe(10 * PERIOD_NS, 0.05) is None


@pytest.mark.parametrize("gone", ["front", "wrist", "joint_states"])
def test_the_stream_that_stopped_is_named(gone: str) -> None:
    inbox = running()
    for camera in {"front", "wrist"} - {gone}:
        inbox.add_frame(CameraFrame(np.zeros((2, 2, 3), np.uint8), 11 * PERIOD_NS, camera))
    if gone != "joint_states":
        inbox.add_joints(11 * PERIOD_NS, NAMES, (0.0, 0.0))
    cut = inbox.lost(10 * PERIOD_NS, 3.0)
    assert gone in str(cut)
    expected = TerminationReason.JOINT_STATES_INVALID if gone == "joint_states" else TerminationReason.CAMERA_LOST
    assert cut.reason is expected


def test_a_camera_given_up_after_bad_images_says_what_was_wrong_with_them() -> None:
    inbox = running()
    inbox.add_bad_frame("image encoding is 'yuv9'")
    assert "yuv9" in str(inbox.lost(10 * PERIOD_NS, 3.0))


def reward(inbox: Inbox, *heads: RewardHead) -> None:
    for head in heads:
        inbox.add_reward("e", 10 * PERIOD_NS, head, 0.5)


def test_a_reward_is_there_when_both_heads_have_answered() -> None:
    inbox, waits = running(), []
    inbox.add_heartbeat()
    reward(inbox, RewardHead.PROGRESS)
    threading.Timer(0.1, reward, (inbox, RewardHead.COMPLETION)).start()
    frame = inbox.await_reward("e", 10 * PERIOD_NS + 1000, lambda: waits.append(1))
    assert frame is not None
    assert frame.score(RewardHead.COMPLETION) == 0.5


def test_a_reward_node_that_lives_but_never_answers_is_given_up() -> None:
    inbox, waits = running(), []
    inbox.add_heartbeat()
    assert inbox.await_reward("e", 10 * PERIOD_NS, lambda: waits.append(1)) is None


def test_a_reward_node_that_is_away_is_waited_for_and_then_ends_the_episode() -> None:
    inbox, waits = running(), []
    with pytest.raises(EpisodeCut) as caught:
        inbox.await_reward("e", 10 * PERIOD_NS, lambda: waits.append(1))
    assert caught.value.reason is TerminationReason.REWARD_LOST
    assert waits == [1]


def test_the_learner_is_waited_for_until_its_weights_are_here_but_not_for_ever() -> None:
    inbox = running()
    inbox.add_learner_status("e", 4)
    assert inbox.await_learner("e", lambda: 4)
    assert not inbox.await_learner("e", lambda: 3)
    assert not inbox.await_learner("f", lambda: 4)
