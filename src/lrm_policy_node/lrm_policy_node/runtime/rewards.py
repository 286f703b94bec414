"""What the loop asks of the rewards: have they arrived, may the next chunk start."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from lrm_core.rewards import RewardHead
from lrm_core.transitions import Scores

HEADS = (RewardHead.PROGRESS, RewardHead.COMPLETION)
"""The heads that answer every query, the reset frame's included."""

_MAX_FRAMES = 512


@dataclass
class FrameScores:
    """What has been said about one frame so far; a value is NaN when that head answered UNKNOWN."""

    stamp_ns: int
    values: dict[RewardHead, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True when every head of :data:`HEADS` has answered, be it UNKNOWN."""
        return all(head in self.values for head in HEADS)

    def score(self, head: RewardHead) -> float:
        """The value of a head; NaN when UNKNOWN or not answered."""
        return self.values.get(head, math.nan)

    def scores(self) -> Scores:
        """The known values."""
        known = {head.value: value for head, value in self.values.items() if not math.isnan(value)}
        return Scores(**{name: known.get(name) for name in ("progress", "completion", "contrastive")})


class RewardLedger:
    """Rewards of the newest frames, found by episode and stamp. Bounded: the oldest frames go first."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[str, int], FrameScores] = OrderedDict()

    def add(self, episode_id: str, stamp_ns: int, head: RewardHead, value: float) -> None:
        """Take one reward; ``value`` NaN is UNKNOWN."""
        frame = self._frames.setdefault((episode_id, stamp_ns), FrameScores(stamp_ns))
        frame.values[head] = value
        while len(self._frames) > _MAX_FRAMES:
            self._frames.popitem(last=False)

    def frame(self, episode_id: str, stamp_ns: int, tolerance_ns: int = 0) -> FrameScores | None:
        """The frame nearest to ``stamp_ns``, at most ``tolerance_ns`` away."""
        near = (
            frame
            for (episode, stamp), frame in self._frames.items()
            if episode == episode_id and abs(stamp - stamp_ns) <= tolerance_ns
        )
        return min(near, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)

    def newest(self, episode_id: str) -> FrameScores | None:
        """The frame with the largest stamp of an episode."""
        frames = (frame for (episode, _), frame in self._frames.items() if episode == episode_id)
        return max(frames, key=lambda frame: frame.stamp_ns, default=None)


class Heartbeat:
    """Whether another node lives, from the arrival times of its heartbeat. Times are seconds of a monotonic clock."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.last_s = -math.inf
        self.alive_since_s = math.inf
        """Since when the heartbeat comes without a gap."""

    def beat(self, now_s: float) -> None:
        """A heartbeat arrived."""
        if not self.alive(now_s):
            self.alive_since_s = now_s
        self.last_s = now_s

    def alive(self, now_s: float) -> bool:
        """True when the newest heartbeat is not older than the timeout."""
        return now_s - self.last_s <= self._timeout_s


class Gate(Enum):
    """Whether the next chunk may start."""

    OPEN = "open"
    """The reward has arrived, be it UNKNOWN."""
    WAIT = "wait"
    GIVEN_UP = "given up"
    """The reward node lives and did not answer in time: the reward is lost, the loop goes on."""
    LOST = "lost"
    """The reward node stayed away for too long: the episode ends."""


@dataclass(frozen=True)
class RewardGate:
    """At most one reward query is outstanding: the rule that holds a chunk back until the last reward is there.

    Attributes:
        answer_timeout_s: how long a reward node that lives may take to answer one query, seconds.
        lost_timeout_s: how long the reward node may stay away, seconds.
    """

    answer_timeout_s: float
    lost_timeout_s: float

    def state(self, *, arrived: bool, heartbeat: Heartbeat, since_s: float, now_s: float) -> Gate:
        """State of the gate at ``now_s`` for a wait that began at ``since_s``, seconds of a monotonic clock."""
        if arrived:
            return Gate.OPEN
        if heartbeat.alive(now_s):
            waited_s = now_s - max(since_s, heartbeat.alive_since_s)
            return Gate.GIVEN_UP if waited_s > self.answer_timeout_s else Gate.WAIT
        away_s = now_s - max(heartbeat.last_s, since_s)
        return Gate.LOST if away_s > self.lost_timeout_s else Gate.WAIT
