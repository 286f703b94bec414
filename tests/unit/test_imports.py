"""The order of dependencies in docs/architecture.md, held for every import statement of the source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import PYTHON_PACKAGES, SRC, Import, imports_of

MAY_IMPORT = {
    "lrm_core": set(),
    "lrm_reward_node": {"lrm_core"},
    "lrm_policy_node": {"lrm_core"},
    "lrm_sim": {"lrm_core"},
    "lrm_robot_driver": {"lrm_core"},
    "lrm_bringup": {"lrm_core", "lrm_reward_node", "lrm_policy_node", "lrm_robot_driver", "lrm_sim"},
}
"""Which of our Python packages a package may import besides itself. lrm_msgs counts as ROS."""

CORE_LIBRARIES = {"numpy", "yaml", "ament_index_python"}
LAUNCH = {"launch", "launch_ros"}
"""What launch files are made of; lrm_bringup builds them, and only there is it imported."""

HEAVY = {"torch", "transformers", "peft", "lerobot", "mujoco", "datasets", "accelerate", "matplotlib"}
PURE_MODULES = (
    "lrm_reward_node.prompts", "lrm_reward_node.parsing", "lrm_reward_node.pipeline", "lrm_reward_node.rows",
    "lrm_reward_node.camera_check",
)  # fmt: skip


def is_ros(name: str) -> bool:
    """Packages that exist only where ROS 2 does."""
    return name.endswith(("_msgs", "_srvs", "_interfaces")) or name in {"rclpy", "cv_bridge", "sensor_msgs_py", *LAUNCH}


def violations(package: str, src: Path = SRC) -> list[str]:
    """Every import of ``package`` that breaks a rule, in words."""
    return [f"{found}: {why}" for found in imports_of(package, src) if (why := _fault(package, found))]


def _fault(package: str, found: Import) -> str:
    if found.top in MAY_IMPORT and found.top != package and found.top not in MAY_IMPORT[package]:
        return f"{package} may import {sorted(MAY_IMPORT[package])} of our packages"
    if found.in_ros or (package == "lrm_bringup" and found.top in LAUNCH):
        return ""
    if is_ros(found.top):
        return "only sub-packages named ros know ROS"
    if package == "lrm_core" and found.top not in {*sys.stdlib_module_names, package, *CORE_LIBRARIES}:
        return f"the core stands on {sorted(CORE_LIBRARIES)} alone"
    if found.module in PURE_MODULES and found.top in HEAVY:
        return "this module is pure logic"
    return ""


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_a_package_imports_only_what_the_architecture_allows(package: str) -> None:
    assert violations(package) == []


@pytest.mark.parametrize(
    ("package", "module", "statement"),
    [
        ("lrm_reward_node", "pipeline.py", "from lrm_policy_node import rl"),
        ("lrm_reward_node", "pipeline.py", "def f():\n    import torch"),
        ("lrm_policy_node", "rl/critic.py", "import lrm_sim.env"),
        ("lrm_policy_node", "rl/critic.py", "from rclpy.node import Node"),
        ("lrm_core", "fusion.py", "import torch.nn"),
        ("lrm_core", "fusion.py", "from lrm_msgs.msg import Reward"),
        ("lrm_sim", "ros/node.py", "import lrm_bringup"),
        ("lrm_sim", "scene.py", "import launch"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, package: str, module: str, statement: str) -> None:
    path = tmp_path / package / package / module
    path.parent.mkdir(parents=True)
    path.write_text(statement)
    assert len(violations(package, tmp_path)) == 1


def test_ros_is_allowed_in_a_sub_package_named_ros(tmp_path: Path) -> None:
    path = tmp_path / "lrm_sim" / "lrm_sim" / "ros" / "node.py"
    path.parent.mkdir(parents=True)
    path.write_text("import rclpy\nfrom lrm_msgs.msg import Reward\nfrom ..env import make\n")
    assert violations("lrm_sim", tmp_path) == []
    assert [str(i.target) for i in imports_of("lrm_sim", tmp_path)][-1] == "lrm_sim.env.make"


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = "import sys, lrm_bringup.cli; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY | {"rclpy"})


def test_a_training_set_is_made_and_opened_without_model_libraries() -> None:
    modules = "lrm_reward_node.data.build, lrm_reward_node.data.samples, lrm_reward_node.data.command"
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY | {"rclpy", "cv2"})


def test_a_node_that_only_talks_to_servers_loads_no_model_library() -> None:
    code = "import sys, lrm_reward_node.remote.model; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY | {"rclpy"})
