"""What number formats and quantization cost: agreement of decisions with float32 on the processor, per head.

Frames are those of held-out simulated episodes. A decision is the most likely legal answer (contrastive A or B,
progress one of eleven values, completion yes or no).

    python -m bench.precision [--json out/precision.json] [--episodes 12] [--variants bfloat16@cpu float16+int4@cuda:0]

A variant is FORMAT@DEVICE or FORMAT+QUANTIZATION@DEVICE; quantization needs the package bitsandbytes. What is measured
holds for the checkpoint it was measured on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.engine_rounds import Item, recorded_rounds
from bench.program import end, options, write_json
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.vlm.loading import load_checkpoint
from lrm_reward_node.vlm.quantization import check_quantization
from lrm_reward_node.vlm.qwen import QwenRewardModel

REFERENCE = "float32@cpu"
BATCH = 16
VARIANTS = (
    "bfloat16@cpu",
    "float16@cpu",
    "float32+int8@cpu",
    "float32+int4@cpu",
    "bfloat16+int8@cpu",
    "bfloat16+int4@cpu",
)


@dataclass(frozen=True)
class Scored:
    """Estimates per head, bytes of all weights, seconds per frame."""

    estimates: dict[RewardHead, list[RewardEstimate]]
    weight_bytes: int
    frame_s: float


def main() -> int:
    """Measure, print, write JSON when asked."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    for variant in args.variants:
        check_quantization(_parts(variant)[1])
    items = list(chain.from_iterable(recorded_rounds(args)))
    reference = _score(args.model, REFERENCE, items)
    figures = {"frames": len(items), "model": args.model, "variants": {}}
    for variant in args.variants:
        figures["variants"][variant] = _compare(_score(args.model, variant, items), reference)
        print(variant, json.dumps(figures["variants"][variant]), flush=True)
    _print(figures)
    write_json(args.json, figures)
    return 0


def _arguments() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--model", default="models/lrm-tiny", help="folder of the checkpoint")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--source", default="lrm_sim.reward_data:reward_episodes", metavar="MODULE:FUNCTION")
    parser.add_argument("--episodes", dest="streams", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=17, help="frames per episode, less one")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _parts(variant: str) -> tuple[str, str, str]:
    """Number format, quantization and device."""
    precision, _, device = variant.partition("@")
    dtype, _, quantization = precision.partition("+")
    return dtype, quantization or "none", device or "cpu"


def _score(model: str, variant: str, items: list[Item]) -> Scored:
    dtype, quantization, device = _parts(variant)
    checkpoint = load_checkpoint(model, None, device, dtype, quantization)
    pipeline = RewardPipeline(QwenRewardModel(checkpoint))
    pipeline.score_batch(items[:BATCH])
    started, frames = time.perf_counter(), iter(items)
    estimates: dict[RewardHead, list[RewardEstimate]] = {head: [] for head in MODEL_HEADS}
    while batch := list(islice(frames, BATCH)):
        for estimate in chain.from_iterable(pipeline.score_batch(batch)):
            if estimate.head in estimates:
                estimates[estimate.head].append(estimate)
    weights = [*checkpoint.model.parameters(), *checkpoint.model.buffers()]
    return Scored(estimates, sum(w.nbytes for w in weights), (time.perf_counter() - started) / len(items))


def _compare(variant: Scored, reference: Scored) -> dict[str, Any]:
    heads = {head.value: _differences(variant.estimates[head], reference.estimates[head]) for head in MODEL_HEADS}
    agreement = [one["decision_agreement"] for one in heads.values()]
    return {
        "decision_agreement": float(np.mean(agreement)),
        "heads": heads,
        "weight_bytes": variant.weight_bytes,
        "frames_per_s": 1.0 / variant.frame_s,
    }


def _differences(estimates: list[RewardEstimate], reference: list[RewardEstimate]) -> dict[str, float]:
    pairs = list(zip(estimates, reference, strict=True))
    values = np.array([abs(one.value - other.value) for one, other in pairs])
    return {
        "decision_agreement": float(np.mean([one.ok and one.raw_text == other.raw_text for one, other in pairs])),
        "mean_difference": float(values.mean()),
        "largest_difference": float(values.max()),
    }


def _print(figures: dict[str, Any]) -> None:
    table = Table("variant", *(head.value for head in MODEL_HEADS), "largest difference", "weights", "frames/s")
    for variant, one in figures["variants"].items():
        heads = one["heads"].values()
        table.add_row(
            variant,
            *(f"{100 * head['decision_agreement']:.1f} %" for head in heads),
            f"{max(head['largest_difference'] for head in heads):.3f}",
            f"{one['weight_bytes'] / 1e6:.1f} MB",
            f"{one['frames_per_s']:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    end(main)
