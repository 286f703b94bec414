"""The driver node: LeRobot's arm and cameras behind the topics of a robot."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import load_robot
from lrm_core.ros import qos, robot_side, stamps, trajectories
from lrm_core.ros.diagnostics import ERROR, OK, WARN, Diagnostics, LatencyTask, Report, StreamTask
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.safety import Cause
from lrm_core.safety.heartbeat import Heartbeat
from lrm_robot_driver.arm import LeRobotArm
from lrm_robot_driver.arm_loop import ArmLoop
from lrm_robot_driver.commands import CommandGate, strangers
from lrm_robot_driver.connection import Connection, State
from lrm_robot_driver.device import DeviceThread
from lrm_robot_driver.params import DriverParams
from lrm_robot_driver.ros.eyes import CameraTopics
from lrm_robot_driver.ros.homing import Homing
from lrm_robot_driver.ros.publishers import publishers

TORQUE_OFF = "torque is off, for a person who moves the arm by hand (parameter torque)"


class DriverNode(LrmLifecycleNode[DriverParams]):
    """Joint states and images out; commands in, from the safety stage alone.

    The arm belongs to one thread, each camera to another; the executor only hands on. An arm that stops answering gets
    no more commands, is closed, and is opened again a bounded number of times; meanwhile there are no joint states, so
    the safety stage holds too. Without ``torque`` it reads and publishes alone.
    """

    params_class = DriverParams

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("driver", **node_arguments)

    def configure_node(self, params: DriverParams) -> None:
        """Connect to arm and cameras, check the calibration, open the topics."""
        robot = self._robot = load_robot(params.robot)
        self._gate = CommandGate(robot.limits, params.command_timeout_s, params.tracking_window_s)
        self._silence = Heartbeat(robot.command.topic, Cause.SILENCE, params.command_timeout_s, -np.inf)
        self._strangers = ""
        self._connection = Connection(params.failures, params.reconnect_attempts, params.reconnect_period_s)
        self._states = self.create_lifecycle_publisher(JointState, robot.state.topic, qos.JOINT_STATES)
        arm = LeRobotArm(robot, params.torque)
        self._arm = ArmLoop(arm, 1.0 / params.state_rate_hz, self.now_ns, self._on_state, params.torque)
        assert robot.lerobot is not None  # or LeRobotArm had refused it
        self._eyes = {name: CameraTopics(self, robot, name, params, self.say) for name in robot.lerobot.cameras}
        self._open_diagnostics(params)
        for eye in self._eyes.values():
            eye.open()
        self._arm.open()  # last: an arm under torque does not wait for a camera
        if not params.torque:
            self.get_logger().warning(TORQUE_OFF)
        topic = robot.command.topic
        self._commands = self.create_subscription(JointTrajectory, topic, self._on_command, qos.COMMAND)
        if robot.reset.kind == "service":
            self._homing = Homing(self, robot, params, lambda: self._arm.newest)

    def activate_node(self) -> None:
        """Read and publish; take commands. What was given up is tried again."""
        self._connection.retry()
        self._thread = DeviceThread("arm", self._arm, self._connection, self.say)
        self._thread.start()
        for eye in self._eyes.values():
            eye.start()

    def deactivate_node(self) -> None:
        """Take no more commands; the servos hold the last one."""
        if "_homing" in self.__dict__:
            self._homing.stop("the driver was deactivated")
        for eye in self.__dict__.get("_eyes", {}).values():
            eye.stop()
        if "_thread" in self.__dict__:
            self.__dict__.pop("_thread").stop()

    def cleanup_node(self) -> None:
        """Disconnect, torque as LeRobot leaves it, and close the topics."""
        self.deactivate_node()
        if "_homing" in self.__dict__:
            self.__dict__.pop("_homing").destroy()
        if "_commands" in self.__dict__:
            self.destroy_subscription(self.__dict__.pop("_commands"))
        if "_arm" in self.__dict__:
            self.__dict__.pop("_arm").close()
        for eye in self.__dict__.pop("_eyes", {}).values():
            eye.destroy()
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()
        if "_states" in self.__dict__:
            self.destroy_publisher(self.__dict__.pop("_states"))

    def _open_diagnostics(self, params: DriverParams) -> None:
        self._diagnostics = Diagnostics(self, params.robot)
        self._stream = StreamTask(self, 0.5 * params.state_rate_hz, self._robot.state.max_age_s)
        self._latency = LatencyTask(1.0 / params.state_rate_hz)
        self._diagnostics.add("arm", self._report)
        self._diagnostics.add("joint states", self._stream)
        self._diagnostics.add("reading", self._latency)
        for name, eye in self._eyes.items():
            self._diagnostics.add(f"{name} camera", eye.report)

    def _on_state(self, positions: np.ndarray, stamp_ns: int) -> None:
        """On the thread of the arm."""
        frame_id = f"{robot_side.frame_prefix(self)}{self._robot.base_frame}"
        message = JointState(header=Header(stamp=stamps.from_ns(stamp_ns), frame_id=frame_id))
        message.name, message.position = list(self._robot.joint_names), positions.tolist()
        self._states.publish(message)
        self._stream.tick(stamp_ns)
        self._latency.add((self.now_ns() - stamp_ns) / 1e9)

    def _on_command(self, message: JointTrajectory) -> None:
        if not self.active:
            return
        command, newest = trajectories.positions_of(message), self._arm.newest
        self._strangers = strangers(publishers(self, self._robot.command.topic), self._commander)
        if self._strangers:
            self._gate.refuse(Cause.MALFORMED, self._strangers)
        elif not self.params.torque:
            self._gate.refuse(Cause.INACTIVE, TORQUE_OFF)
        elif self._connection.state is not State.CONNECTED:
            self._gate.refuse(Cause.NO_JOINT_STATE, f"the arm is away: {self._connection.text}")
        elif self._gate.takes(command, newest[0] if newest else None, self.now_ns()):
            self._silence.heard_s = time.monotonic()
            self._arm.command(np.asarray(command.positions, dtype=np.float64))
        if self._gate.reason:
            self.get_logger().error(f"command refused: {self._gate.reason}", throttle_duration_sec=1.0)

    @property
    def _commander(self) -> str:
        return f"{self.get_namespace().rstrip('/')}/{self.params.commander}"

    def _report(self) -> Report:
        gate, link = self._gate, self._connection
        silence = self._silence.fault(time.monotonic())[1]
        does = f"holds: {silence}" if silence else "follows commands"
        report = Report(OK, does if self.params.torque else TORQUE_OFF)
        report.values = {"state": link.state.value, "errors": link.errors, "losses": link.losses}
        report.values |= {"accepted": gate.accepted}
        report.values |= {f"refused_{cause.label}": count for cause, count in gate.refused.items()}
        if gate.reason:
            report.raise_to(WARN, f"command refused: {gate.reason}")
        if self._strangers:
            report.raise_to(ERROR, self._strangers)
        if link.state is not State.CONNECTED:
            report.level, report.message = ERROR, link.text
        return report


def main() -> int:
    """Entry point of ``lrm_robot_driver``."""
    return run(DriverNode)


if __name__ == "__main__":
    raise SystemExit(main())
