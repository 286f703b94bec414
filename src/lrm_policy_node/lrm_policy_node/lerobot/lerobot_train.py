"""Trains with LeRobot's own ``lerobot-train``, and puts what comes out where the policy node looks for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lrm_core.errors import BadInput, LrmError

WORK = "lerobot"
"""Below the policy's folder: LeRobot's checkpoints, from which an interrupted training goes on."""
_NEWEST = Path("checkpoints") / "last" / "pretrained_model"


@dataclass(frozen=True)
class LerobotTraining:
    """What is asked of ``lerobot-train``.

    Attributes:
        dataset: LeRobotDataset folder.
        out: folder of the policy.
        steps, batch, seed, device: as ``lrm train policy`` takes them.
        arguments: handed on, after these, so that they win.
    """

    dataset: Path
    out: Path
    steps: int
    batch: int
    seed: int
    device: str
    arguments: tuple[str, ...] = ()

    def run(self) -> None:
        """Train, or go on training.

        Raises:
            LrmError: ``lerobot-train`` failed; it has said why.
        """
        if not self._resumable.is_file():
            shutil.rmtree(self.out / WORK, ignore_errors=True)  # broke off before its first checkpoint
        # A Python of its own: it configures logging and workers for the whole process.
        done = subprocess.run(self.command(), check=False)
        if done.returncode:
            raise LrmError(f"lerobot-train ended with code {done.returncode}; what it said stands above")
        _put(self.out / WORK / _NEWEST, self.out)

    def command(self) -> list[str]:
        """The words of the command line."""
        root, work = self.dataset.resolve(), self.out.resolve() / WORK
        words = {
            "dataset.repo_id": f"local/{root.name}", "dataset.root": root, "dataset.video_backend": "pyav",
            "steps": self.steps, "batch_size": self.batch, "seed": self.seed, "num_workers": 0, "wandb.enable": "false",
        }  # fmt: skip
        if self._resumable.is_file():
            words |= {"resume": "true", "config_path": self._resumable.resolve()}
        else:
            words |= {"output_dir": work, "policy.device": self.device, "policy.push_to_hub": "false"}
            words |= {} if self._names_policy() else _ACT
        given = [f"--{name}={value}" for name, value in words.items() if not self._names(name)]
        return [sys.executable, "-m", "lerobot.scripts.lerobot_train", *given, *self.arguments]

    @property
    def _resumable(self) -> Path:
        """What LeRobot goes on from; there once it has written a checkpoint."""
        return self.out / WORK / _NEWEST / "train_config.json"

    def _names(self, name: str) -> bool:
        return any(word.split("=")[0] == f"--{name}" for word in self.arguments)

    def _names_policy(self) -> bool:
        return self._names("policy.type") or self._names("policy.path")


_ACT = {"policy.type": "act", "policy.chunk_size": 10, "policy.n_action_steps": 10,
        "policy.pretrained_backbone_weights": "null"}  # fmt: skip
"""As :func:`lrm_policy_node.lerobot.model.act_config` has it: chunks of K steps, and no download."""


def _put(made: Path, out: Path) -> None:
    if not made.is_dir():
        raise BadInput("lerobot-train", str(made), "a checkpoint", "It wrote none: --save_checkpoint=false?")
    for file in made.iterdir():
        temporary = out / f".{file.name}.new"
        shutil.copyfile(file, temporary)
        temporary.replace(out / file.name)


def misfit(folder: Path) -> str:
    """Why the policy node cannot run the policy in ``folder``; empty when it can."""
    from lrm_policy_node.lerobot.policy import LeRobotPolicy

    try:
        LeRobotPolicy(folder)
    except BadInput as error:
        return str(error)
    return ""
