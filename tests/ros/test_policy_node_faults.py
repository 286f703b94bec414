"""What a robot may do to the real policy node: bad images, bad joint states, a clock that jumps, silence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import robot_path
from lrm_core.ros import images, qos, stamps
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus
from lrm_msgs.srv import Reset
from policy_bench import LOOKS, STEADY_POLICY, K, PolicyBench
from ros_testing import free_domain

PERIOD_NS = 100_000_000
NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
HOME = [0.0, -0.2, 1.7, 1.6, 0.0, 0.05]
POLICY = {
    "lockstep": True,
    "use_reward": False,
    "call_interval": K,
    "max_steps": 100,
    "camera_timeout_s": 1.0,
    "reset_timeout_s": 2.0,
}
CAMERAS = {"front": "front/image_raw", "wrist": "wrist/image_raw"}
Fault = Callable[[dict[str, Image], JointState], object]


class FaultyRobot(PolicyBench):
    """Answers every proposed command with the next observation; from step 7 on ``fault`` may spoil it."""

    def __init__(self, *arguments: object, cameras: Mapping[str, str] = CAMERAS) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.fault: Fault | None = None
        self.refusal = ""
        self.stamp_ns, self.steps = 5_000_000_000, 0
        self.cameras = {
            name: self.node.create_publisher(Image, topic, qos.CAMERA_LOCKSTEP) for name, topic in cameras.items()
        }
        self.joints = self.node.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
        # Deeper than COMMAND: this robot must see every command to count them.
        self.node.create_subscription(JointTrajectory, "proposed_command", self.on_command, QoSProfile(depth=10))
        self.proposed: list[JointTrajectory] = []

    def offer_reset(self) -> None:
        self.node.create_service(Reset, "reset", self.on_reset)

    def on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        response.accepted, response.message = not self.refusal, self.refusal
        self.stamp_ns, self.steps = self.stamp_ns + PERIOD_NS, 0
        self.show()
        response.stamp, response.task = stamps.from_ns(self.stamp_ns), request.task
        return response

    def on_command(self, command: JointTrajectory) -> None:
        self.proposed.append(command)
        if stamps.to_ns(command.header.stamp) == self.stamp_ns:
            self.stamp_ns, self.steps = self.stamp_ns + PERIOD_NS, self.steps + 1
            self.show()

    def show(self) -> None:
        bridge = images.ImageBridge()
        shown = {name: bridge.cv2_to_imgmsg(np.zeros((8, 8, 3), np.uint8), "rgb8") for name in self.cameras}
        joints = JointState(name=NAMES, position=HOME)
        for message in (*shown.values(), joints):
            message.header.stamp = stamps.from_ns(self.stamp_ns)
        if self.fault is not None and self.steps >= 7:
            self.fault(shown, joints)
        for name, image in shown.items():
            self.cameras[name].publish(image)
        self.joints.publish(joints)

    def run_with(self, fault: Fault | None, task: str = "put it there") -> RunEpisodes.Result:
        self.fault = fault
        return self.result(self.send(mode=RunEpisodes.Goal.EVALUATE, task=task), 40.0)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRobot]:
    with free_domain() as domain, FaultyRobot(domain, tmp_path_factory.mktemp("faults")) as robot:
        robot.start("policy", STEADY_POLICY, **POLICY)
        try:
            robot.ready("policy")
            yield robot
        finally:
            robot.close()


def nan_joint(shown: dict[str, Image], joints: JointState) -> None:
    joints.position[2] = math.nan


def too_few_joints(shown: dict[str, Image], joints: JointState) -> None:
    joints.name, joints.position = NAMES[:5], HOME[:5]


def clock_back(shown: dict[str, Image], joints: JointState) -> None:
    for message in (*shown.values(), joints):
        message.header.stamp = stamps.from_ns(1_000_000_000)


def camera_stops(shown: dict[str, Image], joints: JointState) -> None:
    del shown["wrist"]


def wrong_step(shown: dict[str, Image], joints: JointState) -> None:
    shown["front"].step = 5


def wrong_encoding(shown: dict[str, Image], joints: JointState) -> None:
    shown["front"].encoding = "yuv9"


def truncated(shown: dict[str, Image], joints: JointState) -> None:
    shown["front"].data = shown["front"].data[:50]


def test_a_robot_without_a_reset_service_aborts_with_one_clear_message(robot: FaultyRobot) -> None:
    result = robot.run_with(None)
    assert result.termination_reason == "aborted"
    assert "No robot offers the service" in result.message
    assert robot.proposed == []
    robot.offer_reset()


@pytest.mark.parametrize(
    ("fault", "reason", "word"),
    [
        (nan_joint, "joint_states_invalid", "elbow_flex is nan"),
        (too_few_joints, "joint_states_invalid", "no position of gripper"),
        (clock_back, "clock_jumped", "jumped back"),
        (camera_stops, "camera_lost", "wrist/image_raw: nothing new for 1.0 s"),
        (wrong_step, "camera_lost", "step"),
        (wrong_encoding, "camera_lost", "yuv9"),
        (truncated, "camera_lost", "front/image_raw: nothing new"),
    ],
)
def test_a_fault_ends_the_episode_with_its_cause_and_no_further_command(
    robot: FaultyRobot, fault: Fault, reason: str, word: str
) -> None:
    robot.until(lambda: robot.node.count_subscribers("proposed_command"))
    result = robot.run_with(fault)
    assert result.termination_reason == "aborted"
    assert reason in result.message
    assert word in result.message
    robot.until(lambda: robot.episodes[-1].state == EpisodeStatus.ENDED, 20.0)
    assert robot.episodes[-1].termination_reason == reason
    sent = len(robot.proposed)
    robot.run_for(0.3)
    assert len(robot.proposed) == sent


def test_a_reset_that_is_refused_aborts_with_the_robots_reason(robot: FaultyRobot) -> None:
    robot.refusal = "the drawer is open"
    result = robot.run_with(None)
    robot.refusal = ""
    assert "the drawer is open" in result.message


def test_after_all_that_a_run_works(robot: FaultyRobot) -> None:
    result = robot.run_with(None)
    assert (result.termination_reason, result.episodes_done) == ("completed", 1)
    assert math.isnan(result.predicted_success[0])


def one_camera(folder: Path) -> Path:
    """The simulated arm, with one camera of another name."""
    text = robot_path("sim_arm").read_text(encoding="utf-8")
    before, rest = text.split("cameras:\n")
    path = folder / "one_camera.yaml"
    path.write_text(f"{before}cameras: [{{name: top, topic: overhead/rgb}}]\ntool:{rest.partition('tool:')[2]}")
    return path


def test_a_robot_with_one_camera_of_another_name_runs_and_one_without_the_policys_camera_is_refused(
    tmp_path: Path,
) -> None:
    contract = one_camera(tmp_path)
    with free_domain() as domain, FaultyRobot(domain, tmp_path, cameras={"top": "overhead/rgb"}) as robot:
        try:
            robot.offer_reset()
            robot.start("policy", STEADY_POLICY, **POLICY, robot=contract, policy=f"{LOOKS}top")
            robot.ready("policy")
            assert robot.run_with(None).termination_reason == "completed"
            robot.start("blind", STEADY_POLICY, **POLICY, robot=contract, policy=f"{LOOKS}wrist")
            assert robot.processes["blind"].wait(60.0) == 1
            assert "is ['top']: expected one named 'wrist'" in robot.processes["blind"].output
        finally:
            robot.close()
