"""The security policy is what the nodes do, and a participant without keys gets nowhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from graph_use import all_nodes, robot_nodes, use_of
from lrm_bringup.graph import GRAPHS, enclave
from lrm_core.resources import config_path
from lrm_core.robot import load_robot, robot_names, robot_path
from lrm_core.ros import qos
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus
from lrm_sim.gazebo import wiring
from lrm_sim.ros import placing
from lrm_sim.ros.gazebo_node import GazeboNode
from ros_testing import default_context, node_process
from source_tree import ROOT

POLICY = config_path("security/policy.xml")
NO_SECURITY = "doesn't have the security libraries"
"""What Fast DDS says when it was built without."""
SITUATIONAL = {
    ("sim", "publish", "/clock"): "only where publish_clock is true and nobody else does",
    ("safety", "subscribe", "/reward/status"): "with reward_timeout_s",
    ("driver", "reply", "/scene_ready"): "with scene_ready_timeout_s",
    ("teleop", "publish", "/episode_status"): "by lrm demonstrate",
    ("teleop", "subscribe", "/*/image_raw"): "by a program of one's own that shows them",
    ("learner", "subscribe", "/audit"): "with reward_source privileged",
    ("learner", "subscribe", "/reward/contrastive"): "with a delivery that uses it",
    ("learner", "subscribe", "/reward/fused"): "with a delivery that uses it",
    ("recorder", "request", "/*/get_parameters"): "once a node has listed its parameters",
}
TRANSPORTS = re.compile(
    r"/image_raw/compressed$|^/\*/camera_info$|^/clock$|^/parameter_events$|^/diagnostics$|^/rosout$"
)
"""Of every node that has cameras, or of every node, depending on parameters."""


def allowed(process: str) -> dict[str, set[str]]:
    """Absolute names, with wild cards, that the policy allows to a process, by kind; an action's is ``call``."""
    (profile,) = ElementTree.parse(POLICY).findall(f".//enclave[@path='/lrm/{process}']//profile")
    found: dict[str, set[str]] = {}
    for group in profile:
        (kind,) = group.attrib
        names = {(name.text or "").replace("~", f"/{profile.get('node')}") for name in group}
        found[kind] = {name if name.startswith("/") else f"/{name}" for name in names}
    return found


def refused(process: str, kinds: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """What a process does and may not."""
    rules = allowed(process)
    return {
        (kind, name)
        for kind, names in kinds.items()
        for name in names
        if not any(fnmatchcase(name, rule) for rule in rules.get(kind, ()))
    }


def idle(process: str, kinds: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """What a process may and does not, but in a situation of its own."""
    return {
        (kind, rule)
        for kind, rules in allowed(process).items()
        for rule in rules
        if not any(fnmatchcase(name, rule) for name in kinds.get(kind, ()))
        and (process, kind, rule) not in SITUATIONAL
        and not TRANSPORTS.search(rule)
    }


def drivable(name: str, folder: Path) -> str:
    """The file of a robot; where GripperCommand is not installed, the same with the gripper in the arm's command."""
    text = robot_path(name).read_text(encoding="utf-8")
    if importlib.util.find_spec("control_msgs") is None:
        text = text.replace("kind: gripper_action", "kind: in_command")
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def merged(uses: Iterable[Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """All names of several uses, by kind."""
    found: dict[str, set[str]] = {}
    for kinds in uses:
        for kind, names in kinds.items():
            found.setdefault(kind, set()).update(names)
    return found


def test_every_process_has_an_enclave() -> None:
    paths = {one.get("path") for one in ElementTree.parse(POLICY).iter("enclave")}
    assert {enclave(node) for nodes in GRAPHS.values() for node in nodes} <= paths


def test_the_policy_allows_what_the_nodes_do_and_nothing_else(ros_domain_id: int, tmp_path: Path) -> None:
    with default_context(), all_nodes(tmp_path) as nodes:
        used = {name: use_of(node) for name, node in nodes.items()}
    for name, kinds in used.items():
        of_robots = {(kind, topic) for robot in robot_names() for kind, topic in own_names(robot).get(name, ())}
        assert (refused(name, kinds), idle(name, kinds) - of_robots) == (set(), set()), name


def own_names(robot: str) -> dict[str, set[tuple[str, str]]]:
    """What the nodes do because the file of this robot says so."""
    contract = load_robot(robot)
    safety = {("publish", f"/{contract.command.topic}")}
    if contract.gripper.kind == "gripper_action":
        safety.add(("call", f"/{contract.gripper.topic}"))
    return {"safety": safety, "policy": set() if contract.reset.kind == "service" else {("reply", "/scene_ready")}}


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.parametrize("robot", robot_names())
def test_the_policy_allows_what_the_nodes_do_with_a_shipped_robot(robot: str, tmp_path: Path) -> None:
    with default_context(), robot_nodes(drivable(robot, tmp_path)) as nodes:
        used = {name: use_of(node) for name, node in nodes.items()}
    for name, kinds in used.items():
        own = own_names(robot).get(name, set())
        assert refused(name, merged([kinds, *({kind: {topic}} for kind, topic in own)])) == set(), name
        assert {topic for kind, topic in own if kind != "call"} <= kinds["publish"] | kinds["reply"]


def test_the_policy_allows_what_the_node_before_gazebo_does_and_nothing_else(
    ros_domain_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "PLACERS", {"ros_gz": Named, "simulation_interfaces": OtherNamed})
    with default_context():
        node = GazeboNode()
        try:
            assert node.start(), node.failure
            used = use_of(node)
        finally:
            node.trigger_shutdown()
            node.destroy_node()
    assert (refused("gazebo", used), idle("gazebo", used)) == (set(), set())


class Named(placing.BridgePlacer):
    """The client's name with a service type that is installed."""

    def __init__(self, node: Node, world: str) -> None:
        self._node, self.service = node, wiring.set_pose_service(world)
        self._client = node.create_client(Trigger, self.service)


class OtherNamed(Named):
    """The name of the other way to put things."""

    def __init__(self, node: Node, world: str) -> None:
        self._node, self.service = node, placing.SET_ENTITY_STATE
        self._client = node.create_client(Trigger, self.service)


def test_gazebo_itself_may_offer_what_the_node_before_it_uses() -> None:
    node, world = allowed("gazebo"), allowed("gazebo_world")
    bridged = {entry["ros_topic_name"] for entry in wiring.bridge()}
    assert refused("gazebo_world", {"publish": bridged, "reply": node["request"]}) == set()
    inside = {name.replace("*", "x") for name in node["subscribe"] if name.startswith("/gazebo/")}
    assert refused("gazebo_world", {"publish": inside, "subscribe": {wiring.TRAJECTORY_TOPIC}}) == set()
    assert not any(fnmatchcase(f"/{name}", rule) for name in TOPICS_OF_ROBOTS for rule in world["publish"])


GRIPPERS = [load_robot(name).gripper for name in robot_names()]
COMMANDS = {load_robot(name).command.topic for name in robot_names()}
TOPICS_OF_ROBOTS = {*COMMANDS, "joint_states", "front/image_raw", "proposed_command"}


def test_only_the_safety_stage_may_command() -> None:
    processes = [(path.get("path") or "").removeprefix("/lrm/") for path in ElementTree.parse(POLICY).iter("enclave")]
    owners = {**{topic: {"safety"} for topic in COMMANDS}, "proposed_command": {"policy", "driver", "teleop"}}
    for topic, owner in owners.items():
        able = {
            name for name in processes if any(fnmatchcase(f"/{topic}", one) for one in allowed(name).get("publish", ()))
        }
        assert able == owner, topic
    assert {name for name in processes if "call" in allowed(name)} == {"safety", "operator"}


def test_an_operator_may_call_every_service_that_no_node_calls() -> None:
    rules = {(path.get("path") or "").removeprefix("/lrm/") for path in ElementTree.parse(POLICY).iter("enclave")}
    nodes = [allowed(name) for name in rules - {"operator", "teleop", "gazebo", "gazebo_world"}]
    offered = {name for kinds in nodes for name in kinds["reply"] if name.count("/") == 1}
    called = {name for kinds in nodes for name in kinds.get("request", ())}
    assert "/scene_ready" in offered - called
    assert refused("operator", {"request": offered - called}) == set()


@pytest.mark.usefixtures("ros_domain_id")
def test_a_persons_programs_may_do_what_they_are_for_under_any_name() -> None:
    with default_context():
        operator, teleop = Node("my_orders"), Node("my_leader_arm")
        operator.create_client(Trigger, "scene_ready")
        ActionClient(operator, RunEpisodes, "run_episodes")
        teleop.create_publisher(JointTrajectory, "proposed_command", qos.COMMAND)
        teleop.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
        teleop.create_subscription(JointState, "joint_states", print, qos.JOINT_STATES)
        teleop.create_subscription(Image, "front/image_raw", print, qos.CAMERA)
        used = {"operator": use_of(operator), "teleop": use_of(teleop)}
        teleop.destroy_node()
        operator.destroy_node()
    assert "/my_leader_arm/get_parameters" in used["teleop"]["reply"]
    calls = {"call": used["operator"].pop("execute")}
    assert refused("operator", used["operator"] | calls) == set()
    assert refused("teleop", {**used["teleop"], "execute": set()}) == set()


def test_the_page_makes_keys_for_every_enclave() -> None:
    (names,) = re.findall(r"for node in (.*); do", (ROOT / "docs/security.md").read_text())
    paths = {(one.get("path") or "").removeprefix("/lrm/") for one in ElementTree.parse(POLICY).iter("enclave")}
    assert set(names.split()) == paths


TALK = "import rclpy; rclpy.init(); rclpy.create_node('probe'); print('started')"


def start(keystore: Path, enclave_name: str) -> subprocess.CompletedProcess[str]:
    """A program that wants security, and no node without."""
    env = dict(
        os.environ, ROS_SECURITY_ENABLE="true", ROS_SECURITY_STRATEGY="Enforce", ROS_SECURITY_KEYSTORE=str(keystore)
    )
    program = TALK.replace("init()", f"init(args=['--ros-args', '--enclave', '{enclave_name}'])")
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)


def keystore_of_nothing(folder: Path) -> Path:
    """The files that ROS looks for, with nothing in them."""
    inside = folder / "enclaves" / "lrm" / "probe"
    inside.mkdir(parents=True)
    for name in (
        "identity_ca.cert.pem",
        "cert.pem",
        "key.pem",
        "permissions_ca.cert.pem",
        "governance.p7s",
        "permissions.p7s",
    ):
        (inside / name).write_text("")
    return folder


@pytest.mark.usefixtures("ros_domain_id")
def test_who_asks_for_security_never_gets_a_node_without(tmp_path: Path) -> None:
    for keystore in (tmp_path / "missing", keystore_of_nothing(tmp_path / "empty")):
        done = start(keystore, "/lrm/probe")
        assert done.returncode != 0
        assert "started" not in done.stdout


@pytest.mark.usefixtures("ros_domain_id")
def test_a_participant_without_a_key_can_neither_read_nor_command(tmp_path: Path) -> None:
    refused = start(keystore_of_nothing(tmp_path / "empty"), "/lrm/probe")
    if NO_SECURITY in refused.stdout + refused.stderr:
        pytest.skip("Fast DDS of this platform is built without DDS security: nothing is protected by keys here")
    if shutil.which("ros2") is None:
        pytest.skip("ros2 security, which makes the keys, is not installed here")
    keystore = tmp_path / "keys"
    for words in (
        ["create_keystore", keystore], ["create_enclave", keystore, "/lrm/safety"],
        ["create_permission", keystore, "/lrm/safety", POLICY],
    ):  # fmt: skip
        subprocess.run(["ros2", "security", *map(str, words)], check=True, timeout=120)
    secured = dict(
        os.environ, ROS_SECURITY_ENABLE="true", ROS_SECURITY_STRATEGY="Enforce", ROS_SECURITY_KEYSTORE=str(keystore)
    )
    words = ["-m", "lrm_policy_node.safety.ros.node", "--ros-args", "--enclave", "/lrm/safety", "-p", "autostart:=true"]
    with node_process([sys.executable, *words], tmp_path / "safety.log", secured) as safety:
        safety.wait_for_output("holding the arm")
        outsider = subprocess.run(
            [sys.executable, "-c", OUTSIDER],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=dict(os.environ),
        )
    assert outsider.stdout.split() == ["0", "0"]


OUTSIDER = """
import time, rclpy
from lrm_core.ros import qos
from lrm_msgs.msg import SafetyStatus
from trajectory_msgs.msg import JointTrajectory
rclpy.init()
node, heard = rclpy.create_node("outsider"), []
node.create_subscription(SafetyStatus, "safety_status", heard.append, qos.STATUS)
publisher = node.create_publisher(JointTrajectory, "proposed_command", qos.COMMAND)
end = time.monotonic() + 5.0
while time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(heard), publisher.get_subscription_count())
"""
