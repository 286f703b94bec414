"""Shared files are found in a checkout and in an installation, and a missing one is named with its alternatives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lrm_core import resources
from lrm_core.errors import BadInput
from source_tree import ROOT


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed share folder and no checkout around it."""
    monkeypatch.setattr(resources, "_checkout", list)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    return tmp_path / "share" / "lrm_bringup"


def test_a_checkout_is_its_own_share_folder() -> None:
    assert resources.share_dir() == ROOT
    assert resources.config_path("dds/fastdds.xml").is_file()


def test_an_installation_is_found_without_a_checkout(installation: Path) -> None:
    for name in ("config/reward.yaml", "models/tiny", "launch/sim.launch.py"):
        (installation / name).parent.mkdir(parents=True)
        (installation / name).touch()
    assert resources.config_path("reward.yaml") == installation / "config" / "reward.yaml"
    assert resources.model_path("tiny") == installation / "models" / "tiny"
    assert resources.launch_path("sim.launch.py") == installation / "launch" / "sim.launch.py"


def test_an_ament_prefix_that_knows_the_package_is_used(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ament_index_python")
    prefix = installation.parent.parent
    (prefix / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (prefix / "share/ament_index/resource_index/packages/lrm_bringup").touch()
    (installation / "config").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", "/nonexistent")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    assert resources.share_dir() == installation


def test_without_any_share_folder_the_way_out_is_named(installation: Path) -> None:
    with pytest.raises(BadInput, match="make setup"):
        resources.share_dir()


def test_a_missing_file_is_named_with_what_there_is(installation: Path) -> None:
    (installation / "config").mkdir(parents=True)
    (installation / "config" / "reward.yaml").touch()
    with pytest.raises(BadInput, match=r"config file is 'rewards\.yaml': expected one of \['reward\.yaml'\]"):
        resources.config_path("rewards.yaml")
