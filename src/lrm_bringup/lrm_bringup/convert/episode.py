"""An episode as it lies in a bag, and as rows on a fixed grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lrm_bringup.convert.alignment import Gap, gaps, grid, nearest
from lrm_core.episodes import TerminationReason, succeeded
from lrm_core.rewards import RewardHead, RewardStatus

NOT_ASKED = -1
"""In place of a :class:`lrm_core.rewards.RewardStatus`: nobody asked about this frame."""
NS = 1_000_000_000


@dataclass(frozen=True)
class Vectors:
    """Joint vectors by stamp.

    Attributes:
        stamps_ns: (N,) int64, sorted.
        values: (N, D) float32; rad, or m for a gripper opening.
    """

    stamps_ns: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Score:
    """What one head said about the frame with this stamp; ``value`` is NaN exactly when ``status`` is not OK."""

    head: str
    stamp_ns: int
    value: float
    status: int


@dataclass
class RecordedEpisode:
    """What a bag says about one episode, pixels apart.

    Attributes:
        episode_id: unique name.
        task: task sentence.
        start_ns: stamp of the first frame.
        end_ns: stamp of the last frame.
        complete: its end was recorded; a bag without episodes is one, as a whole.
        outcome: a name of :class:`lrm_core.episodes.TerminationReason`; empty: not recorded.
        truth: what the simulator's audit says about its last frame; None: not recorded.
        truth_outcome: the audit's word for it.
        scores: of all heads, in the order of the bag.
        fingerprint: of the reward model; empty: unknown.
        facts: numbers of the episode status that no column holds (seed, mode, call_interval, max_steps ...).
    """

    episode_id: str
    task: str
    start_ns: int
    end_ns: int
    complete: bool = False
    outcome: str = ""
    truth: bool | None = None
    truth_outcome: str = ""
    scores: list[Score] = field(default_factory=list)
    fingerprint: str = ""
    facts: dict[str, int] = field(default_factory=dict)

    def success(self, of: str) -> bool | None:
        """Whether it succeeded; None: nobody knows.

        Args:
            of: ``status``: what the reward model confirmed, or a person said; ``audit``: the simulator's truth.
        """
        if of == "audit":
            return self.truth
        return succeeded(self.outcome) if self.complete else None


SUCCESS = TerminationReason.SUCCESS_CONFIRMED.value


@dataclass(frozen=True)
class Aligned:
    """An episode on its grid, T slots; a slot with a gap has no row.

    Attributes:
        episode: what it is made of.
        slots_ns: (T,) int64 stamps of the grid.
        frames_ns: camera -> (T,) int64 stamps of the frames; -1 where there is none.
        states: (T, D) float32 joint positions.
        actions: (T, A) float32 joint targets.
        held: whether the last action was repeated for the last frame, after which no command followed.
        gaps: slots without a row.
        values: head -> (T,) float32 scores of the row's frame, NaN where UNKNOWN or not asked.
        statuses: head -> (T,) int64 :class:`lrm_core.rewards.RewardStatus`, or :data:`NOT_ASKED`.
        homeless: scores whose frame is in no row.
    """

    episode: RecordedEpisode
    slots_ns: np.ndarray
    frames_ns: dict[str, np.ndarray]
    states: np.ndarray
    actions: np.ndarray
    held: bool
    gaps: list[Gap]
    values: dict[str, np.ndarray]
    statuses: dict[str, np.ndarray]
    homeless: int

    @property
    def whole(self) -> np.ndarray:
        """(T,) bool: slots with a row."""
        mask = np.ones(len(self.slots_ns), bool)
        for gap in self.gaps:
            mask[gap.first : gap.first + gap.slots] = False
        return mask


def align(
    episode: RecordedEpisode, frames_ns: Mapping[str, np.ndarray], joints: Vectors, commands: Vectors, fps: float,
    tolerance_ns: int,
) -> Aligned:  # fmt: skip
    """Put an episode on its grid.

    The last frame of an episode is only looked at: where no command follows it, it takes the one before it once more.

    Args:
        episode: gives start and end of the grid, and the scores.
        frames_ns: camera -> (N,) int64 stamps of its frames, sorted; the first camera is the one that was scored.
        joints: joint positions.
        commands: joint targets, with the stamp of the observation they answer.
        fps: rows per second.
        tolerance_ns: how far a message may be from its slot.
    """
    slots_ns = grid(episode.start_ns, episode.end_ns, fps)
    picks = {name: nearest(stamps, slots_ns, tolerance_ns) for name, stamps in frames_ns.items()}
    state, action = (nearest(one.stamps_ns, slots_ns, tolerance_ns) for one in (joints, commands))
    held = len(action) > 1 and action[-1] < 0 <= action[-2]
    if held:
        action[-1] = action[-2]
    found = {f"camera {name}": pick >= 0 for name, pick in picks.items()}
    found |= {"joint states": state >= 0, "commands": action >= 0}
    stamps = {name: _taken(frames_ns[name], pick, -1) for name, pick in picks.items()}
    whole = np.logical_and.reduce(list(found.values()))
    values, statuses, homeless = _scores(episode.scores, next(iter(stamps.values())), whole, tolerance_ns)
    return Aligned(
        episode, slots_ns, stamps, _taken(joints.values, state, np.nan), _taken(commands.values, action, np.nan),
        bool(held), gaps(found), values, statuses, homeless,
    )  # fmt: skip


def _taken(values: np.ndarray, picks: np.ndarray, missing: float) -> np.ndarray:
    if not len(values):
        return np.full((len(picks), *values.shape[1:]), missing, values.dtype)
    taken = values[picks.clip(0)]
    taken[picks < 0] = missing
    return taken


def _scores(
    scores: list[Score], frames_ns: np.ndarray, whole: np.ndarray, tolerance_ns: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """Scores at the rows whose frames they are about; a later one for the same frame replaces an earlier UNKNOWN."""
    heads = [head.value for head in RewardHead]
    values = {head: np.full(len(frames_ns), np.nan, np.float32) for head in heads}
    statuses = {head: np.full(len(frames_ns), NOT_ASKED, np.int64) for head in heads}
    rows = np.flatnonzero(whole)
    homeless = 0
    for score in scores:
        near = int(nearest(frames_ns[rows], np.array([score.stamp_ns]), tolerance_ns)[0])
        if near < 0 or score.head not in values:
            homeless += 1
            continue
        row = rows[near]
        if score.status == RewardStatus.OK or statuses[score.head][row] != RewardStatus.OK:
            values[score.head][row], statuses[score.head][row] = score.value, score.status
    return values, statuses, homeless
