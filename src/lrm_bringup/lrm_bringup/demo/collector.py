"""What the topics say, sorted into episodes: fed by the driver node, read by the journal and the live view."""

from __future__ import annotations

import copy
import dataclasses
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lrm_bringup.report.journal import (
    EpisodeEnded,
    LearnerSeen,
    ProcessSeen,
    RewardSeen,
    SafetySeen,
)
from lrm_core.episodes import EpisodeState
from lrm_core.rewards import RewardHead, RewardStatus

_AUDITS = 5_000
_LATENCIES = 200
_CONTAINERS = ("rewards", "episodes", "unknown", "latencies_s", "restarts")


@dataclass(frozen=True)
class EpisodeSeen:
    """One ``lrm_msgs/EpisodeStatus``; stamps in nanoseconds, 0 when unset."""

    episode_id: str
    state: EpisodeState
    task: str
    seed: int
    start_ns: int
    end_ns: int
    step: int
    max_steps: int
    reason: str
    weights_version: int


@dataclass(frozen=True)
class AuditSeen:
    """One ``lrm_msgs/SimAudit``."""

    stamp_ns: int
    progress: float
    success: bool
    outcome: str


@dataclass
class Scene:
    """All that the live view shows, as of now."""

    task: str = ""
    phase: str = ""
    phase_done: int = 0
    phase_total: int = 0
    waiting_for: str = ""
    episode: EpisodeSeen | None = None
    rewards: dict[str, RewardSeen] = field(default_factory=dict)
    episodes: list[EpisodeEnded] = field(default_factory=list)
    learner: LearnerSeen | None = None
    safety: SafetySeen | None = None
    unknown: Counter[str] = field(default_factory=Counter)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    restarts: Counter[str] = field(default_factory=Counter)
    success_threshold: float = 0.5


class Collector:
    """Joins episode status, rewards and truth by episode and stamp. Safe to call from several threads.

    Args:
        write: takes every journal entry.
        on_episode: called after each episode that ended, with its entry.
    """

    def __init__(
        self, write: Callable[[Any], None], on_episode: Callable[[EpisodeEnded], None] = lambda entry: None
    ) -> None:
        self._write, self._on_episode = write, on_episode
        self._lock = threading.RLock()
        self._audits: deque[AuditSeen] = deque(maxlen=_AUDITS)
        self._ending: EpisodeSeen | None = None
        self._closed: set[str] = set()
        self._final: dict[str, RewardSeen] = {}
        self.scene = Scene()

    def has_closed(self, episode_ids: Iterable[str]) -> bool:
        """True when these episodes are written and none that has ended still waits for its truth or its last score."""
        with self._lock:
            return self._ending is None and self._closed.issuperset(episode_ids)

    def snapshot(self) -> Scene:
        """A copy of the scene that stays as it is."""
        with self._lock:
            copies = {name: copy.copy(getattr(self.scene, name)) for name in _CONTAINERS}
            return dataclasses.replace(self.scene, **copies)

    def waiting_for(self, what: str) -> None:
        """The policy node said what its run waits for; empty: nothing."""
        with self._lock:
            self.scene.waiting_for = what

    def begin(self, phase: str, done: int, total: int) -> None:
        """The episodes from now on belong to ``phase``."""
        with self._lock:
            self.close()
            self.scene.phase, self.scene.phase_done, self.scene.phase_total = phase, done, total

    def status(self, seen: EpisodeSeen) -> None:
        """The policy node said where its episode is."""
        with self._lock:
            if self._ending and seen.episode_id != self._ending.episode_id:
                self.close()
            if self.scene.episode is None or seen.episode_id != self.scene.episode.episode_id:
                self.scene.rewards.clear()
            self.scene.episode, self.scene.task = seen, seen.task or self.scene.task
            if seen.state is EpisodeState.ENDED and seen.episode_id not in self._closed and self.scene.phase:
                self._ending = seen
                self._close_when_complete()

    def reward(self, seen: RewardSeen) -> None:
        """The reward node published; a repetition with ``episode_end`` set replaces what was there."""
        with self._lock:
            if not self.scene.phase:
                return
            self._write(seen)
            self.scene.rewards[seen.head] = seen
            if seen.head == RewardHead.COMPLETION.value:
                self._final = {seen.episode_id: seen}
            if seen.status != RewardStatus.OK.name:
                self.scene.unknown[seen.status] += 1
            latency_s = seen.transport_latency_s + seen.model_latency_s
            if seen.head == RewardHead.PROGRESS.value and math.isfinite(latency_s):
                self.scene.latencies_s.append(latency_s)
            self._close_when_complete()

    def audit(self, seen: AuditSeen) -> None:
        """The simulator's truth about one frame."""
        with self._lock:
            if self._audits and seen.stamp_ns < self._audits[-1].stamp_ns:
                self._audits.clear()
            if self._audits and seen.stamp_ns == self._audits[-1].stamp_ns:  # sent again by a simulator that waits
                self._audits.pop()
            self._audits.append(seen)
            self._close_when_complete()

    def learner(self, seen: LearnerSeen) -> None:
        """The learner's heartbeat."""
        with self._lock:
            self._write(seen)
            self.scene.learner = seen

    def safety(self, seen: SafetySeen) -> None:
        """The safety stage's heartbeat."""
        with self._lock:
            self._write(seen)
            self.scene.safety = seen

    def process(self, seen: ProcessSeen) -> None:
        """A process started, crashed or came back."""
        with self._lock:
            self._write(seen)
            if seen.event == "restarted":
                self.scene.restarts[seen.name] += 1

    def close(self) -> None:
        """Write the episode that has ended, with what is known of it now."""
        with self._lock:
            if self._ending is not None:
                self._close(self._ending)

    def _close_when_complete(self) -> None:
        """Both the truth and the last score of the last frame are there."""
        if self._ending is None or not self._audits or self._audits[-1].stamp_ns < self._ending.end_ns:
            return
        final = self._final.get(self._ending.episode_id)
        if final is not None and final.stamp_ns >= self._ending.end_ns:
            self._close(self._ending)

    def _close(self, ended: EpisodeSeen) -> None:
        self._ending = None
        self._closed.add(ended.episode_id)
        truth = [audit for audit in self._audits if ended.start_ns <= audit.stamp_ns <= ended.end_ns]
        last = truth[-1] if truth and truth[-1].stamp_ns == ended.end_ns else None
        final = self._final.get(ended.episode_id)
        entry = EpisodeEnded(
            phase=self.scene.phase,
            index=sum(episode.phase == self.scene.phase for episode in self.scene.episodes),
            episode_id=ended.episode_id,
            seed=ended.seed,
            task=ended.task,
            steps=ended.step,
            reason=ended.reason,
            start_ns=ended.start_ns,
            end_ns=ended.end_ns,
            weights_version=ended.weights_version,
            predicted=final.value if final and final.stamp_ns == ended.end_ns else math.nan,
            success=last.success if last else None,
            outcome=last.outcome if last else "",
            truth_ns=[audit.stamp_ns for audit in truth],
            truth_progress=[round(audit.progress, 4) for audit in truth],
            truth_success=[audit.success for audit in truth],
        )
        self._write(entry)
        self.scene.episodes.append(entry)
        self.scene.phase_done += entry.complete
        self._on_episode(entry)
