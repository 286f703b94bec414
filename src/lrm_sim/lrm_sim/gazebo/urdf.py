"""The arm as URDF with ``<ros2_control>``: for robot_state_publisher and the controllers. Gazebo reads the SDF."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from lrm_sim.env import HOME
from lrm_sim.gazebo.description import BASE_LINK, CONTROLLED, FINGERS, Description, Joint, Link, Pose, Shape
from lrm_sim.gazebo.xml import add, document, inertia_entries, numbers
from lrm_sim.scene import CAMERAS

HARDWARE = "gz_ros2_control/GazeboSimSystem"


def urdf(description: Description) -> str:
    """The text of ``arm.urdf``. Frames without mass: tool centre point and the optical frames of both cameras."""
    robot = Element("robot", name="sim_arm")
    for body in description.arm_bodies():
        _add_link(robot, description.link(body))
    for body in description.arm_bodies()[1:]:
        _add_joint(robot, description.joint(body))
    parent, pose = description.tcp()
    _add_frame(robot, "tcp", parent, pose)
    for name in CAMERAS:
        camera = description.camera(name)
        parent = BASE_LINK if camera.parent == "world" else camera.parent
        _add_frame(robot, f"{name}_camera_optical_frame", parent, camera.optical_pose)
    _add_control(robot)
    return document(robot)


def _add_link(robot: Element, link: Link) -> None:
    element = add(robot, "link", name=link.name)
    inertial = add(element, "inertial")
    add(inertial, "origin", xyz=numbers(link.centre), rpy="0 0 0")
    add(inertial, "mass", value=numbers([link.mass]))
    add(inertial, "inertia", **inertia_entries(link.inertia))
    for i, shape in enumerate(link.shapes):
        visual = add(element, "visual", name=f"{link.name}_visual_{i}")
        _add_shape(visual, shape)
        add(add(visual, "material", name=f"{link.name}_{i}"), "color", rgba=numbers(shape.rgba))
        _add_shape(add(element, "collision", name=f"{link.name}_collision_{i}"), shape)


def _add_shape(parent: Element, shape: Shape) -> None:
    add(parent, "origin", xyz=numbers(shape.pose.position), rpy=numbers(shape.pose.rpy))
    geometry = add(parent, "geometry")
    if shape.kind == "box":
        add(geometry, "box", size=numbers(shape.size))
    else:
        add(geometry, "cylinder", radius=numbers(shape.size[:1]), length=numbers(shape.size[1:]))


def _add_joint(robot: Element, joint: Joint) -> None:
    element = add(robot, "joint", name=joint.name, type=joint.kind)
    add(element, "origin", xyz=numbers(joint.pose.position), rpy=numbers(joint.pose.rpy))
    add(element, "parent", link=joint.parent)
    add(element, "child", link=joint.child)
    add(element, "axis", xyz=numbers(joint.axis))
    limits = {"lower": joint.lower, "upper": joint.upper, "effort": joint.effort, "velocity": joint.velocity}
    add(element, "limit", **{name: numbers([value]) for name, value in limits.items()})
    add(element, "dynamics", damping=numbers([joint.damping]))
    if joint.name == FINGERS[1]:
        # gz_ros2_control drives it to where its twin is, as the equality constraint does in MuJoCo.
        add(element, "mimic", joint=FINGERS[0], multiplier="1", offset="0")


def _add_frame(robot: Element, name: str, parent: str, pose: Pose) -> None:
    add(robot, "link", name=name)
    joint = add(robot, "joint", name=f"{name}_fixed", type="fixed")
    add(joint, "origin", xyz=numbers(pose.position), rpy=numbers(pose.rpy))
    add(joint, "parent", link=parent)
    add(joint, "child", link=name)


def _add_control(robot: Element) -> None:
    control = add(robot, "ros2_control", name="gazebo", type="system")
    add(add(control, "hardware"), "plugin", HARDWARE)
    start = dict(zip(CONTROLLED, [*HOME[:5], HOME[5] / 2, HOME[5] / 2], strict=True))
    for name in CONTROLLED:
        joint = add(control, "joint", name=name)
        if name != FINGERS[1]:
            add(joint, "command_interface", name="position")
        position = add(joint, "state_interface", name="position")
        add(position, "param", numbers([start[name]]), name="initial_value")
        add(joint, "state_interface", name="velocity")
