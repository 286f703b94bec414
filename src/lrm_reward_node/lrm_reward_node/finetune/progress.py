"""One bar with time left per head, in place of transformers' lines of dictionaries."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from lrm_reward_node.step_bar import StepBar

SHOWN = {"loss": "loss"} | {f"eval_{name}": name for name in ("nats", "auc", "mae", "direction_accuracy")}


class ProgressBar(TrainerCallback):
    """A :class:`StepBar` that a ``Trainer`` moves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.note: dict[str, float] = {}
        self.bar: StepBar | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start, at the step that is gone on from."""
        if state.is_world_process_zero:
            self.bar = StepBar(self.name, state.max_steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move on."""
        if self.bar is not None:
            self.bar.step(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Show the newest figures."""
        if self.bar is not None:
            self.note |= {SHOWN[key]: value for key, value in (logs or {}).items() if key in SHOWN}
            self.bar.tell(state.global_step, self.note)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.stop()
        self.bar = None
