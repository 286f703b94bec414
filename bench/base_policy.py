"""Train base policies on biased demonstrations, a grid in one call, and measure each: success and why it fails.

    python -m bench.base_policy train --out out/act --biases 0.03,0.04,0.05 --episodes 300 --seconds 120
    python -m bench.base_policy measure models/act-pick-place --n 100 --workers 2
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bench import rollout
from lrm_core.episodes import EpisodeRecord
from lrm_sim import collect, tasks
from lrm_sim.expert import Style


def demo_episodes(
    episodes: int,
    place_bias_m: tuple[float, float],
    place_noise_m: float = 0.008,
    workers: int = 1,
    seed: int = collect.DEMO_SEEDS,
    action_noise_rad: float = 0.006,
) -> Iterator[EpisodeRecord]:
    """Demonstrations of the demo task with a biased place position; a missed grasp is not a demonstration."""
    style = Style(
        place_bias_m=(place_bias_m[0], place_bias_m[1]), place_noise_m=place_noise_m, action_noise_rad=action_noise_rad
    )
    specs = [collect.EpisodeSpec(seed + i, tasks.DEMO_TASK, style=style) for i in range(episodes)]
    for record in collect.collect(specs, workers):
        if record.positions["object"][:, 2].max() > rollout.LIFTED_M:
            yield record


def measure(folder: Path, seeds: list[int], workers: int) -> dict:
    """Success rate and failure decomposition of a base policy over scene ``seeds``."""
    parts = [seeds[i::workers] for i in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        outcomes = [o for part in pool.map(partial(_measure_part, folder), parts) for o in part]
    successes = sum(o.success for o in outcomes)
    placed = np.array([o.place_error_m for o in outcomes if o.lifted]).reshape(-1, 2)
    return {
        "policy": str(folder),
        "n": len(outcomes),
        "success": successes / len(outcomes),
        "ci95": rollout.wilson(successes, len(outcomes)),
        "grasped": sum(o.lifted for o in outcomes) / len(outcomes),
        "outcomes": dict(Counter(o.outcome for o in outcomes)),
        "place_error_median_m": np.median(placed, axis=0).round(4).tolist() if len(placed) else None,
    }


def _measure_part(folder: Path, seeds: list[int]) -> list[rollout.Outcome]:
    import torch

    from lrm_policy_node.lerobot.policy import ActPolicy

    torch.set_num_threads(1)
    env, policy = rollout.make_env(), ActPolicy(folder)
    return [rollout.run_base(env, policy, seed, tasks.DEMO_TASK) for seed in seeds]


def _train(args: argparse.Namespace) -> None:
    import torch

    from lrm_policy_node.lerobot import demonstrations
    from lrm_policy_node.lerobot.train import TrainSettings, train

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    direction = np.array([np.cos(args.direction_rad), np.sin(args.direction_rad)])
    initial: Path | None = None
    for bias in args.biases:
        bias_m = tuple(float(b) for b in bias * direction)
        data = demonstrations.from_records(demo_episodes(args.episodes, bias_m, args.place_noise_m, args.workers))
        folder = args.out / f"bias-{1000 * bias:.0f}mm"
        seconds = args.seconds if initial is None else args.next_seconds
        settings = TrainSettings(steps=args.steps, batch_size=args.batch, seconds=seconds)
        print(f"{folder}: {data.episodes} episodes, {len(data.states)} frames, {device}", flush=True)
        train(data, folder, settings, device, initial)
        initial = initial or folder
        if args.measure:
            print(json.dumps(measure(folder, _seeds(args.measure), args.workers)), flush=True)


def _seeds(n: int) -> list[int]:
    return [collect.REFINE_SEEDS + 5_000_000 + i for i in range(n)]


def main() -> None:
    """Command line, see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--biases", type=lambda text: [float(b) for b in text.split(",")], default=[0.04])
    train.add_argument("--direction-rad", type=float, default=0.9, help="direction of the bias in the base frame")
    train.add_argument("--place-noise-m", type=float, default=0.008)
    train.add_argument("--episodes", type=int, default=300)
    train.add_argument("--steps", type=int, default=12_000)
    train.add_argument("--batch", type=int, default=128)
    train.add_argument("--seconds", type=float, default=float("inf"))
    train.add_argument("--next-seconds", type=float, default=float("inf"), help="for the biases after the first,"
                       " which start from the first policy")
    train.add_argument("--workers", type=int, default=1)
    train.add_argument("--measure", type=int, default=0, help="episodes to measure each policy on")
    train.set_defaults(run=_train)
    one = commands.add_parser("measure")
    one.add_argument("folder", type=Path)
    one.add_argument("--n", type=int, default=100)
    one.add_argument("--workers", type=int, default=1)
    one.set_defaults(run=lambda a: print(json.dumps(measure(a.folder, _seeds(a.n), a.workers), indent=2)))
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
