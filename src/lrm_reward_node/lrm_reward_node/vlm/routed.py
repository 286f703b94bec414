"""Heads that are whole models of their own beside heads that are adapters of one base, as one reward model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_reward_node.model import RewardModel, RewardQuery


class RoutedRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` that asks another model for some heads.

    Args:
        main: answers every head that is not in ``others``.
        others: model of each head that has one of its own.

    Raises:
        BadInput: the fingerprints differ, so that they are not one checkpoint.
    """

    def __init__(self, main: RewardModel, others: Mapping[RewardHead, RewardModel]) -> None:
        self.fingerprint = main.fingerprint
        self._main, self._others = main, dict(others)
        for head, model in self._others.items():
            if model.fingerprint != self.fingerprint:
                raise BadInput(f"{head.value} model", model.fingerprint, "the fingerprint of the whole checkpoint")

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One batch per model; estimates in the order of the queries."""
        batches: dict[int, tuple[RewardModel, list[int]]] = {}
        for index, query in enumerate(queries):
            model = self._others.get(query.head, self._main)
            batches.setdefault(id(model), (model, []))[1].append(index)
        found: dict[int, RewardEstimate] = {}
        for model, indices in batches.values():
            found.update(zip(indices, model.score([queries[i] for i in indices]), strict=True))
        return [found[i] for i in range(len(queries))]
