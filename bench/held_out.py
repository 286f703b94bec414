"""Options of the benchmarks that score held-out episodes."""

from __future__ import annotations

import argparse

from bench.program import options


def held_out_options(description: str | None, repeat: int, repeat_help: str) -> argparse.ArgumentParser:
    """Checkpoint, episodes, and ``--repeat`` of the latency measurement."""
    parser = options(description)
    parser.add_argument("--model", default="models/lrm-tiny", help="folder or hub name")
    parser.add_argument("--adapters", help="folder of the adapters; default: in the model's folder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--source", default="lrm_sim.reward_data:reward_episodes", metavar="MODULE:FUNCTION")
    parser.add_argument("--episodes", type=int, default=100, help="per split")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model")
    parser.add_argument("--repeat", type=int, default=repeat, help=repeat_help)
    return parser
