"""Start processes, restart the ones that die, stop them all in order. Knows nothing of ROS.

Every child leads a process group of its own, so a Ctrl-C in the terminal reaches this program alone and stopping takes
a child's own children with it. Linux kills the children when this program dies, even by ``kill -9`` (PR_SET_PDEATHSIG,
prctl(2)). That signal follows the *thread* that forked, which is why the watching thread does all the starting.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from lrm_bringup.logs import last_message
from lrm_core.errors import LrmError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_POLL_S = 0.05


@dataclass(frozen=True)
class ProcessSpec:
    """One process to keep alive.

    Attributes:
        name: name shown to people; unique within a supervisor.
        command: program and arguments.
        log_path: standard output and error are appended here.
        env: the whole environment of the process; None: this program's.
    """

    name: str
    command: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RestartPolicy:
    """When to start a process again. The back-off doubles per crash and forgets crashes after ``healthy_s`` of life."""

    first_delay_s: float = 0.5
    max_delay_s: float = 8.0
    healthy_s: float = 30.0
    limit: int = 10

    def delay_s(self, crashes_in_a_row: int) -> float:
        """Seconds to wait before the restart after ``crashes_in_a_row`` (≥ 1) crashes."""
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** (crashes_in_a_row - 1))


class EventKind(str, Enum):
    """What happened to a process."""

    STARTED = "started"
    CRASHED = "crashed"
    RESTARTED = "restarted"
    FAILED = "failed"
    """Ended for good: it refused its configuration, or crashed too often."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessEvent:
    """``code`` is the exit code (negative: the signal that killed it), None while running."""

    name: str
    kind: EventKind
    pid: int
    code: int | None = None
    message: str = ""


@dataclass
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    crashes_in_a_row: int = 0
    restarts: int = 0
    ready: bool = False
    failure: str = ""
    stopping: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """Keeps the processes of ``specs`` running: started in that order, stopped in the reverse one.

    A process that exits with code 1 before :meth:`mark_ready` was called for it has refused its configuration: it is
    not started again, and :attr:`failure` holds the last clear line it wrote. Any other death is a crash.

    Args:
        specs: processes, in starting order.
        policy: back-off and limit of restarts.
        on_event: called from the watching thread for every event; must not block.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        policy: RestartPolicy | None = None,
        on_event: Callable[[ProcessEvent], None] = lambda event: None,
    ) -> None:
        self._children = {spec.name: _Child(spec) for spec in specs}
        self._policy = policy or RestartPolicy()
        self._on_event = on_event
        self._lock = threading.RLock()
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every process and the watching thread."""
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why a process ended for good, "name: message"; empty while none has."""
        failed = (f"{name}: {child.failure}" for name, child in list(self._children.items()) if child.failure)
        return next(failed, "")

    def check(self) -> None:
        """Raise :class:`LrmError` when a process has ended for good."""
        if self.failure:
            raise LrmError(self.failure)

    def mark_ready(self, name: str) -> None:
        """Say that ``name`` works: from now on exit code 1 is a crash, not a refused configuration."""
        self._children[name].ready = True

    def restarts(self) -> dict[str, int]:
        """Restarts so far, per process."""
        return {name: child.restarts for name, child in self._children.items()}

    def pid(self, name: str) -> int | None:
        """Process id of ``name``; None while it is not running."""
        with self._lock:
            process = self._children[name].process
            return process.pid if process else None

    def alive(self) -> list[str]:
        """Names of the processes that run now."""
        with self._lock:
            return [name for name, child in self._children.items() if child.process]

    def add(self, spec: ProcessSpec) -> None:
        """Start one more process; it is stopped before all others."""
        with self._lock:
            self._children[spec.name] = _Child(spec)

    def stop(self, grace_s: float = 8.0, term_s: float = 2.0) -> None:
        """Stop all, last started first: SIGINT, after ``grace_s`` SIGTERM, after another ``term_s`` SIGKILL."""
        if not self._thread.is_alive():
            return
        for child in reversed(list(self._children.values())):
            child.stopping = True
        for child in reversed(list(self._children.values())):
            for number, wait_s in ((signal.SIGINT, grace_s), (signal.SIGTERM, term_s), (signal.SIGKILL, 5.0)):
                if not self._signal(child, number) or child.done.wait(wait_s):
                    break
        self._quit.set()
        self._thread.join()

    def kill(self) -> None:
        """SIGKILL all at once: for the person who pressed Ctrl-C twice."""
        for child in self._children.values():
            child.stopping = True
            self._signal(child, signal.SIGKILL)
        self.stop(grace_s=0.1, term_s=0.1)

    def _signal(self, child: _Child, number: signal.Signals) -> bool:
        """Send to the whole group. False when the process does not run."""
        with self._lock:
            if child.process is None:
                return False
            _kill_group(child.process.pid, number)
            return True

    def _watch(self) -> None:
        while not self._quit.wait(_POLL_S):
            with self._lock:
                for child in self._children.values():
                    self._visit(child)

    def _visit(self, child: _Child) -> None:
        if child.process is None:
            if not (child.stopping or child.failure) and time.monotonic() >= child.due_s:
                self._spawn(child)
        elif _has_exited(child.process.pid):
            _kill_group(child.process.pid, signal.SIGKILL)
            self._bury(child, child.process.pid, child.process.wait())

    def _spawn(self, child: _Child) -> None:
        first = child.started_s == 0.0
        child.started_s = time.monotonic()
        child.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with child.spec.log_path.open("ab") as log:
            try:
                child.process = subprocess.Popen(
                    child.spec.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(child.spec.env) if child.spec.env is not None else None,
                    start_new_session=True,
                    preexec_fn=die_with_this_program(),
                )
            except OSError as error:
                self._fail(child, 0, None, f"cannot start {child.spec.command[0]}: {error.strerror}")
                return
        child.done.clear()
        if not first:
            child.restarts += 1
        kind = EventKind.STARTED if first else EventKind.RESTARTED
        self._on_event(ProcessEvent(child.spec.name, kind, child.process.pid))

    def _bury(self, child: _Child, pid: int, code: int) -> None:
        child.process = None
        if child.stopping:
            self._on_event(ProcessEvent(child.spec.name, EventKind.STOPPED, pid, code))
        elif code == 1 and not child.ready and child.restarts == 0:
            self._fail(child, pid, code, last_message(child.spec.log_path))
        elif child.restarts >= self._policy.limit:
            message = f"crashed {child.restarts + 1} times, last: {last_message(child.spec.log_path)}"
            self._fail(child, pid, code, message)
        else:
            self._schedule_restart(child, pid, code)
        child.done.set()

    def _schedule_restart(self, child: _Child, pid: int, code: int) -> None:
        lived_s = time.monotonic() - child.started_s
        child.crashes_in_a_row = 1 if lived_s > self._policy.healthy_s else child.crashes_in_a_row + 1
        child.due_s = time.monotonic() + self._policy.delay_s(child.crashes_in_a_row)
        self._on_event(ProcessEvent(child.spec.name, EventKind.CRASHED, pid, code, describe_exit(code)))

    def _fail(self, child: _Child, pid: int, code: int | None, message: str) -> None:
        child.failure = f"{message} (log: {child.spec.log_path})"
        self._on_event(ProcessEvent(child.spec.name, EventKind.FAILED, pid, code, message))


def describe_exit(code: int) -> str:
    """An exit code in words: ``killed by SIGSEGV`` or ``exit code 3``."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def die_with_this_program() -> Callable[[], None]:
    """A ``preexec_fn``: Linux kills the child when the thread that started it ends, however that happens."""
    parent_pid = os.getpid()

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent died between fork and prctl
            os._exit(1)

    return in_child


def _has_exited(pid: int) -> bool:
    """True when the child is a zombie. It is left unreaped, so that its group id still belongs to it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
