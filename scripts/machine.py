"""What set-up needs from the machine. A check returns nothing or raises :class:`Missing` with one line that helps."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

FREE_DISK_GB = 12.0
RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    assert renderer.render().any()
"""
NO_NETWORK = (
    "dns error",
    "error sending request",
    "failed to establish a new connection",
    "name resolution",
    "network is unreachable",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "proxyerror",
    "tunnel error",
)


class Missing(Exception):
    """Something the machine lacks: what, and how to get it, in one line."""


def check_tools(environment: Mapping[str, str]) -> None:
    """There are git, a C and a C++ compiler and make on PATH."""
    if not _which(environment, "git"):
        raise Missing("no git on PATH: 'apt-get install git'.")
    if not _which(environment, "cc", "gcc", "clang"):
        raise Missing("no C compiler on PATH: 'apt-get install build-essential'.")
    if not _which(environment, "c++", "g++", "clang++"):
        raise Missing("no C++ compiler on PATH: 'apt-get install build-essential'.")
    if not _which(environment, "make", "gmake"):
        raise Missing("no make on PATH: 'apt-get install build-essential'.")


def check_cmake(environment: Mapping[str, str]) -> None:
    """A cmake on PATH; the locked packages bring one."""
    if not _which(environment, "cmake"):
        raise Missing("no cmake on PATH: 'apt-get install cmake', version 3.21 or newer.")


def check_venv_module() -> None:
    """The standard library's venv can install pip; Debian packs that apart."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise Missing("this Python 3.12 cannot make environments: 'apt-get install python3.12-venv'.")


def check_disk(folder: Path, needed_gb: float = FREE_DISK_GB) -> None:
    """Enough free disk where the environment goes."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        raise Missing(f"{free_gb:.1f} GB of disk free in {folder}: {needed_gb:.0f} GB are needed, free some space.")


def check_rendering(python: Path, environment: Mapping[str, str]) -> None:
    """A picture can be rendered off-screen (MuJoCo through EGL)."""
    try:
        done = subprocess.run(
            [python, "-c", RENDER],
            env={**environment, "MUJOCO_GL": "egl"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing("off-screen OpenGL does not answer within 120 s: check the graphics driver.") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        fix = "'apt-get install libegl1 libgl1 libgl1-mesa-dri libgles2'"
        raise Missing(f"no off-screen OpenGL (EGL): {fix}. MuJoCo said: {reason}")


def check_network(output: str) -> None:
    """The output of a failed installation does not look like a missing network."""
    lowered = output.lower()
    if any(sign in lowered for sign in NO_NETWORK):
        raise Missing(
            "no network, and packages have to be fetched: connect, or name your mirror (PIP_INDEX_URL, HTTPS_PROXY)."
        )


def _which(environment: Mapping[str, str], *names: str) -> bool:
    return any(shutil.which(name, path=environment.get("PATH", "")) for name in names)
