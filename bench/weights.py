"""Which weights a benchmark runs on: a checkpoint's, or random ones of a given architecture."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrm_reward_node.vlm.loading import Checkpoint


@dataclass(frozen=True)
class Weights:
    """Checkpoint folder, or architecture of random weights, and where and how they are held."""

    model: str
    architecture: str
    device: str
    dtype: str

    @staticmethod
    def of(args: argparse.Namespace) -> Weights:
        """As given on a command line with :func:`configure_weights`."""
        return Weights(args.model, args.architecture, args.device, args.dtype)

    def options(self) -> list[str]:
        """The same weights on another command line."""
        return [word for name, value in vars(self).items() if value for word in (f"--{name}", value)]

    def load(self) -> Checkpoint:
        """Load them, or make them."""
        from lrm_reward_node.vlm.loading import load_checkpoint, model_dtype

        if not self.architecture:
            return load_checkpoint(self.model, None, self.device, self.dtype)
        from bench.random_checkpoint import random_checkpoint

        return random_checkpoint(self.architecture, self.device, model_dtype(self.dtype))


def configure_weights(parser: argparse.ArgumentParser) -> None:
    """Options ``--model``, ``--architecture``, ``--device`` and ``--dtype``."""
    add = parser.add_argument
    add("--model", default="models/lrm-tiny", help="folder of the checkpoint")
    add("--architecture", default="", choices=("", "8b", "tiny-random"), help="random weights of this size instead")
    add("--device", default="cpu", help="torch device")
    add("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="number format of the model")
