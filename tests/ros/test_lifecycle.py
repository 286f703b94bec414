"""The lifecycle base and the parameters of every node: transitions, autostart, signals, refusals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from lifecycle_node import SmallNode, SmallParams
from lrm_core.errors import BadInput
from lrm_core.ros import params as ros_params
from ros_testing import NodeProcess, default_context, node_process, spin_until

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture
def ros(ros_domain_id: int) -> Iterator[None]:
    with default_context():
        yield


def small(**parameters: object) -> SmallNode:
    return SmallNode(parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()])


def process(tmp_path: Path, *parameters: str) -> AbstractContextManager[NodeProcess]:
    arguments = [part for parameter in parameters for part in ("-p", parameter)]
    command = [sys.executable, Path(__file__).with_name("lifecycle_node.py"), "--ros-args", *arguments]
    return node_process(command, tmp_path / "log", {"PYTHONPATH": os.pathsep.join(sys.path)})


def test_the_whole_circle_runs_every_hook_once(ros: None) -> None:
    node = small()
    assert node.start()
    assert node.active
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert not node.active
    assert node.start()
    assert node.trigger_shutdown() == SUCCESS
    circle = ["configure", "activate", "deactivate", "cleanup"]
    assert node.hooks == circle * 2
    node.destroy_node()


@pytest.mark.parametrize("bug", [False, True])
def test_a_hook_that_raises_fails_its_transition_with_one_clear_line_and_the_node_can_try_again(
    ros: None, bug: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    node = small(fail="configure", bug=bug)
    assert node.trigger_configure() == FAILURE
    expected = "ZeroDivisionError: nobody planned this" if bug else "the weather is 'rain': expected sunshine. Wait."
    assert node.failure == f"configure failed: {expected}"
    assert capfd.readouterr().err.count("configure failed") == 1
    assert node.hooks == ["configure", "cleanup"]
    node.set_parameters([Parameter("fail", value="activate")])
    assert not node.start()
    assert node.failure.startswith("activate failed")
    node.set_parameters([Parameter("fail", value="")])
    assert node.trigger_cleanup() == SUCCESS
    assert node.start()
    node.trigger_shutdown()
    node.destroy_node()


def test_a_node_that_cannot_deactivate_gives_everything_back_and_can_be_configured_again(ros: None) -> None:
    node = small(fail="deactivate")
    assert node.start()
    assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert node.hooks[-1] == "cleanup"
    node.set_parameters([Parameter("fail", value="")])
    assert node.start()
    node.trigger_shutdown()
    node.destroy_node()


def test_parameters_carry_description_unit_and_range(ros: None) -> None:
    node = small()
    descriptor = node.describe_parameter("rate_hz")
    assert descriptor.description == "A rate. [Hz]"
    (limits,) = descriptor.floating_point_range
    assert (limits.from_value, limits.to_value) == (0.5, 100.0)
    (limits,) = node.describe_parameter("count").integer_range
    assert limits.from_value == 1
    assert "compressed" in node.describe_parameter("mode").additional_constraints
    node.destroy_node()


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("rate_hz", 1000.0, "100"), ("rate_hz", "fast", "float"), ("count", 0, "1"), ("mode", "video", "one of"),
    ("count", 1.5, "int"),
])  # fmt: skip
def test_a_parameter_out_of_range_is_refused_at_run_time_and_at_start(
    ros: None, name: str, value: object, reason: str
) -> None:
    node = small()
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful
    assert reason in result.reason
    assert node.get_parameter(name).value == getattr(SmallParams(), name)
    node.destroy_node()
    with pytest.raises(BadInput, match=f"parameter {name} is"):
        small(**{name: value})


def test_a_good_change_holds_from_the_next_configure(ros: None) -> None:
    node = small(rate_hz=2, names=["b", "c"])
    assert node.params == SmallParams(rate_hz=2.0, names=["b", "c"])
    (result,) = node.set_parameters([Parameter("rate_hz", value=5)])
    assert result.successful
    assert node.params.rate_hz == 2.0
    node.trigger_configure()
    assert node.params.rate_hz == 5.0
    node.trigger_shutdown()
    node.destroy_node()


def test_an_empty_list_in_a_parameter_file_is_an_empty_list(ros_domain_id: int, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("/**:\n  ros__parameters:\n    names: []\n    rate_hz: 7\n")
    with default_context("--ros-args", "--params-file", str(file)):
        node = small()
        assert node.params == SmallParams(names=[], rate_hz=7.0)
        node.destroy_node()


def _ask(change: Client, transition: int) -> None:
    change.call_async(ChangeState.Request(transition=Transition(id=transition)))


def test_without_autostart_a_manager_moves_the_node(ros: None, tmp_path: Path) -> None:
    manager = Node("manager")
    change = manager.create_client(ChangeState, "small/change_state")
    events: list[str] = []
    manager.create_subscription(
        TransitionEvent, "small/transition_event", lambda msg: events.append(msg.goal_state.label), 10
    )
    with process(tmp_path) as node:
        events_come = lambda: manager.count_publishers("small/transition_event")  # noqa: E731
        spin_until(manager, lambda: change.service_is_ready() and events_come(), 20.0, "the node is there")
        for number, goal in ((Transition.TRANSITION_CONFIGURE, "inactive"), (Transition.TRANSITION_ACTIVATE, "active")):
            # The event and not the answer, and asked again: until both sides have found each other either may be lost.
            asked = manager.create_timer(2.0, partial(_ask, change, number))
            _ask(change, number)
            spin_until(manager, lambda goal=goal: goal in events, 20.0, goal)
            manager.destroy_timer(asked)
        assert "hook activate" in node.output
    manager.destroy_node()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_active_node_through_its_hooks(
    ros_domain_id: int, tmp_path: Path, number: signal.Signals
) -> None:
    with process(tmp_path, "autostart:=true") as node:
        node.wait_for_output("hook activate")
        node.send(number)
        assert node.wait() == 0
        assert node.output.splitlines() == ["hook configure", "hook activate", "hook deactivate", "hook cleanup"]


@pytest.mark.parametrize(("parameter", "line"), [
    ("fail:=configure", "configure failed: the weather is 'rain': expected sunshine. Wait."),
    ("fail:=activate", "activate failed: the weather"),
    ("count:=0", "error: parameter count is 0: expected at least 1."),
    ("rate_hz:=fast", "error: parameter rate_hz is 'fast': expected a value of type float."),
])  # fmt: skip
def test_autostart_that_fails_ends_the_process_with_one_clear_message(
    ros_domain_id: int, tmp_path: Path, parameter: str, line: str
) -> None:
    with process(tmp_path, "autostart:=true", parameter) as node:
        assert node.wait() == 1
        said = [text for text in node.output.splitlines() if not text.startswith("hook")]
        assert len(said) == 1
        assert line in said[0]


def test_declaring_reads_the_values_in_force(ros: None) -> None:
    node = Node("plain", parameter_overrides=[Parameter("count", value=9)])
    assert ros_params.declare(node, SmallParams).count == 9
    node.destroy_node()
