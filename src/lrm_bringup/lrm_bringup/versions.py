"""Which code made a result: versions of the packages that matter, and the revision of the checkout."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("lrm_bringup", "torch", "transformers", "peft", "lerobot", "mujoco", "ros-jazzy-rclpy")
_GIT_TIMEOUT_S = 10.0


def versions() -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def ros_distro() -> str:
    """Name of the ROS distribution, from the environment or from the packages it came in; empty when unknown."""
    words = [(one.metadata["Name"] or "").split("-") for one in metadata.distributions()]
    packed = (parts[1] for parts in words if len(parts) == 3 and (parts[0], parts[2]) == ("ros", "rclpy"))
    return os.environ.get("ROS_DISTRO") or next(packed, "")


def revision(folder: Path | None = None) -> str:
    """Git commit of the checkout this code runs from, with ``+changes`` where files differ from it.

    Args:
        folder: any folder of the checkout; None: the one of this file.

    Returns:
        40 hexadecimal digits, with or without ``+changes``; empty where there is no git or no checkout.
    """
    here = folder or Path(__file__).resolve().parent
    commit = _git(here, "rev-parse", "HEAD")
    # Another repository may merely hold an installed copy: then this very file is not one of its files.
    if not commit or (folder is None and not _git(here, "ls-files", Path(__file__).name)):
        return ""
    return commit + ("+changes" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *words: str) -> str:
    try:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
