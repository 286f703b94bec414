"""Measure a base policy in the simulator: success, and why it fails.

python -m bench.base_policy models/act-pick-place --n 100 --workers 2
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from bench import rollout
from lrm_sim import collect, tasks


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

    from lrm_policy_node.lerobot.policy import LeRobotPolicy

    torch.set_num_threads(1)
    env, policy = rollout.make_env(), LeRobotPolicy(folder)
    return [rollout.run_base(env, policy, seed, tasks.DEMO_TASK) for seed in seeds]


def _seeds(n: int) -> list[int]:
    return [collect.REFINE_SEEDS + 5_000_000 + i for i in range(n)]


def main() -> None:
    """Command line, see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=100, help="episodes on scenes that nothing else uses")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    print(json.dumps(measure(args.folder, _seeds(args.n), args.workers), indent=2))


if __name__ == "__main__":
    main()
