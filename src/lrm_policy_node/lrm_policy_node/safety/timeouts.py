"""What the safety stage listens for, and how long it does without: by its parameters and the robot's rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lrm_core.robot import CameraSpec, RobotContract, camera_info_topics
from lrm_core.robot.reaction import braking_s, silence_s, state_silence_s
from lrm_policy_node.safety.params import AUTO, SafetyParams

LOOK_S = 0.01
"""How often the stage looks whether something is lost; at rates above 100 Hz once a period."""


@dataclass(frozen=True)
class WatchedCamera:
    """A camera that the stage listens to.

    Attributes:
        name: in the robot's file, or its topic.
        topic: ``camera_info``.
        timeout_s: longest time without a new picture.
        max_age_s: a stamp older than this on arrival is no new picture.
        expected: missed from the start; else from its first message on.
    """

    name: str
    topic: str
    timeout_s: float
    max_age_s: float
    expected: bool


@dataclass(frozen=True)
class Timeouts:
    """Longest silences, seconds.

    Attributes:
        commander_s: of the process behind ``proposed_command``.
        joint_states_s: of the joint states.
        joint_state_age_s: largest age of the newest one's stamp.
        cameras: watched ones.
    """

    commander_s: float
    joint_states_s: float
    joint_state_age_s: float
    cameras: tuple[WatchedCamera, ...]


def timeouts_of(params: SafetyParams, robot: RobotContract) -> Timeouts:
    """What ``params`` say, and where they say 0 what follows from the rates of ``robot``.

    Raises:
        BadInput: ``observation_topics`` names no camera.
    """
    joint_states_s = params.joint_state_timeout_s or state_silence_s(robot)
    return Timeouts(
        commander_s=params.commander_timeout_s or joint_states_s,
        joint_states_s=joint_states_s,
        joint_state_age_s=joint_states_s + robot.state.max_age_s,
        cameras=tuple(_cameras(params, robot)),
    )


def look_s(params: SafetyParams) -> float:
    """How often the stage looks, seconds."""
    return min(LOOK_S, 1.0 / params.control_rate_hz)


def reactions(params: SafetyParams, robot: RobotContract) -> dict[str, float]:
    """What is lost -> seconds until the stage follows no command any more, at the latest; only what is watched."""
    found = timeouts_of(params, robot)
    waits = {"commander": min(found.commander_s, params.command_timeout_s), "commands": params.command_timeout_s}
    waits |= {"joint states": found.joint_states_s}
    waits |= {f"camera {camera.name}": camera.timeout_s for camera in found.cameras}
    named = {"reward node": params.reward_timeout_s, "emergency stop's heartbeat": params.emergency_stop_timeout_s}
    waits |= {name: wait_s for name, wait_s in named.items() if wait_s > 0.0}
    return {name: wait_s + look_s(params) for name, wait_s in waits.items()}


def reaction_text(params: SafetyParams, robot: RobotContract) -> str:
    """:func:`reactions` for people, and how long the arm then takes to stand."""
    listed = ", ".join(f"{name} {wait_s:.2f} s" for name, wait_s in reactions(params, robot).items())
    return f"stops after the loss of {listed}; braking from full speed takes up to {braking_s(robot.limits):.2f} s"


def _cameras(params: SafetyParams, robot: RobotContract) -> Iterator[WatchedCamera]:
    known = dict(zip(camera_info_topics(robot, [one.name for one in robot.cameras]), robot.cameras, strict=True))
    expected = camera_info_topics(robot, [name for name in params.observation_topics if name != AUTO])
    others = known if AUTO in params.observation_topics else {}
    for topic in dict.fromkeys([*expected, *others]):
        spec = known.get(topic, CameraSpec(name=topic))
        timeout_s = params.observation_timeout_s or silence_s(spec.min_rate_hz)
        yield WatchedCamera(spec.name, topic, timeout_s, spec.max_age_s, topic in expected)
