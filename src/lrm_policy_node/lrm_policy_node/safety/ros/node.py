"""The safety node: ``proposed_command`` in, ``command`` out, nothing unsafe between them."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import qos, stamps
from lrm_core.ros.diagnostics import OK, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.safety import Decision, JointPositions, SafetyFilter, Verdict
from lrm_msgs.msg import SafetyStatus
from lrm_policy_node.robot import load_limits
from lrm_policy_node.safety.params import SafetyParams

_STATE = {Verdict.PASS: SafetyStatus.PASSING, Verdict.LIMIT: SafetyStatus.LIMITING}


class SafetyNode(LrmLifecycleNode[SafetyParams]):
    """Passes, limits or replaces every proposed command and holds the arm when they stop.

    Time is the node's clock. In lock-step it is the stamp of the newest joint state instead, and a command waits for
    the joint state it was computed from, so that the same inputs always give the same output; the watchdog then runs on
    a steady clock and only reports, because an arm whose time stands still needs no hold.
    """

    params_class = SafetyParams

    def __init__(self) -> None:
        super().__init__("safety")

    def configure_node(self, params: SafetyParams) -> None:
        """Read the limits and open the topics."""
        self._filter = SafetyFilter(
            load_limits(params.robot),
            control_period_s=1.0 / params.control_rate_hz,
            command_timeout_s=params.command_timeout_s,
            joint_state_timeout_s=params.joint_state_timeout_s,
        )
        self._measured: JointPositions | None = None
        self._pending: JointTrajectory | None = None
        self._last_command_s: float | None = None
        self._status = SafetyStatus(state=SafetyStatus.HOLDING, reason="no command yet")
        self._commands = self.create_lifecycle_publisher(JointTrajectory, "command", qos.COMMAND)
        self._statuses = self.create_lifecycle_publisher(SafetyStatus, "safety_status", qos.STATUS)
        self._subscriptions_open = [
            self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.JOINT_STATES),
            self.create_subscription(JointTrajectory, "proposed_command", self._on_command, qos.COMMAND),
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        watchdog_clock = steady if params.lockstep else self.get_clock()
        self._timers_open = [
            self.create_timer(params.command_timeout_s / 6.0, self._watch, clock=watchdog_clock),
            self.create_timer(1.0, self._publish_status, clock=steady),
        ]
        self._diagnostics = Diagnostics(self, params.robot)
        self._diagnostics.add("commands", self._report)

    def activate_node(self) -> None:
        """Say at once that the arm holds until a command comes."""
        self._pending = self._last_command_s = None
        self._report_state(SafetyStatus.HOLDING, "no command yet")
        self._publish_status()

    def deactivate_node(self) -> None:
        """Leave the arm holding."""
        self._hold("the safety stage was deactivated")

    def cleanup_node(self) -> None:
        """Close what is open."""
        for subscription in self.__dict__.pop("_subscriptions_open", []):
            self.destroy_subscription(subscription)
        for timer in self.__dict__.pop("_timers_open", []):
            self.destroy_timer(timer)
        for name in ("_commands", "_statuses"):
            if name in self.__dict__:
                self.destroy_publisher(self.__dict__.pop(name))
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()

    def _on_joint_state(self, message: JointState) -> None:
        self._measured = JointPositions(
            tuple(message.name), tuple(message.position), stamps.to_ns(message.header.stamp)
        )
        if self._pending is not None and not self._ahead(self._pending):
            command, self._pending = self._pending, None
            self._decide(command)

    def _on_command(self, command: JointTrajectory) -> None:
        if not self.active:
            return
        self._last_command_s = self._watch_s()
        if self.params.lockstep and self._ahead(command):
            self._pending = command
        else:
            self._decide(command)

    def _ahead(self, command: JointTrajectory) -> bool:
        """True when the joint state that ``command`` was computed from has not arrived here yet."""
        return self._measured is None or stamps.to_ns(command.header.stamp) > self._measured.stamp_ns

    def _decide(self, command: JointTrajectory) -> None:
        now_ns = self._now_ns()
        if len(command.points) != 1:
            decision = self._filter.hold(
                f"command has {len(command.points)} points: expected 1", now_ns, self._measured
            )
        else:
            positions = tuple(command.points[0].positions)
            wanted = JointPositions(tuple(command.joint_names), positions, stamps.to_ns(command.header.stamp))
            decision = self._filter.filter(wanted, self._measured, now_ns)
        self._count(decision.verdict)
        self._send(decision, command.header)
        self._report_state(_STATE.get(decision.verdict, SafetyStatus.HOLDING), decision.reason)

    def _watch(self) -> None:
        """Hold when the commands have stopped. Nothing is sent before the first command: nothing moves the arm then."""
        if not self.active or self._last_command_s is None:
            return
        silent_s = self._watch_s() - self._last_command_s
        if 0.0 <= silent_s <= self.params.command_timeout_s:
            return
        self._last_command_s = None
        reason = f"no command for {self.params.command_timeout_s} s"
        if self._pending is not None:
            reason = "the joint state that the command was computed from has not arrived"
        self._hold(reason)

    def _hold(self, reason: str) -> None:
        if not self.params.lockstep:
            stamp = self.get_clock().now().to_msg()
            self._send(self._filter.hold(reason, self._now_ns(), self._measured), Header(stamp=stamp))
        self._report_state(SafetyStatus.HOLDING, reason)

    def _send(self, decision: Decision, header: Header) -> None:
        if decision.positions is None:
            return
        point = JointTrajectoryPoint(positions=decision.positions.tolist())
        period_ns = round(1e9 / self.params.control_rate_hz)
        point.time_from_start.sec, point.time_from_start.nanosec = divmod(period_ns, 1_000_000_000)
        names = list(self._filter.limits.joint_names)
        self._commands.publish(JointTrajectory(header=header, joint_names=names, points=[point]))

    def _count(self, verdict: Verdict) -> None:
        name = {Verdict.PASS: "passed", Verdict.LIMIT: "limited"}.get(verdict, "rejected")
        setattr(self._status, name, getattr(self._status, name) + 1)

    def _report_state(self, state: int, reason: str) -> None:
        changed = state != self._status.state or (reason != self._status.reason and state == SafetyStatus.HOLDING)
        if changed and state == SafetyStatus.HOLDING:
            self.get_logger().warning(f"holding the arm: {reason}")
        self._status.state, self._status.reason = state, reason
        if changed:
            self._publish_status()

    def _publish_status(self) -> None:
        if self._statuses.is_activated:
            self._status.header.stamp = self.get_clock().now().to_msg()
            self._statuses.publish(self._status)

    def _report(self) -> Report:
        status = self._status
        values = {"passed": status.passed, "limited": status.limited, "rejected": status.rejected}
        return Report(OK if status.state != SafetyStatus.HOLDING else WARN, status.reason or "passing", values)

    def _now_ns(self) -> int:
        if self.params.lockstep:
            return self._measured.stamp_ns if self._measured else 0
        return int(self.get_clock().now().nanoseconds)

    def _watch_s(self) -> float:
        return time.monotonic() if self.params.lockstep else self.get_clock().now().nanoseconds / 1e9


def main() -> int:
    """Entry point of ``lrm_safety_node``."""
    return run(SafetyNode)


if __name__ == "__main__":
    raise SystemExit(main())
