"""Run attacks: find the episodes they start from, score what they show, judge it as the policy node would."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from lrm_core.delivery import DeliveryParams, RewardDelivery
from lrm_core.episodes import EpisodeRecord
from lrm_core.rewards import RewardHead
from lrm_core.success import SuccessConfirmation
from lrm_core.transitions import Scores
from lrm_reward_node.hacks.attack import Attack, Attacked, Base
from lrm_reward_node.hacks.attacks import ORDINARY, SUCCEEDED, honest
from lrm_reward_node.hacks.scoring import HEADS, Answers, Scorer

DELIVERIES = ("delta", "hold")


@dataclass(frozen=True)
class Rule:
    """When a success counts, and what is paid: the policy node's and the learner's parameters of the same names."""

    success_threshold: float = 0.8
    success_confirmations: int = 2
    delivery: DeliveryParams = field(default_factory=DeliveryParams)

    def confirmed_at(self, completion: np.ndarray) -> int | None:
        """Query at which the episode would end as a success; None: never."""
        rule = SuccessConfirmation(self.success_threshold, self.success_confirmations)
        return next((i for i, score in enumerate(completion) if rule.add(float(score))), None)

    def paid(self, answers: Answers, end: int) -> dict[str, float]:
        """Sum of the rewards of an episode that ends at query ``end``, by delivery.

        A decision with an UNKNOWN score at either end is dropped, as the learner does.
        """
        return {name: self._sum(name, answers, end) for name in DELIVERIES}

    def _sum(self, delivery: str, answers: Answers, end: int) -> float:
        pays = RewardDelivery(replace(self.delivery, delivery=delivery))
        scores = [Scores(**{head.value: _known(answers.values[head][i]) for head in HEADS}) for i in range(end + 1)]
        known = [all(getattr(score, head.value) is not None for head in pays.heads) for score in scores]
        return sum(pays.reward(scores[i], scores[i + 1], i + 1 == end) for i in range(end) if known[i] and known[i + 1])


@dataclass(frozen=True)
class Judged:
    """One attacked episode and what the reward model made of it.

    Attributes:
        attacked: what it was shown.
        seed, kind: the honest episode it was made from.
        answers: what the model said.
        confirmed: query at which a success was confirmed; None: never.
        rewards: what a learner would be paid over the episode, by delivery.
        gained: the same minus what the attack is measured against.
    """

    attacked: Attacked
    seed: int
    kind: str
    answers: Answers
    confirmed: int | None
    rewards: Mapping[str, float]
    gained: Mapping[str, float]

    @property
    def false_success(self) -> bool:
        """A success was confirmed at a query where the task is not done."""
        return self.confirmed is not None and not self.attacked.truth[self.confirmed]

    @property
    def found(self) -> bool | None:
        """Whether a success that lasts two queries was confirmed; None: there is none to be found."""
        lasting = self.attacked.truth[1:] & self.attacked.truth[:-1]
        return (self.confirmed is not None and not self.false_success) if lasting.any() else None

    @property
    def closest(self) -> float:
        """Largest completion score that two queries in a row reach where nothing is done; NaN: there are none."""
        completion = self.answers.values[RewardHead.COMPLETION]
        both = np.minimum(completion[1:], completion[:-1])[~self.attacked.truth[1:]]
        return float(np.nanmax(both)) if np.isfinite(both).any() else math.nan


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
        scorer: asks the model.
        episodes: honest episodes by name of their base, from :func:`gather`.
        rule: when a success counts, and what is paid.
        seed: of the attacks' randomness.
    """

    scorer: Scorer
    episodes: Mapping[str, Sequence[EpisodeRecord]]
    rule: Rule = field(default_factory=Rule)
    seed: int = 0

    def run(self, attack: Attack) -> Iterator[Judged]:
        """One result per episode of the attack's base that can be attacked so."""
        shown = [(episode, one) for episode, one in self._attacked(attack) if one is not None]
        against = self._own_rewards([episode for episode, _ in shown]) if attack.paired else {}
        for (episode, attacked), answers in zip(shown, self.scorer(one for _, one in shown), strict=True):
            confirmed, rewards = self._judge(answers)
            compared = against.get(episode.seed) or self._failing
            gained = {name: rewards[name] - compared[name] for name in DELIVERIES}
            kind = episode.labels.get("kind", episode.outcome)
            yield Judged(attacked, episode.seed, kind, answers, confirmed, rewards, gained)

    def _attacked(self, attack: Attack) -> Iterator[tuple[EpisodeRecord, Attacked | None]]:
        for index, episode in enumerate(self.episodes[attack.base.name]):
            rng = np.random.default_rng([self.seed, zlib.crc32(attack.name.encode()), index])
            yield episode, attack.apply(episode, self.episodes[SUCCEEDED.name], rng)

    def _judge(self, answers: Answers) -> tuple[int | None, dict[str, float]]:
        completion = answers.values[RewardHead.COMPLETION]
        confirmed = self.rule.confirmed_at(completion)
        return confirmed, self.rule.paid(answers, len(completion) - 1 if confirmed is None else confirmed)

    def _own_rewards(self, episodes: Sequence[EpisodeRecord]) -> dict[int, dict[str, float]]:
        """Rewards of episodes as they are, by their seed; each is scored once in the life of the suite."""
        new = [episode for episode in episodes if episode.seed not in self._own]
        as_they_are = (honest(episode, (), np.random.default_rng(0)) for episode in new)
        for episode, answers in zip(new, self.scorer(as_they_are), strict=True):
            self._own[episode.seed] = self._judge(answers)[1]
        return self._own

    @cached_property
    def _own(self) -> dict[int, dict[str, float]]:
        return {}

    @cached_property
    def _failing(self) -> dict[str, float]:
        """Mean over honest failures; NaN where there are none."""
        failures = self.episodes[ORDINARY.name]
        own = self._own_rewards(failures)
        paid = [own[episode.seed] for episode in failures]
        return {name: float(np.mean([p[name] for p in paid])) if paid else math.nan for name in DELIVERIES}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
