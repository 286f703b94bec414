"""How soon the safety stage stops, by the rates in a robot's file."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from lrm_core.robot import load_robot
from lrm_core.robot.reaction import SHORTEST_S, braking_s, silence_s
from lrm_policy_node.safety.params import SafetyParams
from lrm_policy_node.safety.priority import priority, take_priority
from lrm_policy_node.safety.timeouts import reaction_text, reactions, timeouts_of

REAL = ("so101", "franka_fr3", "ur5e")
HEARTBEAT_S = 0.08


@pytest.mark.parametrize("name", REAL)
def test_a_real_arm_stops_following_commands_within_a_tenth_of_a_second(name: str) -> None:
    """Of what has a heartbeat; an emergency stop's has to be asked for."""
    found = reactions(SafetyParams(emergency_stop_timeout_s=HEARTBEAT_S), load_robot(name))
    silent_s = found.pop("commands")
    assert set(found) == {"commander", "joint states", "camera front", "camera wrist", "emergency stop's heartbeat"}
    assert max(found.values()) <= 0.1
    assert silent_s == pytest.approx(SafetyParams().command_timeout_s + 0.01), "alive, but without a word"


@pytest.mark.parametrize("name", ["sim_arm", "gazebo_arm"])
def test_a_simulated_arm_has_room_for_a_busy_machine(name: str) -> None:
    found = timeouts_of(SafetyParams(), load_robot(name))
    assert [found.joint_states_s, *(camera.timeout_s for camera in found.cameras)] == [0.5, 0.5, 0.5]


def test_parameters_that_say_a_time_have_the_last_word() -> None:
    params = SafetyParams(commander_timeout_s=0.7, joint_state_timeout_s=0.8, observation_timeout_s=0.9)
    found = timeouts_of(params, load_robot("ur5e"))
    assert (found.commander_s, found.joint_states_s) == (0.7, 0.8)
    assert {camera.timeout_s for camera in found.cameras} == {0.9}
    assert timeouts_of(SafetyParams(joint_state_timeout_s=0.8), load_robot("ur5e")).commander_s == 0.8


def test_a_named_camera_has_to_be_there_and_the_others_once_they_were() -> None:
    robot = load_robot("ur5e")
    found = timeouts_of(SafetyParams(observation_topics=["wrist", "auto", "/hall/camera_info"]), robot)
    assert {camera.name: camera.expected for camera in found.cameras} == {
        "wrist": True, "/hall/camera_info": True, "front": False,
    }  # fmt: skip
    assert timeouts_of(SafetyParams(observation_topics=[]), robot).cameras == ()


def test_a_stream_may_leave_out_one_message_and_no_silence_is_shorter_than_the_kernel_allows() -> None:
    assert [silence_s(rate_hz) for rate_hz in (4.0, 25.0, 1000.0)] == [0.5, 0.08, SHORTEST_S]


def test_braking_takes_what_the_slowest_joint_needs() -> None:
    limits = load_robot("franka_fr3").limits
    assert braking_s(limits) == pytest.approx(3.0 / 5.0 + 5.0 / 500.0)
    free = replace(limits, acceleration_max=np.full(8, np.inf), jerk_max=np.full(8, np.inf))
    assert braking_s(free) == 0.0
    assert "up to 0.61 s" in reaction_text(SafetyParams(), load_robot("franka_fr3"))


def test_a_refused_priority_says_what_helps_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def ended(*_: object) -> None:
        raise ProcessLookupError(3, "No such process")

    before = priority()
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert take_priority(0) == ""
    assert "limits.d" in take_priority(10)
    assert priority() == before
    monkeypatch.setattr(os, "sched_setscheduler", ended)
    assert take_priority(10) == "", "of a thread that is no more"
