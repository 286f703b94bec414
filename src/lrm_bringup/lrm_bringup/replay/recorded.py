"""What a bag says about the reward node that ran beside it, as the defaults of its replay."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_bringup.graph import REWARD
from lrm_core.errors import BadInput
from lrm_core.params import from_mapping
from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.checkpoint import DTYPE
from lrm_reward_node.params import RewardParams

if TYPE_CHECKING:
    from lrm_bringup.replay.run import ReplayOptions
    from lrm_reward_node.pipeline import RewardPipeline

_ANSWERS = {
    "adapters": "adapters", "readout": "readout", "parsing": "parsing", "fusion": "fusion_form",
    "calibration": "calibration", "swap": "contrastive_swap", "dtype": "dtype",
    "quantization": "quantization",
}  # fmt: skip
"""Options of the command -> parameters of the node that decide about its answers. Where it runs is the reader's."""
_WEIGHTS = ("adapters", "dtype", "quantization")
"""Options that belong to one model, and are a server's own matter."""
DEFAULTS: dict[str, Any] = {
    "adapters": "", "readout": "logits", "parsing": "strict", "fusion": "code", "calibration": "auto", "swap": False,
    "camera_check": True, "quantization": "none",
}  # fmt: skip
"""Where neither the command nor the bag says anything."""


def recorded_params(path: Path) -> RewardParams | None:
    """The parameters of the reward node in a bag; None for any other input, and for a bag that does not hold them.

    Raises:
        BadInput: the bag cannot be read, or holds values that the parameters cannot have.
    """
    from lrm_bringup.bags.bag import RecordedBag, bags_in

    is_file = path.is_file() and path.suffix in (".mcap", ".db3")
    if not is_file and not (path.is_dir() and bags_in(path)):
        return None
    return params_of(RecordedBag(path).facts)


def params_of(facts: Mapping[str, str]) -> RewardParams | None:
    """The parameters of the reward node in the facts of a bag; None where they are missing.

    Raises:
        BadInput: they are there and cannot be used.
    """
    try:
        nodes = json.loads(facts.get("parameters", "{}"))
        found = next((nodes[name] for name in sorted(nodes) if name.rpartition("/")[2] == REWARD.name), None)
        if not found:
            return None
        known = {field.name for field in dataclasses.fields(RewardParams)}
        return from_mapping(RewardParams, {k: v for k, v in found.items() if k in known and v is not None})
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput("parameters in the bag", facts["parameters"][:60], "node -> parameter -> value") from error


def filled(args: argparse.Namespace, recorded: RewardParams | None) -> argparse.Namespace:
    """``args`` with what nobody gave (None, or empty) as the node had it, else as :data:`DEFAULTS`."""
    values = dict(vars(args))
    if recorded is not None:
        _fill_model(values, recorded)
        if recorded.goal_image and values["goal"] is None:
            values["goal"] = Path(recorded.goal_image).expanduser()
    values |= {name: default for name, default in DEFAULTS.items() if values[name] is None}
    return argparse.Namespace(**values)


def _fill_model(values: dict[str, Any], recorded: RewardParams) -> None:
    """The node's model, and how it answers; of another model that was given only how."""
    foreign = bool(values["model"] or values["server"])
    remote = foreign or recorded.backend == "openai"
    if not foreign and remote:
        values["server"] = list(recorded.server_urls)
    elif not foreign and recorded.model:
        values["model"] = [recorded.model]
    for option, parameter in _ANSWERS.items():
        if values[option] in (None, "") and not (remote and option in _WEIGHTS):
            values[option] = getattr(recorded, parameter)


def as_recorded(pipeline: RewardPipeline, given: argparse.Namespace, recorded: RewardParams | None) -> RewardPipeline:
    """``pipeline`` with the fusion, the least confidence and the camera checks of the node, unless ``given`` says."""
    from lrm_reward_node.camera_check import CameraLimits
    from lrm_reward_node.pipeline import Fusion

    if recorded is None:
        return pipeline
    limits = CameraLimits(recorded.camera_min_detail, recorded.camera_max_changed, recorded.camera_noise)
    return replace(
        pipeline,
        fusion=pipeline.fusion if given.fusion else Fusion.of(recorded.fusion_form, recorded.fusion_weights),
        min_confidence=recorded.min_confidence,
        limits=pipeline.limits if given.camera_check is not None else limits,
    )


def node_params(pipeline: RewardPipeline, wanted: argparse.Namespace, recorded: RewardParams | None) -> dict[str, Any]:
    """The parameters of a reward node that answers as ``pipeline``, opened with the options ``wanted``."""
    known = {parameter: getattr(wanted, option) for option, parameter in _ANSWERS.items()}
    known = {parameter: value for parameter, value in known.items() if value not in (None, "")}
    limits, fusion = pipeline.limits, pipeline.fusion
    return dataclasses.asdict(recorded or RewardParams()) | {
        "adapters": "", "dtype": DTYPE, **known,
        "backend": "openai" if wanted.server else "local", "server_urls": list(wanted.server or ()),
        "model": (wanted.model or [""])[0], "goal_image": str(wanted.goal or ""),
        "fusion_form": fusion.form, "fusion_weights": [fusion.weights[head] for head in MODEL_HEADS],
        "min_confidence": pipeline.min_confidence, "camera_min_detail": limits.min_detail,
        "camera_max_changed": limits.max_changed, "camera_noise": limits.noise,
    }  # fmt: skip


def merged_facts(
    facts: Mapping[str, str], node: Mapping[str, Any], fingerprints: Mapping[str, Collection[str]], source: str
) -> dict[str, str]:
    """The facts of a bag whose rewards were replaced: whoever asks for their model is told the new one.

    Args:
        facts: of the bag that was replayed.
        node: parameters of a node that gives the new rewards; empty: no node can.
        fingerprints: head -> fingerprints of the new rewards.
        source: what was replayed.
    """
    nodes = json.loads(facts.get("parameters", "{}"))
    names = [name for name in sorted(nodes) if name.rpartition("/")[2] == REWARD.name] or [f"/{REWARD.name}"]
    nodes = {name: values for name, values in nodes.items() if name not in names} | ({names[0]: node} if node else {})
    told = {head: sorted(found) for head, found in sorted(fingerprints.items())}
    new = {"parameters": json.dumps(nodes), "reward_fingerprints": json.dumps(told), "rewards_replayed_from": source}
    return {**facts, **new}


def options_as_recorded(options: ReplayOptions, recorded: RewardParams | None) -> ReplayOptions:
    """Cameras, quorum and query rate of the node, where the command does not say."""
    if recorded is None:
        return options
    return replace(
        options,
        topics=options.topics or tuple(recorded.cameras),
        quorum=options.quorum or recorded.camera_quorum,
        query_rate_hz=options.query_rate_hz or recorded.query_rate_hz,
        task_without_policy=options.task or recorded.task,
    )
