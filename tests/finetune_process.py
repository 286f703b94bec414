"""``lrm train reward`` in a process that notes its gradients, and may be killed; started by accelerate or by a test."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import TrainerCallback, trainer

import finetune_bench as bench


class Noted(TrainerCallback):
    """Gradients of every step, as the optimiser gets them, in ``<folder>/<steps before>.safetensors``.

    Args:
        folder: where the first process writes them.
        killed_after: steps after which the first process is killed; 0: it is not.
    """

    def __init__(self, folder: Path, killed_after: int = 0) -> None:
        self.folder, self.killed_after = folder, killed_after
        folder.mkdir(parents=True, exist_ok=True)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Note them."""
        if state.is_world_process_zero:
            parameters = more["model"].named_parameters()
            found = {name: one.grad.clone() for name, one in parameters if one.grad is not None}
            save_file(found, self.folder / f"{state.global_step}.safetensors")

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Die where that is asked for."""
        if state.is_world_process_zero and state.global_step == self.killed_after:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """``FOLDER STEPS WORDS...``: notes to the folder, killed after so many steps, the words of the command."""
    folder, steps, *words = sys.argv[1:]
    trainer.DEFAULT_CALLBACKS.append(Noted(Path(folder), int(steps)))
    return bench.train(*words)


if __name__ == "__main__":
    sys.exit(main())
