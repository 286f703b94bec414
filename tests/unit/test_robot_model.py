"""A robot's file against the model of the arm that it names: what does not fit is named with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrm_bringup.cli import main
from lrm_core.errors import BadInput
from lrm_core.robot import load_robot, robot_path
from lrm_policy_node.robot_model import load_kinematics

SHIPPED = robot_path("sim_arm").read_text()
BOX = "  workspace_low_m: [{low}, -0.4, 0.0]\n  workspace_high_m: [0.5, 0.4, 0.6]\n  site: tcp"
FAULTS = [
    ("site: tcp", "site: tip", "line 18: tool.site is 'tip': expected one of ["),
    ("name: shoulder_lift", "name: knee", "line 5: joints[1].name is 'knee': expected one of ["),
    (
        "package://lrm_sim/assets/arm.xml",
        "broken.xml",
        "line 17: tool.model is 'broken.xml': expected a model that MuJoCo",
    ),
    ("  site: tcp", BOX.format(low=0.4), "line 18: home has the tool at ["),
]


def changed(folder: Path, old: str, new: str) -> str:
    """A file of the simulated arm with another text in it, and a model beside it that is none."""
    assert SHIPPED.count(old) == 1
    (folder / "broken.xml").write_text("<mujoco><worldbody></mujoco>")
    path = folder / "arm.yaml"
    path.write_text(SHIPPED.replace(old, new))
    return str(path)


@pytest.mark.parametrize(("old", "new", "said"), FAULTS)
def test_what_does_not_fit_the_model_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        load_kinematics(load_robot(changed(tmp_path, old, new)))
    assert said in str(error.value)


def test_a_site_that_the_file_leaves_to_its_default_is_named_too(tmp_path: Path) -> None:
    model = "<mujoco><worldbody><body><joint name='shoulder_pan'/><geom size='1'/></body></worldbody></mujoco>"
    (tmp_path / "own.xml").write_text(model)
    path = changed(tmp_path, "  model: package://lrm_sim/assets/arm.xml", "  model: own.xml\n  # default:")
    Path(path).write_text(Path(path).read_text().replace("  site: tcp\n", ""))
    with pytest.raises(BadInput, match=r"tool\.site is 'tcp': expected one of \[\]"):
        load_kinematics(load_robot(path))


def test_a_home_inside_of_the_box_is_taken(tmp_path: Path) -> None:
    robot = load_robot(changed(tmp_path, "  site: tcp", BOX.format(low=-0.1)))
    assert np.isfinite(load_kinematics(robot).tcp(robot.home)).all()


def test_a_fault_that_is_not_the_files_is_said_as_it_is() -> None:
    with pytest.raises(BadInput, match="bound_m"):
        load_kinematics(load_robot("sim_arm"), bound_m=0.0)


def test_the_check_of_a_file_looks_into_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, said = FAULTS[0]
    assert main(["robot", "check", changed(tmp_path, old, new), "--file"]) == 2
    assert said in capsys.readouterr().err
