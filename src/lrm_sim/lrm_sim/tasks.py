"""The family of task sentences "put the {object} in the {container}"."""

from __future__ import annotations

from itertools import product

from lrm_core.errors import BadInput

OBJECTS = ("red cube", "green cylinder", "yellow brick", "purple hexagon")
CONTAINERS = ("blue bowl", "white box", "orange tray")

PAIRS = tuple(product(OBJECTS, CONTAINERS))
"""Every (object, container)."""
HELD_OUT_PAIRS = (("green cylinder", "white box"), ("yellow brick", "blue bowl"))
"""Pairs the reward model never sees in training; each object and each container is seen there in other pairs."""
TRAIN_PAIRS = tuple(pair for pair in PAIRS if pair not in HELD_OUT_PAIRS)


def sentence(object_name: str, container_name: str) -> str:
    """The task sentence of a pair, for example ``put the red cube in the blue bowl``."""
    return f"put the {object_name} in the {container_name}"


DEMO_TASK = sentence("green cylinder", "blue bowl")
SENTENCES = {sentence(*pair): pair for pair in PAIRS}


def parse(text: str) -> tuple[str, str]:
    """(object, container) of a task sentence; case, outer blanks and a full stop are ignored.

    Raises:
        BadInput: the sentence is not one of :data:`SENTENCES`.
    """
    pair = SENTENCES.get(" ".join(text.lower().split()).rstrip("."))
    if pair is None:
        allowed = f"'put the {{object}} in the {{container}}' with object in {list(OBJECTS)}"
        raise BadInput("task", text, f"{allowed} and container in {list(CONTAINERS)}")
    return pair
