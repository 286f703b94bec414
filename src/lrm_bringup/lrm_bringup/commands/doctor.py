"""``lrm doctor``: what this machine has and lacks, each finding with its fix."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lrm_core.errors import LrmError

_RUN_DISK_GB, _SHM_MB = 2.0, 64.0
_GL_PROGRAM = (
    "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>'); r = mujoco.Renderer(m, 8, 8); "
    "r.update_scene(mujoco.MjData(m)); print(r.render().shape)"
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``fix`` says what to do where ``ok`` is false."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--out", type=Path, default=Path("out"), help="where runs are written (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Print the findings; returns 0 when nothing is missing, else 1."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python, _ros, _messages, _dds_profile, _opengl, _shared_memory, lambda: _disk(args.out), _reward_model,
        _policy, _domain,
    )  # fmt: skip
    failed = 0
    for check in checks:
        finding = _guarded(check)
        failed += not finding.ok
        print(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.name:16} {finding.found}")
        if not finding.ok:
            print(f"{'':9}{'':16} → {finding.fix}")
    return 1 if failed else 0


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except (LrmError, OSError) as error:
        return Finding(getattr(check, "__name__", "check").strip("_"), False, str(error), "see the message")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "python", sys.version_info[:2] == (3, 12), version, "use Python 3.12: make setup finds or says how to get it"
    )


def _ros() -> Finding:
    spec = importlib.util.find_spec("rclpy")
    where = "not found" if spec is None else "/opt/ros" if "/opt/ros" in str(spec.origin) else "wheels"
    return Finding("ROS 2", spec is not None, f"rclpy from {where}", "make setup installs it from wheels")


def _messages() -> Finding:
    found = importlib.util.find_spec("lrm_msgs") is not None
    return Finding("messages", found, "lrm_msgs " + ("built" if found else "not built"), "make setup")


def _dds_profile() -> Finding:
    from lrm_bringup.environment import run_environment

    path = Path(run_environment(None)["FASTRTPS_DEFAULT_PROFILES_FILE"])
    fix = "unset FASTRTPS_DEFAULT_PROFILES_FILE to use the shipped one"
    try:
        segment = ElementTree.parse(path).findtext(".//{*}segment_size") or "0"
    except (ElementTree.ParseError, OSError) as error:
        return Finding("DDS profile", False, f"{path}: {error}", fix)
    large = int(segment) >= 4_000_000
    found = f"{path.name}, shared memory segment {int(segment) / 1e6:.0f} MB"
    return Finding("DDS profile", large, found, f"a camera image does not fit; {fix}")


def _opengl() -> Finding:
    env = {"MUJOCO_GL": "egl", **os.environ}
    result = subprocess.run([sys.executable, "-c", _GL_PROGRAM], capture_output=True, text=True, env=env, timeout=60)
    last = (result.stderr.strip().splitlines() or ["no message"])[-1]
    found = f"MUJOCO_GL={env['MUJOCO_GL']}" + ("" if result.returncode == 0 else f": {last}")
    return Finding(
        "OpenGL",
        result.returncode == 0,
        found,
        "install EGL, on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri",
    )


def _shared_memory() -> Finding:
    if not Path("/dev/shm").is_dir():
        return Finding("shared memory", False, "no /dev/shm", "mount a tmpfs there, 64 MB or more")
    free_mb = shutil.disk_usage("/dev/shm").free / 1e6
    return Finding("shared memory", free_mb >= _SHM_MB, f"{free_mb:.0f} MB free",
                   "in a container start it with --shm-size=256m; else remove stale /dev/shm/fastrtps_*")  # fmt: skip


def _disk(out: Path) -> Finding:
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(
        "disk", free_gb >= _RUN_DISK_GB, f"{free_gb:.1f} GB free at {folder}", f"a run needs {_RUN_DISK_GB:g} GB"
    )


def _reward_model() -> Finding:
    from lrm_bringup.demo.identity import SHIPPED_REWARD_MODEL

    return _model("reward model", SHIPPED_REWARD_MODEL, "lrm train reward-model writes it")


def _policy() -> Finding:
    from lrm_bringup.graph import POLICY
    from lrm_bringup.parameters import shipped

    return _model("base policy", str(shipped(POLICY).policy), "lrm train policy writes it")


def _model(what: str, name: str, fix: str) -> Finding:
    from lrm_core.resources import share_dir

    folder = share_dir() / "models" / name
    size_mb = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
    return Finding(what, size_mb > 0, f"models/{name}, {size_mb:.1f} MB of weights", fix)


def _domain() -> Finding:
    from lrm_bringup.environment import DomainClaim

    claim = DomainClaim()
    claim.release()
    return Finding("DDS domain", True, f"{claim.domain_id} is free")
