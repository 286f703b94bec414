"""The simulated robot: offers what a robot would, and waits for its commander when asked to."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from trajectory_msgs.msg import JointTrajectory

from lrm_core.errors import BadInput
from lrm_core.ros import qos, stamps
from lrm_core.ros.diagnostics import OK, WARN, Diagnostics, LatencyTask, Report, StreamTask
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.ros.robot_side import frame_prefix
from lrm_msgs.srv import Reset
from lrm_sim.params import SimParams
from lrm_sim.ros import messages
from lrm_sim.ros.topics import RobotTopics

FIRST_STAMP_NS = 1_000_000_000
"""Lock-step time starts here: a stamp of zero means "none" in the messages."""


class SimNode(LrmLifecycleNode[SimParams]):
    """A Gymnasium environment behind the topics of a robot.

    Lock-step: time is counted in control periods and stands still until the command arrives whose stamp equals that of
    the newest observation; the same seed and commands give the same bytes. An observation that gets no command is sent
    again once in a while, unchanged, so that whoever starts late finds it. Real time: a timer steps at the control
    rate, the newest command holds, stamps are wall time.

    Everything, rendering included, happens on the thread of the executor: an OpenGL context belongs to one thread.
    """

    params_class = SimParams

    def __init__(self) -> None:
        super().__init__("sim")

    def configure_node(self, params: SimParams) -> None:
        """Make the environment, render its first frame, open the topics."""
        self._counts: Counter[str] = Counter()
        self._period_ns = round(1e9 / params.control_rate_hz)
        self._task, self._seed = params.task, params.seed
        self._env = _make_env(params)
        self._fovy_deg: dict[str, float] = getattr(self._env.unwrapped, "fovy_deg", {})
        self._target: np.ndarray | None = None
        self._stamp_ns = FIRST_STAMP_NS - self._period_ns if params.lockstep else time.time_ns()
        self._newest = self._reset_scene(self._seed, self._task)
        self._open_topics(params)
        self._diagnostics = Diagnostics(self, params.env_id)
        self._diagnostics.add("commands", self._report)
        # In lock-step nothing waits for the next period but the one who commands.
        self._latency = LatencyTask(math.inf if params.lockstep else 1.0 / params.control_rate_hz)
        self._command_stream = StreamTask(self, 0.0, math.inf)  # commands pause between episodes
        self._diagnostics.add("step", self._latency)
        self._diagnostics.add("command stream", self._command_stream)

    def activate_node(self) -> None:
        """Show the first observation and let time run."""
        steady = RosClock(clock_type=ClockType.STEADY_TIME)
        if self.params.lockstep:
            self._timer = self.create_timer(self.params.republish_period_s, self._publish_again, clock=steady)
        else:
            self._timer = self.create_timer(self._period_ns / 1e9, self._tick, clock=steady)
        self._publish()

    def deactivate_node(self) -> None:
        """Let time stand still."""
        if "_timer" in self.__dict__:
            self.destroy_timer(self.__dict__.pop("_timer"))

    def cleanup_node(self) -> None:
        """Close the topics and the environment."""
        for name, destroy in (("_commands", self.destroy_subscription), ("_service", self.destroy_service)):
            if name in self.__dict__:
                destroy(self.__dict__.pop(name))
        for name, close in (("_topics", "close"), ("_diagnostics", "destroy"), ("_env", "close")):
            if name in self.__dict__:
                getattr(self.__dict__.pop(name), close)()

    def _open_topics(self, params: SimParams) -> None:
        camera = qos.camera(params.lockstep)
        self._topics = RobotTopics(self, camera, clock=params.publish_clock, audit=params.publish_audit)
        self._commands = self.create_subscription(JointTrajectory, "command", self._on_command, qos.COMMAND)
        self._service = self.create_service(Reset, "reset", self._on_reset)

    def _on_command(self, command: JointTrajectory) -> None:
        if not self.active:
            return
        self._command_stream.tick(stamps.to_ns(command.header.stamp))
        try:
            target = messages.joint_targets(command)
        except BadInput as error:
            self._counts["refused"] += 1
            self.get_logger().error(f"command refused: {error}", throttle_duration_sec=1.0)
            return
        if not self.params.lockstep:
            self._counts["accepted"] += 1
            self._target = target
        elif stamps.to_ns(command.header.stamp) == self._newest.stamp_ns:
            self._counts["accepted"] += 1
            self._timer.reset()
            self._step(target)
        else:
            self._ignore(stamps.to_ns(command.header.stamp))

    def _ignore(self, stamp_ns: int) -> None:
        self._counts["ignored"] += 1
        newest = stamps.seconds(self._newest.stamp_ns)
        text = f"ignored a command for the observation of {stamps.seconds(stamp_ns)}: the newest is of {newest}"
        self.get_logger().warning(f"{text} (further ones are only counted)", once=True)

    def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        try:
            if not self.active:
                raise BadInput("state of the simulator", "inactive", "active", "Activate the node first.")
            if request.seed < -1:
                raise BadInput("seed", request.seed, "0 or more, or -1 for the next one")
            seed = self._seed + 1 if request.seed == -1 else request.seed
            self._newest = self._reset_scene(seed, request.task or self._task)
        except BadInput as error:
            self.get_logger().error(f"reset refused: {error}")
            response.accepted, response.message = False, str(error)
            return response
        self._counts["resets"] += 1
        self._publish()
        response.accepted, response.task = True, self._task_in_force
        response.stamp = stamps.from_ns(self._newest.stamp_ns)
        return response

    def _reset_scene(self, seed: int, task: str) -> messages.Observation:
        values, info = self._env.reset(seed=seed, options={"task": task} if task else {})
        self._seed, self._task = seed, task
        self._task_in_force = str(info.get("task", task))
        self._target = values["joint_positions"]
        return self._observation(values, info)

    def _tick(self) -> None:
        assert self._target is not None
        self._step(self._target)

    def _step(self, target: np.ndarray) -> None:
        # Whoever commands decides when an episode ends: a truncation by the environment changes nothing here.
        with self._latency.measured():
            values, _, _, _, info = self._env.step(target)
        self._newest = self._observation(values, info)
        self._publish()

    def _observation(self, values: dict[str, np.ndarray], info: dict[str, Any]) -> messages.Observation:
        later_ns = self._stamp_ns + self._period_ns
        self._stamp_ns = later_ns if self.params.lockstep else max(time.time_ns(), self._stamp_ns + 1)
        return messages.observation(
            values,
            info,
            stamp_ns=self._stamp_ns,
            seed=self._seed,
            fovy_deg=self._fovy_deg,
            frame_prefix=frame_prefix(self),
        )

    def _publish_again(self) -> None:
        self._counts["sent_again"] += 1
        self._publish()

    def _publish(self) -> None:
        self._topics.publish(self._newest)

    def _report(self) -> Report:
        names = ("accepted", "refused", "ignored", "sent_again", "resets")
        values: dict[str, object] = {name: self._counts[name] for name in names}
        if self._counts["refused"]:
            return Report(WARN, f"{self._counts['refused']} commands refused", values)
        return Report(OK, "ok", values)


def _make_env(params: SimParams) -> gymnasium.Env:
    try:
        env = gymnasium.make(params.env_id, image_size=params.image_size, disable_env_checker=True)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        allowed = "a registered Gymnasium environment that takes image_size, as module:id"
        raise BadInput("parameter env_id", params.env_id, allowed, str(error)) from error
    rate_hz = env.metadata.get("render_fps", params.control_rate_hz)
    if rate_hz != params.control_rate_hz:
        raise BadInput("parameter control_rate_hz", params.control_rate_hz, f"{rate_hz} as {params.env_id} has it")
    return env


def main() -> int:
    """Entry point of ``lrm_sim_node``."""
    return run(SimNode)


if __name__ == "__main__":
    raise SystemExit(main())
