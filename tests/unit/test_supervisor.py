"""The supervisor with real small processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lrm_bringup.processes import EventKind, ProcessEvent, ProcessSpec, RestartPolicy, Supervisor
from lrm_core.errors import LrmError

FAST = RestartPolicy(first_delay_s=0.05, max_delay_s=0.1, limit=3)
SLEEP = "import time; time.sleep(60)"


def spec(tmp_path: Path, code: str, name: str = "child") -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-S", "-c", code), tmp_path / f"{name}.log")


def wait_for(predicate: Callable[[], object], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not predicate():
        assert time.monotonic() < end, "deadline passed"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_crashed_process_is_started_again_and_counted(tmp_path: Path) -> None:
    events: list[ProcessEvent] = []
    with Supervisor([spec(tmp_path, SLEEP)], FAST, events.append) as supervisor:
        wait_for(lambda: supervisor.pid("child"))
        first = supervisor.pid("child")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: supervisor.pid("child") not in (None, first))
        assert supervisor.restarts() == {"child": 1}
    kinds = [event.kind for event in events]
    assert kinds == [EventKind.STARTED, EventKind.CRASHED, EventKind.RESTARTED, EventKind.STOPPED]
    assert events[1].message == "killed by SIGKILL"


def test_a_refused_configuration_is_not_retried_and_its_message_is_shown(tmp_path: Path) -> None:
    code = "print('[ERROR] [1.5] [reward]: model is x: expected a folder.'); print('bye'); raise SystemExit(1)"
    with Supervisor([spec(tmp_path, code)], FAST) as supervisor:
        wait_for(lambda: supervisor.failure)
        assert supervisor.failure.startswith("child: model is x: expected a folder. (log: ")
        assert supervisor.restarts() == {"child": 0}
        with pytest.raises(LrmError, match="model is x"):
            supervisor.check()


def test_exit_code_1_of_a_process_that_worked_before_is_a_crash(tmp_path: Path) -> None:
    marker = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(marker)!r}): time.sleep(0.01)\nraise SystemExit(1)"
    with Supervisor([spec(tmp_path, code)], FAST) as supervisor:
        wait_for(supervisor.alive)
        supervisor.mark_ready("child")
        marker.touch()
        wait_for(lambda: supervisor.restarts()["child"] >= 1)


def test_restarts_end_at_the_limit(tmp_path: Path) -> None:
    with Supervisor([spec(tmp_path, "raise SystemExit(3)")], FAST) as supervisor:
        wait_for(lambda: supervisor.failure)
        assert "crashed 4 times" in supervisor.failure
        assert supervisor.restarts() == {"child": 3}


def test_a_program_that_does_not_exist_fails_with_its_name(tmp_path: Path) -> None:
    missing = ProcessSpec("child", ("no-such-program",), tmp_path / "child.log")
    with Supervisor([missing], FAST) as supervisor:
        wait_for(lambda: supervisor.failure)
        assert "cannot start no-such-program" in supervisor.failure


def test_back_off_doubles_up_to_its_maximum() -> None:
    policy = RestartPolicy(first_delay_s=0.5, max_delay_s=3.0)
    assert [policy.delay_s(n) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_processes_stop_in_reverse_order(tmp_path: Path) -> None:
    events: list[ProcessEvent] = []
    names = ["robot", "reward", "policy"]
    with Supervisor([spec(tmp_path, SLEEP, name) for name in names], FAST, events.append) as supervisor:
        wait_for(lambda: len(supervisor.alive()) == 3)
    assert [e.name for e in events if e.kind is EventKind.STOPPED] == ["policy", "reward", "robot"]


def test_a_process_that_ignores_sigint_and_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time\n"
        "for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(60)"
    )
    log = tmp_path / "child.log"
    supervisor = Supervisor([spec(tmp_path, code)], FAST)
    supervisor.start()
    wait_for(lambda: log.exists() and "deaf" in log.read_text())
    pid = supervisor.pid("child")
    supervisor.stop(grace_s=0.2, term_s=0.2)
    assert pid is not None and not running(pid)
    assert supervisor.alive() == []


def test_stopping_takes_the_children_of_a_child_with_it(tmp_path: Path) -> None:
    code = (
        f"import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}])\n"
        "print(p.pid, flush=True)\ntime.sleep(60)"
    )
    log = tmp_path / "child.log"
    with Supervisor([spec(tmp_path, code)], FAST):
        wait_for(lambda: log.exists() and log.read_text().strip())
        grandchild = int(log.read_text())
        assert running(grandchild)
    wait_for(lambda: not running(grandchild))


def test_no_process_outlives_a_killed_program(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom lrm_bringup.processes import ProcessSpec, Supervisor\n"
        f"command = (sys.executable, '-S', '-c', {SLEEP!r})\n"
        f"s = Supervisor([ProcessSpec('child', command, Path({str(tmp_path / 'c.log')!r}))])\n"
        "s.start()\nwhile not s.pid('child'): time.sleep(0.01)\nprint(s.pid('child'), flush=True)\ntime.sleep(60)"
    )
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert running(child)
        parent.kill()
    wait_for(lambda: not running(child))
