"""Loads the model of an arm, MJCF or URDF, for its kinematics."""

from __future__ import annotations

from pathlib import Path

import mujoco

from lrm_core.errors import BadInput


def load_model(path: Path) -> mujoco.MjModel:
    """The model in ``path``.

    Of a URDF the kinematics alone are read: its meshes need not be there, and each of its links has a site of the same
    name, since URDF knows no sites. A URDF is told by the ending ``.urdf``.

    Raises:
        BadInput: there is no such file, or MuJoCo cannot load it.
    """
    if not path.is_file():
        raise BadInput("robot model", str(path), "an MJCF or URDF file", "Set tool.model in the robot's file.")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if path.suffix == ".urdf":
            _keep_kinematics(spec)
        return spec.compile()
    except ValueError as error:
        raise BadInput("robot model", str(path), "a model that MuJoCo can load", str(error)) from error


def _keep_kinematics(spec: mujoco.MjSpec) -> None:
    for shape in (*spec.geoms, *spec.meshes):
        spec.delete(shape)
    spec.compiler.fusestatic = False  # links behind fixed joints, like tool0, stay
    spec.compiler.balanceinertia = True  # masses do not matter here, but MuJoCo refuses unphysical ones
    spec.compiler.boundmass, spec.compiler.boundinertia = 1e-3, 1e-6
    for link in spec.bodies:
        if link.parent is not None:
            link.add_site(name=link.name)
