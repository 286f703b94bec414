"""Score recorded episodes exactly as the live node does, frame after frame at the query interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_reward_node.pipeline import RewardPipeline

FRAME_NS = 100_000_000
"""Stamps of recorded frames are made up, one control period apart; only their order matters."""
CHUNK = 16


@dataclass(frozen=True)
class ScoredEpisode:
    """Q queried frames of one episode.

    Attributes:
        task: task sentence.
        outcome: what happened.
        frames: (Q,) index of each queried frame in the record.
        progress: (Q,) privileged progress.
        success: (Q,) privileged success.
        estimates: per query the estimates of contrastive, progress, completion and fused.
    """

    task: str
    outcome: str
    frames: np.ndarray
    progress: np.ndarray
    success: np.ndarray
    estimates: list[list[RewardEstimate]]

    def column(self, head: RewardHead, field: str = "value") -> np.ndarray:
        """(Q,) one field of one head's estimates."""
        return np.array([getattr(e, field) for row in self.estimates for e in row if e.head is head])

    @property
    def unknown(self) -> int:
        """Estimates of frames after the first without a value."""
        return sum(not e.ok for row in self.estimates[1:] for e in row)


def query_frames(length: int, gap: int) -> np.ndarray:
    """Frames of an episode at which the model is asked: the first, every ``gap``-th, and the last."""
    return np.array(sorted({*range(0, length, gap), length - 1}))


def score_episode(pipeline: RewardPipeline, episode: EpisodeRecord, gap: int) -> ScoredEpisode:
    """Score one episode; contrastive compares with the previous query, progress with the first frame."""
    index = query_frames(len(episode.front), gap)
    rows = score_frames(pipeline, episode.task, episode.front[index], (index + 1) * FRAME_NS)
    return ScoredEpisode(
        episode.task, episode.outcome, index, episode.progress[index], episode.success[index].astype(bool), rows
    )


def score_frames(
    pipeline: RewardPipeline, task: str, pictures: np.ndarray, stamps_ns: np.ndarray
) -> list[list[RewardEstimate]]:
    """Estimates of contrastive, progress, completion and fused for Q queried pictures (Q, H, W, 3) of one episode."""
    frames = [CameraFrame(rgb, int(at), "front") for rgb, at in zip(pictures, stamps_ns, strict=True)]
    items = [(task, frames[0], frames[i - 1] if i else None, frame) for i, frame in enumerate(frames)]
    return [row for at in range(0, len(items), CHUNK) for row in pipeline.score_batch(items[at : at + CHUNK])]


def score_episodes(pipeline: RewardPipeline, episodes: Iterable[EpisodeRecord], gap: int) -> Iterator[ScoredEpisode]:
    """:func:`score_episode` for each."""
    return (score_episode(pipeline, episode, gap) for episode in episodes)
