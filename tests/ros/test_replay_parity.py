"""Whatever backend scored live, the replay of its bag gives the same rewards: all of them, within 1e-3.

The reward node loads its model by its own parameters, the recorder writes them into the bag, and the command replays
the bag without being told anything.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live_run import live_run
from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.cli import main
from lrm_core.resources import model_path
from lrm_reward_node.params import RewardParams
from lrm_reward_node.ros.node import load_model
from reward_bench import open_bench
from reward_server import RewardServer, TinyModel

CAMERAS = ["front", "side"]
RECORDED = 2 + 3 * 4
"""The first query has no contrastive and no fused reward, the others all four."""


@functools.cache
def tiny() -> TinyModel:
    return TinyModel(model_path("lrm-tiny"))


@pytest.fixture
def server() -> Iterator[str]:
    server = RewardServer(tiny())
    yield server.url
    server.stop()


@pytest.fixture
def merged(tmp_path: Path) -> str:
    """The shipped checkpoint with its progress head merged into a copy of the base, as a server would take it."""
    folder = Path(shutil.copytree(model_path("lrm-tiny"), tmp_path / "copy"))
    assert main(["model", "merge", "progress", "--model", str(folder), "--out", str(tmp_path / "whole")]) == 0
    shutil.rmtree(folder / "progress")
    shutil.copytree(tmp_path / "whole", folder / "progress")
    return str(folder)


def check(tmp_path: Path, **parameters: Any) -> None:
    """A live run with these parameters, and its replay without options."""
    params = RewardParams(**parameters)
    cameras = params.cameras
    with open_bench(cameras=cameras) as bench:
        node = {"deadline_s": 30.0, **parameters}
        (bag,) = live_run(bench, tmp_path / "bags", ["a.0"], load=lambda: load_model(params), **node)
    said = json.loads(RecordedBag(bag).facts["parameters"])["/reward"]
    assert {name: said[name] for name in parameters} == parameters, "the recorder keeps what the node ran with"
    out = tmp_path / "out"
    assert main(["replay", str(bag), "--check", "--out", str(out)]) == 0
    (agreement,) = json.loads((out / "a.0" / "replay.json").read_text())["agreement"].values()
    assert (agreement["recorded"], agreement["share"]) == (RECORDED, 1.0), agreement
    assert "another model" not in agreement["text"]


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"readout": "logits"}, id="embedded logits"),
        pytest.param({"readout": "generate"}, id="embedded generate"),
        pytest.param({"contrastive_swap": True, "fusion_form": "paper"}, id="both orders, fused as in the paper"),
        pytest.param({"cameras": CAMERAS}, id="two cameras"),
    ],
)
def test_the_embedded_model(tmp_path: Path, parameters: dict[str, Any]) -> None:
    check(tmp_path, **parameters)


@pytest.mark.usefixtures("ros_domain_id")
def test_a_bag_with_merged_rewards_of_another_readout_is_checked_against_that_one(tmp_path: Path) -> None:
    with open_bench() as bench:
        params = RewardParams()
        (bag,) = live_run(bench, tmp_path / "bags", ["a.0"], load=lambda: load_model(params), deadline_s=30.0)
    words = ["replay", str(bag), "--merged", "--readout", "generate", "--fusion", "paper", "--out", str(tmp_path / "m")]
    assert main(words) == 0
    assert main(["replay", str(tmp_path / "m" / "a.0" / "a.0"), "--check"]) == 0


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_a_quantized_model(tmp_path: Path) -> None:
    check(tmp_path, quantization="int8")


@pytest.mark.usefixtures("ros_domain_id")
def test_a_head_that_is_a_whole_model(tmp_path: Path, merged: str) -> None:
    check(tmp_path, model=merged)


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.parametrize("readout", ["logits", "generate"])
def test_a_model_on_a_server(tmp_path: Path, server: str, readout: str) -> None:
    check(tmp_path, backend="openai", server_urls=[server], server_timeout_s=20.0, readout=readout)
