"""What every process of a run gets: a DDS domain of its own, the transports for images, off-screen rendering."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from lrm_core.errors import LrmError
from lrm_core.resources import config_path

DDS_PROFILE, DDS_LOCAL_PROFILE = "dds/fastdds.xml", "dds/fastdds_localhost.xml"
"""Transports for the network, and the same with no socket that another machine can reach."""
DDS_PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Fast DDS 2, which Jazzy uses, reads the first; version 3 the second. The other name is ignored without a word."""
LAST_DOMAIN = 101
"""Domains above meet the ports that Linux gives to outgoing connections (7400 + 250 · domain < 32768)."""


def run_environment(
    domain_id: int | None, base: Mapping[str, str] | None = None, discovery_range: str = "auto"
) -> dict[str, str]:
    """The environment of the processes of one run.

    Args:
        domain_id: DDS domain that isolates the run on this machine, or None to keep the user's.
        base: environment to start from; default: this program's.
        discovery_range: who may hear the nodes; see :func:`network_environment`.
    """
    env = dict(os.environ if base is None else base)
    env |= machine_environment(env)
    if domain_id is not None:
        env["ROS_DOMAIN_ID"], discovery_range = str(domain_id), "localhost"
    return env | network_environment(discovery_range, env)


def machine_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Variables for nodes that share one machine: its cores, off-screen rendering, logs without delay.

    Args:
        base: environment; the number of threads and the way of rendering that it names are kept.
    """
    usual = {"MUJOCO_GL": "egl", "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) // 2))}
    return {"PYTHONUNBUFFERED": "1"} | {name: base.get(name, value) for name, value in usual.items()}


def network_environment(discovery_range: str, base: Mapping[str, str]) -> dict[str, str]:
    """Variables that decide who can reach the nodes. Nothing listens beyond this machine unless somebody asks for it.

    The discovery range alone leaves the sockets open to the network; the profile for this machine closes them.

    Args:
        discovery_range: ``localhost``, ``subnet``, or ``auto``: what ``base`` says, else ``localhost``.
        base: environment; peers, and a profile that is not one of the two shipped ones, are kept.
    """
    asked = base.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "") if discovery_range == "auto" else discovery_range.upper()
    wanted = asked or ("SUBNET" if base.get("ROS_STATIC_PEERS") or base.get("ROS_DISCOVERY_SERVER") else "LOCALHOST")
    wide, narrow = str(config_path(DDS_PROFILE)), str(config_path(DDS_LOCAL_PROFILE))
    set_here = {"", wide, narrow}  # by scripts/run, for another range than is asked for now
    profile = narrow if wanted == "LOCALHOST" else wide
    profiles = {name: profile if (named := base.get(name, "")) in set_here else named for name in DDS_PROFILE_VARIABLES}
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": wanted, **profiles}


def main() -> None:
    """Print :func:`network_environment` for a shell, as ``scripts/run`` wants it for programs that set none."""
    for name, value in network_environment("auto", os.environ).items():
        print(f"export {name}={shlex.quote(value)}")


class DomainClaim:
    """A DDS domain that no other run on this machine uses, held until :meth:`release` or the end of the process.

    A lock file keeps apart two programs that start at once; a look at the discovery ports finds everybody else.
    """

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self.domain_id = self._claim()

    def release(self) -> None:
        """Give the domain back."""
        if self._lock:
            self._lock.close()

    def _claim(self) -> int:
        start = os.getpid() % LAST_DOMAIN
        for domain_id in (1 + (start + i) % LAST_DOMAIN for i in range(LAST_DOMAIN)):
            if self._locked(domain_id) and _is_quiet(domain_id):
                return domain_id
            self.release()
        raise LrmError(f"all DDS domains from 1 to {LAST_DOMAIN} are in use on this machine: stop other runs first")

    def _locked(self, domain_id: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"lrm-{os.getuid()}-domain-{domain_id}.lock"
        try:
            self._lock = path.open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _is_quiet(domain_id: int) -> bool:
    """Nobody of the domain is on this machine: its multicast and its first unicast discovery port are free.

    DDSI-RTPS 2.2, section 9.6.1.1: base 7400, 250 per domain, unicast from 10 on.
    """
    return all(_port_is_free(7400 + 250 * domain_id + offset) for offset in (0, 10))


def _port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
