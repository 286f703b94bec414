"""Episodes as plain data: how they end and what is recorded of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np


class TerminationReason(str, Enum):
    """Why an episode ended. Every end has a name."""

    SUCCESS_CONFIRMED = "success_confirmed"
    """The completion head said "complete" in several queries in a row."""
    MAX_STEPS = "max_steps"
    JUDGED_SUCCESS = "judged_success"
    """A person said so, at the end of a demonstration."""
    JUDGED_FAILURE = "judged_failure"
    CANCELLED = "cancelled"
    RESET_FAILED = "reset_failed"
    CAMERA_LOST = "camera_lost"
    JOINT_STATES_INVALID = "joint_states_invalid"
    REWARD_LOST = "reward_lost"
    CLOCK_JUMPED = "clock_jumped"
    SAFETY_HOLD = "safety_hold"
    POLICY_ERROR = "policy_error"
    SHUTDOWN = "shutdown"


_SUCCESS: dict[str, bool] = {
    TerminationReason.SUCCESS_CONFIRMED: True,
    TerminationReason.MAX_STEPS: False,
    TerminationReason.JUDGED_SUCCESS: True,
    TerminationReason.JUDGED_FAILURE: False,
}


def succeeded(reason: str) -> bool | None:
    """Whether an episode that ended for ``reason`` succeeded, as the reward model or a person saw it; None: unknown."""
    return _SUCCESS.get(reason)


def judged(reason: str) -> bool | None:
    """The same where a person said so, which is truth and not a model's opinion; else None."""
    return succeeded(reason) if reason.startswith("judged_") else None


class EpisodeState(str, Enum):
    """States of the episode machine; the order equals the constants of ``lrm_msgs/msg/EpisodeStatus``."""

    IDLE = "idle"
    RESETTING = "resetting"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"


@dataclass
class EpisodeRecord:
    """One simulated or demonstrated episode in memory, T observations, at a fixed control rate.

    Attributes:
        task: task sentence.
        seed: scene seed.
        outcome: what happened, for example ``success`` or a failure kind of the scripted expert.
        front: (T, H, W, 3) uint8 RGB, front camera.
        wrist: (T, H, W, 3) uint8 RGB, wrist camera.
        states: (T, 6) float32 joint positions: five arm joints in rad, gripper opening in m.
        actions: (T, 6) float32 joint position targets sent after each observation, same units.
        progress: (T,) float32 privileged progress in [0, 1].
        success: (T,) bool privileged success.
        positions: dict of privileged positions for auxiliary training, each (T, 3) float32, m, robot base frame;
            keys: ``tcp``, ``object`` (named object), ``container`` (named container), ``distractor_object``,
            ``distractor_container``.
        labels: names of what stands where, for example ``{"object": "red cube"}``; keys as in ``positions``.
    """

    task: str
    seed: int
    outcome: str
    front: np.ndarray
    wrist: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    progress: np.ndarray
    success: np.ndarray
    positions: dict[str, np.ndarray]
    labels: dict[str, str]

    @property
    def images(self) -> dict[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8 RGB, of the cameras that pictures were kept of."""
        return {name: frames for name, frames in (("front", self.front), ("wrist", self.wrist)) if len(frames)}
