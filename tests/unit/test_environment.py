"""Every run gets a DDS domain of its own and the transports that images need."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lrm_bringup.environment import (
    DDS_LOCAL_PROFILE,
    DDS_PROFILE,
    DDS_PROFILE_VARIABLES,
    DomainClaim,
    network_environment,
    run_environment,
)
from lrm_core.resources import config_path


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


def test_without_a_domain_the_users_domain_is_kept_and_the_network_is_left_alone() -> None:
    env = run_environment(None, {"ROS_DOMAIN_ID": "42"})
    assert env["ROS_DOMAIN_ID"] == "42"
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(env["FASTRTPS_DEFAULT_PROFILES_FILE"]).name == "fastdds_localhost.xml"


@pytest.mark.parametrize(
    ("asked", "base", "found", "profile"),
    [
        ("auto", {}, "LOCALHOST", "fastdds_localhost.xml"),
        ("auto", {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "SUBNET", "fastdds.xml"),
        ("auto", {"ROS_STATIC_PEERS": "192.168.1.7"}, "SUBNET", "fastdds.xml"),
        ("subnet", {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "SUBNET", "fastdds.xml"),
        ("localhost", {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "LOCALHOST", "fastdds_localhost.xml"),
    ],
)
def test_the_network_hears_the_nodes_only_when_somebody_asks_for_it(
    asked: str, base: dict[str, str], found: str, profile: str
) -> None:
    env = network_environment(asked, base)
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == found
    assert [Path(env[name]).name for name in DDS_PROFILE_VARIABLES] == [profile, profile]


def test_a_profile_of_the_users_is_kept() -> None:
    mine = dict.fromkeys(DDS_PROFILE_VARIABLES, "mine.xml")
    assert run_environment(None, mine).items() >= mine.items()


@pytest.mark.parametrize(("asked", "profile"), [("subnet", DDS_PROFILE), ("localhost", DDS_LOCAL_PROFILE)])
@pytest.mark.parametrize("before", [DDS_PROFILE, DDS_LOCAL_PROFILE])
def test_a_shipped_profile_gives_way_to_that_of_the_range_that_is_asked_for(
    asked: str, profile: str, before: str
) -> None:
    env = network_environment(asked, dict.fromkeys(DDS_PROFILE_VARIABLES, str(config_path(before))))
    assert {env[name] for name in DDS_PROFILE_VARIABLES} == {str(config_path(profile))}


def test_the_two_profiles_differ_in_the_interfaces_alone() -> None:
    wide, narrow = (ElementTree.parse(config_path(name)).getroot() for name in (DDS_PROFILE, DDS_LOCAL_PROFILE))
    for transport in narrow.findall(".//{*}transport_descriptor"):
        for allowed in transport.findall("{*}interfaceWhiteList"):
            assert [address.text for address in allowed] == ["127.0.0.1"]
            transport.remove(allowed)
    canonical = [ElementTree.canonicalize(ElementTree.tostring(root), strip_text=True) for root in (wide, narrow)]
    assert canonical[0] == canonical[1]
