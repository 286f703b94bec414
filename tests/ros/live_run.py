"""Episodes before a real reward node and a real recorder, over real DDS: what a replay has to give again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.parameter import Parameter

from lrm_bringup.recorder.ros.node import RecorderNode
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardModel
from reward_bench import PERIOD_NS, Bench, in_process, picture

STEPS = 25


def live_run(
    bench: Bench,
    out_dir: Path,
    episodes: Sequence[str],
    missing: int | None = None,
    load: Callable[[], RewardModel] = FakeRewardModel,
    **parameters: Any,
) -> list[Path]:
    """Play episodes before a reward node and a recorder; returns the bags.

    Args:
        bench: plays robot and policy.
        out_dir: folder of the bags.
        episodes: their names.
        missing: control step whose frames never come.
        load: loads what the reward node scores with.
        parameters: of the reward node.
    """
    recorder = RecorderNode(parameter_overrides=[Parameter("out_dir", value=str(out_dir))])
    bench.executor.add_node(recorder)
    try:
        assert recorder.start(), recorder.failure
        with in_process(bench, load, **parameters):
            listening = lambda: all(p.get_subscription_count() == 2 for p in bench.cameras.values())  # noqa: E731
            bench.until(listening, 20.0, "the recorder listens")
            bench.until(lambda: _nodes_asked(bench) >= 3, 30.0, "the recorder knows the parameters of all three nodes")
            for number, episode in enumerate(episodes):
                bench.start_ns += number * 100 * PERIOD_NS
                _episode(bench, episode, missing)
                bench.until(lambda name=episode: (out_dir / name).is_dir(), 20.0, "the bag")  # type: ignore[misc]
    finally:
        recorder.trigger_shutdown()
        bench.executor.remove_node(recorder)
        recorder.destroy_node()
    return [out_dir / name for name in episodes]


def _nodes_asked(bench: Bench) -> int:
    status = bench.diagnostics.get("recording")
    return int({value.key: value.value for value in status.values}["nodes_with_parameters"]) if status else 0


def _episode(bench: Bench, episode: str, missing: int | None) -> None:
    bench.status(EpisodeStatus.RESETTING, episode)
    for step in range(STEPS + 1):
        if step != missing:
            _show(bench, step)
        if step == 0:
            bench.status(EpisodeStatus.RUNNING, episode)
        if step % 10 == 0 and step != missing:
            bench.until(lambda step=step: len(bench.of(step, episode)) >= (4 if step else 2), 60.0, f"step {step}")  # type: ignore[misc]
    bench.status(EpisodeStatus.ENDING, episode, STEPS)
    bench.until(lambda: len(bench.of(STEPS, episode)) == 4, 60.0, "the last reward")
    bench.status(EpisodeStatus.ENDED, episode, STEPS, termination_reason="max_steps")


def _show(bench: Bench, step: int) -> None:
    """A picture that moves and brightens, another one for every camera."""
    for number, (camera, publisher) in enumerate(bench.cameras.items()):
        pixels = np.random.default_rng(number).integers(0, 156, (12, 16, 3), dtype=np.uint8) + np.uint8(4 * (step % 25))
        rgb = np.roll(np.kron(pixels, np.ones((8, 8, 1), np.uint8)), 2 * step, 1)
        publisher.publish(picture(rgb, bench.start_ns + step * PERIOD_NS, camera))
