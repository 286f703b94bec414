"""The box in the fuzz: an oracle with a closed form of its own for where the simulated arm's tool is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from lrm_core.safety import Box, Outcome

SHOULDER_M, LINKS_M = 0.12, (0.19, 0.19, 0.135)
"""Of lrm_sim/assets/arm.xml: height of the shoulder's axis; upper arm, forearm, wrist to tool."""
BOX_M = np.array([[0.0, -0.25, 0.02], [0.45, 0.25, 0.5]])
"""Most of what the arm can reach in front of it, and home."""
ROUNDING_M = 1e-6
MARGIN_M = 0.02
"""A stop may leave the box by this on its way: docs/decisions/0014 says to leave such a margin."""


def tool_m(joints: np.ndarray) -> np.ndarray:
    """(..., 3) tool centre point of the simulated arm at ``joints`` (..., >= 4), m, base frame.

    Lift, elbow and wrist bend in one plane, which the pan turns; the roll turns about the tool's own axis.
    """
    bends = np.cumsum(joints[..., 1:4], axis=-1)
    reach_m = (LINKS_M * np.sin(bends)).sum(axis=-1)
    height_m = SHOULDER_M + (LINKS_M * np.cos(bends)).sum(axis=-1)
    pan = joints[..., 0]
    return np.stack([reach_m * np.cos(pan), reach_m * np.sin(pan), height_m], axis=-1)


class BoxOracle:
    """Judges what was emitted to S robots against ``box``, by :func:`tool_m`.

    Attributes:
        violations: by kind.
        farthest_m: how far outside a stop came that began inside.
    """

    def __init__(self, box: Box, streams: int) -> None:
        self._low_m, self._high_m = box.low_m, box.high_m
        self._inside: np.ndarray = np.zeros(streams, bool)
        self.violations: Counter[str] = Counter()
        self.farthest_m = 0.0

    def judge(self, before: np.ndarray, after: np.ndarray, sent: np.ndarray, outcome: Outcome) -> None:
        """``before``, ``after``: (S, J) poses emitted last and now, where ``sent`` (S,)."""
        was_m, is_m = self._outside_m(before), self._outside_m(after)
        followed, held = sent & ~outcome.held, sent & outcome.held
        self.violations["left the box"] += int((followed & (was_m == 0.0) & (is_m > ROUNDING_M)).sum())
        self.violations["farther from the box"] += int((followed & (was_m > 0.0) & (is_m > was_m + ROUNDING_M)).sum())
        self._inside = np.where(followed, is_m <= ROUNDING_M, self._inside & ~outcome.restarted)
        stopping_m = np.where(held & self._inside, is_m, 0.0)
        self.violations["stopped outside of the box"] += int((stopping_m > MARGIN_M).sum())
        self.farthest_m = max(self.farthest_m, float(stopping_m.max()))

    def lost(self, where: np.ndarray) -> None:
        """The arm was pushed away (S,): a stop there goes to where it is."""
        self._inside &= ~where

    def _outside_m(self, joints: np.ndarray) -> np.ndarray:
        tool = tool_m(joints)
        return np.asarray(np.linalg.norm(tool - np.clip(tool, self._low_m, self._high_m), axis=-1))
