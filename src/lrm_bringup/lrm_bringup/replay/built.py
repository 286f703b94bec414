"""Episodes of a training set of ``lrm data build`` as recordings: what was held out can be measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lrm_bringup.replay.events import EpisodeSeen, Event, FrameSeen
from lrm_bringup.replay.sources import START_NS
from lrm_core.errors import BadInput
from lrm_reward_node.data import store
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan

SUFFIX = ".zip"
_SECOND_NS = 1_000_000_000


class BuiltEpisode:
    """The frames that a training set keeps of one episode, with its task.

    Args:
        path: file of the episode.
        query_rate_hz: queries per second; 0: one, and fewer where frames are further apart.

    Raises:
        BadInput: no such file, a damaged one, or one of less than two frames.
    """

    has_episodes = True

    def __init__(self, path: Path, query_rate_hz: float = 0.0) -> None:
        self.path, self.facts = path, store.read_facts(path)
        self.name = f"{self.facts.source}/{self.facts.episode.id}"
        self.cameras: tuple[str, ...] = (self.facts.episode.camera or "camera",)
        self.frames = len(self.facts.stamps_ns)
        if self.frames < 2:
            raise BadInput("episode", str(path), "one with at least two frames")
        self.problems: list[str] = []
        self.stamps_ns = np.array(self.facts.stamps_ns, np.int64) - self.facts.stamps_ns[0] + START_NS
        self._step_ns = round(float(np.median(np.diff(self.stamps_ns))))
        self._interval_ns = round(_SECOND_NS / query_rate_hz) if query_rate_hz else max(_SECOND_NS, self._step_ns)

    def events(self) -> Iterator[Event]:
        """Its frames, between its start and its end."""
        start_ns, end_ns = int(self.stamps_ns[0]), int(self.stamps_ns[-1])
        task, length_ns = self.facts.episode.task, end_ns - start_ns
        plan = EpisodePlan(self.name, task, start_ns, self._interval_ns, self._step_ns // 2, length_ns)
        yield EpisodeSeen(self.name, plan, start_ns, None, start_ns)
        for index, stamp_ns in enumerate(self.stamps_ns.tolist()):
            (rgb,) = store.read_pictures(self.path, [index])
            yield FrameSeen(ArrivedFrame(rgb, stamp_ns, self.cameras[0], arrived_s=float("nan")), stamp_ns)
        yield EpisodeSeen(self.name, plan, end_ns, end_ns, end_ns)
