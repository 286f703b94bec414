"""The tree of the legal answers on a device: read out of one pass over the prompt and the tree's branches."""

from __future__ import annotations

import torch
from torch import Tensor

from lrm_reward_node.vlm.answers import AnswerTokens


class AnswerTree:
    """Reads the likelihood of every legal answer.

    Args:
        answers: the legal answers.
        device: where likelihoods come from.

    Attributes:
        seen: (1 + branches, 1 + branches) true where the end of the opening, or a branch, sees another: itself and what
            it grew from. None where one token decides.
    """

    def __init__(self, answers: AnswerTokens, device: torch.device) -> None:
        paths = ((), *answers.branches)
        seen = torch.tensor([[path[: len(other)] == other for other in paths] for path in paths], device=device)
        self.seen = seen if answers.branches else None
        self._from, self._token = torch.tensor(answers.edges, device=device).T
        longest = max(map(len, answers.routes))
        none = len(answers.edges)  # the index of a step that every answer may take for nothing
        routes = [[*route, *[none] * (longest - len(route))] for route in answers.routes]
        self._routes = torch.tensor(routes, device=device)

    def read(self, likelihoods: Tensor) -> Tensor:
        """(rows, A) log-likelihood of each answer, nats.

        Args:
            likelihoods: (rows, 1 + branches, vocabulary) log-likelihood of each next token, nats.
        """
        steps = likelihoods[:, self._from, self._token]
        return torch.cat((steps, steps.new_zeros(len(steps), 1)), 1)[:, self._routes].sum(-1)
