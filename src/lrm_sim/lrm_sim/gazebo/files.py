"""``config/gazebo``: written from the scene, and found out when it no longer says what the scene says."""

from __future__ import annotations

from pathlib import Path

from lrm_sim.gazebo import wiring
from lrm_sim.gazebo.description import Description
from lrm_sim.gazebo.urdf import urdf
from lrm_sim.gazebo.world import WORLD, world
from lrm_sim.scene import build_model


def contents() -> dict[str, str]:
    """Name of every file -> its text."""
    description = Description(build_model())
    return {
        f"{WORLD}.sdf": world(description),
        "arm.urdf": urdf(description),
        "bridge.yaml": wiring.to_yaml(wiring.bridge()),
        "controllers.yaml": wiring.to_yaml(wiring.controllers()),
    }


def write(folder: Path) -> list[Path]:
    """Write all files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = contents()
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in written]


def outdated(folder: Path) -> list[str]:
    """Names of the files that are missing or differ from what would be written."""
    return [
        name
        for name, text in contents().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
