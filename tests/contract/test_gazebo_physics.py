"""The world file is good enough to pick and place: a second physics engine, Drake, plays the expert's commands in it.

Skipped where Drake is not installed (pip install drake). Drake is not Gazebo's engine either: what this shows is that
shapes, masses, frictions, limits and places of the file make a grasp that holds.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lrm_core.resources import config_path
from lrm_sim.env import HOME, PickPlaceEnv
from lrm_sim.expert import Expert, Kind
from lrm_sim.gazebo.description import CONTROLLED, FINGERS, link_name
from lrm_sim.gazebo.mirror import Mirror
from lrm_sim.gazebo.moments import Moment, Motion
from lrm_sim.tasks import OBJECTS

STEP_S = 0.001
CONTROL_STEPS = 75


def expert_commands(task: str, seed: int) -> list[np.ndarray]:
    """What the scripted expert commands in MuJoCo, one per control step."""
    env = PickPlaceEnv(render_every=0)
    env.reset(seed=seed, options={"task": task})
    expert = Expert(env, Kind.SUCCESS, np.random.default_rng(seed))
    commands = []
    for _ in range(CONTROL_STEPS):
        commands.append(expert.act())
        info = env.step(commands[-1])[4]
    env.close()
    assert info["success"]
    return commands


def arranged(mirror: Mirror, path: Path) -> Path:
    """The world with everything in its place; the table is a box, since Drake 1.58 crashes on its plane."""
    root = ElementTree.parse(config_path("gazebo/pick_place.sdf"))
    for model in root.iter("model"):
        name = model.attrib["name"]
        for thing, place in mirror.places.items():
            pose = model.find("pose")
            if link_name(thing) == name and pose is not None:
                yaw = np.arctan2(place.rotation[1, 0], place.rotation[0, 0])
                pose.text = " ".join(map(str, [*place.position, 0.0, 0.0, yaw]))
        if name == "table":
            ElementTree.SubElement(model, "pose").text = "0 0 -0.1 0 0 0"
            for geometry in model.iter("geometry"):
                geometry.remove(geometry[0])
                ElementTree.SubElement(ElementTree.SubElement(geometry, "box"), "size").text = "4 4 0.2"
    root.write(path)
    return path


class DrakeArm:
    """The world in Drake, its arm driven by servos of MuJoCo's stiffness within the file's force limits."""

    def __init__(self, world: Path) -> None:
        from pydrake.multibody.parsing import Parser
        from pydrake.multibody.plant import AddMultibodyPlantSceneGraph
        from pydrake.multibody.tree import PdControllerGains
        from pydrake.systems.analysis import Simulator
        from pydrake.systems.framework import DiagramBuilder

        logging.getLogger("drake").setLevel(logging.ERROR)  # it names every element that it has no use for
        builder = DiagramBuilder()
        self.plant, _ = AddMultibodyPlantSceneGraph(builder, STEP_S)
        Parser(self.plant).AddModels(str(world))
        self.arm = self.plant.GetModelInstanceByName("sim_arm")
        self.plant.set_gravity_enabled(self.arm, False)  # Drake cannot read <gravity>false</gravity> of a link
        for name in CONTROLLED:
            actuator = self.plant.GetJointActuatorByName(name, self.arm)
            stiffness, damping, inertia = (500, 20, 0.05) if name in FINGERS else (80, 4, 0.02)
            actuator.set_controller_gains(PdControllerGains(p=stiffness, d=damping))
            actuator.set_default_rotor_inertia(inertia)
        self.plant.Finalize()
        self.simulator = Simulator(builder.Build())
        self.context = self.plant.GetMyMutableContextFromRoot(self.simulator.get_mutable_context())
        self.target = _fingers(HOME)
        for name, value in zip(CONTROLLED, self.target, strict=True):
            joint = self.plant.GetJointByName(name, self.arm)
            (joint.set_translation if name in FINGERS else joint.set_angle)(self.context, float(value))

    def step(self, command: np.ndarray, control_step: int) -> None:
        """One control step, in which the servo targets move to the command linearly."""
        start, self.target = self.target, _fingers(command)
        port = self.plant.get_desired_state_input_port(self.arm)
        for part in range(1, 11):
            wanted = start + (self.target - start) * part / 10
            port.FixValue(self.context, np.array([*wanted, *np.zeros(len(wanted))]))
            self.simulator.AdvanceTo((control_step + part / 10) * 0.1)

    def moment(self) -> Moment:
        """What Gazebo's topics would show."""
        objects = {}
        for name in OBJECTS:
            body = self.plant.GetBodyByName(link_name(name))
            place = self.plant.EvalBodyPoseInWorld(self.context, body)
            speed = self.plant.EvalBodySpatialVelocityInWorld(self.context, body).translational()
            quat = place.rotation().ToQuaternion().wxyz()
            objects[name] = Motion(place.translation(), quat, float(np.linalg.norm(speed)))
        joints = [self.plant.GetJointByName(name, self.arm) for name in CONTROLLED]
        positions = np.array([_value(joint, self.context) for joint in joints])
        return Moment(1, {}, positions, np.zeros(len(CONTROLLED)), objects)


def _fingers(command: np.ndarray) -> np.ndarray:
    return np.array([*command[:5], command[5] / 2, command[5] / 2])


def _value(joint: Any, context: Any) -> float:
    return float(joint.get_translation(context) if joint.name() in FINGERS else joint.get_angle(context))


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTS)
def test_a_second_physics_engine_puts_the_object_in_the_bowl_by_the_experts_commands(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pydrake.multibody.plant", reason="Drake, a second physics engine, is not installed")
    task, seed = f"put the {name} in the blue bowl", 7
    mirror = Mirror()
    mirror.reset(seed, task)
    arm = DrakeArm(arranged(mirror, tmp_path / "world.sdf"))
    mirror.info(arm.moment(), start=True)
    seen = []
    for i, command in enumerate(expert_commands(task, seed)):
        arm.step(command, i)
        info = mirror.info(arm.moment())
        seen.append(info["outcome"])
    mirror.close()
    assert "held" in seen
    assert (info["outcome"], info["success"]) == ("in_container", True)
