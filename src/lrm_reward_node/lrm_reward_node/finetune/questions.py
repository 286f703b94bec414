"""Samples as rows of tokens: the exact prompt through the checkpoint's own processor, then the answer.

Trained is what is read: prompt and answer are tokenised apart, as the readout does it (``vlm/templates.py``), and the
loss is on the answer and the token that ends the turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.data.samples import Sample
from lrm_reward_node.parsing import parse_answer
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.rows import Row, checked_picture
from lrm_reward_node.vlm.answers import AnswerTokens, answer_tokens
from lrm_reward_node.vlm.encoding import rendered

IGNORED = -100
"""Label of a token that has no loss, as everywhere in transformers."""


@dataclass(frozen=True)
class Item:
    """One sample on its way into a batch.

    Attributes:
        sample: question, pictures and answer.
        scored: asked for the likelihood of every legal answer, in place of being trained on.
    """

    sample: Sample
    scored: bool


class Readable(Protocol):
    """As much of :class:`Samples` as training reads; see there."""

    @property
    def weights(self) -> np.ndarray:
        """(N,) how often to draw each sample."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def question(self, index: int) -> Sample:
        """A sample without its pictures."""


class Items:
    """A torch dataset of some of the ``samples``, all where ``index`` is None."""

    def __init__(self, samples: Readable, index: np.ndarray | None = None, *, scored: bool = False) -> None:
        self.samples, self.scored = samples, scored
        self.index = np.arange(len(samples)) if index is None else np.asarray(index)

    @property
    def weights(self) -> np.ndarray:
        """(N,) weights of the chosen samples."""
        return np.asarray(self.samples.weights, np.float64)[self.index]

    def questions(self) -> list[Sample]:
        """The chosen samples without their pictures."""
        return [self.samples.question(int(at)) for at in self.index]

    def limited(self, most: int) -> Items:
        """At most ``most`` of them, evenly spread."""
        spread = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64))
        return Items(self.samples, self.index[spread], scored=self.scored)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: int) -> Item:
        return Item(self.samples[int(self.index[at])], self.scored)


def sample_row(sample: Sample) -> Row:
    """Prompt and checked pictures of a sample.

    Raises:
        BadInput: the task or a picture cannot be used, or the prompt wants another number of pictures.
    """
    head = RewardHead(sample.head)
    prompt = prompts.build(head, sample.task, initial=sample.initial, goal=sample.goal)
    if prompt.images != len(sample.images):
        raise BadInput("sample", f"{len(sample.images)} pictures", f"{prompt.images}", f"Its origin: {sample.origin}.")
    return Row(head, prompt, tuple(checked_picture(np.require(image, requirements="W")) for image in sample.images))


def answer_number(sample: Sample) -> int:
    """Which of the legal answers the sample's answer is; analysis before it does not count.

    Raises:
        BadInput: it is none.
    """
    head = RewardHead(sample.head)
    if sample.answer in ANSWERS[head].texts:
        return ANSWERS[head].texts.index(sample.answer)
    value = parse_answer(head, sample.answer, "strict").value
    if value is None or value not in ANSWERS[head].values:
        raise BadInput("answer", sample.answer, f"one of {list(ANSWERS[head].texts)}", f"Origin: {sample.origin}.")
    return ANSWERS[head].values.index(value)


@dataclass(frozen=True)
class Answers:
    """The legal answers of a head under a tokenizer, and how their likelihoods come out of few forward passes.

    Attributes:
        tokens: their tree.
        covers: answers whose forward passes together visit every place where answers part.
    """

    tokens: AnswerTokens

    @cached_property
    def covers(self) -> tuple[int, ...]:
        """Answers, the fewest that go one by one, whose tokens visit every node of the tree."""
        missing, found = {(), *self.tokens.branches}, []
        while missing:
            visited = [{choice[:depth] for depth in range(len(choice))} & missing for choice in self.tokens.choices]
            best = max(range(len(visited)), key=lambda i: len(visited[i]))
            found.append(best)
            missing -= visited[best]
        return tuple(found)

    @property
    def width(self) -> int:
        """Logits to keep at the end of a row."""
        return 1 + max(len(self.tokens.choices[cover]) for cover in self.covers)

    def likelihoods(self, logits: Tensor) -> Tensor:
        """(B, A) log-likelihoods of the answers given their common opening, nats.

        Args:
            logits: (B * covers, width, V) at the last tokens of rows that end with the covering answers.
        """
        rows = logits.unflatten(0, (-1, len(self.covers)))
        places = [self._place(path) for path in ((), *self.tokens.branches)]
        nodes = torch.stack([rows[:, cover, column] for cover, column in places], 1)
        known = torch.log_softmax(nodes.float(), -1)
        edges = torch.stack([known[:, node, token] for node, token in self.tokens.edges], 1)
        return torch.stack([edges[:, list(route)].sum(1) for route in self.tokens.routes], 1)

    def _place(self, path: tuple[int, ...]) -> tuple[int, int]:
        for number, cover in enumerate(self.covers):
            choice = self.tokens.choices[cover]
            if len(path) < len(choice) and choice[: len(path)] == path:
                return number, len(path) - len(choice) - 1
        raise AssertionError("the covers visit every node")


class Collator:
    """Batches of one head for transformers' ``Trainer``; rows end at the same column, so that few logits are kept.

    A batch of samples to train on has ``labels`` for the kept logits; one of samples to score has, in ``labels``, per
    sample the number of the right answer and the exact target.
    """

    def __init__(self, head: RewardHead, processor: Any) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.answers = Answers(answer_tokens(self.tokenizer, ANSWERS[head].texts))

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """The batch: token ids and masks (rows, L), pixels, grids, ``labels`` and ``logits_to_keep``."""
        rows = [sample_row(item.sample) for item in items]
        if not items[0].scored:
            answers = [[*self.encode(item.sample.answer), self.tokenizer.eos_token_id] for item in items]
            batch = self.batch(rows, answers)
            keep = 1 + max(map(len, answers))
            labels = torch.full((len(rows), keep), IGNORED)
            for row, answer in zip(labels, answers, strict=True):
                row[-len(answer) :] = torch.tensor(answer)
            return batch | {"labels": labels, "logits_to_keep": keep}
        tokens = self.answers.tokens
        covers = [[*tokens.opening, *tokens.choices[cover]] for cover in self.answers.covers]
        batch = self.batch([row for row in rows for _ in covers], covers * len(rows))
        labels = torch.tensor([[answer_number(item.sample), item.sample.target] for item in items])
        return batch | {"labels": labels, "logits_to_keep": self.answers.width}

    def encode(self, text: str) -> list[int]:
        """Tokens of an answer."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def batch(self, rows: Sequence[Row], endings: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Prompts with their pictures, each followed by its ending, padded on the left."""
        inputs = self.processor(
            text=[rendered(row.prompt, self.processor) for row in rows],
            images=[image for row in rows for image in row.images],
            padding=True,
            return_tensors="pt",
        )
        columns = {"input_ids": self.tokenizer.pad_token_id, "attention_mask": 0, "mm_token_type_ids": 0}
        inside = inputs["attention_mask"].bool()
        ends = [torch.tensor(list(one)) for one in endings]
        width = max(int(n) + len(end) for n, end in zip(inside.sum(1), ends, strict=True))
        padded = {name: torch.full((len(rows), width), fill) for name, fill in columns.items()}
        for row, end in enumerate(ends):
            after = {"input_ids": end, "attention_mask": torch.ones_like(end), "mm_token_type_ids": 0 * end}
            for name, column in padded.items():
                whole = torch.cat((inputs[name][row][inside[row]], after[name]))
                column[row, -len(whole) :] = whole
        return {**padded, "pixel_values": inputs["pixel_values"], "image_grid_thw": inputs["image_grid_thw"]}
