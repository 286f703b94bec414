"""Every run gets a DDS domain of its own and the transports that images need."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lrm_bringup.environment import DDS_PROFILE_VARIABLES, DomainClaim, run_environment


def test_two_claims_never_meet() -> None:
    first, second = DomainClaim(), DomainClaim()
    try:
        assert first.domain_id != second.domain_id
    finally:
        first.release()
        second.release()


def test_a_released_domain_can_be_claimed_again() -> None:
    first = DomainClaim()
    first.release()
    second = DomainClaim()
    second.release()
    assert second.domain_id == first.domain_id


@pytest.mark.parametrize("offset", [0, 10])
def test_a_domain_with_somebody_in_it_is_left_alone(offset: int) -> None:
    probe = DomainClaim()
    probe.release()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("", 7400 + 250 * probe.domain_id + offset))
        claim = DomainClaim()
        claim.release()
    assert claim.domain_id != probe.domain_id


def test_a_claim_ends_with_its_process() -> None:
    program = "from lrm_bringup.environment import DomainClaim; print(DomainClaim().domain_id)"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    ids = {
        subprocess.run(
            [sys.executable, "-c", f"import os; os.getpid = lambda: 5; {program}"],
            capture_output=True, text=True, check=True, env=env,
        ).stdout
        for _ in range(2)
    }  # fmt: skip
    assert len(ids) == 1


def test_the_environment_isolates_a_run_and_keeps_what_the_user_set() -> None:
    env = run_environment(7, {"MUJOCO_GL": "osmesa", "HOME": "/home/somebody"})
    assert env["ROS_DOMAIN_ID"] == "7"
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert env["MUJOCO_GL"] == "osmesa"
    assert all(Path(env[name]).is_file() for name in DDS_PROFILE_VARIABLES)


def test_without_a_domain_the_users_network_is_kept() -> None:
    env = run_environment(None, {"ROS_DOMAIN_ID": "42"})
    assert env["ROS_DOMAIN_ID"] == "42"
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in env
