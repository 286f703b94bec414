"""ROS 2 and DDS: what is installed, whether two processes hear each other, who is there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from lrm_bringup.doctor.finding import Finding, Level, finding
from lrm_bringup.environment import DomainClaim, run_environment
from lrm_bringup.versions import ros_distro

GREETED = 32
"""Fast DDS numbers the participants of a machine and greets only so many; a later one stays deaf, without a word."""
_TIMEOUT_S = 60.0


def ros() -> Finding:
    """Where rclpy comes from."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None:
        return Finding("ROS 2", Level.FAIL, "no rclpy", "make setup installs it from wheels; with ROS use scripts/run")
    where = "an installed ROS 2" if "/opt/ros" in str(spec.origin) else "wheels"
    version = next((v for name in ("ros-rclpy", "rclpy") if (v := _version(name))), "unknown version")
    return Finding("ROS 2", Level.OK, f"{ros_distro() or 'jazzy'}, rclpy {version} from {where}")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def messages() -> Finding:
    """The interface package is built."""
    found = importlib.util.find_spec("lrm_msgs") is not None
    return finding("messages", found, "lrm_msgs " + ("built" if found else "not built"), "make setup")


def dds_profile() -> Finding:
    """Transports that let a camera image through."""
    env = run_environment(None)
    path = Path(env["FASTRTPS_DEFAULT_PROFILES_FILE"])
    fix = "unset FASTRTPS_DEFAULT_PROFILES_FILE to use the shipped one"
    try:
        segment = ElementTree.parse(path).findtext(".//{*}segment_size") or "0"
    except (ElementTree.ParseError, OSError) as error:
        return Finding("DDS profile", Level.FAIL, f"{path}: {error}", fix)
    reach = env["ROS_AUTOMATIC_DISCOVERY_RANGE"]
    found = f"{path.name}, shared memory segment {int(segment) / 1e6:.0f} MB, discovery range {reach}"
    return finding("DDS profile", int(segment) >= 4_000_000, found, f"a camera image does not fit; {fix}")


def round_trip() -> Finding:
    """An image of 640 by 480 goes to another process and back, in a domain of its own."""
    claim = DomainClaim()
    env = run_environment(claim.domain_id)
    command = [sys.executable, "-m", "lrm_bringup.doctor.ros.round_trip"]
    answers = subprocess.Popen([*command, "answer"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asked = subprocess.run([*command, "ask"], env=env, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Finding("DDS discovery", Level.FAIL, f"no answer within {_TIMEOUT_S:g} s", "the machine is overloaded")
    finally:
        answers.kill()
        answers.wait()
        claim.release()
    last = (asked.stdout.strip().splitlines() or asked.stderr.strip().splitlines() or ["no answer"])[-1]
    fix = "two processes of this machine do not hear each other: check the loopback interface, a firewall, /dev/shm"
    return finding("DDS discovery", asked.returncode == 0, last, fix)


def participants(table: Path = Path("/proc/net/udp"), env: Mapping[str, str] | None = None) -> Finding:
    """How many programs share the domain on this machine."""
    domain = int((os.environ if env is None else env).get("ROS_DOMAIN_ID") or 0)
    first = 7400 + 250 * domain + 10  # DDSI-RTPS 2.2, section 9.6.1.1: two ports per participant
    ports = {int(line.split()[1].rpartition(":")[2], 16) for line in table.read_text().splitlines()[1:]}
    count = len(ports & set(range(first, first + 240, 2)))
    found = f"{count} participants in domain {domain}, {GREETED} hear each other"
    level = Level.FAIL if count >= GREETED else Level.WARN
    return finding("DDS domain", count < GREETED - 8, found, "set another ROS_DOMAIN_ID, or end programs", level)
