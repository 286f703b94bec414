"""Gazebo behind the topics of a robot: what ``lrm_sim_node`` offers with MuJoCo, this node offers with Gazebo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory

from lrm_core.errors import BadInput, LrmError
from lrm_core.ros import qos, stamps
from lrm_core.ros.diagnostics import OK, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.ros.robot_side import frame_prefix
from lrm_msgs.srv import Reset
from lrm_sim.env import HOME
from lrm_sim.gazebo import wiring
from lrm_sim.gazebo.mirror import Mirror, joint_values
from lrm_sim.gazebo.moments import Moment
from lrm_sim.params import GazeboParams
from lrm_sim.ros import messages
from lrm_sim.ros.gazebo_input import GazeboInput, trajectory
from lrm_sim.ros.placing import Placer, placers
from lrm_sim.ros.topics import RobotTopics

_TICK_S = 0.05


class GazeboNode(LrmLifecycleNode[GazeboParams]):
    """Joins what Gazebo publishes into observations, hands commands on, resets the scene.

    A reset never rewinds the clock, which would end the episode of everyone else: the arm drives home, then every
    thing is put in its place, and the episode begins with the first moment in which all stands still. Until the first
    reset there is no episode, so no truth on ``audit``.
    """

    params_class = GazeboParams

    def __init__(self) -> None:
        super().__init__("sim")

    def configure_node(self, params: GazeboParams) -> None:
        """Make the mirror of the scene, find the services of Gazebo, open the topics."""
        self._counts: Counter[str] = Counter()
        self._task, self._seed = params.task, params.seed
        self._running = self._resetting = False
        self._moment: Moment | None = None
        self._waiting: tuple[Callable[[], bool], Future, int] | None = None
        self._mirror = Mirror()
        self._placers = placers(self, params.placing, params.world)
        self._topics = RobotTopics(self, qos.camera(lockstep=False), clock=False, audit=params.publish_audit)
        self._input = GazeboInput(self, params.stamp_tolerance_s, self._on_moment)
        self._arm = self.create_publisher(JointTrajectory, wiring.TRAJECTORY_TOPIC, qos.JOINT_STATES)
        self._commands = self.create_subscription(JointTrajectory, "command", self._on_command, qos.COMMAND)
        # A reset takes seconds; in a group of its own it holds up nothing else.
        group = MutuallyExclusiveCallbackGroup()
        self._service = self.create_service(Reset, "reset", self._on_reset, callback_group=group)
        self._diagnostics = Diagnostics(self, f"Gazebo world {params.world}")
        self._diagnostics.add("gazebo", self._report)

    def activate_node(self) -> None:
        """Let waiting resets come to an end."""
        self._steady = RosClock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(_TICK_S, self._advance, clock=self._steady)

    def deactivate_node(self) -> None:
        """End a reset that is under way."""
        if "_timer" in self.__dict__:
            self.destroy_timer(self.__dict__.pop("_timer"))
        self._fail("the node was deactivated")

    def cleanup_node(self) -> None:
        """Close the topics, the services and the mirror."""
        destroyers = (
            ("_commands", self.destroy_subscription),
            ("_service", self.destroy_service),
            ("_arm", self.destroy_publisher),
        )
        for name, destroy in destroyers:
            if name in self.__dict__:
                destroy(self.__dict__.pop(name))
        for placer in self.__dict__.pop("_placers", []):
            placer.close()
        closers = (("_topics", "close"), ("_input", "close"), ("_diagnostics", "destroy"), ("_mirror", "close"))
        for name, close in closers:
            if name in self.__dict__:
                getattr(self.__dict__.pop(name), close)()

    def _on_moment(self, moment: Moment) -> None:
        if not self.active:
            return
        self._moment = moment
        self._counts["observations"] += 1
        self._advance()
        info = self._mirror.info(moment) if self._running and self.params.publish_audit else {}
        positions, velocities = joint_values(moment)
        values = {**moment.images, "joint_positions": positions, "joint_velocities": velocities}
        observation = messages.observation(
            values,
            info,
            stamp_ns=moment.stamp_ns,
            seed=self._seed,
            fovy_deg=self._mirror.fovy_deg,
            frame_prefix=frame_prefix(self),
        )
        self._topics.publish(observation)

    def _on_command(self, command: JointTrajectory) -> None:
        if not self.active:
            return
        if self._resetting:
            self._counts["ignored"] += 1
            return
        try:
            targets = messages.joint_targets(command)
        except BadInput as error:
            self._counts["refused"] += 1
            self.get_logger().error(f"command refused: {error}", throttle_duration_sec=1.0)
            return
        self._counts["accepted"] += 1
        self._arm.publish(trajectory(targets, 1.0 / self.params.control_rate_hz))

    async def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        self._resetting = True
        try:
            moment = await self._reset(request)
        except LrmError as error:
            self.get_logger().error(f"reset refused: {error}")
            response.accepted, response.message = False, str(error)
            return response
        finally:
            self._resetting = False
        self._counts["resets"] += 1
        response.accepted, response.task = True, self._mirror.task
        response.stamp = stamps.from_ns(moment.stamp_ns)
        return response

    async def _reset(self, request: Reset.Request) -> Moment:
        if not self.active:
            raise BadInput("state of the simulator", "inactive", "active", "Activate the node first.")
        if request.seed < -1:
            raise BadInput("seed", request.seed, "0 or more, or -1 for the next one")
        placer = self._placer()
        seed = self._seed + 1 if request.seed == -1 else request.seed
        self._running = False
        self._mirror.reset(seed, request.task or self._task)
        self._seed, self._task = seed, request.task or self._task
        self._arm.publish(trajectory(HOME, self.params.home_time_s))
        await self._until(lambda: "the arm" not in self._missing(), "the arm to come home")
        answers = {name: placer.place(name, pose) for name, pose in self._mirror.places.items()}
        await self._until(lambda: all(answer.done() for answer in answers.values()), f"answers of {placer.service}")
        for name, answer in answers.items():
            if refusal := placer.refusal(answer.result()):
                raise LrmError(f"{placer.service} did not place {name}: {refusal}")
        placed_ns = self._moment.stamp_ns if self._moment else 0
        await self._until(lambda: self._begins(placed_ns), "everything to stand in its place")
        assert self._moment is not None
        return self._moment

    def _placer(self) -> Placer:
        for placer in self._placers:
            if placer.ready():
                return placer
        services = [placer.service for placer in self._placers]
        raise LrmError(f"Gazebo does not answer: none of the services {services} is there. Start it, and its bridge.")

    def _begins(self, placed_ns: int) -> bool:
        # Called before the moment is published: the first frame of the episode carries its truth.
        if self._moment is None or self._moment.stamp_ns <= placed_ns or self._missing():
            return False
        self._mirror.info(self._moment, start=True)
        self._running = True
        return True

    def _missing(self) -> list[str]:
        return self._mirror.missing(self._moment) if self._moment else ["the arm", "any observation of Gazebo"]

    async def _until(self, predicate: Callable[[], bool], what: str) -> None:
        end_ns = self._steady.now().nanoseconds + round(self.params.reset_timeout_s * 1e9)
        future: Future = Future(executor=self.executor)
        self._waiting = predicate, future, end_ns
        self._advance()
        problem = await future
        if problem:
            missing = ", ".join(self._missing())
            raise LrmError(f"waiting for {what}: {problem}" + (f"; not there: {missing}" if missing else ""))

    def _advance(self) -> None:
        if self._waiting is None:
            return
        predicate, future, end_ns = self._waiting
        if predicate():
            self._waiting = None
            future.set_result("")
        elif self._steady.now().nanoseconds > end_ns:
            self._fail(f"not within {self.params.reset_timeout_s:g} s")

    def _fail(self, problem: str) -> None:
        if self._waiting is not None:
            future, self._waiting = self._waiting[1], None
            future.set_result(problem)

    def _report(self) -> Report:
        names = ("observations", "accepted", "refused", "ignored", "resets")
        values: dict[str, object] = {name: self._counts[name] for name in names}
        values["dropped"] = self._input.moments.dropped
        if not self._counts["observations"]:
            return Report(WARN, "nothing from Gazebo yet", values)
        if self._counts["refused"]:
            return Report(WARN, f"{self._counts['refused']} commands refused", values)
        return Report(OK, "ok", values)


def main() -> int:
    """Entry point of ``lrm_gazebo_node``."""
    return run(GazeboNode)


if __name__ == "__main__":
    raise SystemExit(main())
