"""Fills the learner's buffer before the first episode: scored demonstrations, prepared by a process of its own."""

from __future__ import annotations

import re
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.logs import last_message
from lrm_core.errors import LrmError

DEMONSTRATIONS = 20
_PROGRESS = re.compile(r"\d+ of \d+")


def prepare_demonstrations(
    options: DemoOptions, folder: Path, env: Mapping[str, str], show: Callable[[str], None], check: Callable[[], None]
) -> Path:
    """Record, score and save demonstrations; returns the file for the learner's parameter ``demo_transitions``.

    Args:
        options: of the run.
        folder: run folder.
        env: environment of the process.
        show: told what is being done.
        check: called a few times a second; raises to give up.

    Raises:
        LrmError: the process failed; with its last clear message.
    """
    out, log_path = folder / "demonstrations.npz", folder / "logs" / "demonstrations.log"
    command = [sys.executable, "-m", "lrm_bringup.demo.demonstrations", "--out", str(out), "--task", options.task,
               "--reward", options.reward, "--episodes", str(DEMONSTRATIONS), "--seed", str(options.seed)]  # fmt: skip
    command += [word for name, value in (("--model", options.model), ("--policy", options.policy)) if value
                for word in (name, value)]  # fmt: skip
    show("preparing demonstrations: loading the models")
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(env)) as child,
    ):
        assert child.stdout is not None
        try:
            while True:
                if select.select([child.stdout], [], [], 0.2)[0]:
                    line = child.stdout.readline()
                    if not line:
                        break
                    if match := _PROGRESS.match(line.decode()):
                        show(f"preparing demonstrations: {match[0]}")
                check()
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise LrmError(f"preparing demonstrations: {last_message(log_path)} (log: {log_path})")
    return out
