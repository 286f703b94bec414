"""The teleoperation node: LeRobot's leader, moved by a person, proposes where the arm goes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import load_robot
from lrm_core.ros import qos, trajectories
from lrm_core.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_robot_driver.arm_loop import ReadingLoop
from lrm_robot_driver.connection import Connection, State
from lrm_robot_driver.device import DeviceThread
from lrm_robot_driver.following import Following
from lrm_robot_driver.leader import LeRobotLeader
from lrm_robot_driver.params import TeleopParams
from lrm_robot_driver.ros.arm_watch import PROPOSALS, ArmWatch
from lrm_robot_driver.turn import Turn


class TeleopNode(LrmLifecycleNode[TeleopParams]):
    """A person's commands meet the safety stage, as a policy's do: it alone limits them.

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
        self._used_ns = self._proposed = 0
        self._pause, self._to_go = "not active", ""
        self._leader = ReadingLoop(LeRobotLeader(robot), 1.0 / params.leader_rate_hz, self.now_ns)
        self._proposals = self.create_lifecycle_publisher(JointTrajectory, PROPOSALS, qos.proposal())
        self._watch = ArmWatch(self, robot, self._turn, params.joint_state_timeout_s)
        self._diagnostics = Diagnostics(self, params.robot)
        self._diagnostics.add("leader", self._report)
        self._leader.open()

    def activate_node(self) -> None:
        """Read the leader and propose. A leader that was given up is tried again."""
        self._connection.retry()
        self._thread = DeviceThread("leader", self._leader, self._connection, self.say)
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
        if "_watch" in self.__dict__:
            self.__dict__.pop("_watch").destroy()
        if "_leader" in self.__dict__:
            self.__dict__.pop("_leader").close()
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()
        if "_proposals" in self.__dict__:
            self.destroy_publisher(self.__dict__.pop("_proposals"))

    def _tick(self) -> None:
        newest, pause = self._leader.newest, self._reason_to_pause(time.monotonic())
        if pause or self._watch.held:
            self._following.restart()
        if pause != self._pause and pause:
            self.get_logger().warning(f"nothing is proposed: {pause}")
        self._pause = pause
        if pause or newest is None or newest[1] <= self._used_ns:
            return
        self._propose(*newest)

    def _propose(self, leader: np.ndarray, stamp_ns: int) -> None:
        here, was_close = self._watch.here, self._following.close
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

    def _reason_to_pause(self, now_s: float) -> str:
        """Why nothing may be proposed now; empty: it may."""
        link, timeout_s = self._connection, self.params.leader_timeout_s
        if link.state is not State.CONNECTED:
            return f"the leader is away: {link.text}"
        newest = self._leader.newest
        if newest is None or self.now_ns() - newest[1] > timeout_s * 1e9:
            detail = f" ({link.reason})" if link.reason else ""
            return f"the leader has not answered for {timeout_s:g} s{detail}"
        return self._watch.silence(now_s) or self._not_our_turn(now_s)

    def _not_our_turn(self, now_s: float) -> str:
        if self._turn.other(now_s):
            self._following.forget()
            return "somebody else leads the arm"
        able = self._watch.could_lead()
        return f"{able} may lead the arm: end it first" if able else ""

    def _report(self) -> Report:
        link = self._connection
        report = Report(OK, f"approaching: {self._to_go}" if self._to_go else "the arm follows the leader")
        report.values = {"state": link.state.value, "errors": link.errors, "losses": link.losses}
        report.values |= {"proposed": self._proposed, "close": self._following.close}
        if self._pause:
            report.raise_to(WARN if link.state is State.CONNECTED else ERROR, self._pause)
        elif self._watch.held:
            report.raise_to(WARN, f"the safety stage holds the arm: {self._watch.reason}")
        return report


def main() -> int:
    """Entry point of ``lrm_teleop``."""
    return run(TeleopNode)


if __name__ == "__main__":
    raise SystemExit(main())
