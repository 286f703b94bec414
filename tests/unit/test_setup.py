"""What set-up says about a machine that lacks something, and what it does again after a change or an interruption."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import machine
import set_up
from source_tree import ROOT
from stamps import Stamps, key_of

SYSTEM_PYTHONS = [Path(p) for p in ("/usr/bin/python3.12", "/usr/local/bin/python3.12", "/opt/python/cp312-cp312")]
SHELL_TOOLS = ("bash", "env", "dirname", "ls", "sort", "sed")


def bin_with(folder: Path, *names: str) -> Path:
    """A folder of programs, to stand as the whole PATH."""
    folder.mkdir(parents=True)
    for name in names:
        found = shutil.which(name)
        (folder / name).symlink_to(found or sys.executable)
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


def run_setup(home: Path, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": str(path), "LRM_ROS_SETUP": "/nonexistent", **more}
    return subprocess.run(
        [ROOT / "scripts" / "setup"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.skipif(any(p.exists() for p in SYSTEM_PYTHONS), reason="a Python 3.12 of the system cannot be hidden")
def test_without_python_312_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    done = run_setup(tmp_path, bin_with(tmp_path / "bin", *SHELL_TOOLS))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no Python 3.12" in done.stderr
    assert "pyenv install 3.12" in done.stderr


def test_a_python_inside_pyenv_is_found_behind_a_shim_that_refuses(tmp_path: Path) -> None:
    path = bin_with(tmp_path / "bin", *SHELL_TOOLS)
    script(path / "python3.12", 'echo "pyenv: python3.12: command not found" >&2; exit 127')
    script(path / "python3", "exit 1")
    script(tmp_path / ".pyenv/versions/3.12.7/bin/python3.12", '[[ $1 == -c ]] || echo "3.12.7 runs $1"')
    done = run_setup(tmp_path, path)
    assert done.stdout == f"3.12.7 runs {ROOT / 'scripts' / 'set_up.py'}\n"


def test_a_named_python_comes_first(tmp_path: Path) -> None:
    path = bin_with(tmp_path / "bin", *SHELL_TOOLS)
    script(path / "python3.12", '[[ $1 == -c ]] || echo "from PATH"')
    mine = script(tmp_path / "mine", '[[ $1 == -c ]] || echo "mine"')
    assert run_setup(tmp_path, path, LRM_PYTHON=str(mine)).stdout == "mine\n"


@pytest.mark.parametrize(
    ("present", "named"),
    [
        ((), "no git"),
        (("git",), "no C compiler"),
        (("git", "cc"), "no C++ compiler"),
        (("git", "gcc", "g++"), "no make"),
    ],
)
def test_a_missing_tool_is_named_with_the_package_that_brings_it(
    tmp_path: Path, present: tuple[str, ...], named: str
) -> None:
    with pytest.raises(machine.Missing, match=f"{named.replace('+', '[+]')}.*apt-get install"):
        machine.check_tools({"PATH": str(bin_with(tmp_path / "bin", *present))})


def test_a_machine_with_all_tools_passes(tmp_path: Path) -> None:
    path = {"PATH": str(bin_with(tmp_path / "bin", "git", "clang", "clang++", "make", "cmake"))}
    machine.check_tools(path)
    machine.check_cmake(path)


def test_a_missing_cmake_is_named(tmp_path: Path) -> None:
    with pytest.raises(machine.Missing, match=r"no cmake .* 3\.21"):
        machine.check_cmake({"PATH": str(bin_with(tmp_path / "bin", "git"))})


def test_too_little_disk_says_how_much_there_is_and_how_much_is_needed(tmp_path: Path) -> None:
    machine.check_disk(tmp_path, needed_gb=0.0)
    with pytest.raises(machine.Missing, match=r"\d+\.\d GB of disk free in .*: 1000000 GB are needed"):
        machine.check_disk(tmp_path, needed_gb=1e6)


def test_missing_off_screen_opengl_is_one_line_with_the_packages_and_the_cause(tmp_path: Path) -> None:
    python = script(tmp_path / "python", "echo Traceback >&2; echo 'ImportError: no libEGL.so.1' >&2; exit 1")
    with pytest.raises(machine.Missing, match=r"apt-get install libegl1.*no libEGL\.so\.1") as caught:
        machine.check_rendering(python, os.environ)
    assert "\n" not in str(caught.value)


def test_a_picture_is_really_rendered_off_screen() -> None:
    machine.check_rendering(Path(sys.executable), os.environ)


@pytest.mark.parametrize(
    "output",
    [
        "  cause: error sending request for url (...)\n  cause: dns error",
        "NewConnectionError(': Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')",
        "after connection broken by 'ProxyError('Cannot connect to proxy.')",
    ],
)
def test_a_failed_download_without_network_says_so(output: str) -> None:
    with pytest.raises(machine.Missing, match="no network"):
        machine.check_network(output)


def test_another_failure_is_not_blamed_on_the_network(tmp_path: Path) -> None:
    broken = script(tmp_path / "installer", "echo 'error: the wheel is corrupt'; exit 2")
    with pytest.raises(machine.Missing, match="could not be installed"):
        set_up.fetch([broken], tmp_path, dict(os.environ))


def test_a_step_is_done_only_for_the_inputs_it_finished_with(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path / "stamps")
    assert not stamps.done("packages", "a")
    with stamps.running("packages", "a"):
        assert not stamps.done("packages", "a")
    assert stamps.done("packages", "a")
    assert not stamps.done("packages", "b")
    assert not stamps.interrupted("packages")


def test_a_step_that_was_cut_short_is_not_trusted_even_for_old_inputs(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path)
    with stamps.running("packages", "a"):
        pass
    with pytest.raises(KeyboardInterrupt), stamps.running("packages", "b"):
        raise KeyboardInterrupt
    assert stamps.interrupted("packages")
    assert not stamps.done("packages", "a")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of the repository that a build reads, in a folder of their own."""
    for name in ("src", "cmake", "config", "colcon_defaults.yaml", "requirements.lock"):
        source, target = ROOT / name, tmp_path / name
        ignore = shutil.ignore_patterns("__pycache__", "models")
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
    return tmp_path


def build_key(root: Path) -> str:
    return set_up.SetUp(root, Path("/nonexistent")).build_key("installed")


def test_an_edited_python_file_does_not_cause_a_build(checkout: Path) -> None:
    before = build_key(checkout)
    with (checkout / "src/lrm_core/lrm_core/errors.py").open("a") as file:
        file.write("\n# edited\n")
    assert build_key(checkout) == before


@pytest.mark.parametrize(
    "name",
    [
        "src/lrm_msgs/msg/Reward.msg",
        "src/lrm_msgs/CMakeLists.txt",
        "src/lrm_sim/package.xml",
        "src/lrm_sim/setup.py",
        "colcon_defaults.yaml",
    ],
)
def test_an_edited_interface_or_manifest_causes_a_build(checkout: Path, name: str) -> None:
    before = build_key(checkout)
    with (checkout / name).open("a") as file:
        file.write("\n")
    assert build_key(checkout) != before


def test_a_new_parameter_file_causes_a_build(checkout: Path) -> None:
    before = build_key(checkout)
    (checkout / "config" / "new.yaml").touch()
    assert build_key(checkout) != before


def test_an_environment_that_does_not_run_is_made_again(tmp_path: Path) -> None:
    setup = set_up.SetUp(tmp_path, Path("/nonexistent"))
    assert not setup._usable()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    assert not setup._usable()
    script(tmp_path / ".venv/bin/python", "exit 0")
    assert setup._usable()


def test_with_ros_installed_its_environment_is_used_and_its_wheels_are_left_out(tmp_path: Path) -> None:
    ros = script(tmp_path / "ros/setup.bash", "export ROS_DISTRO=jazzy AMENT_PREFIX_PATH=/ros PATH=/ros/bin:$PATH")
    (tmp_path / ".cache").mkdir()
    lock = ("numpy==2.0.0", "ros-jazzy-rclpy==7.1.6", "ros-rcl==9.2.8", "rosbags==0.11.9")
    (tmp_path / "requirements.lock").write_text("\n".join(lock))
    setup = set_up.SetUp(tmp_path, ros)
    assert setup._requirements().read_text() == "numpy==2.0.0\nrosbags==0.11.9\n"
    environment = setup.environment()
    assert environment["ROS_DISTRO"] == "jazzy"
    assert environment["AMENT_PREFIX_PATH"] == f"{tmp_path}/.venv:/ros"
    assert environment["PATH"].startswith(f"{tmp_path}/.venv/bin:/ros/bin:")


def test_what_the_wheels_put_into_the_environment_does_not_reach_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/other/lib")
    environment = set_up.SetUp(tmp_path, Path("/nonexistent")).environment()
    assert {"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH"}.isdisjoint(environment)


def test_the_key_depends_on_names_and_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    assert len({key_of(), key_of("a"), key_of(files=[one]), key_of(files=[two]), key_of(names=[one])}) == 5
