"""The small interfaces at which other people's policies and models plug in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

STATE = "state"
"""Name of the joint positions among what a policy observes; the other names are those of cameras."""


@runtime_checkable
class Policy(Protocol):
    """A base policy that plans in chunks, for example any policy of LeRobot that does.

    Attributes:
        chunk_steps: H, number of control steps that it plans.
        cameras: those of the robot's cameras that it looks through, in the order of the robot's file.
        observation_steps: observations that a plan is made of, one control step apart; 1: the newest alone.
    """

    chunk_steps: int
    cameras: tuple[str, ...]
    observation_steps: int

    def reset(self, task: str, seed: int) -> None:
        """An episode begins: forget the one before.

        Args:
            task: the sentence that says what is to be done.
            seed: of whatever is drawn at random, >= -1: the same one and the same observations give the same plans.
        """
        ...

    def chunk(
        self, observation: Mapping[str, np.ndarray], earlier: Sequence[Mapping[str, np.ndarray]] = ()
    ) -> np.ndarray:
        """Plan the next H control steps.

        Args:
            observation: per camera (H, W, 3) uint8 RGB; ``state``: (J,) float32, arm joints in rad and the gripper
                opening in m, in the order of the robot's file.
            earlier: the observations before it, oldest first, at most ``observation_steps`` - 1; fewer at the start.

        Returns:
            (H, J) float32 joint position targets, same order and units as ``state``.

        Raises:
            BadInput: an entry is missing, or has another shape or type.
        """
        ...
