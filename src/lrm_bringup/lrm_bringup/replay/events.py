"""What a recording says, in the order in which it was recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan


@dataclass(frozen=True, eq=False)
class FrameSeen:
    """A frame, with the log time of its arrival (nanoseconds)."""

    frame: ArrivedFrame
    log_ns: int


@dataclass(frozen=True)
class EpisodeSeen:
    """What the policy said about its episode.

    Attributes:
        episode_id: unique name.
        plan: what is asked; None while the episode has not started.
        stamp_ns: stamp of the newest observation the policy knew.
        end_ns: stamp of the last frame; None while the episode runs.
        log_ns: log time.
    """

    episode_id: str
    plan: EpisodePlan | None
    stamp_ns: int
    end_ns: int | None
    log_ns: int


@dataclass(frozen=True)
class RewardRecorded:
    """A reward that the live node published; ``value`` is NaN exactly when ``status`` is not OK."""

    episode_id: str
    head: str
    stamp_ns: int
    value: float
    status: str
    episode_end: bool
    fingerprint: str
    log_ns: int
    confidence: float = math.nan


Event = FrameSeen | EpisodeSeen | RewardRecorded


class Recording(Protocol):
    """A recording of one robot.

    Attributes:
        name: for files and titles.
        cameras: names of the cameras whose frames come, in order.
        frames: number of frames, as far as known beforehand; 0: unknown.
        problems: what was met on the way, complete after :meth:`events`.
    """

    name: str
    cameras: tuple[str, ...]
    frames: int

    @property
    def problems(self) -> list[str]:
        """One line per problem."""
        ...

    def events(self) -> Iterator[Event]:
        """Everything, in the order of the recording; may be asked again."""
        ...
