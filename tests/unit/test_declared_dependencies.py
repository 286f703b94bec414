"""Whatever the code imports is declared: in package.xml for ROS, in pyproject.toml and the lock for Python."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from xml.etree import ElementTree

import pytest

from source_tree import PYTHON_PACKAGES, ROOT, SRC, imports_of
from test_imports import is_ros

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = packages_distributions()
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
ONLY_WITH_ROS_INSTALLED = {"launch", "launch_ros", "ros2launch", "cv_bridge", "control_msgs", "sensor_msgs_py"}
"""No wheels exist; imported only by what runs on a machine that has ROS 2 installed."""
PULLED_IN = {
    "huggingface_hub": "transformers", "tokenizers": "transformers", "ament_index_python": "rclpy",
    "rerun": "rerun-sdk", "draccus": "lerobot",
}  # fmt: skip
"""Import names that come with, and belong to, a declared package."""


def normal(name: str) -> str:
    """Normal form of a distribution name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared_distributions() -> set[str]:
    """Names in pyproject.toml, without extras and versions."""
    requirements = [*PROJECT["project"]["dependencies"], *(r for g in PROJECT["dependency-groups"].values() for r in g)]
    return {normal(re.split(r"[\[<>=~!; ]", requirement)[0]) for requirement in requirements}


def manifest_dependencies(package: str) -> set[str]:
    """Dependencies in package.xml."""
    root = ElementTree.parse(SRC / package / "package.xml").getroot()
    return {element.text or "" for element in root if element.tag.endswith("depend")}


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_imported_ros_packages_are_in_the_manifest(package: str) -> None:
    used = {i.top for i in imports_of(package) if is_ros(i.top) or i.top in PYTHON_PACKAGES} - {package, "cv_bridge"}
    assert used - manifest_dependencies(package) == set()


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_imported_python_packages_are_in_pyproject(package: str) -> None:
    tops = {i.top for i in imports_of(package)} - set(sys.stdlib_module_names) - set(PYTHON_PACKAGES)
    undeclared = {
        top
        for top in tops
        if not is_ros(top)
        and top not in PULLED_IN
        and not declared_distributions() & {normal(d) for d in DISTRIBUTIONS.get(top, [])}
    }
    assert undeclared == set()


@pytest.mark.parametrize("package", [*PYTHON_PACKAGES, "lrm_msgs"])
def test_ros_dependencies_of_a_manifest_can_be_installed_from_the_lock(package: str) -> None:
    ours = {path.parent.name for path in SRC.glob("*/package.xml")}
    locked = {re.sub("^ros-(jazzy-)?", "", line.split("==")[0]).replace("-", "_") for line in LOCK}
    wanted = {d for d in manifest_dependencies(package) if not d.startswith("python3-")}
    assert wanted - ours - locked - ONLY_WITH_ROS_INSTALLED == set()


def test_every_declared_package_is_pinned_in_the_lock() -> None:
    pinned = {normal(line.split("==")[0]) for line in LOCK if "==" in line}
    assert declared_distributions() - pinned == set()


def test_the_lock_pins_exact_versions_and_names_no_host() -> None:
    assert [line for line in LOCK if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line)] == []


def test_all_packages_carry_the_same_version() -> None:
    versions = {ElementTree.parse(p).findtext("version") for p in SRC.glob("*/package.xml")}
    in_setup = {re.findall(r'version="([^"]+)"', p.read_text())[0] for p in SRC.glob("*/setup.py")}
    assert versions | in_setup == {PROJECT["project"]["version"]}
