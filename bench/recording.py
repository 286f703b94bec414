"""Does the recorder lose messages? Two cameras of 640x480 at 30 Hz and joints at 100 Hz, from a process of their own,
beside the running loop in real time, all on real DDS; what was published is compared with what is in the bag.

python -m bench.recording --seconds 30
python -m bench.recording --seconds 30 --no-loop --json out/recording.json
python -m bench.recording cameras FOLDER SECONDS    # the publishing process, started by the program itself
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.program import end, options, write_json

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "bench"
CAMERAS = ("front", "wrist")
WIDTH, HEIGHT, RATE_HZ = 640, 480, 30.0
JOINTS_PER_FRAME = 3
NOISE_LEVELS = 3.0
"""Standard deviation of the sensor noise: it is what makes pictures of a real camera hard to compress."""
PUBLISHED, MATCH_S = "published.json", 60.0


def publish(folder: Path, seconds: float) -> None:
    """The robot of the measurement: one episode, and every stamp it sent in ``folder``."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    from lrm_core.ros import qos
    from lrm_msgs.msg import EpisodeStatus

    rclpy.init()
    node = rclpy.create_node("robot", namespace=NAMESPACE)
    status = node.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
    joints = node.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
    cameras = {name: node.create_publisher(Image, f"{name}/image_raw", qos.CAMERA) for name in CAMERAS}
    until = time.monotonic() + MATCH_S
    while not all(one.get_subscription_count() for one in (status, joints, *cameras.values())):
        if time.monotonic() > until:
            raise SystemExit("the recorder does not listen")
        rclpy.spin_once(node, timeout_sec=0.05)
    status.publish(EpisodeStatus(state=EpisodeStatus.RUNNING, episode_id="bench", task="none", seed=-1))
    frames = {name: _frames(seed) for seed, name in enumerate(CAMERAS)}
    sent: dict[str, list[int]] = {name: [] for name in (*(f"{c}/image_raw" for c in CAMERAS), "joint_states")}
    start_s, late_s = time.monotonic(), 0.0
    for index in range(round(seconds * RATE_HZ)):
        due_s = start_s + index / RATE_HZ
        time.sleep(max(0.0, due_s - time.monotonic()))
        late_s = max(late_s, time.monotonic() - due_s)
        for name, publisher in cameras.items():
            sent[f"{name}/image_raw"].append(_send(publisher, frames[name][index % len(frames[name])]))
        for _ in range(JOINTS_PER_FRAME):
            sent["joint_states"].append(_send(joints, _joints()))
    status.publish(EpisodeStatus(state=EpisodeStatus.ENDED, episode_id="bench", termination_reason="max_steps"))
    report = {"sent": sent, "took_s": time.monotonic() - start_s, "late_s": late_s}
    (folder / PUBLISHED).write_text(json.dumps(report))
    while not (folder / "bags" / "bench").is_dir():  # a publisher that leaves takes its unsent messages along
        rclpy.spin_once(node, timeout_sec=0.1)


def _frames(seed: int) -> list[bytearray]:
    """Serialized pictures with sensor noise, of which no two are alike; publishing them costs no conversion."""
    import array

    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    rng = np.random.default_rng(seed)
    across = np.linspace(0.0, 200.0, WIDTH)[None, :, None] + np.linspace(0.0, 40.0, HEIGHT)[:, None, None]
    found = []
    for _ in range(8):
        pixels = np.clip(across + rng.normal(0.0, NOISE_LEVELS, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
        message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        message.header.frame_id = "camera"
        message.data = array.array("B", pixels.tobytes())
        found.append(bytearray(serialize_message(message)))
    return found


def _joints() -> bytearray:
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import JointState

    return bytearray(serialize_message(JointState(name=["a"] * 6, position=[0.0] * 6)))


def _send(publisher: Any, data: bytearray) -> int:
    """Publish with the stamp of now; returns it, nanoseconds."""
    now_ns = time.time_ns()
    struct.pack_into("<iI", data, 4, now_ns // 1_000_000_000, now_ns % 1_000_000_000)
    publisher.publish(bytes(data))
    return now_ns


@contextmanager
def running_loop(folder: Path, env: dict[str, str], domain_id: int) -> Iterator[list[str]]:
    """The simulated robot in real time with its whole graph, evaluating until the block ends; yields episode ids."""
    from lrm_bringup.demo.collector import Collector
    from lrm_bringup.graph import Deployment, processes
    from lrm_bringup.processes import Supervisor
    from lrm_bringup.ros.driver import Driver
    from lrm_bringup.start import process_specs

    parameters = {"autostart": True, "use_sim_time": False, "lockstep": False, "camera_noise": False}
    own = {"reward": {"state_dir": str(folder / "state")}, "learner": {"folder": str(folder / "learner")}}
    nodes = processes("sim")
    specs = process_specs(nodes, Deployment(parameters=parameters, own=own), folder / "logs", env)
    over, episodes = threading.Event(), list[str]()
    with Supervisor(specs) as supervisor:
        driver = Driver(Collector(lambda entry: None), domain_id)
        try:
            until = time.monotonic() + 240.0
            while not all(driver.heard_from(node.name, 0.0) for node in nodes):
                supervisor.check()
                if time.monotonic() > until:
                    raise SystemExit(f"the loop does not start; see {folder / 'logs'}")
                time.sleep(0.1)

            def evaluate() -> None:
                task = "put the red cube in the blue bowl"
                episodes.extend(driver.run_goal(False, 0, 10_000, task, over.is_set, lambda: False).episode_ids)

            thread = threading.Thread(target=evaluate)
            thread.start()
            try:
                yield episodes
            finally:
                over.set()
                thread.join()
        finally:
            driver.close()


def measure(seconds: float, loop: bool, parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One measurement in a fresh DDS domain, below ``folder``."""
    from lrm_bringup.environment import DomainClaim, run_environment
    from lrm_bringup.graph import RECORDER, Deployment
    from lrm_bringup.processes import Supervisor
    from lrm_bringup.start import process_specs

    claim = DomainClaim()
    env = run_environment(claim.domain_id)
    own = {"recorder": {"out_dir": str(folder / "bags"), "topics": ["/*"], **parameters}}
    deployment = Deployment(namespace=NAMESPACE, parameters={"autostart": True}, own=own)
    with ExitStack() as stack:
        stack.callback(claim.release)
        episodes = stack.enter_context(running_loop(folder, env, claim.domain_id)) if loop else []
        specs = process_specs([RECORDER], deployment, folder / "logs", env)
        supervisor = stack.enter_context(Supervisor(specs))
        command = [sys.executable, "-m", "bench.recording", "cameras", str(folder), str(seconds)]
        robot = subprocess.Popen(command, cwd=ROOT, env=env)
        stack.callback(robot.kill)
        used, peak = _watch(robot, supervisor, seconds)
    return _result(folder, used, peak, len(episodes))


def _watch(robot: subprocess.Popen[bytes], supervisor: Any, seconds: float) -> tuple[float, int]:
    """Cores that the recorder used, and the most memory it took, bytes."""
    until = time.monotonic() + MATCH_S + 3.0 * seconds + 30.0
    while (pid := supervisor.pid("recorder")) is None:
        time.sleep(0.05)
    recorder, peak, start_s = psutil.Process(pid), 0, time.monotonic()
    while robot.poll() is None and time.monotonic() < until:
        supervisor.check()
        peak = max(peak, recorder.memory_info().rss)
        time.sleep(0.1)
    if robot.poll() != 0:
        raise SystemExit("the publishing process did not come to its end")
    times = recorder.cpu_times()
    return (times.user + times.system) / (time.monotonic() - start_s), peak


def _result(folder: Path, cores: float, peak_bytes: int, episodes: int) -> dict[str, Any]:
    from lrm_bringup.bags.bag import RecordedBag
    from lrm_bringup.recorder.events import header_ns

    published = json.loads((folder / PUBLISHED).read_text())
    bag = RecordedBag(folder / "bags" / "bench")
    found: dict[str, set[int]] = {}
    for message in bag.messages([topic for topic in bag.topics if topic.name.startswith(f"/{NAMESPACE}/")]):
        found.setdefault(message.topic.name, set()).add(header_ns(message.data))
    topics = {}
    for name, stamps in published["sent"].items():
        full = f"/{NAMESPACE}/{name}"
        lost = set(stamps) - (found.get(full, set()) | found.get(f"{full}/compressed", set()))
        topics[name] = {"published": len(stamps), "lost": len(lost)}
    counters: dict[str, int] = {}
    for _, diagnostics in bag.decoded([topic for topic in bag.topics if topic.name == "/diagnostics"]):
        for status in (status for status in diagnostics.status if "recorder: recording" in status.name):
            counters = {v.key: int(v.value) for v in status.values if v.key in ("dropped", "lost")}
    size = sum(path.stat().st_size for path in bag.path.iterdir())
    return {
        "topics": topics, "lost": sum(topic["lost"] for topic in topics.values()), "recorder_counted": counters,
        "published_hz": round(topics["joint_states"]["published"] / JOINTS_PER_FRAME / published["took_s"], 2),
        "publisher_late_s": round(published["late_s"], 4), "recorder_cores": round(cores, 3),
        "recorder_peak_mb": round(peak_bytes / 1e6, 1), "bag_mb": round(size / 1e6, 1),
        "loop_episodes": episodes, "loop_messages": sum(n for t, n in bag.counts.items() if NAMESPACE not in t.name),
        "faults": [str(fault) for fault in bag.faults],
    }  # fmt: skip


def main() -> int:
    """Measure, print, and end with 1 when a message was lost."""
    if sys.argv[1:2] == ["cameras"]:
        publish(Path(sys.argv[2]), float(sys.argv[3]))
        return 0
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the recorded episode")
    parser.add_argument("--loop", action=argparse.BooleanOptionalAction, default=True, help="run the loop beside it")
    parser.add_argument("--image-compression", default="none", choices=("none", "jpeg", "png"))
    parser.add_argument("--compression", default="zstd", choices=("zstd", "none"), help="of the bag's chunks")
    args = parser.parse_args()
    parameters = {"image_compression": args.image_compression, "compression": args.compression}
    with tempfile.TemporaryDirectory() as folder:
        result = {**vars(args), "json": None, **measure(args.seconds, args.loop, parameters, Path(folder))}
    print(json.dumps(result, indent=2))
    write_json(args.json, result)
    return int(result["lost"] > 0)


if __name__ == "__main__":
    end(main)
