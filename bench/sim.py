"""Speed of the simulator: physics, frames, the environment, and lock-step through DDS with both cameras.

    python bench/sim.py            # a table
    python bench/sim.py --json     # the same for machines

The commander is a second process that sends every joint state back as a command; it subscribes to both cameras.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(folder) for folder in sorted((ROOT / "src").iterdir()) if (folder / folder.name).is_dir()]
sys.path[:0] = SOURCES
BAR_STEPS_PER_S = 30.0


def main() -> int:
    """Measure and print; 1 when lock-step misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    figures = measure_environment(args.steps) | {"lockstep_steps_per_s": measure_lockstep(args.steps)}
    if args.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:26} {value:8.2f}" for name, value in figures.items()))
    return 0 if figures["lockstep_steps_per_s"] >= BAR_STEPS_PER_S else 1


def measure_environment(steps: int) -> dict[str, float]:
    """Milliseconds per control step and per frame, and environment steps per second with both cameras."""
    from lrm_sim.env import HOME, PickPlaceEnv

    env = PickPlaceEnv()
    env.reset(seed=0)
    frame_ms = _mean_ms(lambda: env.cameras.render(env.data), steps) / 2
    step_ms = _mean_ms(lambda: env.step(HOME), steps)
    env.render_every = 0
    physics_ms = _mean_ms(lambda: env.step(HOME), steps)
    env.close()
    return {
        "frame_ms": frame_ms,
        "step_without_frames_ms": physics_ms,
        "step_with_frames_ms": step_ms,
        "env_steps_per_s": 1e3 / step_ms,
    }


def measure_lockstep(steps: int) -> float:
    """Control steps per second through DDS, both cameras, simulator and commander in processes of their own."""
    domain = str(60 + os.getpid() % 40)
    environment = os.environ | {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    environment["PYTHONPATH"] = os.pathsep.join(SOURCES)
    node = [sys.executable, "-m", "lrm_sim.ros.node", "--ros-args", "-p", "autostart:=true", "--log-level", "warn"]
    simulator = subprocess.Popen(node, env=environment)
    try:
        os.environ.update(environment)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply_async(command_lockstep, (steps,)).get(timeout=120)
    finally:
        simulator.terminate()
        simulator.wait(timeout=10)


def command_lockstep(steps: int) -> float:
    """Echo joint states as commands for ``steps`` control steps; returns steps per second."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image, JointState
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    from lrm_core.ros import qos

    rclpy.init()
    node = rclpy.create_node("echo")
    command = node.create_publisher(JointTrajectory, "command", qos.COMMAND)
    seen: dict[str, set[tuple[int, int]]] = {"front": set(), "wrist": set(), "joints": set()}

    def arrived(kind: str, message: Image | JointState) -> None:
        stamp = message.header.stamp
        seen[kind].add((stamp.sec, stamp.nanosec))
        if isinstance(message, JointState):
            joints.append(message)
        if joints and all((joints[-1].header.stamp.sec, joints[-1].header.stamp.nanosec) in s for s in seen.values()):
            point = JointTrajectoryPoint(positions=joints[-1].position)
            header = joints[-1].header
            command.publish(JointTrajectory(header=header, joint_names=joints[-1].name, points=[point]))

    joints: list[JointState] = []
    for camera in ("front", "wrist"):
        topic = f"{camera}/image_raw"
        node.create_subscription(Image, topic, lambda m, c=camera: arrived(c, m), qos.CAMERA_LOCKSTEP)
    node.create_subscription(JointState, "joint_states", lambda m: arrived("joints", m), qos.JOINT_STATES)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with contextlib.suppress(KeyboardInterrupt):
        _spin_until(executor, lambda: len(seen["joints"]) > 10)
        start_s, first = time.perf_counter(), len(seen["joints"])
        _spin_until(executor, lambda: len(seen["joints"]) >= first + steps)
    elapsed_s = time.perf_counter() - start_s
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    return steps / elapsed_s


def _spin_until(executor: object, done: Callable[[], bool], deadline_s: float = 60.0) -> None:
    end_s = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError(f"no progress within {deadline_s} s")
        executor.spin_once(timeout_sec=0.1)  # type: ignore[attr-defined]


def _mean_ms(call: Callable[[], object], times: int) -> float:
    call()
    start_s = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start_s) / times * 1e3


if __name__ == "__main__":
    raise SystemExit(main())
