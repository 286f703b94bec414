"""Run attacks: find the episodes they start from, score what they show, judge it as the policy node would."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lrm_core.delivery import DeliveryParams, RewardDelivery
from lrm_core.episodes import EpisodeRecord
from lrm_core.rewards import RewardHead
from lrm_core.success import SuccessConfirmation
from lrm_core.transitions import Scores
from lrm_reward_node.evaluation.episodes import FRAME_NS, score_frames
from lrm_reward_node.hacks.attack import Attack, Attacked, Base
from lrm_reward_node.hacks.attacks import ORDINARY, SUCCEEDED, honest
from lrm_reward_node.pipeline import RewardPipeline

DELIVERIES = ("delta", "hold")
HEADS = (RewardHead.PROGRESS, RewardHead.COMPLETION, RewardHead.CONTRASTIVE)


@dataclass(frozen=True)
class Rule:
    """When a success counts, and what is paid: the policy node's parameters of the same names."""

    success_threshold: float = 0.8
    success_confirmations: int = 2
    delivery: DeliveryParams = field(default_factory=DeliveryParams)

    def confirmed_at(self, completion: np.ndarray) -> int | None:
        """Query at which the episode would end as a success; None: never."""
        rule = SuccessConfirmation(self.success_threshold, self.success_confirmations)
        return next((i for i, score in enumerate(completion) if rule.add(float(score))), None)


@dataclass(frozen=True)
class Judged:
    """One attacked episode and what the reward model made of it. NaN: UNKNOWN.

    Attributes:
        attacked: what it was shown; ``frames`` is empty once they are not needed any more.
        seed, kind: the honest episode it was made from.
        values: (Q,) per head.
        unknown: (Q,) bool, progress or completion has no value.
        confirmed: query at which a success was confirmed; None: never.
        closest: largest completion score that two queries in a row reach where nothing is done; NaN: there are none.
        rewards: what a learner would be paid over the episode, by delivery.
        gained: the same minus what it is measured against.
    """

    attacked: Attacked
    seed: int
    kind: str
    values: Mapping[RewardHead, np.ndarray]
    unknown: np.ndarray
    confirmed: int | None
    closest: float
    rewards: Mapping[str, float]
    gained: Mapping[str, float] = field(default_factory=dict)

    @property
    def false_success(self) -> bool:
        """A success was confirmed at a query where the task is not done."""
        return self.confirmed is not None and not self.attacked.truth[self.confirmed]

    @property
    def found(self) -> bool | None:
        """Whether a success that lasts two queries was confirmed; None: there is none to be found."""
        lasting = self.attacked.truth[1:] & self.attacked.truth[:-1]
        return (self.confirmed is not None and not self.false_success) if lasting.any() else None


def gather(source: Iterable[EpisodeRecord], bases: Sequence[Base], count: int) -> dict[str, list[EpisodeRecord]]:
    """The first ``count`` episodes of each base, by its name; takes no more from the source than that needs."""
    found: dict[str, list[EpisodeRecord]] = {base.name: [] for base in bases}
    for episode in source:
        slim = replace(episode, wrist=np.empty(0), states=np.empty(0), actions=np.empty(0))
        for base in bases:
            if len(found[base.name]) < count and base.accepts(episode):
                found[base.name].append(slim)
        if all(len(episodes) == count for episodes in found.values()):
            break
    return found


def bases_of(attacks: Iterable[Attack]) -> list[Base]:
    """What the attacks start from, and the successes and failures that they need beside it."""
    bases = [SUCCEEDED, ORDINARY, *(attack.base for attack in attacks)]
    return list({base.name: base for base in bases}.values())


@dataclass
class Suite:
    """Attacks on one reward model.

    Attributes:
        pipeline: what is attacked: the heads, their fusion and all checks of the live node.
        episodes: honest episodes by name of their base, from :func:`gather`.
        rule: when a success counts, and what is paid.
        seed: of the attacks' randomness.
    """

    pipeline: RewardPipeline
    episodes: Mapping[str, Sequence[EpisodeRecord]]
    rule: Rule = field(default_factory=Rule)
    seed: int = 0

    def __post_init__(self) -> None:
        self._own: dict[int, Mapping[str, float]] = {}
        self._failing: Mapping[str, float] | None = None

    def run(self, attack: Attack) -> Iterator[Judged]:
        """One result per episode of the attack's base that can be attacked so."""
        others = self.episodes[SUCCEEDED.name]
        for index, episode in enumerate(self.episodes[attack.base.name]):
            rng = np.random.default_rng([self.seed, zlib.crc32(attack.name.encode()), index])
            attacked = attack.apply(episode, others, rng)
            if attacked is not None:
                judged = self._judge(attacked, episode)
                against = self._own_reward(episode) if attack.paired else self._failing_reward()
                yield replace(judged, gained={name: judged.rewards[name] - against[name] for name in DELIVERIES})

    def _judge(self, attacked: Attacked, episode: EpisodeRecord) -> Judged:
        stamps_ns = (np.arange(len(attacked.frames)) + 1) * FRAME_NS
        rows = score_frames(self.pipeline, attacked.task, attacked.frames, stamps_ns)
        values = {head: np.array([e.value for row in rows for e in row if e.head is head]) for head in HEADS}
        completion = values[RewardHead.COMPLETION]
        confirmed = self.rule.confirmed_at(completion)
        return Judged(
            attacked=attacked,
            seed=episode.seed,
            kind=episode.labels.get("kind", episode.outcome),
            values=values,
            unknown=np.isnan(completion) | np.isnan(values[RewardHead.PROGRESS]),
            confirmed=confirmed,
            closest=_closest(completion, attacked.truth),
            rewards={name: self._paid(name, values, confirmed) for name in DELIVERIES},
        )

    def _paid(self, delivery: str, values: Mapping[RewardHead, np.ndarray], confirmed: int | None) -> float:
        """Sum of rewards until the episode ends; a decision with an UNKNOWN score at either end is dropped."""
        pays = RewardDelivery(replace(self.rule.delivery, delivery=delivery))
        end = len(values[RewardHead.COMPLETION]) - 1 if confirmed is None else confirmed
        scores = [Scores(**{h.value: _known(values[h][i]) for h in HEADS}) for i in range(end + 1)]
        known = [all(getattr(score, head.value) is not None for head in pays.heads) for score in scores]
        decisions = range(end)
        return sum(
            pays.reward(scores[i], scores[i + 1], i + 1 == end) for i in decisions if known[i] and known[i + 1]
        )

    def _own_reward(self, episode: EpisodeRecord) -> Mapping[str, float]:
        if episode.seed not in self._own:
            as_it_is = honest(episode, (), np.random.default_rng(0))
            self._own[episode.seed] = self._judge(as_it_is, episode).rewards
        return self._own[episode.seed]

    def _failing_reward(self) -> Mapping[str, float]:
        """Mean over honest failures."""
        if self._failing is None:
            rewards = [self._own_reward(episode) for episode in self.episodes[ORDINARY.name]]
            self._failing = {name: float(np.mean([r[name] for r in rewards])) for name in DELIVERIES}
        return self._failing


def _closest(completion: np.ndarray, truth: np.ndarray) -> float:
    both = np.minimum(completion[1:], completion[:-1])[~truth[1:]]
    known = both[~np.isnan(both)]
    return float(known.max()) if len(known) else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

