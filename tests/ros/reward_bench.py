"""A robot and a policy played around the reward node: frames, episode status, and every reward that comes back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from lrm_bringup.graph import yaml_value
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_core.ros import images, qos, stamps
from lrm_core.ros.lifecycle import run
from lrm_msgs.msg import EpisodeStatus, Reward, RewardNodeStatus
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.ros.node import RewardNode
from ros_testing import default_context, spin_until

PERIOD_NS = 100_000_000
K = 10
START_NS = 1_000_000_000_000
SIZE = (48, 64, 3)
ANY_PICTURE = {"camera_min_detail": 0.0, "camera_max_changed": 1.0, "camera_noise": False}
"""The frames of this bench are flat: without checks of the picture."""
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(sys.path)}
"""For a process of its own: the packages under test, as this test run imports them."""


def image(brightness: float, stamp_ns: int, camera: str = "front") -> Image:
    """A grey image; the fake model reads ``brightness`` (in [0, 1]) back."""
    return picture(np.full(SIZE, round(brightness * 255), np.uint8), stamp_ns, camera)


def picture(rgb: np.ndarray, stamp_ns: int, camera: str = "front") -> Image:
    """(H, W, 3) uint8 RGB as a message."""
    msg = images.ImageBridge().cv2_to_imgmsg(rgb, "rgb8")
    msg.header.stamp, msg.header.frame_id = stamps.from_ns(stamp_ns), f"{camera}_optical"
    return msg


class Bench:
    """Publishes what the test says; keeps what the reward node says."""

    def __init__(self, lockstep: bool = True, compressed: bool = False, cameras: Sequence[str] = ("front",)) -> None:
        self.start_ns = START_NS
        self.node = rclpy.create_node("bench")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        profile = qos.camera(lockstep)
        topic, kind = ("image_raw/compressed", CompressedImage) if compressed else ("image_raw", Image)
        self.cameras = {name: self.node.create_publisher(kind, f"{name}/{topic}", profile) for name in cameras}
        self.camera = self.cameras[cameras[0]]
        self.episodes = self.node.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
        self.rewards: list[Reward] = []
        self.by_camera: dict[str, list[Reward]] = {name: [] for name in cameras}
        self.statuses: list[RewardNodeStatus] = []
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        for head in RewardHead:
            self.node.create_subscription(Reward, f"reward/{head.value}", self.rewards.append, qos.REWARD)
            for name, heard in self.by_camera.items():
                self.node.create_subscription(Reward, f"reward/{name}/{head.value}", heard.append, qos.REWARD)
        self.node.create_subscription(RewardNodeStatus, "reward/status", self.statuses.append, qos.STATUS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.diagnostics |= {status.name.split(": ")[1]: status for status in msg.status}

    def until(self, predicate: Callable[[], object], deadline_s: float = 10.0, what: str = "condition") -> None:
        spin_until(self.executor, predicate, deadline_s, what)

    def connect(self) -> None:
        """Wait until the reward node listens and is heard."""
        publishers = [*self.cameras.values(), self.episodes]
        matched = lambda: all(publisher.get_subscription_count() for publisher in publishers)  # noqa: E731
        self.until(lambda: matched() and self.statuses, 20.0, "the reward node listens")

    def status(self, state: int, episode_id: str = "e1", step: int = 0, **fields: Any) -> None:
        """Publish an episode status at control step ``step``."""
        fields = {"task": "put the red cube in the blue bowl", "max_steps": 200, "call_interval": K, **fields}
        msg = EpisodeStatus(episode_id=episode_id, state=state, step=step, control_period_s=0.1)
        msg.header.stamp = stamps.from_ns(self.start_ns + step * PERIOD_NS)
        msg.start_stamp = stamps.from_ns(self.start_ns)
        if state in (EpisodeStatus.ENDING, EpisodeStatus.ENDED):
            msg.end_stamp = msg.header.stamp
        for name, value in fields.items():
            setattr(msg, name, value)
        self.episodes.publish(msg)

    def frame(self, step: int) -> None:
        """Publish the frame of control step ``step``; it brightens by 0.01 a step."""
        self.camera.publish(image(min(1.0, 0.1 + 0.01 * step), self.start_ns + step * PERIOD_NS))

    def of(self, step: int, episode_id: str = "e1", camera: str = "") -> dict[str, Reward]:
        """Newest reward of every head for the frame of ``step``: the verdict, or what one camera says."""
        wanted = self.start_ns + step * PERIOD_NS
        heard = self.by_camera[camera] if camera else self.rewards
        return {r.head: r for r in heard if stamps.to_ns(r.header.stamp) == wanted and r.episode_id == episode_id}

    def scored(self, step: int, heads: int = 4) -> bool:
        return len(self.of(step)) == heads

    def report(self, name: str) -> str:
        """Newest message in the diagnostics of ``name``."""
        status = self.diagnostics.get(name)
        return status.message if status else ""

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


class BrokenModel(FakeRewardModel):
    """Fails on frames of the given brightness and above."""

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        if any(query.current.mean() > 100 for query in queries):
            raise RuntimeError("out of memory")
        return super().score(queries)


@contextmanager
def in_process(
    bench: Bench, load: Callable[[], RewardModel] = FakeRewardModel, **parameters: Any
) -> Iterator[RewardNode]:
    """A real reward node in this process, configured and active, beside ``bench``."""
    overrides = {"lockstep": True, "state_dir": "", **ANY_PICTURE, **parameters}
    node = RewardNode(lambda _: load(), parameter_overrides=[Parameter(k, value=v) for k, v in overrides.items()])
    bench.executor.add_node(node)
    try:
        assert node.start(), node.failure
        bench.connect()
        yield node
    finally:
        node.trigger_shutdown()
        bench.executor.remove_node(node)
        node.destroy_node()


def process_command(state_dir: Path) -> list[object]:
    """The reward node with the fake model as a process of its own."""
    given = {"autostart": True, "lockstep": True, "state_dir": str(state_dir), **ANY_PICTURE}
    arguments = [word for name, value in given.items() for word in ("-p", f"{name}:={yaml_value(value)}")]
    return [sys.executable, Path(__file__), "--ros-args", *arguments]


if __name__ == "__main__":
    sys.exit(run(lambda: RewardNode(lambda _: FakeRewardModel())))


@contextmanager
def open_bench(**arguments: Any) -> Iterator[Bench]:
    """A bench in a context of its own, which leaves the graph at the end."""
    with default_context():
        bench = Bench(**arguments)
        yield bench
        bench.close()
