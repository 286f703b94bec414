"""Gazebo's files say what the MuJoCo scene says: written from it, and read back here by others than their writer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import mujoco
import numpy as np
import pytest
import yaml

from lrm_core.resources import config_path
from lrm_core.robot import load_robot
from lrm_sim import tasks
from lrm_sim.catalog import PRISMS
from lrm_sim.env import CONTROL_PERIOD_S, HOME
from lrm_sim.gazebo import files, wiring
from lrm_sim.gazebo.description import CONTROLLED, FINGERS, Description, link_name
from lrm_sim.gazebo.world import friction, parking
from lrm_sim.params import SimParams
from lrm_sim.scene import CAMERAS, JOINTS, build_model

URDF, SDF = config_path("gazebo/arm.urdf"), config_path("gazebo/pick_place.sdf")
MODEL = build_model()
DESCRIPTION = Description(MODEL)
BODIES = DESCRIPTION.arm_bodies()


@pytest.fixture(scope="module")
def arm() -> mujoco.MjModel:
    """The URDF as MuJoCo's own URDF reader understands it, every frame kept."""
    spec = mujoco.MjSpec.from_file(str(URDF))
    spec.compiler.fusestatic = False
    return spec.compile()


@pytest.fixture(scope="module")
def world() -> Element:
    found = ElementTree.parse(SDF).getroot().find("world")
    assert found is not None
    return found


def floats(text: str | None) -> np.ndarray:
    return np.array([float(word) for word in (text or "").split()])


def transform(text: str | None) -> np.ndarray:
    """Matrix (4, 4) of SDF's ``x y z roll pitch yaw``, written out as the SDF specification defines it."""
    x, y, z, roll, pitch, yaw = floats(text) if text else np.zeros(6)
    turns = []
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        turn, (i, j) = np.eye(3), ((1, 2), (2, 0), (0, 1))[axis]
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[j, i], turn[i, j] = math.sin(angle), -math.sin(angle)
        turns.append(turn)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turns[0] @ turns[1] @ turns[2], (x, y, z)
    return matrix


def links(model: Element) -> dict[str, Element]:
    return {link.attrib["name"]: link for link in model.findall("link")}


def model_named(world: Element, name: str) -> Element:
    found = world.find(f"model[@name='{name}']")
    assert found is not None, name
    return found


def test_the_files_are_what_the_scene_writes_today() -> None:
    assert files.outdated(SDF.parent) == []


def test_an_edited_or_missing_file_is_found(tmp_path: Path) -> None:
    files.write(tmp_path)
    assert files.outdated(tmp_path) == []
    (tmp_path / "arm.urdf").write_text((tmp_path / "arm.urdf").read_text().replace("0.026", "0.027"))
    (tmp_path / "bridge.yaml").unlink()
    assert files.outdated(tmp_path) == ["arm.urdf", "bridge.yaml"]


def test_the_urdf_puts_tool_links_and_cameras_where_mujoco_has_them(arm: mujoco.MjModel) -> None:
    ours, theirs = mujoco.MjData(MODEL), mujoco.MjData(arm)
    rng = np.random.default_rng(0)
    for _ in range(50):
        for name in CONTROLLED:
            low, high = MODEL.joint(name).range
            value = rng.uniform(low, high)
            ours.joint(name).qpos[:], theirs.joint(name).qpos[:] = value, value
        mujoco.mj_kinematics(MODEL, ours)
        mujoco.mj_camlight(MODEL, ours)
        mujoco.mj_kinematics(arm, theirs)
        site = ours.site("tcp")
        np.testing.assert_allclose(theirs.body("tcp").xpos, site.xpos, atol=1e-6)
        np.testing.assert_allclose(theirs.body("tcp").xmat, site.xmat, atol=1e-6)
        for body in BODIES:
            np.testing.assert_allclose(theirs.body(link_name(body)).xpos, ours.body(body).xpos, atol=1e-6)
        for name in CAMERAS:
            frame = theirs.body(f"{name}_camera_optical_frame")
            np.testing.assert_allclose(frame.xpos, ours.cam(name).xpos, atol=1e-6)
            # Optical: x right, y down, z forward; MuJoCo's camera: x right, y up, z back.
            optical = ours.cam(name).xmat.reshape(3, 3) * (1.0, -1.0, -1.0)
            np.testing.assert_allclose(frame.xmat.reshape(3, 3), optical, atol=1e-6)


def test_the_urdf_weighs_what_mujoco_weighs(arm: mujoco.MjModel) -> None:
    for body in BODIES:
        ours, theirs = MODEL.body(body), arm.body(link_name(body))
        np.testing.assert_allclose(theirs.mass, ours.mass, rtol=1e-6)
        np.testing.assert_allclose(theirs.ipos, ours.ipos, atol=1e-8)
        np.testing.assert_allclose(sorted(theirs.inertia), sorted(ours.inertia), rtol=1e-5)


def test_the_urdf_has_the_joints_and_limits_of_the_robot_contract(arm: mujoco.MjModel) -> None:
    robot = load_robot("gazebo_arm")
    assert tuple(arm.joint(i).name for i in range(arm.njnt)) == CONTROLLED
    limits = robot.limits
    assert robot.joint_names == JOINTS
    root = ElementTree.parse(URDF).getroot()
    found = {joint.attrib["name"]: joint.find("limit") for joint in root.findall("joint")}
    for i, name in enumerate(JOINTS[:5]):
        limit = found[name]
        assert limit is not None
        entries = [float(limit.attrib[key]) for key in ("lower", "upper", "velocity")]
        assert entries == pytest.approx([limits.position_low[i], limits.position_high[i], limits.velocity_max[i]])
    fingers = [found[name] for name in FINGERS]
    # Two fingers open the gripper together; the MJCF lets each go 1 mm further than the opening needs.
    assert sum(float(f.attrib["upper"]) for f in fingers if f is not None) == pytest.approx(0.082)
    assert limits.position_high[5] == pytest.approx(0.08)
    assert sum(float(f.attrib["velocity"]) for f in fingers if f is not None) == pytest.approx(limits.velocity_max[5])


def test_ros2_control_commands_positions_and_starts_at_home() -> None:
    control = ElementTree.parse(URDF).getroot().find("ros2_control")
    assert control is not None and control.findtext("hardware/plugin") == "gz_ros2_control/GazeboSimSystem"
    joints = {joint.attrib["name"]: joint for joint in control.findall("joint")}
    assert tuple(joints) == CONTROLLED
    for name, joint in joints.items():
        commands = [entry.attrib["name"] for entry in joint.findall("command_interface")]
        assert commands == ([] if name == FINGERS[1] else ["position"])  # the right finger mimics the left
        assert [entry.attrib["name"] for entry in joint.findall("state_interface")] == ["position", "velocity"]
    start = [float(joints[name].findtext("state_interface/param") or "nan") for name in CONTROLLED]
    np.testing.assert_allclose([*start[:5], start[5] + start[6]], HOME, atol=1e-9)


def test_the_sdf_arm_stands_where_mujocos_arm_stands_at_zero(world: Element) -> None:
    data = mujoco.MjData(MODEL)
    for name in CONTROLLED:
        data.joint(name).qpos[:] = 0.0
    mujoco.mj_kinematics(MODEL, data)
    places = {"base_link": np.eye(4)}
    for name, link in links(model_named(world, "sim_arm")).items():
        pose = link.find("pose")
        if pose is not None:
            places[name] = places[pose.attrib["relative_to"]] @ transform(pose.text)
    for body in BODIES:
        expected = data.body(body)
        np.testing.assert_allclose(places[link_name(body)][:3, 3], expected.xpos, atol=1e-6)
        np.testing.assert_allclose(places[link_name(body)][:3, :3], expected.xmat.reshape(3, 3), atol=1e-6)


def test_the_sdf_arm_has_the_axes_limits_and_strengths_of_the_mjcf(world: Element) -> None:
    joints = {j.attrib["name"]: j for j in model_named(world, "sim_arm").findall("joint")}
    assert set(joints) == {"world_fixed", *CONTROLLED}
    for name in CONTROLLED:
        ours, axis = MODEL.joint(name), joints[name].find("axis")
        assert axis is not None
        np.testing.assert_allclose(floats(axis.findtext("xyz")), ours.axis, atol=1e-9)
        limits = [float(axis.findtext(f"limit/{key}") or "nan") for key in ("lower", "upper")]
        np.testing.assert_allclose(limits, ours.range, atol=1e-9)
        actuator = MODEL.actuator("gripper" if name in FINGERS else name)
        assert float(axis.findtext("limit/effort") or "nan") == pytest.approx(actuator.forcerange[1])


@pytest.mark.parametrize("name", [*tasks.OBJECTS, *tasks.CONTAINERS])
def test_a_thing_of_the_sdf_has_the_shapes_and_weight_of_the_catalogue(world: Element, name: str) -> None:
    model = model_named(world, link_name(name))
    body = MODEL.body(name)
    assert (model.findtext("static") == "true") == (name not in PRISMS)
    (link,) = model.findall("link")
    collisions = link.findall("collision")
    assert len(collisions) == body.geomnum[0] == len(link.findall("visual"))
    for collision, geom in zip(collisions, range(body.geomadr[0], body.geomadr[0] + body.geomnum[0]), strict=True):
        size, place = MODEL.geom_size[geom], transform(collision.findtext("pose"))
        box, radius = collision.findtext("geometry/box/size"), collision.findtext("geometry/cylinder/radius")
        if box:
            np.testing.assert_allclose(floats(box), 2 * size, atol=1e-8)
        else:
            length = floats(collision.findtext("geometry/cylinder/length"))
            np.testing.assert_allclose([float(radius or "nan"), *length], [size[0], 2 * size[1]], atol=1e-8)
        np.testing.assert_allclose(place[:3, 3], MODEL.geom_pos[geom], atol=1e-8)
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, MODEL.geom_quat[geom])
        np.testing.assert_allclose(place[:3, :3], turn.reshape(3, 3), atol=1e-6)
    if name in PRISMS:
        assert float(link.findtext("inertial/mass") or "nan") == pytest.approx(PRISMS[name].mass_kg)


def test_every_inertia_of_the_sdf_is_one_that_a_body_can_have(world: Element) -> None:
    inertials = [inertial for inertial in world.iter("inertial") if inertial.find("inertia") is not None]
    assert len(inertials) == len(BODIES) + len(tasks.OBJECTS) + len(tasks.CONTAINERS)
    for inertial in inertials:
        xx, xy, xz, yy, yz, zz = (float(inertial.findtext(f"inertia/{k}") or "nan") for k in
                                  ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))  # fmt: skip
        moments = np.linalg.eigvalsh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        assert moments[0] > 0.0
        assert moments[0] + moments[1] >= moments[2] * (1 - 1e-9)


def test_names_are_unique_and_a_joint_never_has_the_name_of_a_link(world: Element) -> None:
    models = [model.attrib["name"] for model in world.findall("model")]
    assert len(models) == len(set(models)) == 3 + len(tasks.OBJECTS) + len(tasks.CONTAINERS)
    for model in world.findall("model"):
        names = [child.attrib["name"] for child in model if child.tag in ("link", "joint")]
        assert len(names) == len(set(names))


def pairs() -> list[tuple[str, str]]:
    """Geoms that touch in a pick and place: everything with every object."""
    things = ["table", "pad_left", "palm", *tasks.CONTAINERS]
    return [(thing, name) for thing in things for name in tasks.OBJECTS]


@pytest.mark.parametrize(("thing", "name"), pairs())
def test_objects_rub_on_everything_as_in_mujoco(world: Element, thing: str, name: str) -> None:
    """MuJoCo takes the higher priority, then the larger coefficient; DART the smaller one."""
    body = MODEL.body(name)
    mine = body.geomadr[0]
    geom = MODEL.body(thing).geomadr[0] if thing in tasks.CONTAINERS else MODEL.geom(thing).id
    ours, theirs = MODEL.geom_friction[mine, 0], MODEL.geom_friction[geom, 0]
    expected = theirs if MODEL.geom_priority[geom] > MODEL.geom_priority[mine] else max(ours, theirs)
    object_mu = float(model_named(world, link_name(name)).findtext(".//collision//mu") or "nan")
    if thing == "table" or thing in tasks.CONTAINERS:
        other_mu = float(model_named(world, link_name(thing)).findtext(".//collision//mu") or "nan")
    else:
        owner = MODEL.body(MODEL.geom_bodyid[geom]).name
        shapes = DESCRIPTION.link(owner).shapes
        index = geom - MODEL.body(owner).geomadr[0]
        collision = links(model_named(world, "sim_arm"))[link_name(owner)].findall("collision")[index]
        other_mu = float(collision.findtext(".//mu") or "nan")
        assert other_mu == pytest.approx(friction(DESCRIPTION, shapes[index], owner))
    assert min(object_mu, other_mu) == pytest.approx(expected)


def sensor_places(world: Element, data: mujoco.MjData) -> dict[str, tuple[Element, np.ndarray]]:
    """Every camera sensor with its place in the world (4, 4), links as MuJoCo has them in ``data``."""
    found = {}
    for model in world.findall("model"):
        for name, link in links(model).items():
            for sensor in link.findall("sensor"):
                base = transform(model.findtext("pose"))
                if model.attrib["name"] == "sim_arm":
                    body = data.body(name)
                    base = np.eye(4)
                    base[:3, :3], base[:3, 3] = body.xmat.reshape(3, 3), body.xpos
                found[sensor.attrib["name"]] = sensor, base @ transform(sensor.findtext("pose"))
    return found


def home() -> mujoco.MjData:
    data = mujoco.MjData(MODEL)
    for name, value in zip(CONTROLLED, [*HOME[:5], HOME[5] / 2, HOME[5] / 2], strict=True):
        data.joint(name).qpos[:] = value
    mujoco.mj_kinematics(MODEL, data)
    mujoco.mj_camlight(MODEL, data)
    return data


def project(sensor: Element, place: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Pixel (2,) of a world point in a camera of the SDF, which looks along x, y left, z up."""
    forward, left, up = place[:3, :3].T @ (point - place[:3, 3])
    width, height = (int(sensor.findtext(f"camera/image/{key}") or 0) for key in ("width", "height"))
    focal = width / 2 / math.tan(float(sensor.findtext("camera/horizontal_fov") or "nan") / 2)
    return np.array([(width - 1) / 2 - focal * left / forward, (height - 1) / 2 - focal * up / forward])


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_camera_of_the_sdf_shows_points_where_mujoco_renders_them(world: Element, camera: str) -> None:
    """A bright ball is rendered by MuJoCo, and looked for where the SDF's camera would have it."""
    data = home()
    sensor, place = sensor_places(world, data)[f"{camera}_camera"]
    side = int(sensor.findtext("camera/image/width") or 0)
    renderer = mujoco.Renderer(MODEL, side, side)
    try:
        for x, y in ((0.2, 0.0), (0.18, 0.05), (0.22, -0.06)):
            point = np.array([x, y, 0.03])
            pixel = project(sensor, place, point)
            if not (pixel.min() > 4 and pixel.max() < side - 5):
                continue
            renderer.update_scene(data, camera=camera)
            scene = renderer.scene
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, 0.006), point, np.eye(3).ravel(),
                np.array([1.0, 0.0, 1.0, 1.0], np.float32),
            )  # fmt: skip
            scene.geoms[scene.ngeom].emission = 1.0
            scene.ngeom += 1
            image = renderer.render().astype(int)
            rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 2] > 150) & (image[..., 1] < 90))
            assert rows.size, "the ball is out of sight"
            assert np.hypot(columns.mean() - pixel[0], rows.mean() - pixel[1]) < 1.0
            break
        else:
            pytest.fail("no test point is in the picture")
    finally:
        renderer.close()


def test_cameras_have_the_size_rate_and_topic_of_the_simulated_robot(world: Element) -> None:
    sensors = sensor_places(world, home())
    assert set(sensors) == {f"{name}_camera" for name in CAMERAS}
    for name in CAMERAS:
        sensor, _ = sensors[f"{name}_camera"]
        sizes = [int(sensor.findtext(f"camera/image/{key}") or 0) for key in ("width", "height")]
        assert sizes == [SimParams().image_size] * 2
        assert sensor.findtext("camera/image/format") == "R8G8B8"
        assert float(sensor.findtext("update_rate") or "nan") == SimParams().control_rate_hz == 1 / CONTROL_PERIOD_S
        fov = float(sensor.findtext("camera/horizontal_fov") or "nan")
        assert math.degrees(fov) == pytest.approx(MODEL.camera(name).fovy[0])


def test_what_a_scene_does_not_use_stands_apart_and_out_of_every_picture(world: Element) -> None:
    sensors = sensor_places(world, home())
    spots = [parking(name) for name in (*tasks.OBJECTS, *tasks.CONTAINERS)]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(spots) for b in spots[:i]]
    assert min(apart) > 0.2
    for sensor, place in sensors.values():
        side = int(sensor.findtext("camera/image/width") or 0)
        for spot in spots:
            ahead = (place[:3, :3].T @ (spot - place[:3, 3]))[0] > 0
            pixel = project(sensor, place, spot)
            assert not ahead or pixel.min() < -20 or pixel.max() > side + 20


def test_the_bridge_takes_every_topic_that_the_world_publishes(world: Element) -> None:
    entries = yaml.safe_load(config_path("gazebo/bridge.yaml").read_text())
    allowed = {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction"}
    assert all(set(entry) == allowed and entry["direction"] == "GZ_TO_ROS" for entry in entries)
    pairs = {"rosgraph_msgs/msg/Clock": "gz.msgs.Clock", "sensor_msgs/msg/Image": "gz.msgs.Image",
             "geometry_msgs/msg/PoseStamped": "gz.msgs.Pose"}  # fmt: skip
    assert all(pairs[entry["ros_type_name"]] == entry["gz_type_name"] for entry in entries)
    offered = {f"/{topic.text}".replace("//", "/") for topic in world.iter("topic")} | {"/clock"}
    assert {entry["gz_topic_name"] for entry in entries} == offered
    assert len({entry["ros_topic_name"] for entry in entries}) == len(entries)


def test_controllers_and_world_agree_on_joints_names_and_rates(world: Element) -> None:
    parameters = yaml.safe_load(config_path("gazebo/controllers.yaml").read_text())
    manager = parameters["/gazebo/controller_manager"]["ros__parameters"]
    plugin = world.find(".//plugin[@filename='gz_ros2_control-system']")
    assert plugin is not None
    assert plugin.findtext("ros/namespace") == wiring.NAMESPACE == "/gazebo"
    assert (config_path("robots").parents[1] / (plugin.findtext("parameters") or "")).is_file()
    step_s = float(world.findtext("physics/max_step_size") or "nan")
    ratio = 1 / manager["update_rate"] / step_s
    assert ratio == pytest.approx(round(ratio)) and ratio >= 1  # a controller period is a number of physics steps
    per_second = float(plugin.findtext("position_proportional_gain") or "nan") * manager["update_rate"]
    assert 20 <= per_second <= manager["update_rate"]
    arm = parameters["/gazebo/arm_controller"]["ros__parameters"]
    assert {"arm_controller", "joint_state_broadcaster"} <= set(manager)
    assert set(arm["joints"]) == set(CONTROLLED) - {FINGERS[1]}


def test_libsdformat_reads_the_world_and_the_arm() -> None:
    """Gazebo's own parser, by way of Drake, where that is installed (pip install drake); Drake ignores plugins."""
    parsing = pytest.importorskip("pydrake.multibody.parsing", reason="Drake, which has libsdformat, is not installed")
    from pydrake.multibody.plant import MultibodyPlant

    for path, models in ((SDF, 3 + len(tasks.OBJECTS) + len(tasks.CONTAINERS)), (URDF, 1)):
        plant = MultibodyPlant(0.001)
        assert len(parsing.Parser(plant).AddModels(str(path))) == models
        plant.Finalize()
        check_kinematics(plant)


def check_kinematics(plant: Any) -> None:
    """Drake has the links of the arm where MuJoCo has them, for joints anywhere in their limits."""
    ours, theirs, rng = mujoco.MjData(MODEL), plant.CreateDefaultContext(), np.random.default_rng(1)
    arm = plant.GetModelInstanceByName("sim_arm")
    for _ in range(20):
        for name in CONTROLLED:
            ours.joint(name).qpos[:] = rng.uniform(*MODEL.joint(name).range)
            joint = plant.GetJointByName(name, arm)
            set_value = joint.set_translation if name in FINGERS else joint.set_angle
            set_value(theirs, float(ours.joint(name).qpos[0]))
        mujoco.mj_kinematics(MODEL, ours)
        for body in BODIES:
            place = plant.EvalBodyPoseInWorld(theirs, plant.GetBodyByName(link_name(body), arm))
            base = plant.EvalBodyPoseInWorld(theirs, plant.GetBodyByName("base_link", arm))
            np.testing.assert_allclose((base.inverse() @ place).translation(), ours.body(body).xpos, atol=1e-6)
