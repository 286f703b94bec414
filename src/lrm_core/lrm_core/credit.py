"""Credit: joins transitions with the rewards of the frames at their two ends, by stamp.

Transitions and rewards arrive in any order, late, twice or never. A transition whose scores are all known comes out
once, with them. One whose score is UNKNOWN, or not there by the deadline, is dropped and counted: it never becomes 0.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_core.transitions import CreditedTransition, Scores, Transition


@dataclass
class _Episode:
    """Scores of one episode, by head and stamp; None stands for UNKNOWN."""

    scores: dict[RewardHead, dict[int, float | None]] = field(default_factory=lambda: defaultdict(dict))


class _Missing:
    """A score that has not arrived."""


class RewardCredit:
    """Bounded join of transitions and rewards.

    Args:
        start_heads: heads needed for the frame at the start of a transition.
        end_heads: heads needed for the frame at its end.
        deadline_s: how long a transition waits for its scores, in seconds of the clock given as ``now_s``.
        tolerance_ns: rewards and transitions join when their stamps differ by at most this; exact stamps win.
        capacity: most transitions that wait, and most episodes whose scores are kept.
    """

    def __init__(
        self,
        start_heads: frozenset[RewardHead],
        end_heads: frozenset[RewardHead],
        deadline_s: float = 30.0,
        tolerance_ns: int = 0,
        capacity: int = 1000,
    ) -> None:
        if capacity < 1 or tolerance_ns < 0:
            raise BadInput("capacity, tolerance_ns", (capacity, tolerance_ns), "capacity >= 1 and tolerance_ns >= 0")
        self.start_heads, self.end_heads = start_heads, end_heads
        self.deadline_s, self.tolerance_ns, self.capacity = deadline_s, tolerance_ns, capacity
        self.dropped_unknown = 0
        self.dropped_deadline = 0
        self._waiting: OrderedDict[tuple[str, int], tuple[Transition, float]] = OrderedDict()
        self._episodes: OrderedDict[str, _Episode] = OrderedDict()
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()

    @property
    def pending(self) -> int:
        """Transitions that wait for a score."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """Transitions left out because a score was UNKNOWN or missed the deadline."""
        return self.dropped_unknown + self.dropped_deadline

    def waits_for(self, episode_id: str) -> bool:
        """True while a transition of this episode waits for a score."""
        return any(episode == episode_id for episode, _ in self._waiting)

    def forget(self, key: tuple[str, int]) -> None:
        """Mark a transition as already stored, so that its re-delivery is ignored."""
        self._remember(key)

    def add_transition(self, transition: Transition, now_s: float) -> None:
        """Take a transition; one that was seen before is ignored."""
        if transition.key in self._seen:
            return
        self._remember(transition.key)
        self._waiting[transition.key] = (transition, now_s)
        while len(self._waiting) > self.capacity:
            self._waiting.popitem(last=False)
            self.dropped_deadline += 1

    def add_reward(self, episode_id: str, estimate: RewardEstimate) -> None:
        """Take a reward; of two for the same frame and head, one with a value wins over UNKNOWN."""
        episode = self._episodes.setdefault(episode_id, _Episode())
        while len(self._episodes) > self.capacity:
            self._episodes.popitem(last=False)
        known = episode.scores[estimate.head]
        if estimate.ok or known.get(estimate.stamp_ns) is None:
            known[estimate.stamp_ns] = estimate.value if estimate.ok else None

    def collect(self, now_s: float) -> list[CreditedTransition]:
        """Transitions whose scores are all there, oldest first; drops and counts those that will never have them."""
        ready: list[CreditedTransition] = []
        for key, (transition, since_s) in list(self._waiting.items()):
            start = self._find(transition.episode_id, transition.start_stamp_ns, self.start_heads)
            end = self._find(transition.episode_id, transition.end_stamp_ns, self.end_heads)
            found = [*start.values(), *end.values()]
            if None in found:
                self.dropped_unknown += 1
            elif not any(isinstance(score, _Missing) for score in found):
                ready.append(CreditedTransition(transition, _scores(start), _scores(end)))
            elif now_s - since_s > self.deadline_s:
                self.dropped_deadline += 1
            else:
                continue
            del self._waiting[key]
        return ready

    def _find(
        self, episode_id: str, stamp_ns: int, heads: frozenset[RewardHead]
    ) -> dict[RewardHead, float | None | _Missing]:
        episode = self._episodes.get(episode_id, _Episode())
        return {head: self._nearest(episode.scores[head], stamp_ns) for head in heads}

    def _nearest(self, scores: dict[int, float | None], stamp_ns: int) -> float | None | _Missing:
        if stamp_ns in scores:
            return scores[stamp_ns]
        nearest = min(scores, key=lambda stamp: abs(stamp - stamp_ns), default=None)
        if nearest is None or abs(nearest - stamp_ns) > self.tolerance_ns:
            return _Missing()
        return scores[nearest]

    def _remember(self, key: tuple[str, int]) -> None:
        self._seen[key] = None
        while len(self._seen) > 100 * self.capacity:
            self._seen.popitem(last=False)


def _scores(found: dict[RewardHead, float | None | _Missing]) -> Scores:
    return Scores(**{head.value: score for head, score in found.items()})  # type: ignore[arg-type]
