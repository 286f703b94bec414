"""Makes the environment in ``.venv`` and builds the workspace into it. Standard library alone.

Steps: environment, packages (``requirements.lock``), workspace (``colcon build`` of ``src/``), off-screen rendering.
Each is skipped when nothing it depends on has changed, and begun afresh when an earlier call was cut short.
Where ROS 2 Jazzy is installed (``/opt/ros/jazzy``) it is used; elsewhere ROS 2 comes from the wheels in the lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import machine
from stamps import Stamps, key_of

ROOT = Path(__file__).resolve().parent.parent
ROS_SETUP = Path(os.environ.get("LRM_ROS_SETUP", "/opt/ros/jazzy/setup.bash"))
PACKAGES = ("lrm_core", "lrm_reward_node", "lrm_policy_node", "lrm_robot_driver", "lrm_sim", "lrm_bringup")
WHEEL_HOOK = ("LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
"""What the ROS wheels leave in the environment; inherited by another environment it would break it."""


def main() -> int:
    """Run every step that is due; exit code 1 and one line on what is missing."""
    began_s = time.monotonic()
    try:
        with one_at_a_time(ROOT / ".cache" / "setup.lock"):
            SetUp(ROOT).run()
    except machine.Missing as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next call goes on from here.", file=sys.stderr)
        return 130
    print(f"set-up: ready after {time.monotonic() - began_s:.0f} s.", flush=True)
    return 0


class SetUp:
    """One checkout and its environment."""

    def __init__(self, root: Path, ros_setup: Path = ROS_SETUP) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.lock = root / "requirements.lock"
        self.ros_setup = ros_setup if ros_setup.is_file() else None
        self.stamps = Stamps(self.venv / ".stamps")

    def run(self) -> None:
        """Environment, packages, workspace, rendering."""
        install_key = key_of(str(self.root), str(self.ros_setup), files=[self.lock])
        if not self.stamps.done("packages", install_key):
            self.install(install_key)
        build_key = self.build_key(install_key)
        if not (self.stamps.done("workspace", build_key) and (self.root / "build").is_dir()):
            self.build(build_key)
        with step("off-screen rendering"):
            machine.check_rendering(self.python, self.environment())

    def install(self, key: str) -> None:
        """Make ``.venv`` if need be and install what the lock names."""
        machine.check_tools(os.environ)
        if self.stamps.interrupted("packages") or not self._usable():
            machine.check_venv_module()
            for folder in (self.venv, self.root / "build"):  # a build remembers paths of its environment
                shutil.rmtree(folder, ignore_errors=True)
            machine.check_disk(self.root)
            with step("environment in .venv"):
                venv.create(self.venv, with_pip=True, symlinks=True, system_site_packages=self.ros_setup is not None)
        requirements = self._requirements()
        count = len(requirements.read_text().splitlines())
        with self.stamps.running("packages", key), step(f"{count} packages; the first time this takes some minutes"):
            self._install(requirements)

    def build(self, key: str) -> None:
        """``colcon build`` into ``.venv``; Python packages stay where they are, so edits count at once."""
        environment = self.environment()
        machine.check_tools(environment)
        machine.check_cmake(environment)
        if self.stamps.interrupted("workspace"):
            shutil.rmtree(self.root / "build", ignore_errors=True)
        with self.stamps.running("workspace", key), step("workspace (colcon build)"):
            call([self.python, "-m", "colcon", "build", "--install-base", self.venv], self.root, environment)
            self._link_packages()

    def build_key(self, install_key: str) -> str:
        """Key of everything a build reads; a Python file that only changes is not part of it."""
        src = self.root / "src"
        manifests = [p for name in ("package.xml", "setup.py", "setup.cfg") for p in src.glob(f"*/{name}")]
        interfaces = [p for p in (src / "lrm_msgs").rglob("*") if p.is_file()]
        cmake = [self.root / "colcon_defaults.yaml", *(self.root / "cmake").glob("*.cmake")]
        shared = [p for name in ("config", "launch", "models") for p in (self.root / name).rglob("*")]
        installed = [p for p in shared if p.is_file() and "__pycache__" not in p.parts]
        return key_of(install_key, files={*manifests, *interfaces, *cmake}, names=installed)

    def environment(self) -> dict[str, str]:
        """Variables for a process inside the environment."""
        variables = sourced(self.ros_setup) if self.ros_setup else dict(os.environ)
        for name in WHEEL_HOOK if not self.ros_setup else ():
            variables.pop(name, None)
        prefixes = [str(self.venv), *filter(None, [variables.get("AMENT_PREFIX_PATH") if self.ros_setup else None])]
        return variables | {
            "VIRTUAL_ENV": str(self.venv),
            "PATH": f"{self.venv / 'bin'}:{variables.get('PATH', '')}",
            "AMENT_PREFIX_PATH": ":".join(prefixes),
            "COLCON_DEFAULTS_FILE": str(self.root / "colcon_defaults.yaml"),
        }

    def _usable(self) -> bool:
        """True for an environment that runs and was made in this place for this kind of ROS 2."""
        settings = self.venv / "pyvenv.cfg"
        if not settings.is_file() or not answers([self.python, "-c", "pass"]):
            return False
        return ("include-system-site-packages = true" in settings.read_text()) == (self.ros_setup is not None)

    def _requirements(self) -> Path:
        """The lock, without the ROS 2 wheels where ROS 2 is installed."""
        return self._lock_without("ros-") if self.ros_setup else self.lock

    def _lock_without(self, prefix: str, lock: Path | None = None) -> Path:
        lines = [line for line in (lock or self.lock).read_text().splitlines() if not line.startswith(prefix)]
        filtered = self.root / ".cache" / f"requirements-without-{prefix.strip('-=')}.lock"
        filtered.write_text("\n".join(lines) + "\n")
        return filtered

    def _install(self, requirements: Path) -> None:
        if not answers([self.python, "-m", "pip", "--version"]):
            call([self.python, "-m", "ensurepip", "--default-pip"], self.root, quiet=True)
        pip = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2"]
        uv_pin = next(line for line in requirements.read_text().splitlines() if line.startswith("uv=="))
        try:
            call([*pip, "--quiet", uv_pin], self.root, quiet=True)
        except Failed as error:
            machine.check_network(error.output)
            print("set-up: uv cannot be installed here; plain pip takes over and needs longer.", flush=True)
            fetch([*pip, "-r", self._lock_without("uv==", requirements)], self.root, dict(os.environ))
            return
        # The one source distribution is built with the locked setuptools, not with the newest.
        uv = [self.python, "-m", "uv", "pip", "install", "--python", self.python, "--build-constraints", requirements]
        fetch([*uv, "-r", requirements], self.root, mirror(self.python))

    def _link_packages(self) -> None:
        """Put sources and console scripts of the Python packages into reach of ``.venv/bin``."""
        site = next((self.venv / "lib").glob("python3.*")) / "site-packages"
        # Sources first, so that tracebacks name them; the build folders hold the metadata that console scripts read.
        folders = [self.root / kind / package for kind in ("src", "build") for package in PACKAGES]
        (site / "lrm_workspace.pth").write_text("".join(f"{folder}\n" for folder in folders))
        for script in sorted((self.venv / "lib").glob("lrm_*/lrm*")):
            link = self.venv / "bin" / script.name
            link.unlink(missing_ok=True)
            link.symlink_to(script)


class Failed(Exception):
    """A command failed; ``output`` is what it printed."""

    def __init__(self, command: Sequence[object], output: str) -> None:
        self.output = output
        super().__init__(f"'{' '.join(map(str, command[:6]))} ...' failed")


def call(
    command: Sequence[object], folder: Path, environment: dict[str, str] | None = None, *, quiet: bool = False
) -> None:
    """Run a command and show its output line by line; raises :class:`Failed`."""
    lines: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=environment or {k: v for k, v in os.environ.items() if k not in WHEEL_HOOK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if not quiet and not line.startswith(" + "):
                print(f"    {line}", end="", flush=True)
    if process.returncode:
        raise Failed(command, "".join(lines))


def fetch(command: Sequence[object], folder: Path, environment: dict[str, str]) -> None:
    """Run an installer; a failure becomes one line that says whether the network is to blame."""
    try:
        call(command, folder, {k: v for k, v in environment.items() if k not in WHEEL_HOOK})
    except Failed as error:
        machine.check_network(error.output)
        raise machine.Missing(f"the packages could not be installed (their output is above): {error}.") from error


def mirror(python: Path) -> dict[str, str]:
    """The environment, with pip's package index and certificates handed on to uv, which does not read pip's settings.

    What uv was told itself counts more.
    """
    variables = dict(os.environ)
    for ours, theirs in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        shown = subprocess.run([python, "-m", "pip", "config", "get", f"global.{ours}"], capture_output=True, text=True)
        value = os.environ.get(f"PIP_{ours.upper().replace('-', '_')}") or shown.stdout.strip()
        if value:
            variables.setdefault(theirs, value)
    return variables


def sourced(script: Path) -> dict[str, str]:
    """The environment after sourcing a shell script."""
    done = subprocess.run(["bash", "-c", f'source "{script}" && env -0'], capture_output=True, text=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)


def answers(command: Sequence[object]) -> bool:
    """True when a command runs and exits with 0."""
    try:
        return subprocess.run([str(p) for p in command], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and how long it took."""
    began_s = time.monotonic()
    print(f"set-up: {title} ...", flush=True)
    yield
    print(f"set-up: {title.split(';')[0]}: done in {time.monotonic() - began_s:.0f} s", flush=True)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock file; a second call waits. The lock goes away with its process, however that ends."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another set-up of this checkout is running; waiting for it.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
