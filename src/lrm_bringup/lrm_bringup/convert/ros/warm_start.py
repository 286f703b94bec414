"""Transitions of recorded bags, joined with recorded or replayed rewards, as a folder that the learner resumes from.

The join is the learner's own, so a learner that starts in the folder is where it would be had it seen these episodes:
its journal holds the transitions, its weights are fitted to them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.types import RecordedTopic
from lrm_bringup.convert.ros.topics import of_type, reward_topics
from lrm_core.disk import ANEW, only_one, room
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.learner.ros.node import estimate_of, transition_of

SUMMARY = "warm_start.json"
TRANSITION = "lrm_msgs/msg/Transition"


@dataclass
class WarmStart:
    """What came of the bags.

    Attributes:
        transitions: with a reward; what the learner starts with.
        episodes: they come from.
        unknown: left out because a score is UNKNOWN.
        missing: left out because no score is recorded for one of their frames.
        without: bags that hold no transition: evaluations, or runs of others.
        problems: one line each.
        refused: bag -> why it was not read.
    """

    transitions: int = 0
    episodes: int = 0
    unknown: int = 0
    missing: int = 0
    without: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def write_warm_start(
    bags: Sequence[Path], out: Path, params: LearnerParams, rewards: str = "",
    progress: Callable[[float], None] = lambda _: None,
) -> WarmStart:  # fmt: skip
    """Write ``out`` with journal and weights; it appears when it is whole.

    Args:
        bags: recorded refinement runs.
        out: new folder.
        params: of the learner; its ``folder`` does not count.
        rewards: prefix of the reward topics; empty: those of the live run.
        progress: told how many bags are done.

    Raises:
        BadInput: ``out`` exists, or no transition has its rewards.
    """
    if out.exists():
        raise BadInput("--out", str(out), "a new folder", "Choose another, or remove it.")
    with only_one(out, "--out", "program"), room(out, ANEW), _whole_folder(out) as partial:
        result = _learned(bags, dataclasses.replace(params, folder=str(partial)), rewards, progress)
        facts = {"bags": [path.name for path in bags], "rewards": rewards, **asdict(result)}
        text = json.dumps(facts | {"delivery": params.delivery}, indent=2)
        (partial / SUMMARY).write_text(text + "\n", encoding="utf-8")
    return result


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end; nothing is left of it after an error."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(out)


def _learned(bags: Sequence[Path], params: LearnerParams, rewards: str, progress: Callable[[float], None]) -> WarmStart:
    """Give a learner all that the bags hold, fit it and write its weights."""
    learner, result = Learner(params), WarmStart()
    try:
        for number, path in enumerate(bags, 1):
            try:
                _add(learner, path, rewards, result)
            except BadInput as error:
                result.refused[path.name] = str(error)
            learner.collect(math.inf)  # what has no reward by the end of its bag never gets one
            progress(number)
        _count(learner, result)
        learner.fit()
        learner.export()
    finally:
        learner.close()
    return result


def _count(learner: Learner, result: WarmStart) -> None:
    result.transitions, result.episodes = learner.transitions, learner.episodes
    result.unknown, result.missing = learner.credit.dropped_unknown, learner.credit.dropped_deadline
    if not learner.transitions:
        reasons = [f"{len(result.without)} bags hold no transition, {result.unknown} transitions have an UNKNOWN score"]
        reasons += [f"{result.missing} have none", *(f"{name}: {why}" for name, why in result.refused.items())]
        fix = "Evaluations hold none: take the bags of a refinement."
        raise BadInput("--from-bags", "no transition with its rewards", "at least one", f"({'; '.join(reasons)}) {fix}")


def _add(learner: Learner, path: Path, rewards: str, result: WarmStart) -> None:
    """All transitions and rewards of one bag."""
    bag = RecordedBag(path)
    found = of_type(bag, TRANSITION)
    if len(found) > 1:
        names = [topic.name for topic in found]
        raise BadInput(f"transitions of {path.name}", names, "those of one robot", "Split the bag by namespace.")
    if not found:
        result.without.append(path.name)
        return
    heads = {topic: _head(topic) for topic in reward_topics(bag, rewards, found[0].name)}
    for message, fields in bag.decoded([*found, *heads]):
        try:
            if message.topic in heads:
                learner.add_reward(fields.episode_id, estimate_of(heads[message.topic], fields))
            else:
                learner.add_transition(transition_of(fields, learner.params.arm_joints), 0.0)
        except (BadInput, ValueError) as error:
            bag.faults.lose(message.topic.name, "refused", f"a message that cannot be used: {error}")
    result.problems += [f"{path.name}: {fault}" for fault in bag.faults]


def _head(topic: RecordedTopic) -> RewardHead:
    return RewardHead(topic.name.rsplit("/", 1)[-1])
