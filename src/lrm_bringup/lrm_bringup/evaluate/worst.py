"""The worst errors of every model, with the pictures that it was wrong about."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrm_bringup.evaluate.run import Judged, Origin
from lrm_bringup.pages.pictures import data_uri
from lrm_bringup.replay.events import FrameSeen
from lrm_bringup.replay.run import open_recording
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.judged import JudgedEpisode
from lrm_reward_node.evaluation.per_episode import absolute_error, false_success
from lrm_reward_node.evaluation.quality import TIE

PROGRESS, SUCCESS, COMPARISON = "progress", "false success", "wrong comparison"
_FRAMES = 8


@dataclass
class Worst:
    """One error.

    Attributes:
        model: whose.
        kind: one of the kinds of this module.
        episode: where.
        query: at which query.
        size: how bad; the larger the worse.
        text: in words.
        film: (index of the query, data URI), in order; empty where there are no pictures.
    """

    model: str
    kind: str
    episode: JudgedEpisode
    query: int
    size: float
    text: str
    film: list[tuple[int, str]] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model, "kind": self.kind, "source": self.episode.source, "episode": self.episode.name,
            "task": self.episode.task, "outcome": self.episode.truth.outcome, "query": self.query,
            "t_s": round(float(self.episode.t_s[self.query]), 6), "size": round(self.size, 6), "text": self.text,
        }  # fmt: skip


def worst_errors(judged: Judged, count: int) -> list[Worst]:
    """Of every model and kind at most ``count`` errors, the worst first, each episode once; with their pictures."""
    found = []
    for model, episodes in judged.episodes.items():
        for look in (_progress, _false_success, _comparison):
            rows = [error for episode in episodes if (error := look(model, episode)) is not None]
            found += sorted(rows, key=lambda error: -error.size)[:count]
    _add_films(found, judged)
    return found


def _progress(model: str, episode: JudgedEpisode) -> Worst | None:
    error = absolute_error(episode)
    if not np.isfinite(error).any():
        return None
    at = int(np.nanargmax(error))
    said, true = episode.of(RewardHead.PROGRESS)[at], episode.truth.progress_at(episode.t_s)[at]
    return Worst(model, PROGRESS, episode, at, float(error[at]), f"said {said:.2f}, true {true:.2f}")


def _false_success(model: str, episode: JudgedEpisode) -> Worst | None:
    at = false_success(episode)
    if at is None:
        return None
    said = float(episode.of(RewardHead.COMPLETION)[at])
    return Worst(model, SUCCESS, episode, at, said, f"success confirmed with {said:.2f}, and it was none")


def _comparison(model: str, episode: JudgedEpisode) -> Worst | None:
    """The surest answer that is wrong: contrastive says further from the goal and it was closer, or the reverse."""
    change = np.diff(episode.truth.progress_at(episode.t_s), prepend=math.nan)
    said = episode.of(RewardHead.CONTRASTIVE)
    wrong = np.where((np.abs(change) >= TIE) & (np.sign(said) != np.sign(change)), np.abs(said), math.nan)
    if not np.isfinite(wrong).any():
        return None
    at = int(np.nanargmax(wrong))
    return Worst(model, COMPARISON, episode, at, float(wrong[at]), f"said {said[at]:+.2f}, progress {change[at]:+.2f}")


def _add_films(found: Sequence[Worst], judged: Judged) -> None:
    """Read the recordings of the shown episodes once more, each once, for the frames that are shown."""
    wanted: defaultdict[Any, dict[int, list[tuple[Worst, int]]]] = defaultdict(dict)
    origins: dict[Any, Origin] = {}
    for error in found:
        origin = judged.origins.get(error.episode.key)
        if origin is not None:
            origins[origin.path] = origin
            for index in _shown(error):
                stamp_ns = origin.start_ns + round(float(error.episode.t_s[index]) * 1e9)
                wanted[origin.path].setdefault(stamp_ns, []).append((error, index))
    for path, stamps in wanted.items():
        for stamp_ns, uri in _pictures(origins[path], stamps.__contains__):
            for error, index in stamps.pop(stamp_ns, []):
                error.film.append((index, uri))


def _shown(error: Worst) -> list[int]:
    """Queries of the film: evenly spaced, the wrong one and, for a comparison, the one before it among them."""
    last = len(error.episode.t_s) - 1
    even = {round(i * last / (_FRAMES - 1)) for i in range(_FRAMES)}
    return sorted(even | {error.query} | ({error.query - 1} if error.kind == COMPARISON else set()))


def _pictures(origin: Origin, wanted: Callable[[int], bool]) -> list[tuple[int, str]]:
    recording = open_recording(origin.path, origin.options)
    return [
        (event.frame.stamp_ns, data_uri(event.frame.rgb))
        for event in recording.events()
        if isinstance(event, FrameSeen) and event.frame.camera == recording.cameras[0] and wanted(event.frame.stamp_ns)
    ]
