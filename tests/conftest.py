"""What every test may rely on: a quiet machine, software rendering, and a ROS domain of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ros_testing import free_domain

ROOT = Path(__file__).resolve().parent.parent

# Before any test module imports numpy, torch or mujoco, and for every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ["HF_HUB_OFFLINE"] = "1"
for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):  # Fast DDS 2 and 3
    os.environ[name] = str(ROOT / "config" / "dds" / "fastdds.xml")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# A busy machine makes an example slow, and that says nothing about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def ros_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What nodes keep for the process after them stays among the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_HOME", str(tmp_path_factory.mktemp("ros_home")))
        yield


@pytest.fixture
def ros_domain_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A domain of this test alone, set for the test and for every process it starts; ROS logs go to ``tmp_path``."""
    with free_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
        yield domain
