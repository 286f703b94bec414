"""What ``lrm demo`` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrm_bringup.demo.plan import MAX_SCENES, DemoSize
from lrm_core.errors import BadInput
from lrm_policy_node.learner.files import TRANSITIONS
from lrm_sim import tasks

REWARDS = ("lrm", "privileged", "sparse")
"""What the learner learns from: the reward model; the simulator's progress; the simulator's success alone."""
SPEEDS = ("lockstep", "realtime")
MIN_SECONDS = 60.0


@dataclass(frozen=True)
class DemoOptions:
    """Options of one run.

    Attributes:
        size: time and numbers of episodes.
        seed: seed of the run: scenes, exploration, learner.
        task: task sentence.
        reward: one of :data:`REWARDS`.
        out: folder that gets a sub-folder per run and the link ``latest``.
        speed: one of :data:`SPEEDS`.
        live: show one live screen where the output is a terminal.
        model: reward model, folder or hub name; None: the one in the parameter file.
        policy: base policy; None: the one in the parameter file.
        warm_start: folder of ``lrm train critic`` that the learner starts from; None: from demonstrations alone.
        command: words after ``lrm`` that ask for the same again.
    """

    size: DemoSize
    seed: int
    task: str
    reward: str
    out: Path
    speed: str
    live: bool
    model: str | None
    policy: str | None
    command: tuple[str, ...]
    warm_start: Path | None = None

    def check(self) -> None:
        """Raise :class:`BadInput` for what cannot be run."""
        if self.size.seconds < MIN_SECONDS:
            raise BadInput("--seconds", self.size.seconds, f"at least {MIN_SECONDS:g}")
        for name, value, low in (
            ("--episodes", self.size.episodes, 0),
            ("--eval-episodes", self.size.eval_episodes, 1),
        ):
            if not low <= value <= MAX_SCENES:
                raise BadInput(name, value, f"{low} to {MAX_SCENES}")
        if not 0 <= self.seed < MAX_SCENES:
            raise BadInput("--seed", self.seed, f"0 to {MAX_SCENES - 1}")
        if not self.task.strip():
            raise BadInput("--task", self.task, "a task sentence")
        tasks.parse(self.task)
        if self.warm_start is not None and not (self.warm_start / TRANSITIONS).is_file():
            fix = "lrm train critic writes one."
            raise BadInput("--warm-start", str(self.warm_start), f"a folder with {TRANSITIONS}", fix)
