"""The teleoperation node: LeRobot's leader, moved by a person, proposes where the arm goes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import load_robot
from lrm_core.ros import qos, stamps, trajectories
from lrm_core.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.safety import JointPositions
from lrm_core.safety.filter import in_order
from lrm_msgs.msg import SafetyStatus
from lrm_robot_driver.arm_loop import ReadingLoop
from lrm_robot_driver.connection import Connection, State
from lrm_robot_driver.device import DeviceThread
from lrm_robot_driver.following import Following
from lrm_robot_driver.leader import LeRobotLeader
from lrm_robot_driver.params import TeleopParams
from lrm_robot_driver.ros.publishers import publishers
from lrm_robot_driver.turn import Turn, others

PROPOSALS = "proposed_command"
_STATUS_S = 2.5
"""The safety stage says once a second what it does: this long without is silence."""


class TeleopNode(LrmLifecycleNode[TeleopParams]):
    """A person's commands meet the safety stage as a policy's do; nothing here limits or checks them for good.

    The leader belongs to one thread. The executor proposes its newest reading, once, with the stamp of the reading:
    a leader that is silent, stalls or says NaN proposes nothing, and the safety stage stops the arm. After every pause
    the arm comes slowly from where it is to where the leader is.
    """

    params_class = TeleopParams

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("teleop", **node_arguments)

    def configure_node(self, params: TeleopParams) -> None:
        """Connect to the leader, check its calibration, open the topics."""
        robot = self._robot = load_robot(params.robot)
        self._following = Following(robot, params.control_rate_hz, params.approach_speed, params.rejoin_window_s)
        self._turn = Turn(params.quiet_s)
        self._connection = Connection(params.failures, params.reconnect_attempts, params.reconnect_period_s)
        self._measured: JointPositions | None = None
        self._measured_s = self._status_s = -np.inf
        self._held, self._used_ns, self._proposed = True, 0, 0
        self._pause, self._to_go = "not active", ""
        self._leader = ReadingLoop(LeRobotLeader(robot), 1.0 / params.leader_rate_hz, self._now_ns)
        self._proposals = self.create_lifecycle_publisher(JointTrajectory, PROPOSALS, qos.COMMAND)
        self._heard = [
            self.create_subscription(JointState, robot.state.topic, self._on_joint_state, qos.JOINT_STATES),
            self.create_subscription(SafetyStatus, "safety_status", self._on_status, qos.STATUS),
            self.create_subscription(JointTrajectory, PROPOSALS, self._on_proposal, qos.COMMAND),
        ]
        self._diagnostics = Diagnostics(self, params.robot)
        self._diagnostics.add("leader", self._report)
        self._leader.open()

    def activate_node(self) -> None:
        """Read the leader and propose. A leader that was given up is tried again."""
        self._connection.retry()
        self._thread = DeviceThread("leader", self._leader, self._connection, self._say)
        self._thread.start()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1.0 / self.params.control_rate_hz, self._tick, clock=steady)

    def deactivate_node(self) -> None:
        """Propose nothing more: the safety stage stops the arm."""
        if "_timer" in self.__dict__:
            self.destroy_timer(self.__dict__.pop("_timer"))
        if "_thread" in self.__dict__:
            self.__dict__.pop("_thread").stop()
        if "_following" in self.__dict__:
            self._following.restart()
            self._pause = "not active"

    def cleanup_node(self) -> None:
        """Disconnect and close the topics."""
        self.deactivate_node()
        for subscription in self.__dict__.pop("_heard", []):
            self.destroy_subscription(subscription)
        if "_leader" in self.__dict__:
            self.__dict__.pop("_leader").close()
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()
        if "_proposals" in self.__dict__:
            self.destroy_publisher(self.__dict__.pop("_proposals"))

    def _on_joint_state(self, message: JointState) -> None:
        positions = self._robot.from_wire(message.name, message.position)
        self._measured = JointPositions(tuple(message.name), positions, stamps.to_ns(message.header.stamp))
        self._measured_s = time.monotonic()

    def _on_status(self, status: SafetyStatus) -> None:
        self._held, self._status_s = status.state == SafetyStatus.HOLDING, time.monotonic()

    def _on_proposal(self, message: JointTrajectory) -> None:
        self._turn.heard(stamps.to_ns(message.header.stamp), time.monotonic())

    def _tick(self) -> None:
        now_s, newest, here = time.monotonic(), self._leader.newest, self._here()
        pause = self._reason_to_pause(now_s, here)
        if pause or self._held:
            self._following.restart()
        if pause != self._pause and pause:
            self.get_logger().warning(f"nothing is proposed: {pause}")
        self._pause = pause
        if pause or newest is None or newest[1] <= self._used_ns:
            return
        self._propose(*newest, here)

    def _propose(self, leader: np.ndarray, stamp_ns: int, here: np.ndarray) -> None:
        was_close = self._following.close
        target = self._following.step(leader, here)
        self._used_ns = stamp_ns
        self._turn.proposes(stamp_ns)
        period_s = 1.0 / self.params.control_rate_hz
        self._proposals.publish(trajectories.command(self._robot.joint_names, target, stamp_ns, period_s))
        self._proposed += 1
        self._to_go = "" if self._following.close else self._following.to_go(leader, here)
        if self._to_go:
            self.get_logger().info(f"approaching: {self._to_go}", throttle_duration_sec=1.0)
        elif not was_close:
            self.get_logger().info("the arm is where the leader is, and follows it")

    def _reason_to_pause(self, now_s: float, here: np.ndarray) -> str:
        """Why nothing may be proposed now; empty: it may."""
        link, timeout_s = self._connection, self.params.leader_timeout_s
        if link.state is not State.CONNECTED:
            return f"the leader is away: {link.text}"
        newest = self._leader.newest
        if newest is None or self._now_ns() - newest[1] > timeout_s * 1e9:
            return f"the leader has not answered for {timeout_s:g} s{': ' * bool(link.reason)}{link.reason}"
        if now_s - self._measured_s > self.params.joint_state_timeout_s or not np.isfinite(here).all():
            return f"no joint states of all joints on {self._robot.state.topic}"
        if now_s - self._status_s > _STATUS_S:
            return "the safety stage says nothing (safety_status)"
        return self._not_our_turn(now_s)

    def _not_our_turn(self, now_s: float) -> str:
        if self._turn.other(now_s):
            self._following.forget()
            return "somebody else leads the arm"
        mine, namespace = self.get_fully_qualified_name(), self.get_namespace().rstrip("/")
        able = others(publishers(self, PROPOSALS), (mine, f"{namespace}/driver"))  # the driver proposes while it resets
        return f"{able} may lead the arm: end it first" if able else ""

    def _here(self) -> np.ndarray:
        """(J,) measured positions; NaN: unknown."""
        if self._measured is None:
            return np.full(len(self._robot.joints), np.nan)
        return in_order(self._measured, self._robot.joint_names)

    def _report(self) -> Report:
        link = self._connection
        report = Report(OK, f"approaching: {self._to_go}" if self._to_go else "the arm follows the leader")
        report.values = {"state": link.state.value, "errors": link.errors, "losses": link.losses}
        report.values |= {"proposed": self._proposed, "close": self._following.close}
        if self._pause:
            report.raise_to(WARN if link.state is State.CONNECTED else ERROR, self._pause)
        elif self._held:
            report.raise_to(WARN, f"the safety stage holds the arm; {report.message}")
        return report

    def _say(self, text: str, bad: bool) -> None:
        if bad:
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def main() -> int:
    """Entry point of ``lrm_teleop``."""
    return run(TeleopNode)


if __name__ == "__main__":
    raise SystemExit(main())
