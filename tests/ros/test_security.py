"""The security policy is what the nodes do, and a participant without keys gets nowhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest

from graph_use import all_nodes, use_of
from lrm_bringup.graph import GRAPHS, enclave
from lrm_core.resources import config_path
from ros_testing import default_context, node_process

POLICY = config_path("security/policy.xml")
NO_SECURITY = "doesn't have the security libraries"
"""What Fast DDS says when it was built without."""
SITUATIONAL = {
    ("sim", "publish", "/clock"): "only where publish_clock is true and nobody else does",
    ("safety", "subscribe", "/reward/status"): "with reward_timeout_s",
    ("safety", "subscribe", "/*/camera_info"): "with observation_topics",
    ("driver", "reply", "/scene_ready"): "with scene_ready_timeout_s",
    ("learner", "subscribe", "/audit"): "with reward_source privileged",
    ("learner", "subscribe", "/reward/contrastive"): "with a delivery that uses it",
    ("learner", "subscribe", "/reward/fused"): "with a delivery that uses it",
    ("recorder", "request", "/*/get_parameters"): "once a node has listed its parameters",
}
TRANSPORTS = re.compile(
    r"/image_raw/compressed$|^/\*/camera_info$|^/clock$|^/parameter_events$|^/diagnostics$|^/rosout$"
)
"""Of every node that has cameras, or of every node, depending on parameters."""


def allowed(node: str) -> dict[str, set[str]]:
    """Absolute names, with wild cards, that the policy allows to a node, by kind."""
    (profile,) = ElementTree.parse(POLICY).findall(f".//profile[@node='{node}']")
    found: dict[str, set[str]] = {}
    for group in profile:
        (kind,) = group.attrib
        names = {(name.text or "").replace("~", f"/{node}") for name in group}
        found[kind] = {name if name.startswith("/") else f"/{name}" for name in names}
    return found


def test_every_process_has_an_enclave() -> None:
    paths = {one.get("path") for one in ElementTree.parse(POLICY).iter("enclave")}
    assert {enclave(node) for nodes in GRAPHS.values() for node in nodes} <= paths


def test_the_policy_allows_what_the_nodes_do_and_nothing_else(ros_domain_id: int, tmp_path: Path) -> None:
    with default_context(), all_nodes(tmp_path) as nodes:
        used = {name: use_of(node) for name, node in nodes.items()}
    for name, kinds in used.items():
        rules = allowed(name)
        for kind, names in kinds.items():
            refused = {one for one in names if not any(fnmatchcase(one, rule) for rule in rules.get(kind, ()))}
            assert refused == set(), (name, kind)
            idle = {rule for rule in rules.get(kind, ()) if not any(fnmatchcase(one, rule) for one in names)}
            known = {rule for rule in idle if (name, kind, rule) in SITUATIONAL or TRANSPORTS.search(rule)}
            assert idle - known == set(), (name, kind)


def test_only_the_safety_stage_may_command() -> None:
    nodes = [profile.get("node", "") for profile in ElementTree.parse(POLICY).iter("profile")]
    for topic, owners in (("/command", {"safety"}), ("/proposed_command", {"policy", "driver"})):
        able = {name for name in nodes if any(fnmatchcase(topic, rule) for rule in allowed(name).get("publish", ()))}
        assert able == owners


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
