"""Each check of the doctor finds what is wrong, and says what to do."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import pytest

from lrm_bringup.doctor import machine, models, network, sensors
from lrm_bringup.doctor.finding import Finding, Level, guarded
from lrm_core.errors import BadInput

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue\n"


def udp_table(path: Path, ports: list[int]) -> Path:
    path.write_text(HEADER + "".join(f"  {i}: 0100007F:{port:04X} 00000000:0000 07\n" for i, port in enumerate(ports)))
    return path


@pytest.mark.parametrize(("count", "level"), [(3, Level.OK), (26, Level.WARN), (32, Level.FAIL)])
def test_a_crowded_domain_is_noticed_before_somebody_stays_deaf(tmp_path: Path, count: int, level: Level) -> None:
    first = 7400 + 250 * 7 + 10
    others = [7400 + 10, 5353]
    ports = [first + offset for i in range(count) for offset in (2 * i, 2 * i + 1)]
    found = network.participants(udp_table(tmp_path / "udp", ports + others), {"ROS_DOMAIN_ID": "7"})
    assert (found.level, found.found.split()[0]) == (level, str(count))


def test_segments_of_the_dead_are_told_from_those_in_use(tmp_path: Path) -> None:
    for name in ("fastrtps_a", "fastrtps_b", "fastrtps_b_el", "other"):
        (tmp_path / name).write_bytes(bytes(4096))
    with (tmp_path / "fastrtps_a").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        found = machine.leftovers(tmp_path)
    assert (found.level, found.found.split()[0]) == (Level.WARN, "1")
    assert "rm -f" in found.fix


def test_little_shared_memory_is_a_failure_where_there_is_none(tmp_path: Path) -> None:
    assert machine.shared_memory(tmp_path / "none").level is Level.FAIL
    assert machine.leftovers(tmp_path).level is Level.OK


def test_a_camera_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    for name in ("video0", "video1"):
        (tmp_path / "sys" / name).mkdir(parents=True)
        (tmp_path / "sys" / name / "name").write_text("Some Camera\n")
    (tmp_path / "video0").touch()
    found = sensors.devices(tmp_path / "sys", tmp_path)
    assert found.level is Level.WARN
    assert "/dev/video0 (Some Camera)" in found.found
    assert "video1" in found.fix
    assert "video0" not in found.fix
    assert sensors.devices(tmp_path / "nothing").found == "none on this machine"


def test_a_checkpoint_without_weights_fails(tmp_path: Path) -> None:
    assert models.weights("reward model", str(tmp_path), "train it").level is Level.FAIL
    assert models.weights("reward model", "lrm-tiny", "train it").level is Level.OK
    assert "hub" in models.weights("reward model", "Somebody/A-Model", "train it").found


def test_the_gpu_is_missed_only_where_the_model_runs_on_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert models.gpu("lrm-tiny", "cpu").level is Level.OK
    assert models.gpu("lrm-tiny", "cuda:0").level is Level.FAIL


def with_card(monkeypatch: pytest.MonkeyPatch, folder: Path, free_mb: int) -> None:
    """A machine with one GPU, as nvidia-smi tells of it."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho 'NVIDIA Something, {free_mb}, 81559'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(("free_mb", "level"), [(80000, Level.OK), (5, Level.FAIL)])
def test_a_model_that_does_not_fit_on_the_gpu_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mb: int, level: Level
) -> None:
    with_card(monkeypatch, tmp_path, free_mb)
    assert models.gpu("lrm-tiny", "cuda:0").level is level
    with pytest.raises(BadInput, match="cuda:0 to cuda:0"):
        models.gpu("lrm-tiny", "cuda:1")


def test_what_a_model_of_the_hub_needs_is_unknown_until_it_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_card(monkeypatch, tmp_path, 10_000)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    unknown = models.gpu("Somebody/A-Model", "cuda:0")
    assert (unknown.level, "unknown" in unknown.found) == (Level.WARN, True)
    assert "hf download Somebody/A-Model" in unknown.fix

    cached = tmp_path / "hub" / "models--Somebody--A-Model"
    (cached / "snapshots" / "abc").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert models.gpu("Somebody/A-Model", "cuda:0").level is Level.WARN, "its configuration alone may be there"
    (cached / "snapshots" / "abc" / "model-1.safetensors").write_bytes(bytes(1000))
    index = cached / "snapshots" / "abc" / "model.safetensors.index.json"
    for total_gb, level in ((4, Level.OK), (40, Level.FAIL)):
        index.write_text(json.dumps({"metadata": {"total_size": total_gb * 10**9}}))
        found = models.gpu("Somebody/A-Model", "cuda:0")
        assert (found.level, f"about {1300 * total_gb:,} MB" in found.found) == (level, True), found


def test_a_profile_that_lets_no_image_through_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / "mine.xml"
    profile.write_text("<dds><segment_size>1000</segment_size></dds>")
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
    assert network.dds_profile().level is Level.FAIL
    profile.write_text("no xml")
    assert network.dds_profile().level is Level.FAIL


def test_a_check_that_breaks_is_a_failure_with_its_message() -> None:
    def broken() -> Finding:
        raise OSError("no such disk")

    assert guarded("disk", broken) == Finding("disk", Level.FAIL, "no such disk", "see the message")


def test_a_full_disk_fails_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert machine.disk(tmp_path / "not" / "yet").level in (Level.OK, Level.WARN)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(machine, "RUN_DISK_GB", 1e9)
    assert machine.disk(tmp_path).level is Level.FAIL
