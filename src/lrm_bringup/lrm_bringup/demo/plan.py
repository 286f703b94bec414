"""Which episodes to run next, so that the demo measures, refines and measures again within its time.

The plan is asked again after every goal and adapts to the speed it sees: it never starts what it could not finish, and
it keeps enough time for the second evaluation, without which the first is worth nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lrm_bringup.report.journal import AFTER, BEFORE, PHASES, REFINE

REPORT_RESERVE_S = 25.0
"""Kept for stopping the processes and writing the report, seconds."""
EVALUATION_SHARE = 0.62
"""Both evaluations together may take this share of the time; fewer scenes are measured on a slow machine."""
MARGIN = 1.15
"""An episode is taken to last this much longer than the mean so far."""
MAX_SCENES = 1_000
"""Scenes per phase that one seed of a run stands for: the next seed has others."""


@dataclass(frozen=True)
class DemoSize:
    """What was asked for.

    Attributes:
        seconds: wall time for everything, seconds.
        episodes: refined episodes at most.
        eval_episodes: scenes of each evaluation at most.
        iteration_episodes: refined episodes per goal.
        batch: evaluated episodes per goal.
    """

    seconds: float
    episodes: int
    eval_episodes: int
    iteration_episodes: int = 2
    batch: int = 10


@dataclass(frozen=True)
class Goal:
    """Episodes of one phase, scenes ``first_seed`` … ``first_seed + episodes − 1``."""

    phase: str
    first_seed: int
    episodes: int


@dataclass
class Plan:
    """Keeps count of what is done and chooses the next goal.

    Attributes:
        size: what was asked for.
        first_seed: first scene seed of the evaluations (``before``) and of the refinement.
        done: phase -> seeds of the episodes that ended, whatever their outcome.
        spent_s: phase -> wall time of its goals so far, seconds.
    """

    size: DemoSize
    first_seed: Mapping[str, int]
    done: dict[str, list[int]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    spent_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    def record(self, phase: str, seeds: list[int], seconds: float) -> None:
        """Episodes that ended, and the wall time their goal took."""
        self.done[phase] += seeds
        self.spent_s[phase] += seconds

    def next_goal(self, elapsed_s: float) -> Goal | None:
        """The next goal at ``elapsed_s`` of the run; None when all that fits is done."""
        left_s = self.size.seconds - REPORT_RESERVE_S - elapsed_s
        return (
            self._evaluate(BEFORE, self.scenes(elapsed_s), left_s)
            or self._refine(left_s)
            or self._evaluate_again(left_s)
        )

    def overdue(self, phase: str, elapsed_s: float) -> bool:
        """True when a running goal has to give way: refinement to the second evaluation, all to the report."""
        end_s = self.size.seconds - 0.6 * REPORT_RESERVE_S
        if phase == REFINE and self.done[REFINE]:
            end_s -= self._evaluation_reserve_s()
        return elapsed_s > end_s

    def scenes(self, elapsed_s: float = 0.0) -> int:
        """Scenes of each evaluation: what was asked for, fewer on a slow machine; fixed once refinement began."""
        done = len(self.done[BEFORE])
        if self.done[REFINE] or self.done[AFTER]:
            return done
        if done == 0:
            return self.size.eval_episodes
        # The time before the first episode is spent; what is left is what the phases share.
        usable_s = self.size.seconds - REPORT_RESERVE_S - (elapsed_s - self.spent_s[BEFORE])
        affordable = math.floor(EVALUATION_SHARE * usable_s / (2.0 * MARGIN * self.episode_s(BEFORE)))
        return max(done, min(self.size.eval_episodes, affordable))

    def episode_s(self, phase: str) -> float:
        """Mean seconds per episode of ``phase``, else of the evaluation before; NaN while nothing has been measured."""
        for name in (phase, BEFORE):
            if self.done[name]:
                return self.spent_s[name] / len(self.done[name])
        return math.nan

    def remaining_s(self, elapsed_s: float) -> float:
        """Expected seconds until the report is there; NaN while nothing has been measured."""
        scenes = self.scenes(elapsed_s)
        wanted = {BEFORE: scenes, REFINE: self.size.episodes, AFTER: scenes}
        work_s = sum(max(0, wanted[phase] - len(self.done[phase])) * self.episode_s(phase) for phase in PHASES)
        left_s = max(0.0, self.size.seconds - elapsed_s)
        return min(left_s, work_s + REPORT_RESERVE_S) if math.isfinite(work_s) else math.nan

    def _evaluate(self, phase: str, scenes: int, left_s: float) -> Goal | None:
        first, done = self.first_seed[BEFORE], set(self.done[phase])
        missing = [seed for seed in range(first, first + scenes) if seed not in done]
        known_s = MARGIN * self.episode_s(phase)
        affordable = self.size.batch if math.isnan(known_s) else math.floor(left_s / known_s)
        count = min(len(missing), self.size.batch if self.done[phase] else max(1, self.size.batch // 2), affordable)
        if count < 1 or left_s <= 0.0:
            return None
        return Goal(phase, missing[0], _contiguous(missing[:count]))

    def _refine(self, left_s: float) -> Goal | None:
        count = min(self.size.iteration_episodes, self.size.episodes - len(self.done[REFINE]))
        if count < 1 or not left_s - self._evaluation_reserve_s() > count * MARGIN * self.episode_s(REFINE):
            return None
        return Goal(REFINE, self.first_seed[REFINE] + len(self.done[REFINE]), count)

    def _evaluation_reserve_s(self) -> float:
        return len(self.done[BEFORE]) * MARGIN * self.episode_s(AFTER)

    def _evaluate_again(self, left_s: float) -> Goal | None:
        return self._evaluate(AFTER, len(self.done[BEFORE]), left_s) if self.done[REFINE] else None


def _contiguous(seeds: list[int]) -> int:
    """Length of the run of consecutive numbers that ``seeds`` begins with: one goal counts its seeds upwards."""
    length = 1
    while length < len(seeds) and seeds[length] == seeds[0] + length:
        length += 1
    return length
