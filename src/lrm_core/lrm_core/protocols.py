"""The small interfaces at which other people's policies and models plug in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Policy(Protocol):
    """A base policy that plans in chunks, for example an ACT policy of LeRobot.

    Attributes:
        chunk_steps: K, number of control steps in a chunk.
    """

    chunk_steps: int

    def reset(self) -> None:
        """Forget everything about the current episode."""

    def chunk(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Plan the next K control steps.

        Args:
            observation: ``front`` and ``wrist``: (H, W, 3) uint8 RGB; ``state``: (J,) float32, arm joints in rad and
                the gripper opening in m, in the order of the robot's file.

        Returns:
            (K, J) float32 joint position targets, same order and units as ``state``.

        Raises:
            BadInput: an entry is missing, or has another shape or type.
        """
        ...
