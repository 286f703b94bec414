"""Rewards from the simulator's truth, to measure the ceiling of a refinement. Used only when explicitly asked for."""

from __future__ import annotations

from collections import OrderedDict

from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus

_FRAMES = 5000


class PrivilegedRewards:
    """Gives the frames at the ends of transitions the truth as progress and completion. Bounded."""

    def __init__(self) -> None:
        self._truth: OrderedDict[int, tuple[float, bool]] = OrderedDict()
        self._wanted: OrderedDict[int, str] = OrderedDict()

    def add_truth(self, stamp_ns: int, progress: float, success: bool) -> list[tuple[str, RewardEstimate]]:
        """Take the truth about a frame; gives (episode_id, estimate) of a transition that waited for it."""
        self._truth[stamp_ns] = (progress, success)
        while len(self._truth) > _FRAMES:
            self._truth.popitem(last=False)
        return self._estimates(self._wanted.pop(stamp_ns), stamp_ns) if stamp_ns in self._wanted else []

    def want(self, episode_id: str, stamp_ns: int) -> list[tuple[str, RewardEstimate]]:
        """A transition starts or ends at ``stamp_ns``; gives its estimates now, or later by :meth:`add_truth`."""
        if stamp_ns in self._truth:
            return self._estimates(episode_id, stamp_ns)
        self._wanted[stamp_ns] = episode_id
        while len(self._wanted) > _FRAMES:
            self._wanted.popitem(last=False)
        return []

    def _estimates(self, episode_id: str, stamp_ns: int) -> list[tuple[str, RewardEstimate]]:
        progress, success = self._truth[stamp_ns]
        values = {RewardHead.PROGRESS: progress, RewardHead.COMPLETION: float(success)}
        return [
            (episode_id, RewardEstimate(head, value, RewardStatus.OK, stamp_ns=stamp_ns))
            for head, value in values.items()
        ]
