"""A replay scores as the node did whose parameters are in the bag, unless the command says otherwise."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.replay.recorded import (
    DEFAULTS,
    as_recorded,
    filled,
    merged_facts,
    node_params,
    options_as_recorded,
    params_of,
)
from lrm_bringup.replay.run import ReplayOptions
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.params import RewardParams
from lrm_reward_node.pipeline import Fusion, RewardPipeline

TASK = "put the red cube in the blue bowl"


def recorded(**values: Any) -> RewardParams:
    """Parameters after their way through the facts of a bag."""
    nodes = {"/robot/reward": asdict(RewardParams(**values)) | {"use_sim_time": True}, "/robot/policy": {"x": 1}}
    found = params_of({"parameters": json.dumps(nodes)})
    assert found is not None
    return found


def arguments(**given: Any) -> argparse.Namespace:
    """What the parser of the command leaves when only ``given`` was said."""
    unsaid = {"model": [], "server": None, "goal": None, "adapters": "", "dtype": ""}
    return argparse.Namespace(**{**dict.fromkeys(DEFAULTS), **unsaid, **given})


def test_what_nobody_said_is_as_the_node_had_it() -> None:
    node = recorded(model="mine", adapters="mine/a", fusion_form="paper", contrastive_swap=True, dtype="bfloat16")
    found = filled(arguments(), node)
    assert (found.model, found.adapters, found.fusion, found.swap) == (["mine"], "mine/a", "paper", True)
    assert found.dtype == "bfloat16"


def test_what_the_command_says_holds_and_another_model_takes_no_adapters_from_the_bag() -> None:
    node = recorded(model="mine", adapters="mine/a", fusion_form="paper", contrastive_swap=True)
    found = filled(arguments(model=["other"], fusion="code", swap=False), node)
    assert (found.model, found.adapters, found.fusion, found.swap) == (["other"], "", "code", False)


def test_a_server_of_the_node_is_asked_again_and_takes_no_weights() -> None:
    node = recorded(backend="openai", server_urls=["http://gpu:8000"], dtype="bfloat16", readout="generate")
    found = filled(arguments(), node)
    assert (found.server, found.model, found.dtype, found.readout) == (["http://gpu:8000"], [], "", "generate")
    assert filled(arguments(model=["other"]), node).server is None


@pytest.mark.parametrize(
    ("before", "given"),
    [
        ({"model": "mine", "adapters": "mine/a", "min_confidence": 0.2}, {"model": ["other"], "fusion": "paper"}),
        ({"fusion_weights": [0.5, 0.25, 0.25]}, {"swap": True, "camera_check": False}),
        ({"backend": "openai", "server_urls": ["http://gpu:8000"]}, {"model": ["mine"], "dtype": "bfloat16"}),
        ({"model": "mine"}, {"server": ["http://gpu:8000"], "readout": "generate"}),
        ({}, {}),
    ],
)
def test_a_merged_bag_asks_the_model_that_gave_its_rewards(before: dict[str, Any], given: dict[str, Any]) -> None:
    node, said = recorded(**before), arguments(**given)
    wanted = filled(said, node)
    pipeline = RewardPipeline(FakeRewardModel(), limits=CameraLimits() if wanted.camera_check else NO_LIMITS)
    pipeline = as_recorded(replace(pipeline, fusion=Fusion(wanted.fusion)), said, node)
    facts = {"task": TASK, "parameters": json.dumps({"/left/reward": asdict(node), "/left/policy": {"x": 1}})}
    merged = merged_facts(facts, node_params(pipeline, wanted, node), {"progress": {"f"}}, "old bag")
    again = params_of(merged)
    assert again is not None
    found = filled(arguments(), again)
    answers = ("model", "server", "adapters", "readout", "fusion", "swap", "calibration", "quantization")
    assert {name: getattr(found, name) or None for name in answers} == {
        name: getattr(wanted, name) or None for name in answers
    }
    assert as_recorded(RewardPipeline(pipeline.model), arguments(), again) == pipeline
    assert json.loads(merged["parameters"]).keys() == {"/left/reward", "/left/policy"}
    assert merged["reward_fingerprints"] == '{"progress": ["f"]}'
    assert (merged["rewards_replayed_from"], merged["task"]) == ("old bag", TASK)
    assert params_of(merged_facts(facts, {}, {}, "old bag")) is None, "no node gives the rewards of a mode of its own"


def test_a_bag_without_parameters_leaves_the_defaults() -> None:
    assert params_of({}) is None
    assert params_of({"parameters": json.dumps({"/somebody": {"a": 1}})}) is None
    found = filled(arguments(), None)
    assert {name: getattr(found, name) for name in DEFAULTS} == DEFAULTS


@given(weights=st.tuples(*[st.floats(0.01, 1.0)] * 3), confidence=st.floats(0.0, 1.0), detail=st.floats(0.0, 255.0))
def test_fusion_confidence_and_camera_checks_of_the_node_reach_the_pipeline(
    weights: tuple[float, float, float], confidence: float, detail: float
) -> None:
    shares = [weight / sum(weights) for weight in weights]
    node = recorded(fusion_weights=shares, min_confidence=confidence, camera_min_detail=detail, camera_noise=False)
    pipeline = as_recorded(RewardPipeline(FakeRewardModel()), arguments(), node)
    assert [pipeline.fusion.weights[head] for head in MODEL_HEADS] == shares
    assert pipeline.min_confidence == confidence
    assert (pipeline.limits.min_detail, pipeline.limits.noise) == (detail, False)


def test_cameras_quorum_rate_and_the_task_of_a_graph_without_policy_come_from_the_node() -> None:
    node = recorded(cameras=["front", "wrist"], camera_quorum=1, query_rate_hz=2.0, task="do it")
    options = options_as_recorded(ReplayOptions(), node)
    assert (options.topics, options.quorum, options.query_rate_hz) == (("front", "wrist"), 1, 2.0)
    assert (options.task, options.task_without_policy) == ("", "do it"), "it must not replace the task of an episode"
    assert options_as_recorded(ReplayOptions(topics=("side",)), node).topics == ("side",)


@pytest.mark.parametrize("text", ["{", "[1]", '{"/reward": {"fusion_form": "sum"}}', '{"/reward": 3}'])
def test_parameters_that_cannot_be_used_are_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match="parameter"):
        params_of({"parameters": text})
