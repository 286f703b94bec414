"""One bar with time left per head, in place of transformers' lines of dictionaries."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback

LINES = 10
"""Lines of a whole run where there is no terminal."""


class ProgressBar(TrainerCallback):
    """Steps, time left and the newest figures; lines where the output is no terminal."""

    def __init__(self, name: str) -> None:
        self.name, self.said = name, -1
        self.note: dict[str, float] = {}
        self.bar: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start, at the step that is gone on from."""
        if state.is_world_process_zero:
            columns = (TextColumn("{task.description:>12}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
            left = (TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
            self.bar = Progress(*columns, *left, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
            self.shown = self.bar.add_task(self.name, total=state.max_steps, completed=state.global_step, note="")
            if self.bar.console.is_terminal:
                self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move on."""
        if self.bar is not None:
            self.bar.update(self.shown, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Show the newest figures."""
        if self.bar is None:
            return
        names = {"loss": "loss"} | {f"eval_{name}": name for name in ("nats", "auc", "mae", "direction_accuracy")}
        self.note |= {names[key]: value for key, value in (logs or {}).items() if key in names}
        note = " ".join(f"{name} {float(value):.3f}" for name, value in self.note.items())
        self.bar.update(self.shown, note=note)
        part = state.global_step * LINES // max(1, state.max_steps)
        if not self.bar.console.is_terminal and part != self.said:
            self.said = part
            self.bar.console.print(f"{self.name} {state.global_step}/{state.max_steps} {note}", highlight=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the bar as it is."""
        if self.bar is not None and self.bar.console.is_terminal:
            self.bar.stop()
        self.bar = None
