"""The safety node: ``proposed_command`` in, ``command`` out, nothing unsafe between them."""

from __future__ import annotations

import math
import time
from collections import deque

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract, load_robot
from lrm_core.ros import qos, stamps, trajectories
from lrm_core.ros.diagnostics import OK, WARN, Diagnostics, LatencyTask, Report, StreamTask
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.safety import Cause, Decision, JointPositions, SafetyFilter, StageOptions, Verdict
from lrm_core.safety.heartbeat import NO_FAULT, Fault
from lrm_core.safety.watch import EmergencyStop
from lrm_msgs.msg import SafetyStatus
from lrm_policy_node.safety.latch import latch_file
from lrm_policy_node.safety.params import SafetyParams
from lrm_policy_node.safety.priority import priority, take_priority
from lrm_policy_node.safety.ros.commander import CommanderWatch
from lrm_policy_node.safety.ros.outputs import RobotOutputs
from lrm_policy_node.safety.ros.watches import Watches
from lrm_policy_node.safety.timeouts import Timeouts, look_s, reaction_text, timeouts_of
from lrm_policy_node.safety.workspace import load_box

STOP_S = 1.0
"""Longest time that deactivating waits for the arm to stand."""
_STATE = {Verdict.PASS: SafetyStatus.PASSING, Verdict.LIMIT: SafetyStatus.LIMITING}


class SafetyNode(LrmLifecycleNode[SafetyParams]):
    """Passes, limits or replaces every proposed command and stops the arm when something it needs is lost.

    Stamps are compared with the node's clock; intervals between commands are measured on a steady clock (simulated
    time: on the simulated one). In lock-step both are the stamp of the newest joint state, and a command waits for the
    joint state it was computed from, so that the same inputs always give the same output; silence is then only
    reported, because an arm whose time stands still needs no hold.
    """

    params_class = SafetyParams

    def __init__(self) -> None:
        super().__init__("safety")
        self._emergency: EmergencyStop | None = None  # outlives cleanup: only a person opens the latch

    def configure_node(self, params: SafetyParams) -> None:
        """Read the limits and open the topics."""
        self._robot = robot_of(params)
        file = latch_file(params, self._robot.name, self.get_namespace())
        self._emergency = EmergencyStop(params.emergency_stop_timeout_s, file, time.monotonic(), self._emergency)
        timeouts = timeouts_of(params, self._robot)
        self._filter = SafetyFilter(self._robot.limits, options_of(params, timeouts), load_box(self._robot))
        self._measured: JointPositions | None = None
        self._pending: JointTrajectory | None = None
        self._last_command_s: float | None = None
        self._status = SafetyStatus(state=SafetyStatus.HOLDING, reason="no command yet")
        self._outputs = RobotOutputs(self, self._robot, 1.0 / params.control_rate_hz)
        self._stopped_s = 0.0
        self._statuses = self.create_lifecycle_publisher(SafetyStatus, "safety_status", qos.STATUS)
        self._watches = Watches(self, params, timeouts, self._emergency)
        self._commander_gone = False
        self._commander = None if params.lockstep else CommanderWatch(self, timeouts.commander_s, self._on_commander)
        self._subscriptions_open = [
            self.create_subscription(JointState, self._robot.state.topic, self._on_joint_state, qos.JOINT_STATES),
            self.create_subscription(JointTrajectory, "proposed_command", self._on_command, qos.COMMAND),
        ]
        self._looked_s: deque[float] = deque(maxlen=2000)
        self._look_s = look_s(params)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers_open = [
            self.create_timer(self._look_s, self._look, clock=steady),
            self.create_timer(1.0, self._publish_status, clock=steady),
        ]
        self._diagnostics = Diagnostics(self, params.robot)
        self._diagnostics.add("commands", self._report)
        # A lock-step clock stands still: there the age of a message says nothing.
        max_age_s = math.inf if params.lockstep else timeouts.joint_state_age_s
        self._joint_stream = StreamTask(self, 0.5 * params.control_rate_hz, max_age_s)
        self._command_stream = StreamTask(self, 0.0, math.inf)  # commands pause between episodes
        self._latency = LatencyTask(1.0 / params.control_rate_hz)
        self._diagnostics.add("joint states", self._joint_stream)
        self._diagnostics.add("proposed commands", self._command_stream)
        self._diagnostics.add("latency", self._latency)
        self._start_log()

    def activate_node(self) -> None:
        """Say at once that the arm holds until a command comes."""
        self._pending = self._last_command_s = None
        self._report_state(SafetyStatus.HOLDING, "no command yet")
        self._publish_status()

    def deactivate_node(self) -> None:
        """Bring the arm to a stand and leave it holding."""
        end_s = time.monotonic() + STOP_S
        self._hold(Cause.INACTIVE, "the safety stage was deactivated")
        while not self.params.lockstep and not self._filter.stage.at_rest() and time.monotonic() < end_s:
            time.sleep(self._filter.options.min_interval_s)
            self._hold(Cause.INACTIVE, "the safety stage was deactivated")
        if self._filter.stage.started:
            self._outputs.stop()

    def cleanup_node(self) -> None:
        """Close what is open."""
        for subscription in self.__dict__.pop("_subscriptions_open", []):
            self.destroy_subscription(subscription)
        for timer in self.__dict__.pop("_timers_open", []):
            self.destroy_timer(timer)
        if "_statuses" in self.__dict__:
            self.destroy_publisher(self.__dict__.pop("_statuses"))
        if "_outputs" in self.__dict__:
            self.__dict__.pop("_outputs").destroy()
        for watch in (self.__dict__.pop("_watches", None), self.__dict__.pop("_commander", None)):
            if watch is not None:
                watch.close()
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()

    def _on_joint_state(self, message: JointState) -> None:
        positions = self._robot.from_wire(message.name, message.position)
        self._measured = JointPositions(tuple(message.name), positions, stamps.to_ns(message.header.stamp))
        self._watches.hear_joint_states(self._measured.stamp_ns)
        self._joint_stream.tick(self._measured.stamp_ns)
        if self.params.lockstep and self._pending is not None and not self._ahead(self._pending):
            command, self._pending = self._pending, None
            self._decide(command)

    def _on_command(self, command: JointTrajectory) -> None:
        if not self.active:
            return
        self._command_stream.tick(stamps.to_ns(command.header.stamp))
        if self.params.lockstep and self._ahead(command):
            self._pending, self._last_command_s = command, time.monotonic()
        else:
            self._decide(command)

    def _ahead(self, command: JointTrajectory) -> bool:
        """True when the joint state that ``command`` was computed from has not arrived here yet."""
        return self._measured is None or stamps.to_ns(command.header.stamp) > self._measured.stamp_ns

    def _fault(self) -> Fault:
        return self._watches.emergency() if self.params.lockstep else self._watches.fault()

    def _decide(self, command: JointTrajectory) -> None:
        self._commander_gone = False
        with self._latency.measured():
            self._pass_limit_or_hold(command)

    def _pass_limit_or_hold(self, command: JointTrajectory) -> None:
        cause, reason = self._fault()
        now_ns, time_ns = self._times_ns()
        if cause is not Cause.NONE:
            decision = self._filter.hold(cause, reason, now_ns, self._measured, time_ns)
        else:
            decision = self._filter.filter(trajectories.positions_of(command), self._measured, now_ns, time_ns)
        self._pending = command if decision.cause is Cause.TOO_SOON else None
        if decision.cause is Cause.TOO_SOON:
            return
        if decision.cause is not Cause.REORDERED:
            self._last_command_s = time.monotonic()
        self._count(decision.verdict)
        self._send(decision, command.header)
        self._report_state(_STATE.get(decision.verdict, SafetyStatus.HOLDING), decision.reason)

    def _look(self) -> None:
        """Stop when something is lost, finish a stop that was begun, send a command that had to wait."""
        self._looked_s.append(time.monotonic())
        if not self.active:
            return
        cause, reason = self._fault()
        if cause is Cause.NONE and self._last_command_s is not None:
            cause, reason = self._silence(time.monotonic() - self._last_command_s)
        if cause is not Cause.NONE:
            if cause is Cause.CLOCK:
                self._measured = None
            keeps = cause is Cause.SILENCE and not self._commander_gone
            self._pending = self._pending if keeps else None
            self._hold(cause, reason)
        elif self._pending is not None and not self.params.lockstep:
            self._decide(self._pending)

    def _on_commander(self, alive: bool) -> None:
        self._commander_gone = not alive

    def _silence(self, silent_s: float) -> Fault:
        if self._commander_gone:
            return Cause.SILENCE, "the process that commanded is gone"
        if silent_s <= self.params.command_timeout_s:
            return NO_FAULT
        if self._pending is not None:
            return Cause.SILENCE, "the joint state that the command was computed from has not arrived"
        return Cause.SILENCE, f"no command for {self.params.command_timeout_s} s"

    def _hold(self, cause: Cause, reason: str) -> None:
        """Nothing is sent before the first command (nothing moves the arm then) and once the arm stands."""
        stage = self._filter.stage
        if not self.params.lockstep and stage.started and not (stage.holding and stage.at_rest()):
            now_ns, time_ns = self._times_ns()
            decision = self._filter.hold(cause, reason, now_ns, self._measured, time_ns)
            self._send(decision, Header(stamp=self.get_clock().now().to_msg()))
        elif stage.started and time.monotonic() - self._stopped_s >= 1.0 / self.params.control_rate_hz:
            self._stopped_s = time.monotonic()
            self._outputs.stop()
        self._report_state(SafetyStatus.HOLDING, reason)

    def _send(self, decision: Decision, header: Header) -> None:
        if decision.positions is None:
            return
        stage, held = self._filter.stage, decision.verdict is Verdict.HOLD
        if held and stage.lost():  # the targets move to where the arm is: no velocity may follow from that
            self._outputs.begin(decision.positions)
        elif decision.restarted:
            self._outputs.begin(stage.measured)
        self._outputs.send(decision.positions, header, None if held else stage.measured)

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

    def _start_log(self) -> None:
        """Say how soon the arm stops, and whether the machine lets it."""
        if not self.params.lockstep:  # there time stands still meanwhile
            self.get_logger().info(reaction_text(self.params, self._robot))
        if refused := take_priority(self.params.realtime_priority):
            self.get_logger().warning(refused)

    def _publish_status(self) -> None:
        if self._statuses.is_activated:
            counts = self._filter.counts
            self._status.causes = [cause.label for cause in counts]
            self._status.cause_counts = list(counts.values())
            self._status.header.stamp = self.get_clock().now().to_msg()
            self._statuses.publish(self._status)

    def _report(self) -> Report:
        status = self._status
        values = {"passed": status.passed, "limited": status.limited, "rejected": status.rejected}
        values |= {cause.label: count for cause, count in self._filter.counts.items()}
        values["realtime_priority"] = priority()
        if len(self._looked_s) > 1:
            jitter_ms = 1e3 * np.abs(np.diff(self._looked_s) - self._look_s)
            values |= {f"loop_jitter_p{p}_ms": round(float(np.percentile(jitter_ms, p)), 3) for p in (50, 99)}
        return Report(OK if status.state != SafetyStatus.HOLDING else WARN, status.reason or "passing", values)

    def _times_ns(self) -> tuple[int, int]:
        """Now on the clock of the stamps, and on the clock that measures intervals."""
        if self.params.lockstep:
            stamp_ns = self._measured.stamp_ns if self._measured else 0
            return stamp_ns, stamp_ns
        now_ns = int(self.get_clock().now().nanoseconds)
        return now_ns, now_ns if self.get_parameter("use_sim_time").value else time.monotonic_ns()


def robot_of(params: SafetyParams) -> RobotContract:
    """The robot; raises BadInput when its controller wants commands more often than the stage would send them."""
    robot = load_robot(params.robot)
    if params.control_rate_hz < robot.command.min_rate_hz:
        fix = f"Raise it (policy and safety stage alike), or lower command.min_rate_hz in {robot.path}."
        allowed = f"at least the {robot.command.min_rate_hz:g} Hz that {robot.name} wants"
        raise BadInput("parameter control_rate_hz", params.control_rate_hz, allowed, fix)
    return robot


def options_of(params: SafetyParams, timeouts: Timeouts) -> StageOptions:
    """Times of the stage: commands may come half a period early; late ones move no farther than 1.5 periods allow."""
    period_s = 1.0 / params.control_rate_hz
    return StageOptions(
        min_interval_s=period_s if params.lockstep else 0.5 * period_s,
        max_interval_s=1.5 * period_s,
        command_timeout_s=params.command_timeout_s,
        joint_state_timeout_s=timeouts.joint_state_age_s,
        tracking_window_s=params.tracking_window_s,
        lockstep=params.lockstep,
    )


def main() -> int:
    """Entry point of ``lrm_safety_node``."""
    return run(SafetyNode)


if __name__ == "__main__":
    raise SystemExit(main())
