"""Ways to run three heads with three LoRA adapters through the language model, side by side (decision 10).

Pictures are encoded beforehand, so that only the language model is timed: one padded batch per head with the adapter
switched between them, one padded batch of all heads with the adapter name of each row given to PEFT, the packed pass,
and the packed pass with the constant prefixes from the cache. All four have to agree.

    python -m bench.mixed_adapters [--streams 12] [--rounds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.contract import contract_image
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.rows import query_row
from lrm_reward_node.vlm.likelihoods import AnswerLikelihoods, Asked
from lrm_reward_node.vlm.loading import load_checkpoint

TASK = "put the red cube in the blue bowl"
TOLERANCE = 1e-3


def main() -> None:
    """Measure and print the median time of each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/lrm-tiny")
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(args.model, None, "cpu", "float32")
    engine, peft = AnswerLikelihoods(checkpoint), checkpoint.model
    queries = [
        RewardQuery(head, TASK, contract_image(3 * i), 2, contract_image(3 * i + at), 1)
        for at, head in enumerate(MODEL_HEADS)
        for i in range(args.streams)
    ]
    with torch.inference_mode():
        asked = sorted(engine._asked([query_row(query) for query in queries]), key=lambda one: one.shape)
        ways: dict[str, Callable[[], Tensor]] = {
            "one padded batch per head": lambda: _per_head(engine, peft, asked),
            "one padded batch, PEFT adapter names": lambda: _named(engine, peft, asked),
            "packed": lambda: _packed(engine, asked),
            "packed, prefixes cached": lambda: torch.tensor(np.concatenate(engine._score(asked))),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        expected = ways["one padded batch per head"]()
        for _ in range(args.rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                answers = way()
                times[name].append(time.perf_counter() - started)
                torch.testing.assert_close(answers, expected, atol=TOLERANCE, rtol=0.0)
    for name, seconds in times.items():
        low, middle, high = 1e3 * np.quantile(seconds, (0.1, 0.5, 0.9))
        print(f"{name:40} {middle:7.1f} ms (p10 {low:.1f}, p90 {high:.1f})")


def _per_head(engine: AnswerLikelihoods, peft: Any, asked: Sequence[Asked]) -> Tensor:
    scores = []
    for head in dict.fromkeys(one.head for one in asked):
        peft.set_adapter(head.value, inference_mode=True)
        scores.append(_padded(engine, [one for one in asked if one.head is head]))
    return torch.cat(scores)


def _named(engine: AnswerLikelihoods, peft: Any, asked: Sequence[Asked]) -> Tensor:
    with peft.base_model._enable_peft_forward_hooks(adapter_names=[one.head.value for one in asked]):
        return _padded(engine, asked)


def _packed(engine: AnswerLikelihoods, asked: Sequence[Asked]) -> Tensor:
    engine._prefixes.clear()
    return torch.tensor(np.concatenate(engine._score(asked)))


def _padded(engine: AnswerLikelihoods, asked: Sequence[Asked]) -> Tensor:
    """All legal answers of all rows, one after the other, by ``Qwen3VLTextModel`` on left-padded rows."""
    ids = [torch.cat((one.template.prefix.ids, one.template.suffix.ids)) for one in asked]
    positions = [torch.cat((one.template.prefix.positions, one.template.suffix.positions), 1).T for one in asked]
    padded = pad_sequence(ids, batch_first=True, padding_side="left")
    mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True, padding_side="left")
    visual = (padded == engine.core.config.image_token_id) & mask.bool()
    tokens, *deepstack = torch.cat([image.tokens for one in asked for image in one.images], 1)
    text = engine.core.language_model
    hidden = text(
        inputs_embeds=text.embed_tokens(padded).masked_scatter(visual[..., None], tokens),
        attention_mask=mask,
        position_ids=pad_sequence(positions, batch_first=True, padding_side="left").permute(2, 0, 1),
        visual_pos_masks=visual,
        deepstack_visual_embeds=deepstack,
        use_cache=False,
    ).last_hidden_state[:, -1]
    likelihoods = torch.log_softmax(engine._lm_head(hidden), -1)
    return torch.cat(
        [
            row[[choice[0] for choice in engine.answers[one.head].choices]]
            for row, one in zip(likelihoods, asked, strict=True)
        ]
    )


if __name__ == "__main__":
    main()
