"""What every node of the graph publishes, hears, offers and calls, asked of DDS itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.parameter import Parameter

from driver_bench import hold, write_leader, write_robot
from lrm_bringup.player.ros.node import PlayerNode
from lrm_bringup.recorder.ros.node import RecorderNode
from lrm_core.robot import load_robot
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_policy_node.learner.ros.node import LearnerNode
from lrm_policy_node.ros.node import PolicyNode
from lrm_policy_node.safety.ros.node import SafetyNode
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.ros.node import RewardNode
from lrm_robot_driver.ros.node import DriverNode
from lrm_robot_driver.ros.teleop_node import TeleopNode
from lrm_sim.ros.node import SimNode
from policy_bench import SteadyPolicy
from robot_bags import START_NS, RobotBagWriter


@contextmanager
def all_nodes(folder: Path) -> Iterator[dict[str, LrmLifecycleNode[Any]]]:
    """Every node of the graph, active, in the default context; by name."""
    from rclpy.executors import SingleThreadedExecutor

    import lerobot_robot_simulated  # noqa: F401 - registers itself with LeRobot
    import lerobot_teleoperator_simulated  # noqa: F401

    hold(folder, load_robot("sim_arm").home)
    writer = RobotBagWriter(folder / "bag")
    writer.image(START_NS, 100)
    writer.joints(START_NS, [0.0] * 6)
    writer.status(START_NS, "a.0", 2, START_NS)
    bag = writer.close()
    nodes = {
        "sim": SimNode(),
        "driver": DriverNode(parameter_overrides=[Parameter("robot", value=str(write_robot(folder)))]),
        "teleop": TeleopNode(parameter_overrides=[Parameter("robot", value=str(write_leader(folder)))]),
        "safety": SafetyNode(),
        "reward": RewardNode(lambda _: FakeRewardModel(), parameter_overrides=[Parameter("state_dir", value="")]),
        "learner": LearnerNode(),
        "policy": PolicyNode(lambda name, device, features: SteadyPolicy()),
        "recorder": RecorderNode(parameter_overrides=[Parameter("out_dir", value=str(folder / "bags"))]),
        "player": PlayerNode(parameter_overrides=[Parameter("bag", value=str(bag))]),
    }
    nodes["learner"].set_parameters([Parameter("folder", value=str(folder / "learner"))])
    with ExitStack() as stack:
        executor = SingleThreadedExecutor()
        stack.callback(executor.shutdown)
        for node in nodes.values():
            executor.add_node(node)
            stack.callback(_close, node)
            assert node.start(), node.failure
        yield nodes


@contextmanager
def robot_nodes(robot: str) -> Iterator[dict[str, LrmLifecycleNode[Any]]]:
    """The nodes that take their topics from a robot's file, active, with ``robot``; by name."""
    given = [Parameter("robot", value=robot)]
    state = Parameter("state_dir", value="")
    nodes: dict[str, LrmLifecycleNode[Any]] = {
        "safety": SafetyNode(),
        "policy": PolicyNode(lambda name, device, features: SteadyPolicy()),
        "reward": RewardNode(lambda _: FakeRewardModel(), parameter_overrides=[state]),
    }
    with ExitStack() as stack:
        for node in nodes.values():
            stack.callback(_close, node)
            node.set_parameters(given)
            assert node.start(), node.failure
        yield nodes


def _close(node: LrmLifecycleNode[Any]) -> None:
    if rclpy.ok():
        node.trigger_shutdown()
    node.destroy_node()


def use_of(node: LrmLifecycleNode[Any]) -> Mapping[str, set[str]]:
    """Names by kind of use, as DDS knows them."""
    me = (node.get_name(), node.get_namespace())
    found = {
        "publish": {name for name, _ in node.get_publisher_names_and_types_by_node(*me)},
        "subscribe": {name for name, _ in node.get_subscriber_names_and_types_by_node(*me)},
        "reply": {name for name, _ in node.get_service_names_and_types_by_node(*me)},
        "request": {name for name, _ in node.get_client_names_and_types_by_node(*me)},
    }
    actions = {name.partition("/_action/")[0] for names in found.values() for name in names if "/_action/" in name}
    plain = {kind: {n for n in names if "/_action/" not in n} for kind, names in found.items()}
    return {**plain, "execute": actions}
