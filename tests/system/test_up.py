"""``lrm up`` with a real node: it comes up, comes back, stops, and says why when it cannot work."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from ros_testing import node_process, wait_until

PROGRAM = "import sys; from lrm_bringup.cli import main; sys.exit(main())"


def command(tmp_path: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "up", "record", "--logs", str(tmp_path / "logs"), *words]


def parameters(tmp_path: Path, **values: object) -> str:
    lines = "".join(f"    {name}: {value}\n" for name, value in values.items())
    path = tmp_path / "mine.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n{lines}")
    return str(path)


def test_a_node_comes_up_comes_back_after_a_kill_and_stops(tmp_path: Path, ros_domain_id: int) -> None:
    bags = tmp_path / "bags"
    words = command(tmp_path, "--params", parameters(tmp_path, out_dir=bags))
    with node_process(words, tmp_path / "up.log", {"PYTHONPATH": os.pathsep.join(sys.path)}) as up:
        wait_until(bags.is_dir, 30.0, "the recorder is configured")
        found = re.search(r"recorder started \(pid (\d+)\)", up.output)
        assert found, up.output
        os.kill(int(found[1]), signal.SIGKILL)
        up.wait_for_output("recorder restarted")
        up.send(signal.SIGINT)
        assert up.wait() == 0
        assert "recorder crashed" in up.output
        assert "killed by SIGKILL" in up.output
        pids = re.findall(r"pid (\d+)", up.output)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_parameter_out_of_range_ends_it_with_the_name_and_the_range(tmp_path: Path, ros_domain_id: int) -> None:
    words = command(tmp_path, "--params", parameters(tmp_path, reserve_mb=0))
    with node_process(words, tmp_path / "up.log", {"PYTHONPATH": os.pathsep.join(sys.path)}) as up:
        assert up.wait(30.0) == 2
        last = up.output.splitlines()[-1]
    assert last.startswith("lrm: recorder: ")
    assert "reserve_mb is 0: expected at least 1 MB" in last


def test_a_parameter_file_that_is_not_there_is_named(tmp_path: Path, ros_domain_id: int) -> None:
    words = command(tmp_path, "--params", "missing.yaml")
    with node_process(words, tmp_path / "up.log", {"PYTHONPATH": os.pathsep.join(sys.path)}) as up:
        assert up.wait(30.0) == 2
        assert "missing.yaml" in up.output
