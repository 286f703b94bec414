"""Fills the learner's buffer before its first episode: scored demonstrations, prepared by a process of their own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.logs import last_message
from lrm_bringup.processes import die_with_this_program
from lrm_core.errors import LrmError

DEMONSTRATIONS = 20
_PROGRESS = re.compile(r"^\d+ of \d+$", re.MULTILINE)


class Seeding:
    """Runs :mod:`lrm_bringup.demo.demonstrations` beside the first evaluation.

    Args:
        options: of the run.
        folder: run folder; the transitions go to ``demonstrations.npz``.
        env: environment of the process.
    """

    def __init__(self, options: DemoOptions, folder: Path, env: Mapping[str, str]) -> None:
        self.path, self._log_path = folder / "demonstrations.npz", folder / "logs" / "demonstrations.log"
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(options), stdout=log, stderr=log, env=dict(env), preexec_fn=die_with_this_program()
            )

    def check(self) -> bool:
        """True once the file is there.

        Raises:
            LrmError: the process failed; with its last clear message.
        """
        code = self._process.poll()
        if code:
            raise LrmError(f"preparing demonstrations: {last_message(self._log_path)} (log: {self._log_path})")
        return code == 0

    def wait(self, show: Callable[[str], None], check: Callable[[], None]) -> Path:
        """Wait for the file.

        Args:
            show: told how far it is.
            check: called a few times a second; raises to give up.
        """
        while not self.check():
            done = _PROGRESS.findall(self._log_path.read_text(errors="replace"))
            show(f"preparing demonstrations: {done[-1] if done else 'loading the models'}")
            check()
            time.sleep(0.2)
        return self.path

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _command(self, options: DemoOptions) -> list[str]:
        words = {"--out": self.path, "--task": options.task, "--reward": options.reward,
                 "--episodes": DEMONSTRATIONS, "--model": options.model, "--policy": options.policy}  # fmt: skip
        given = [str(word) for name, value in words.items() if value is not None for word in (name, value)]
        return [sys.executable, "-m", "lrm_bringup.demo.demonstrations", *given]
