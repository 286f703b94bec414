"""The box that the tool centre point stays in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """A box in the base frame, and how joint positions lead to it.

    Attributes:
        tool: joint positions (..., J) -> tool centre point (..., 3) m, base frame.
        low_m: (3,) lowest corner.
        high_m: (3,) highest corner.
    """

    tool: Callable[[np.ndarray], np.ndarray]
    low_m: np.ndarray
    high_m: np.ndarray

    def outside_m(self, joints: np.ndarray) -> np.ndarray:
        """(...,) distance of the tool from the box at ``joints`` (..., J); 0: it is inside."""
        tool = self.tool(joints)
        return np.asarray(np.linalg.norm(tool - np.clip(tool, self.low_m, self.high_m), axis=-1))

    def refusal(self, joints: np.ndarray) -> str:
        """Why a command from ``joints`` (J,) was not followed, and what helps."""
        away_m = float(self.outside_m(joints))
        tool, box = _point(self.tool(joints)), f"its box {_point(self.low_m)} to {_point(self.high_m)} m"
        widen = "widen workspace_low_m and workspace_high_m in the robot's file"
        if away_m > 0.0:
            return (
                f"the tool, at {tool} m, is {away_m:.3f} m outside of {box}, and the command does not lead it nearer "
                f"all the way: lead it towards the box in small steps, {widen}, or move the arm by hand"
            )
        return (
            f"command leads the tool, at {tool} m, out of {box}, or to where it could not stop inside: "
            f"command poses inside, or {widen}"
        )


def _point(at_m: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.3f}" for value in at_m + 0.0) + "]"
