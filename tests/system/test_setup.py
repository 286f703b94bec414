"""Set-up as a process: nothing to do the second time, one at a time, and whole again after kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import set_up
from ros_testing import node_process
from source_tree import ROOT

PREFIX = Path(sys.prefix)
NODES = ("lrm_sim_node", "lrm_reward_node", "lrm_policy_node", "lrm_safety_node", "lrm_learner", "lrm_recorder")
IN_VENV = pytest.mark.skipif(PREFIX != ROOT / ".venv", reason="runs in another environment than `make setup` made")

DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {scripts!r})
import machine, set_up

root, hang = Path({root!r}), {hang!r}
machine.check_rendering = lambda python, environment: None

def pause_here(step):
    if step == hang:
        print("hanging in", step, flush=True)
        time.sleep(60)

def install(self, requirements):
    (self.venv / "package").write_text("half")
    pause_here("packages")
    (self.venv / "package").write_text("whole")

def build(command, folder, environment=None, *, quiet=False):
    (root / "build").mkdir(exist_ok=True)
    (root / "build" / "objects").open("a").write("half")
    pause_here("workspace")
    (root / "build" / "objects").open("a").write("whole")

set_up.SetUp._install, set_up.call, set_up.ROOT, set_up.PACKAGES = install, build, root, ()
sys.exit(set_up.main())
"""
"""The real steps, stamps and lock around stand-ins for the two long commands; ``hang`` stops in the middle of one."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "requirements.lock").write_text("uv==1.0\n")
    (root / "colcon_defaults.yaml").touch()
    return root


def driver(checkout: Path, hang: str = "") -> list[object]:
    code = DRIVER.format(scripts=str(ROOT / "scripts"), root=str(checkout), hang=hang)
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("step", ["packages", "workspace"])
def test_after_kill_9_in_the_middle_of_a_step_the_next_call_makes_it_whole(
    checkout: Path, tmp_path: Path, step: str
) -> None:
    with node_process(driver(checkout, hang=step), tmp_path / "first.log") as first:
        first.wait_for_output(f"hanging in {step}", 60.0)
        first.kill()
        assert first.exit_code == -signal.SIGKILL
    with node_process(driver(checkout), tmp_path / "second.log") as second:
        assert second.wait(60.0) == 0, second.output
    assert (checkout / ".venv" / "package").read_text() == "whole"
    assert (checkout / "build" / "objects").read_text() == "halfwhole"
    with node_process(driver(checkout), tmp_path / "third.log") as third:
        assert third.wait(60.0) == 0, third.output
    assert (checkout / "build" / "objects").read_text() == "halfwhole", "an unchanged workspace was built again"


def test_a_second_set_up_waits_for_the_first(checkout: Path, tmp_path: Path) -> None:
    with node_process(driver(checkout, hang="packages"), tmp_path / "first.log") as first:
        first.wait_for_output("hanging in packages", 60.0)
        with node_process(driver(checkout), tmp_path / "second.log") as second:
            second.wait_for_output("another set-up of this checkout is running")
            assert second.exit_code is None
            first.kill()
            assert second.wait(60.0) == 0, second.output


def test_ctrl_c_ends_in_one_line(checkout: Path, tmp_path: Path) -> None:
    with node_process(driver(checkout, hang="packages"), tmp_path / "log") as process:
        process.wait_for_output("hanging in packages", 60.0)
        process.send(signal.SIGINT)
        assert process.wait() == 130
        assert "Traceback" not in process.output


@IN_VENV
def test_a_second_call_has_nothing_to_do() -> None:
    subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, timeout=240, check=True)
    began_s = time.monotonic()
    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "colcon" not in done.stdout
    assert time.monotonic() - began_s < 15.0


@IN_VENV
@pytest.mark.skipif(set_up.ROS_SETUP.is_file(), reason="an installed ROS 2 has to be sourced")
def test_messages_import_without_sourcing_anything() -> None:
    code = "import lrm_core; from lrm_msgs.action import RunEpisodes; print(lrm_core.__file__)"
    done = subprocess.run(
        [PREFIX / "bin" / "python", "-c", code], env={"HOME": os.environ["HOME"]}, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(ROOT / "src/lrm_core/lrm_core/__init__.py"), done.stderr


@IN_VENV
@pytest.mark.parametrize(
    ("exported", "reach", "profile"),
    [
        ({}, "LOCALHOST", "fastdds_localhost.xml"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "SUBNET", "fastdds.xml"),
        ({"ROS_STATIC_PEERS": "192.168.1.7"}, "SUBNET", "fastdds.xml"),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "my file.xml"}, "LOCALHOST", "my file.xml"),
    ],
)
def test_a_program_that_is_started_directly_stays_on_this_machine_unless_asked(
    exported: dict[str, str], reach: str, profile: str
) -> None:
    env = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], **exported}
    done = subprocess.run(
        [ROOT / "scripts/run", "env"], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert found["ROS_AUTOMATIC_DISCOVERY_RANGE"] == reach
    assert Path(found["FASTRTPS_DEFAULT_PROFILES_FILE"]).name == profile


def test_without_an_environment_one_line_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/run", tmp_path / "scripts/run")
    env = {"PATH": os.environ["PATH"], "LRM_ROS_SETUP": "/nonexistent"}
    done = subprocess.run([tmp_path / "scripts/run", "lrm"], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "make setup" in done.stderr


@IN_VENV
@pytest.mark.parametrize("name", ["lrm", *NODES])
def test_console_scripts_are_on_the_path_and_where_ros2_run_looks(name: str) -> None:
    assert os.access(PREFIX / "bin" / name, os.X_OK)
    assert [p.name for p in PREFIX.glob(f"lib/lrm_*/{name}")] == [name]


@IN_VENV
@pytest.mark.parametrize("kind", ["config", "launch", "models"])
def test_shared_files_are_installed_for_ros2_launch(kind: str) -> None:
    share = PREFIX / "share" / "lrm_bringup"
    files = [p.relative_to(ROOT) for p in (ROOT / kind).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert [f for f in files if not (share / f).is_file()] == [], "run `make setup` after adding files"
