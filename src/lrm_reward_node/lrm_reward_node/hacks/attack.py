"""What an attack is: a pure function from an honest episode to what the reward model is shown instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lrm_core.episodes import EpisodeRecord


@dataclass(frozen=True)
class Attacked:
    """Q queries of an attacked episode.

    Attributes:
        task: the sentence that the reward model is told.
        frames: (Q, H, W, 3) uint8 RGB, what it sees.
        truth: (Q,) bool, whether the task that it is told is really done. A picture of a recording is no doing.
        detail: what was drawn, in words, for the report.
    """

    task: str
    frames: np.ndarray
    truth: np.ndarray
    detail: str = ""


@dataclass(frozen=True)
class Base:
    """The honest episodes that an attack starts from.

    Attributes:
        name: in words.
        kinds: kinds to ask for where the source of episodes can be asked.
        accepts: whether an episode is of this base.
        turns: how often it is asked for in a round; more where few episodes come out as their kind meant them.
    """

    name: str
    kinds: tuple[str, ...]
    accepts: Callable[[EpisodeRecord], bool]
    turns: int = 1


Apply = Callable[[EpisodeRecord, Sequence[EpisodeRecord], np.random.Generator], Attacked | None]
"""(honest episode, successful episodes to take pictures and sentences from, randomness) -> attacked episode; None: it
cannot be attacked so. Works on the queried frames alone and changes none of its arguments."""


@dataclass(frozen=True)
class Attack:
    """One row of the suite.

    Attributes:
        name: short, for the command line.
        summary: one sentence.
        base: the episodes that are attacked.
        apply: the attack itself.
        paired: reward gained is measured against the same episode without the attack; False: against honest failures,
            because that episode succeeds, or is an attack as it stands.
        control: no attack: it shows what the model is worth when nobody cheats, and has no bar.
    """

    name: str
    summary: str
    base: Base
    apply: Apply
    paired: bool = False
    control: bool = False
