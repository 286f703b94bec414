"""The ground that tests with processes stand on: domains do not collide and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lrm_bringup.environment import DomainClaim
from ros_testing import free_domain, node_process, wait_until
from source_tree import ROOT

PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
print("child", child.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """True for a process that is neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_two_tests_at_once_get_different_domains() -> None:
    with free_domain() as one, free_domain() as two:
        assert one != two


def test_a_test_never_meets_a_demo_on_the_same_machine() -> None:
    claim = DomainClaim()
    try:
        with free_domain() as mine:
            assert mine != claim.domain_id
    finally:
        claim.release()


def test_another_process_gets_another_domain() -> None:
    code = "from ros_testing import free_domain\nwith free_domain() as d: print(d)"
    with free_domain() as mine:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert int(done.stdout) != mine


def test_a_process_that_ignores_the_interrupt_ends_with_all_it_started(tmp_path: Path) -> None:
    with node_process([sys.executable, "-S", "-c", PARENT], tmp_path / "log", grace_s=0.2) as process:
        process.wait_for_output("child ")
        child = int(process.output.split()[1])
        assert alive(child)
    assert process.exit_code is not None
    wait_until(lambda: not alive(child), 5.0, "the child is gone")


def test_a_process_that_ends_early_fails_the_wait_with_its_output(tmp_path: Path) -> None:
    with (
        node_process([sys.executable, "-S", "-c", "print('no camera')"], tmp_path / "log") as process,
        pytest.raises(AssertionError, match="no camera"),
    ):
        process.wait_for_output("ready")


def test_waiting_ends_at_the_deadline() -> None:
    with pytest.raises(pytest.fail.Exception, match="never: not within"):
        wait_until(lambda: False, 0.05, "never")
