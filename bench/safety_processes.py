"""How soon the arm stands after something is lost, and how even the stage's loop is: real processes, real DDS, kill -9.

python -m bench.safety_processes ROLE ROBOT RATE    # one process of it: arm, policy, camera or heartbeat
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.robot import RobotContract, load_robot, robot_path

ROOT = Path(__file__).resolve().parents[1]
SAFETY = "lrm_policy_node.safety.ros.node"
RATE_HZ, LOOP_HZ = 100.0, 500.0
TIMEOUT_S = 0.03
SWING_RAD, SWING_HZ = 0.1, 0.8
MOVED_RAD = 1e-5
LOST = {"policy": "policy", "camera": "camera", "joint_states": "arm", "emergency_stop_heartbeat": "heartbeat"}
"""What is lost -> the process that is killed for it."""
LATENCY_PARAMETERS = {
    "control_rate_hz": RATE_HZ, "command_timeout_s": TIMEOUT_S, "commander_timeout_s": TIMEOUT_S,
    "joint_state_timeout_s": TIMEOUT_S, "observation_topics": "[front/camera_info]", "observation_timeout_s": TIMEOUT_S,
    "emergency_stop_timeout_s": TIMEOUT_S,
}  # fmt: skip
HEARTBEAT_S = 0.08
"""Time-out of the emergency stop's heartbeat where all others are those of the robot's file."""
AT_THEIR_RATE = 1.2
"""A stream comes so much more often than its contract asks for."""


def rates_of(robot: RobotContract) -> dict[str, float]:
    """Hz of every role around ``robot``: streams a little faster than its file asks for, a policy at 10 Hz."""
    camera_hz = AT_THEIR_RATE * robot.camera("front").min_rate_hz
    arm_hz = AT_THEIR_RATE * robot.state.min_rate_hz
    return {"policy": 10.0, "arm": arm_hz, "camera": camera_hz, "heartbeat": 2.0 / HEARTBEAT_S}


def write_robot(name: str, folder: Path) -> Path:
    """The file of a shipped robot as far as time-outs and limits go.

    With the gripper in the arm's command, for GripperCommand may not be installed; without the box, for what the box
    holds already cannot be seen to stop (the fuzz has boxes).
    """
    text = robot_path(name).read_text(encoding="utf-8").replace("kind: gripper_action", "kind: in_command")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("workspace_")]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def role(name: str, robot_name: str, rate_hz: float) -> None:
    """One process: publishes its topic at ``rate_hz`` until it is killed."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import CameraInfo, JointState
    from std_msgs.msg import Bool
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    from lrm_core.ros import qos

    rclpy.init()
    node = rclpy.create_node(name)
    robot = load_robot(robot_name)
    joints, home = list(robot.joint_names), robot.home.tolist()
    here = list(home)

    def joint_states(publish: Callable[[Any], None]) -> None:
        message = JointState(name=joints, position=robot.to_wire(np.array(here)).tolist())
        message.header.stamp = node.get_clock().now().to_msg()
        publish(message)

    def command(publish: Callable[[Any], None]) -> None:
        pan = home[0] + SWING_RAD * math.sin(2.0 * math.pi * SWING_HZ * time.monotonic())
        message = JointTrajectory(joint_names=joints, points=[JointTrajectoryPoint(positions=[pan, *home[1:]])])
        message.header.stamp = node.get_clock().now().to_msg()
        publish(message)

    def picture(publish: Callable[[Any], None]) -> None:
        message = CameraInfo()
        message.header.stamp = node.get_clock().now().to_msg()
        publish(message)

    kinds: dict[str, tuple[type, str, Any, Any]] = {
        "arm": (JointState, robot.state.topic, qos.JOINT_STATES, joint_states),
        "policy": (JointTrajectory, "proposed_command", qos.proposal(), command),
        "camera": (CameraInfo, "front/camera_info", qos.CAMERA, picture),
        "heartbeat": (Bool, "emergency_stop", qos.STOP, lambda publish: publish(Bool(data=False))),
    }
    kind, topic, profile, tick = kinds[name]
    publisher = node.create_publisher(kind, topic, profile)
    if name == "arm":
        follow = lambda message: here.__setitem__(slice(None), message.points[0].positions)  # noqa: E731
        node.create_subscription(JointTrajectory, "command", follow, qos.COMMAND)
    node.create_timer(1.0 / rate_hz, lambda: tick(publisher.publish))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


class Graph:
    """The safety stage, what it needs, and a node that watches.

    Args:
        robot: name or file of the robot.
        rates_hz: role -> how often it publishes.
        parameters: of the safety stage.
    """

    def __init__(self, robot: str, rates_hz: Mapping[str, float], parameters: Mapping[str, object]) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from trajectory_msgs.msg import JointTrajectory

        from lrm_core.ros import qos
        from lrm_msgs.msg import SafetyStatus

        self._robot, self._rates_hz = load_robot(robot), rates_hz
        self._home = tempfile.TemporaryDirectory()  # a stop that was latched here is nobody else's
        self._logs = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the processes
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        arguments = ["--ros-args", "-p", "autostart:=true", "--log-level", "error"]
        for name, value in {"robot": robot, **parameters}.items():
            arguments += ["-p", f"{name}:={value}"]
        self._start("safety", ["-m", SAFETY, *arguments])
        for name in ("arm", "camera", "heartbeat", "policy"):
            self.start(name)
        self.commands: list[tuple[float, tuple[float, ...]]] = []
        self.held_s = 0.0
        self.status = SafetyStatus(state=SafetyStatus.HOLDING)
        self.diagnostics: dict[str, str] = {}
        rclpy.init()
        self._node, self._executor = rclpy.create_node("watcher"), SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._node.create_subscription(JointTrajectory, "command", self._on_command, qos.COMMAND)
        self._node.create_subscription(SafetyStatus, "safety_status", self._on_status, qos.STATUS)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def start(self, name: str) -> None:
        """Start a role, or start it again."""
        arguments = [name, str(self._robot.path), str(self._rates_hz[name])]
        self._start(name, ["-m", "bench.safety_processes", *arguments])

    def fast(self) -> bool:
        """The swing is in its middle, where there is a motion to stop."""
        here = self.commands[-1][1][0] if len(self.commands) > 1 else math.inf
        return abs(here - float(self._robot.home[0])) < 0.3 * SWING_RAD

    def kill(self, name: str) -> None:
        """End a process at once, as ``kill -9`` does."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        """Spin until ``done``; False when it is not by the deadline."""
        end_s = time.monotonic() + deadline_s
        while not done():
            if time.monotonic() > end_s:
                return False
            self._executor.spin_once(timeout_sec=0.005)
        return True

    def clear(self) -> None:
        """Clear the emergency stop."""
        from std_srvs.srv import Trigger

        client = self._node.create_client(Trigger, "clear_emergency_stop")
        client.wait_for_service(timeout_sec=10.0)
        answer = client.call_async(Trigger.Request())
        self.until(answer.done, 5.0)
        self._node.destroy_client(client)

    def close(self) -> None:
        """End every process."""
        import rclpy

        for name in list(self._processes):
            self.kill(name)
        self._home.cleanup()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown()

    def _start(self, name: str, arguments: list[str]) -> None:
        command = [sys.executable, *arguments]
        environment = os.environ | {"ROS_HOME": self._home.name}
        self._processes[name] = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self._logs, stderr=self._logs
        )

    def _on_command(self, message: Any) -> None:
        self.commands.append((time.monotonic(), tuple(message.points[0].positions)))

    def _on_status(self, message: Any) -> None:
        from lrm_msgs.msg import SafetyStatus

        if message.state == SafetyStatus.HOLDING != self.status.state:
            self.held_s = time.monotonic()
        self.status = message

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name == "safety: commands":
                self.diagnostics = {pair.key: pair.value for pair in status.values}


def short_timeouts() -> Graph:
    """The simulated arm at 100 Hz, with time-outs as short as that allows."""
    return Graph("sim_arm", dict.fromkeys(LOST.values(), RATE_HZ), LATENCY_PARAMETERS)


def as_shipped(name: str, folder: Path) -> Graph:
    """A real arm's file with the parameters as shipped, and a heartbeat of the emergency stop."""
    path = write_robot(name, folder)
    return Graph(str(path), rates_of(load_robot(str(path))), {"emergency_stop_timeout_s": HEARTBEAT_S})


def stop_latencies(graph: Graph, trials: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds from the loss until the stage holds, and until the commands stand still, by what was lost."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOST}
    try:
        for _ in range(trials):
            for name, process in LOST.items():
                _wait_for_motion(graph)
                found[name].append(_lose(graph, process))
                graph.start(process)
    finally:
        graph.close()
    return found


def _wait_for_motion(graph: Graph) -> None:
    """Until commands have passed for a second; clears the emergency stop on the way."""
    from lrm_msgs.msg import SafetyStatus

    end_s = time.monotonic() + 60.0
    while time.monotonic() < end_s:
        if "emergency stop" in graph.status.reason:
            graph.clear()
        start_s = time.monotonic()
        held = lambda: graph.status.state == SafetyStatus.HOLDING  # noqa: E731
        swings = lambda: any(at_s > time.monotonic() - 0.1 for at_s, _ in graph.commands[-1:])  # noqa: E731
        if not graph.until(held, 1.0) and swings():
            return
        graph.until(lambda start_s=start_s: time.monotonic() > start_s + 0.3, 1.0)  # type: ignore[misc]
    raise TimeoutError(f"the arm does not move: {graph.status.reason}")


def _lose(graph: Graph, process: str) -> tuple[float, float]:
    """Kill ``process`` in mid-motion. A stage that holds by then, for a message was late, has stopped after 0 s."""
    from lrm_msgs.msg import SafetyStatus

    graph.until(lambda: graph.fast() and graph.status.state != SafetyStatus.HOLDING, 5.0)
    lost_s = time.monotonic()
    graph.kill(process)
    graph.until(lambda: time.monotonic() > lost_s + 1.0, 2.0)
    pairs = zip(graph.commands, graph.commands[1:], strict=False)
    moved = [
        at_s
        for (_, before), (at_s, after) in pairs
        if max(abs(a - b) for a, b in zip(before, after, strict=True)) > MOVED_RAD
    ]
    held_s = max(0.0, graph.held_s - lost_s) if graph.status.state == SafetyStatus.HOLDING else math.inf
    return held_s, max(0.0, moved[-1] - lost_s)


def loop_jitter(seconds: float) -> dict[str, float]:
    """Percentiles of the loop's unevenness at 500 Hz, ms, as the stage itself reports them, and the machine's load."""
    graph = Graph("sim_arm", dict.fromkeys(LOST.values(), LOOP_HZ), {"control_rate_hz": LOOP_HZ})
    try:
        graph.until(lambda: "loop_jitter_p99_ms" in graph.diagnostics and len(graph.commands) > 100, 60.0)
        start_s, sent = time.monotonic(), len(graph.commands)
        graph.until(lambda: time.monotonic() > start_s + seconds, seconds + 1.0)
        rate_hz = (len(graph.commands) - sent) / (time.monotonic() - start_s)
        figures = {name: float(graph.diagnostics[name]) for name in ("loop_jitter_p50_ms", "loop_jitter_p99_ms")}
        return figures | {"commands_per_s": rate_hz, "load_1min": os.getloadavg()[0]}
    finally:
        graph.close()


if __name__ == "__main__":
    role(sys.argv[1], sys.argv[2], float(sys.argv[3]))
