"""The world as SDF: table, arm with its wrist camera and controllers, front camera, objects, containers, lamp."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from lrm_sim import tasks
from lrm_sim.catalog import PRISMS
from lrm_sim.env import CONTROL_PERIOD_S
from lrm_sim.gazebo import wiring
from lrm_sim.gazebo.description import Camera, Description, Joint, Link, Pose, Shape, link_name
from lrm_sim.gazebo.xml import add, document, inertia_entries, numbers, six
from lrm_sim.params import SimParams
from lrm_sim.scene import CAMERAS

SDF_VERSION = "1.11"
"""Of libsdformat 14, which Gazebo Harmonic has."""
WORLD = "pick_place"
STEP_S = 0.001
_SYSTEMS = {
    "gz-sim-physics-system": "gz::sim::systems::Physics",
    "gz-sim-user-commands-system": "gz::sim::systems::UserCommands",
    "gz-sim-scene-broadcaster-system": "gz::sim::systems::SceneBroadcaster",
    "gz-sim-sensors-system": "gz::sim::systems::Sensors",
}
_CLIP_M = (0.01, 10.0)
_BACKGROUND = "0 0 0 1"


def parking(thing: str) -> np.ndarray:
    """Where a thing stands (3,), m, that a scene does not use: far behind the arm, out of every picture."""
    things = (*tasks.OBJECTS, *tasks.CONTAINERS)
    height = PRISMS[thing].half_height_m if thing in PRISMS else 0.0
    return np.array([-1.5, 0.3 * (things.index(thing) - len(things) // 2), height])


def world(description: Description) -> str:
    """The text of ``pick_place.sdf``."""
    root = Element("sdf", version=SDF_VERSION)
    world = add(root, "world", name=WORLD)
    _add_physics(world)
    _add_light(world, description)
    _add_table(world, description)
    for name in (*tasks.OBJECTS, *tasks.CONTAINERS):
        _add_thing(world, description, name)
    for name in CAMERAS:
        camera = description.camera(name)
        if camera.parent == "world":
            _add_camera_model(world, camera)
    _add_arm(world, description)
    return document(root)


def friction(description: Description, shape: Shape, owner: str) -> float:
    """Coefficient of a shape, such that Gazebo's pairs of shapes rub as MuJoCo's do.

    MuJoCo takes the larger of two coefficients, or that of the pad, which has priority; DART, Gazebo's engine, takes
    the smaller (dart/constraint/ContactConstraint.cpp). With the pads' coefficient on every object, a pair with an
    object has the coefficient of the other side; that side gets what MuJoCo computes for the pair.
    """
    model = description.model
    pad = float(model.geom("pad_left").friction[0])
    if owner in PRISMS or shape.friction == pad:
        return pad
    return max(shape.friction, float(model.geom("table").friction[0]))


def _add_physics(world: Element) -> None:
    physics = add(world, "physics", name="default", type="dart")
    add(physics, "max_step_size", STEP_S)
    add(physics, "real_time_factor", 1)
    for library, name in _SYSTEMS.items():
        plugin = add(world, "plugin", filename=library, name=name)
        if library == "gz-sim-sensors-system":
            add(plugin, "render_engine", "ogre2")
    add(world, "gravity", "0 0 -9.81")


def _add_light(world: Element, description: Description) -> None:
    lamp, headlight = description.model.light("lamp"), description.model.vis.headlight
    scene = add(world, "scene")
    add(scene, "ambient", numbers([*_colour(headlight.ambient), 1.0]))
    add(scene, "background", _BACKGROUND)
    add(scene, "shadows", False)
    light = add(world, "light", type="directional", name="lamp")
    add(light, "pose", f"{numbers(lamp.pos)} 0 0 0")
    add(light, "direction", numbers(lamp.dir))
    # MuJoCo's headlight shines from the camera; a lamp from above is all that a world file can have.
    add(light, "diffuse", numbers([*_colour(lamp.diffuse + headlight.diffuse), 1.0]))
    add(light, "specular", "0 0 0 1")
    add(light, "cast_shadows", False)


def _add_table(world: Element, description: Description) -> None:
    geom = description.model.geom("table")
    model = add(world, "model", name="table")
    add(model, "static", True)
    link = add(model, "link", name="link")
    for tag in ("collision", "visual"):
        element = add(link, tag, name=tag)
        plane = add(add(element, "geometry"), "plane")
        add(plane, "normal", "0 0 1")
        add(plane, "size", numbers(2.0 * geom.size[:2]))
        if tag == "collision":
            _add_friction(element, float(geom.friction[0]))
        else:
            _add_material(element, _colour(geom.rgba))


def _add_thing(world: Element, description: Description, name: str) -> None:
    model = add(world, "model", name=link_name(name))
    add(model, "static", name not in PRISMS)
    add(model, "pose", f"{numbers(parking(name))} 0 0 0")
    _add_link(model, description, description.link(name), name)
    if name in PRISMS:
        plugin = add(model, "plugin", filename="gz-sim-pose-publisher-system", name="gz::sim::systems::PosePublisher")
        for tag in ("link", "visual", "collision", "sensor", "nested_model"):
            add(plugin, f"publish_{tag}_pose", False)
        add(plugin, "publish_model_pose", True)
        add(plugin, "use_pose_vector_msg", False)
        add(plugin, "update_frequency", wiring.POSE_RATE_HZ)
        add(plugin, "topic", wiring.gz_pose_topic(name))


def _add_arm(world: Element, description: Description) -> None:
    model = add(world, "model", name="sim_arm")
    add(model, "self_collide", False)  # as in the MJCF, where arm geoms meet the scene only
    bodies = description.arm_bodies()
    for body in bodies:
        pose = description.joint(body).pose if body != bodies[0] else None
        parent = description.joint(body).parent if pose else ""
        link = _add_link(model, description, description.link(body), body, pose, parent)
        for camera in (description.camera(name) for name in CAMERAS):
            if camera.parent == body:
                _add_camera(link, camera, six(camera.body_pose))
    fixed = add(model, "joint", name="world_fixed", type="fixed")
    add(fixed, "parent", "world")
    add(fixed, "child", link_name(bodies[0]))
    for body in bodies[1:]:
        _add_joint(model, description.joint(body))
    plugin = add(model, "plugin", filename="gz_ros2_control-system", name="gz_ros2_control::GazeboSimROS2ControlPlugin")
    # Relative to the folder that Gazebo is started in: the shared folder of lrm_bringup, or the root of a checkout.
    add(plugin, "parameters", "config/gazebo/controllers.yaml")
    add(plugin, "position_proportional_gain", wiring.POSITION_GAIN)
    add(add(plugin, "ros"), "namespace", wiring.NAMESPACE)


def _add_link(
    model: Element, description: Description, link: Link, owner: str, pose: Pose | None = None, parent: str = ""
) -> Element:
    element = add(model, "link", name=link.name)
    if pose is not None:
        # At joint position zero a link stands where MuJoCo's body frame is.
        add(element, "pose", six(pose), relative_to=parent)
    if not link.gravity:
        add(element, "gravity", False)
    if link.mass > 0.0:
        inertial = add(element, "inertial")
        add(inertial, "pose", f"{numbers(link.centre)} 0 0 0")
        add(inertial, "mass", numbers([link.mass]))
        inertia = add(inertial, "inertia")
        for name, value in inertia_entries(link.inertia).items():
            add(inertia, name, value)
    for i, shape in enumerate(link.shapes):
        collision, visual = (add(element, tag, name=f"{tag}_{i}") for tag in ("collision", "visual"))
        for target in (collision, visual):
            _add_shape(target, shape)
        _add_friction(collision, friction(description, shape, owner))
        _add_material(visual, shape.rgba)
    return element


def _add_shape(parent: Element, shape: Shape) -> None:
    add(parent, "pose", six(shape.pose))
    geometry = add(add(parent, "geometry"), shape.kind)
    if shape.kind == "box":
        add(geometry, "size", numbers(shape.size))
    else:
        add(geometry, "radius", numbers(shape.size[:1]))
        add(geometry, "length", numbers(shape.size[1:]))


def _add_friction(collision: Element, coefficient: float) -> None:
    ode = add(add(add(collision, "surface"), "friction"), "ode")
    for tag in ("mu", "mu2"):
        add(ode, tag, numbers([coefficient]))


def _add_material(visual: Element, rgba: tuple[float, ...]) -> None:
    material = add(visual, "material")
    for tag in ("ambient", "diffuse"):
        add(material, tag, numbers(rgba))
    add(material, "specular", "0 0 0 1")


def _colour(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)  # MuJoCo keeps them in single precision


def _add_joint(model: Element, joint: Joint) -> None:
    element = add(model, "joint", name=joint.name, type=joint.kind)
    add(element, "parent", joint.parent)
    add(element, "child", joint.child)
    axis = add(element, "axis")
    add(axis, "xyz", numbers(joint.axis))
    limit = add(axis, "limit")
    for tag in ("lower", "upper", "effort", "velocity"):
        add(limit, tag, numbers([getattr(joint, tag)]))
    add(add(axis, "dynamics"), "damping", numbers([joint.damping]))


def _add_camera_model(world: Element, camera: Camera) -> None:
    model = add(world, "model", name=f"{camera.name}_camera")
    add(model, "static", True)
    add(model, "pose", six(camera.body_pose))
    _add_camera(add(model, "link", name="link"), camera, "0 0 0 0 0 0")


def _add_camera(link: Element, camera: Camera, pose: str) -> None:
    sensor = add(link, "sensor", name=f"{camera.name}_camera", type="camera")
    add(sensor, "pose", pose)
    add(sensor, "topic", f"{camera.name}/image_raw")
    add(sensor, "update_rate", numbers([1.0 / CONTROL_PERIOD_S]))
    add(sensor, "always_on", True)
    element = add(sensor, "camera", name=camera.name)
    add(element, "horizontal_fov", numbers([camera.fovy_rad]))  # square pictures: as wide as high
    image, side = add(element, "image"), SimParams().image_size
    for tag, value in (("width", side), ("height", side), ("format", "R8G8B8")):
        add(image, tag, value)
    clip = add(element, "clip")
    for tag, distance in zip(("near", "far"), _CLIP_M, strict=True):
        add(clip, tag, numbers([distance]))
