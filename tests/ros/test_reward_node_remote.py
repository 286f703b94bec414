"""The reward node with its model on a server: parameters, refusal at configure, rewards, and a server that dies."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from lrm_core.resources import config_path, model_path
from lrm_core.rewards import RewardStatus
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.params import RewardParams
from lrm_reward_node.ros.node import RewardNode, load_model
from reward_bench import Bench, K, in_process, open_bench
from reward_server import RewardServer, TinyModel


@pytest.fixture
def bench(ros_domain_id: int) -> Iterator[Bench]:
    with open_bench() as bench:
        yield bench


@functools.cache
def tiny() -> TinyModel:
    return TinyModel(model_path("lrm-tiny"))


@pytest.fixture
def server() -> Iterator[RewardServer]:
    server = RewardServer(tiny())
    yield server
    if not server.dead:
        server.stop()


def test_rewards_come_from_the_server_and_are_unknown_while_it_is_away(bench: Bench, server: RewardServer) -> None:
    params = RewardParams(backend="openai", server_urls=[server.url], server_timeout_s=5.0, deadline_s=10.0)
    with in_process(bench, lambda: load_model(params), deadline_s=10.0):
        bench.status(EpisodeStatus.RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2), 30.0, "the reset frame is scored")
        assert {reward.status for reward in bench.of(0).values()} == {RewardStatus.OK}
        server.stop()
        bench.frame(K)
        bench.until(lambda: bench.scored(K), 30.0, "the next frame is answered")
        assert {reward.status for reward in bench.of(K).values()} == {RewardStatus.MODEL_ERROR}
        server.start()
        for step in range(2 * K, 20 * K, K):
            bench.frame(step)
            bench.until(lambda step=step: bench.scored(step), 30.0, "a frame after the return")  # type: ignore[misc]
            if {reward.status for reward in bench.of(step).values()} == {RewardStatus.OK}:
                return
            next_frame_s = time.monotonic() + 0.3
            bench.until(lambda at_s=next_frame_s: time.monotonic() > at_s)  # type: ignore[misc]
        pytest.fail("the server came back and is not used")


def test_configure_refuses_a_server_that_is_not_there(bench: Bench, server: RewardServer) -> None:
    server.stop()
    overrides = {"backend": "openai", "server_urls": [server.url], "state_dir": ""}
    node = RewardNode(load_model, parameter_overrides=[Parameter(k, value=v) for k, v in overrides.items()])
    try:
        assert not node.start()
        assert server.url in str(node.failure) and "vllm serve" in str(node.failure)
    finally:
        node.destroy_node()


def test_the_shipped_parameter_file_with_its_empty_list_of_servers_is_read(bench: Bench, tmp_path: Path) -> None:
    node = RewardNode(load_model, cli_args=["--ros-args", "--params-file", str(config_path("reward.yaml"))])
    try:
        assert yaml.safe_load(config_path("reward.yaml").read_text())["/**"]["ros__parameters"]["server_urls"] == []
        assert node.params.server_urls == [] and node.params.backend == "local"
    finally:
        node.destroy_node()
