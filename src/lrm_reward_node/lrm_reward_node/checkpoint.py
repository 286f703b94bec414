"""Which checkpoint to work on: the options of every command that loads one, and the one that ships."""

from __future__ import annotations

import argparse

from lrm_core.resources import model_path

SHIPPED_MODEL = "lrm-tiny"
"""Folder in ``models/``."""
DEVICE, DTYPE = "cpu", "float32"


QUANTIZATIONS = ("none", "int8", "int4")
"""Bits of the language model's weights; see :mod:`lrm_reward_node.vlm.quantization`."""


def configure_quantization(parser: argparse.ArgumentParser) -> None:
    """Option ``--quantization``."""
    parser.add_argument(
        "--quantization",
        default="none",
        choices=QUANTIZATIONS,
        help="weights of the language model in 8 or 4 bit; needs the package bitsandbytes",
    )


def configure_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Options ``--model``, ``--adapters``, ``--device`` and ``--dtype``."""
    add = parser.add_argument
    add("--model", default="", help="folder or hub name of a checkpoint; default: the one that is shipped")
    add("--adapters", default="", help="folder or hub name of the adapters; default: inside the checkpoint")
    formats = ("float32", "bfloat16", "float16")
    add("--device", default=DEVICE, help=f"torch device; default: {DEVICE}")
    add("--dtype", default=DTYPE, choices=formats, help=f"number format of the model; default: {DTYPE}")


def checkpoint_path(model: str) -> str:
    """``model``, or the folder of the shipped checkpoint when it is empty."""
    return model or str(model_path(SHIPPED_MODEL))
