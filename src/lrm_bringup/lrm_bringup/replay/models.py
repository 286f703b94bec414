"""Which models, modes and tasks a command line names, opened once for as many inputs as they serve."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.replay.recorded import as_recorded, filled, node_params
from lrm_bringup.replay.series import ALL_HEADS, NamedMode, NamedPipeline, Series, Videos
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_core.robot.names import topic_name

if TYPE_CHECKING:
    from lrm_reward_node.camera_check import CameraLimits
    from lrm_reward_node.modes.mode import RewardMode
    from lrm_reward_node.params import RewardParams

HEAD_MODES = {
    "contrastive": RewardHead.CONTRASTIVE, "completion": RewardHead.COMPLETION, "progress": RewardHead.PROGRESS,
    "tri": RewardHead.FUSED,
}  # fmt: skip
"""Modes that are heads of a Large Reward Model: those of one model are asked in one pass."""


@dataclass(frozen=True)
class Choice:
    """A model and what is asked of it.

    Attributes:
        model: folder or hub name; empty: the default of the mode, or the shipped one.
        heads: heads of a Large Reward Model; empty: the mode of its own that is named.
        mode: name of that mode.
    """

    model: str
    heads: tuple[RewardHead, ...] = ALL_HEADS
    mode: str = ""

    @property
    def label(self) -> str:
        """Its name before others of the same name are told apart."""
        from lrm_reward_node.checkpoint import SHIPPED_MODEL

        model = Path(self.model).name
        return (f"{self.mode} {model}" if model else self.mode) if self.mode else model or SHIPPED_MODEL


def choices(models: Sequence[str], modes: Sequence[str]) -> list[Choice]:
    """What ``--model`` and ``--mode NAME[=MODEL]`` name; a mode without a model is asked of every ``--model``.

    Raises:
        BadInput: there is no mode of that name.
    """
    from lrm_reward_node.modes.registry import spec

    if not modes:
        return [Choice(model) for model in models or [""]]
    found: dict[tuple[str, str], Choice] = {}
    for given in modes:
        name, _, own = given.partition("=")
        spec(name)
        for model in [own] if own else models or [""]:
            key = (model, "" if name in HEAD_MODES else name)
            heads = found[key].heads if key in found else ()
            asked = (*heads, HEAD_MODES[name]) if name in HEAD_MODES else ()
            found[key] = Choice(model, tuple(h for h in ALL_HEADS if h in asked), key[1])
    return list(found.values())


class OpenedSeries:
    """The series of a command line, loaded again only where a bag was recorded with other parameters than the last.

    Args:
        args: the command line; ``task`` is a list.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args, self._key = args, ""
        self._loaded: list[NamedPipeline | NamedMode] = []

    def __call__(self, recorded: RewardParams | None) -> list[Series]:
        """The series for a recording made with the reward node's parameters ``recorded``.

        Raises:
            BadInput: a model or mode cannot be used.
        """
        wanted = filled(self._args, recorded)
        if repr(wanted) != self._key:
            self._loaded = []  # two sets of models may not fit
            self._loaded, self._key = list(_for_each_task(_open(self._args, wanted), self._args.task)), repr(wanted)
        return [self._as_recorded(series, recorded) for series in self._loaded]

    def _as_recorded(self, series: NamedPipeline | NamedMode, recorded: RewardParams | None) -> Series:
        if isinstance(series, NamedMode):
            return replace(series, videos=Videos())  # episodes of two recordings may have the same name
        pipeline = as_recorded(series.pipeline, self._args, recorded)
        return replace(series, pipeline=pipeline, node=node_params(pipeline, filled(self._args, recorded), recorded))


def _open(given: argparse.Namespace, wanted: argparse.Namespace) -> Iterator[NamedPipeline | NamedMode]:
    """Models of the heads are ``wanted``, as the bag names them; those of other modes as they were given."""
    from lrm_reward_node import options

    if wanted.server and any(choice.mode for choice in choices(given.model, given.mode)):
        raise BadInput("--server", wanted.server[0], "no other modes than the heads", "They have models of their own.")
    of_heads = [choice for choice in choices(wanted.model, given.mode) if not choice.mode]
    others = [choice for choice in choices(given.model, given.mode) if choice.mode]
    taken: set[str] = set()
    for choice in of_heads + others:
        label = _unlike("server" if wanted.server else choice.label, taken)
        if choice.mode:
            yield NamedMode(label, _open_mode(choice, wanted), limits=_limits(wanted))
        else:
            asked = argparse.Namespace(**{**vars(wanted), "model": choice.model})
            yield NamedPipeline(label, options.pipeline_from(asked), heads=choice.heads)


def _unlike(label: str, taken: set[str]) -> str:
    """``label``, with a number where its topics have the name of another one's."""
    found = next(name for n in count(1) if topic_name(name := f"{label}#{n}" if n > 1 else label) not in taken)
    taken.add(topic_name(found))
    return found


def _open_mode(choice: Choice, wanted: argparse.Namespace) -> RewardMode:
    from lrm_reward_node.checkpoint import DEVICE, DTYPE
    from lrm_reward_node.modes.mode import ModelOptions
    from lrm_reward_node.modes.registry import open_mode

    device, dtype = wanted.device or DEVICE, wanted.dtype or DTYPE
    opened = ModelOptions(choice.model, wanted.adapters or None, device, dtype, wanted.readout, wanted.fusion)
    return open_mode(choice.mode, opened)


def _limits(wanted: argparse.Namespace) -> CameraLimits:
    from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits

    return CameraLimits() if wanted.camera_check else NO_LIMITS


def _for_each_task(
    opened: Iterator[NamedPipeline | NamedMode], tasks: Sequence[str]
) -> Iterator[NamedPipeline | NamedMode]:
    """Every series with every task; a single task is that of the recording already."""
    for series in opened:
        if len(tasks) < 2:
            yield series
        for number, task in enumerate(tasks if len(tasks) > 1 else (), start=1):
            yield replace(series, label=f"{series.label}, task {number}", task=task)
