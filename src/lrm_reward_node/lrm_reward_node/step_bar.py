"""The bar of a training: steps, time left and the newest figures; a few lines where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES = 10
"""Lines of a whole training where there is no terminal."""


class StepBar:
    """``total`` steps of ``name``, of which ``done`` were taken before; shows until :meth:`stop`."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self.name, self.total, self._said = name, total, -1
        columns = (TextColumn("{task.description:>12}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
        left = (TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
        self._bar = Progress(*columns, *left, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        self._task = self._bar.add_task(name, total=total, completed=done, note="")
        if self._bar.console.is_terminal:
            self._bar.start()

    def step(self, done: int) -> None:
        """Move to the step ``done``."""
        self._bar.update(self._task, completed=done)

    def tell(self, done: int, figures: Mapping[str, float]) -> None:
        """Move to the step ``done``, where the figures are these."""
        note = " ".join(f"{name} {float(value):.3f}" for name, value in figures.items())
        self._bar.update(self._task, completed=done, note=note)
        part = done * LINES // max(1, self.total)
        if not self._bar.console.is_terminal and part != self._said:
            self._said = part
            self._bar.console.print(f"{self.name} {done}/{self.total} {note}", highlight=False)

    def stop(self) -> None:
        """Leave the bar as it is."""
        if self._bar.console.is_terminal:
            self._bar.stop()
