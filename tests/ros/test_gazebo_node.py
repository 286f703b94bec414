"""Gazebo's node over real DDS, with a stand-in for Gazebo's side: the graph of MuJoCo, reset, truth, faults."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped

from gazebo_side import PLACE_TOPIC, RELIABLE
from lrm_core.ros import stamps
from lrm_sim.env import HOME, PickPlaceEnv
from lrm_sim.gazebo import wiring
from lrm_sim.gazebo.description import link_name
from lrm_sim.scene import CAMERAS, JOINTS
from ros_testing import NodeProcess, free_domain, node_process
from test_sim_node import TASK, TOPICS, Commander, commander, simulator

HERE = Path(__file__).parent
NAMESPACE = "/left"


def missing(package: str) -> bool:
    return importlib.util.find_spec(package) is None


@contextmanager
def started(log: Path, module: Path, *arguments: str) -> Iterator[NodeProcess]:
    command = [sys.executable, str(module), *arguments]
    with node_process(command, log / f"{module.stem}.log", {"PYTHONPATH": ":".join([str(HERE), *sys.path])}) as process:
        yield process


@contextmanager
def gazebo(log: Path, placing: str = "topic", namespace: str = "/") -> Iterator[NodeProcess]:
    """The node, and what stands in for Gazebo; yields the node."""
    node = HERE / "gazebo_robot.py"
    if placing != "topic":
        from lrm_sim.ros import gazebo_node

        node = Path(gazebo_node.__file__)
    parameters = ("-p", "autostart:=true", "-p", "home_time_s:=0.3", "-p", "reset_timeout_s:=20.0")
    remap = ("--ros-args", "-r", f"__ns:={namespace}", *parameters)
    with started(log, HERE / "gazebo_side.py", placing), started(log, node, *remap) as process:
        yield process


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Commander]]:
    log = tmp_path_factory.mktemp("gazebo")
    with free_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_LOG_DIR", str(log))
        with gazebo(log) as process, commander(lockstep=False, domain=domain) as made:
            yield process, made


def endpoints(node: Any, name: str, ends: list[Any]) -> list[tuple[Any, ...]]:
    """Type and quality of service of what a node publishes or listens to on a topic."""
    found = [end for end in ends if end.node_name == name]
    return [(end.topic_type, end.qos_profile.reliability, end.qos_profile.durability) for end in found]


def contract(made: Commander) -> dict[str, Any]:
    """What a robot offers, as its users see it: types, quality of service, frames, sizes, intrinsics, units, rates."""
    reply = made.reset(5, TASK)
    assert reply.accepted, reply.message
    first_ns = stamps.to_ns(reply.stamp)

    def whole() -> bool:
        later = {stamps.to_ns(m.header.stamp) for m in made.messages["joint_states"]}
        return sum(stamp > first_ns for stamp in later) > 8

    made.until(whole, what="a second of observations")
    made.until(lambda: made.node.count_publishers("/clock") > 0, what="the discovery of /clock")
    seen = made.observe(first_ns)
    table: dict[str, Any] = {}
    for topic, messages in made.messages.items():
        resolved = made.node.resolve_topic_name(topic)
        times = np.array(sorted({stamps.to_ns(message.header.stamp) for message in messages}))
        times = times[times > first_ns]
        table[topic] = {
            "publishers": endpoints(made.node, "sim", made.node.get_publishers_info_by_topic(resolved)),
            "frame": seen[topic].header.frame_id,
            "rate_hz": 1e9 / float(np.median(np.diff(times))),
        }
    command = made.node.resolve_topic_name("command")
    table["command"] = endpoints(made.node, "sim", made.node.get_subscriptions_info_by_topic(command))
    clock = made.node.get_publishers_info_by_topic("/clock")
    table["/clock"] = [(end.topic_type, end.qos_profile.reliability, end.qos_profile.durability) for end in clock]
    table["services"] = [
        (name, kinds)
        for name, kinds in made.node.get_service_names_and_types_by_node("sim", made.node.get_namespace())
        if name.endswith("/reset")
    ]
    for camera in CAMERAS:
        image, info = seen[f"{camera}/image_raw"], seen[f"{camera}/camera_info"]
        table[f"{camera}/image_raw"] |= {"format": (image.encoding, image.width, image.height, image.step)}
        table[f"{camera}/camera_info"] |= {"k": list(info.k), "p": list(info.p), "model": info.distortion_model}
    joints = seen["joint_states"]
    table["joint_states"] |= {"names": list(joints.name), "home": [round(value, 1) for value in joints.position]}
    audit = seen["audit"]
    table["audit"] |= {"start": (audit.seed, audit.task, audit.success, audit.outcome), "low": audit.progress < 0.25}
    return table


def test_gazebo_offers_the_graph_that_mujoco_offers(tmp_path: Path) -> None:
    tables = []
    for kind in ("mujoco", "gazebo"):
        with free_domain() as domain, pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROS_DOMAIN_ID", str(domain))
            patch.setenv("ROS_LOG_DIR", str(tmp_path))
            side = simulator(tmp_path, "lockstep:=false", namespace=NAMESPACE) if kind == "mujoco" else gazebo(
                tmp_path, namespace=NAMESPACE)  # fmt: skip
            with side, commander(NAMESPACE, lockstep=False, domain=domain) as made:
                tables.append(contract(made))
    mujoco_rates, gazebo_rates = ({topic: table[topic].pop("rate_hz") for topic in TOPICS} for table in tables)
    mujoco_table, gazebo_table = tables
    assert gazebo_table == mujoco_table
    # MuJoCo's stamps are wall time, which a busy machine stretches; Gazebo's are simulated and exact.
    assert mujoco_rates == pytest.approx(dict.fromkeys(TOPICS, 10.0), rel=0.3)
    assert gazebo_rates == pytest.approx(dict.fromkeys(TOPICS, 10.0))
    assert mujoco_table["front/image_raw"]["publishers"] and mujoco_table["command"] and mujoco_table["/clock"]
    assert mujoco_table["wrist/camera_info"]["frame"] == "left/wrist_camera_optical_frame"


def test_a_reset_builds_the_scene_that_mujoco_has_for_the_seed(robot: tuple[NodeProcess, Commander]) -> None:
    _, made = robot
    poses: dict[str, PoseStamped] = {}
    env = PickPlaceEnv(render_every=0)
    for name in (*env_objects(env, 11), *env_objects(env, 12)):
        made.node.create_subscription(
            PoseStamped, wiring.pose_topic(name), lambda m, name=name: poses.__setitem__(name, m), RELIABLE
        )
    for seed in (11, 12):
        reply = made.reset(seed, TASK)
        assert reply.accepted, reply.message
        used = env_objects(env, seed)
        first_ns = stamps.to_ns(reply.stamp)

        def shown(used: dict[str, np.ndarray] = used, first_ns: int = first_ns) -> bool:
            return all(name in poses and stamps.to_ns(poses[name].header.stamp) >= first_ns for name in used)

        made.until(shown, what="the places of the objects")
        for name, where in used.items():
            p = poses[name].pose.position
            np.testing.assert_allclose([p.x, p.y, p.z], where, atol=1e-6)
        seen = made.observe(first_ns)
        assert (seen["audit"].seed, seen["audit"].task, seen["audit"].success) == (seed, TASK, False)
        np.testing.assert_allclose(seen["joint_states"].position, HOME, atol=0.01)


def env_objects(env: PickPlaceEnv, seed: int) -> dict[str, np.ndarray]:
    """Places of the objects that a scene of the MuJoCo environment uses."""
    env.reset(seed=seed, options={"task": TASK})
    return {name: env.data.body(name).xpos.copy() for name in (env.object, env.distractor_object)}


def test_a_command_moves_the_arm_and_the_gripper_is_the_sum_of_its_fingers(
    robot: tuple[NodeProcess, Commander],
) -> None:
    _, made = robot
    made.reset(1, TASK)
    target = HOME + np.array([0.1, 0.05, -0.05, 0.02, 0.3, -0.03])
    made.command(made.stamp_ns, target[::-1], JOINTS[::-1])
    made.until(lambda: np.allclose(made.messages["joint_states"][-1].position, target, atol=1e-3), what="the target")


def test_a_bad_command_is_refused_and_moves_nothing(robot: tuple[NodeProcess, Commander]) -> None:
    process, made = robot
    made.reset(2, TASK)
    made.command(made.stamp_ns, np.full(6, np.nan))
    process.wait_for_output("command refused")
    np.testing.assert_allclose(made.messages["joint_states"][-1].position, HOME, atol=1e-3)


def test_the_truth_is_that_of_the_judge(robot: tuple[NodeProcess, Commander]) -> None:
    """The named object appears in its container, then in the other one: from elsewhere than the start, let go."""
    _, made = robot
    place = made.node.create_publisher(PoseStamped, PLACE_TOPIC, RELIABLE)
    made.until(place.get_subscription_count, what="the stand-in")
    assert made.reset(3, TASK).accepted
    env = PickPlaceEnv(render_every=0)
    env.reset(seed=3, options={"task": TASK})
    for container, outcome in ((env.container, "in_container"), (env.distractor_container, "wrong_container")):
        message = PoseStamped()
        message.header.frame_id = link_name(env.object)
        x, y, _ = env.pose_of(container)
        message.pose.position.x, message.pose.position.y, message.pose.position.z = float(x), float(y), 0.028
        place.publish(message)
        made.until(lambda outcome=outcome: made.messages["audit"][-1].outcome == outcome, what=outcome)
        assert made.messages["audit"][-1].success == (outcome == "in_container")


@pytest.mark.parametrize(("seed", "task", "words"), [(-2, TASK, "seed"), (1, "make tea", "task")])
def test_a_reset_that_makes_no_sense_is_refused_with_the_reason(
    robot: tuple[NodeProcess, Commander], seed: int, task: str, words: str
) -> None:
    reply = robot[1].reset(seed, task)
    assert not reply.accepted and words in reply.message


def test_without_gazebo_a_reset_says_which_service_is_missing(
    tmp_path: Path, ros_domain_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rclpy

    from lrm_msgs.srv import Reset
    from ros_testing import ros_context, spin_until

    with started(tmp_path, HERE / "gazebo_robot.py", "--ros-args", "-p", "autostart:=true"), ros_context() as context:
        node = rclpy.create_node("asker", context=context)
        client = node.create_client(Reset, "reset")
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            spin_until(executor, client.service_is_ready, 20.0, "the service")
            future = client.call_async(Reset.Request(seed=1))
            spin_until(executor, future.done, 20.0, "an answer")
            assert not future.result().accepted
            assert PLACE_TOPIC in future.result().message and "does not answer" in future.result().message
        finally:
            executor.shutdown()
            node.destroy_node()


@pytest.mark.skipif(not missing("ros_gz_interfaces"), reason="Gazebo's messages are installed here")
def test_without_gazebos_messages_the_node_ends_with_one_clear_line(tmp_path: Path, ros_domain_id: int) -> None:
    from lrm_sim.ros import gazebo_node

    with started(tmp_path, Path(gazebo_node.__file__), "--ros-args", "-p", "autostart:=true") as process:
        process.wait_for_output("Install ros-jazzy-ros-gz")


@pytest.mark.parametrize("placing", ["ros_gz", "simulation_interfaces"])
def test_things_are_put_by_the_services_of_gazebo(tmp_path: Path, ros_domain_id: int, placing: str) -> None:
    package = {"ros_gz": "ros_gz_interfaces"}.get(placing, placing)
    if missing(package):
        pytest.skip(f"{package} is not installed here: no wheel of it exists")
    with gazebo(tmp_path, placing), commander(lockstep=False) as made:
        reply = made.reset(4, TASK)
        assert reply.accepted, reply.message
        assert set(made.observe(stamps.to_ns(reply.stamp))) == set(TOPICS)
