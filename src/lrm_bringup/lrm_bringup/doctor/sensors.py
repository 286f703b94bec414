"""Cameras: devices of this machine, and topics that are alive in the user's domain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lrm_bringup.doctor.finding import Finding, Level, finding
from lrm_bringup.environment import run_environment

LOOK_S = 4.0
"""Longer than the 3 s from one announcement of a participant to the next: who misses the first hears the second."""


def devices(folder: Path = Path("/sys/class/video4linux"), nodes: Path = Path("/dev")) -> Finding:
    """Video devices (v4l2) and whether this user may read them."""
    found = {path.name: (path / "name").read_text().strip() for path in sorted(folder.glob("video*"))}
    if not found:
        return Finding("camera devices", Level.OK, "none on this machine")
    closed = [name for name in found if not os.access(nodes / name, os.R_OK | os.W_OK)]
    listed = ", ".join(f"/dev/{name} ({what})" for name, what in found.items())
    fix = f"no access to {', '.join(closed)}: sudo usermod -aG video $USER, log in again; in a container --device"
    return finding("camera devices", not closed, listed, fix, Level.WARN)


def topics(seconds: float = LOOK_S) -> Finding:
    """Live images, and who tells the time."""
    command = [sys.executable, "-m", "lrm_bringup.doctor.ros.live", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=run_environment(None))
        seen = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return Finding("live topics", Level.FAIL, "the graph cannot be looked at", "see ROS 2 and DDS discovery")
    silent = [name for name, rate_hz in seen["cameras"].items() if rate_hz == 0.0]
    rates = ", ".join(f"{name} {rate_hz:g} Hz" for name, rate_hz in seen["cameras"].items()) or "no camera"
    clock = f"/clock {seen['clock'] / seconds:.0f} Hz" if seen["clock"] else "no /clock"
    fix = f"nothing comes on {', '.join(silent)}: is the camera on? a simulation in lock-step waits for commands"
    found = f"domain {os.environ.get('ROS_DOMAIN_ID', '0')}: {seen['nodes']} nodes, {rates}, {clock}"
    return finding("live topics", not silent, found, fix, Level.WARN)
