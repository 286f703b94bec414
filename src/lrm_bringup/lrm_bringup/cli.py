"""The ``lrm`` program. Sub-commands are imported when they are called, so that ``--help`` stays instant."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lrm_core.errors import exit_code

DESCRIPTION = """\
Large Reward Models on ROS 2: a vision-language model watches the cameras and scores the robot, and the robot's policy
gets better from those scores alone."""

EPILOG = """\
start here:
  lrm demo                      the whole loop in simulation, with a report (about 5 minutes)
  lrm doctor                    what this machine has and lacks
  lrm <command> --help          options and an example of one command

exit codes: 0 done, 1 a check failed, 2 wrong usage or an input that cannot be used, 130 interrupted"""


@dataclass(frozen=True)
class Command:
    """One sub-command: ``module`` offers ``configure(parser)`` and ``run(args) -> int`` under the given names."""

    words: tuple[str, ...]
    help: str
    example: str
    module: str
    configure: str = "configure"
    run: str = "run"


COMMANDS = (
    Command(
        ("demo",),
        "run the whole loop in simulation and write a report",
        "lrm demo --seconds 600 --seed 1",
        "lrm_bringup.commands.demo",
    ),
    Command(
        ("up",),
        "start the nodes of a robot or the simulator, without ROS launch",
        "lrm up sim --record",
        "lrm_bringup.commands.up",
    ),
    Command(
        ("score",),
        "score picture files with the reward model",
        'lrm score --task "put the red cube in the blue bowl" --initial first.png last.png --json',
        "lrm_reward_node.cli",
        "configure_score",
        "run_score",
    ),
    Command(
        ("prompt",),
        "print the exact prompt of a reward head, and the order of its pictures",
        'lrm prompt progress --task "put the red cube in the blue bowl" --initial --json',
        "lrm_reward_node.cli",
        "configure_prompt",
        "run_prompt",
    ),
    Command(
        ("calibrate",),
        "fit the reward model's probabilities to what comes true, with reliability plots",
        "lrm calibrate --episodes 100 --workers 2",
        "lrm_reward_node.calibrate",
    ),
    Command(
        ("hack-test",),
        "attack the reward model: false success and reward gained per attack, with pictures",
        "lrm hack-test --episodes 200 --workers 2 --out out/hacks",
        "lrm_bringup.commands.hack_test",
    ),
    Command(
        ("data", "build"),
        "make a training set for the three heads from a manifest of recorded episodes",
        "lrm data build config/data/sim.yaml --out out/data --workers 2",
        "lrm_reward_node.data.command",
        "configure_build",
        "run_build",
    ),
    Command(
        ("data", "check"),
        "check a manifest and list the episodes of its sources, without reading pictures",
        "lrm data check config/data/sim.yaml",
        "lrm_reward_node.data.command",
        "configure_check",
        "run_check",
    ),
    Command(
        ("data", "report"),
        "show what a training set holds: counts, balance, problems, examples; code 1 when not to train on it",
        "lrm data report out/data",
        "lrm_bringup.commands.data_report",
    ),
    Command(
        ("train", "reward-model"),
        "train the tiny reward model that ships with the repository",
        "lrm train reward-model --out models/lrm-mine --work build/train-reward",
        "lrm_reward_node.cli",
        "configure_train",
        "run_train",
    ),
    Command(
        ("train", "reward"),
        "fine-tune the reward heads (LoRA) on a training set, or adapt them to a new task from a few episodes",
        "lrm train reward --data out/data --out out/mine --config config/train/tiny.yaml",
        "lrm_reward_node.finetune.command",
    ),
    Command(
        ("train", "policy"),
        "train the base policy on demonstrations: bags, a LeRobotDataset, a function",
        "lrm train policy --from-bags out/demo/latest/bags --out out/my-policy --trainer lerobot -- --num_workers=2",
        "lrm_bringup.commands.train_policy",
    ),
    Command(
        ("train", "critic"),
        "fit the learner's critics to recorded bags, for a warm start",
        "lrm train critic --from-bags out/demo/latest/bags --out out/warm-start",
        "lrm_bringup.commands.train_critic",
    ),
    Command(
        ("model", "check"),
        "prove that a checkpoint loads as a whole and scores as it did",
        "lrm model check --model Qwen/Qwen3-VL-8B-Instruct --adapters USC-PSI-Lab/LRM-models --device cuda:0",
        "lrm_reward_node.model_command",
        "configure_check",
        "run_check",
    ),
    Command(
        ("model", "merge"),
        "merge the adapter of one head into a copy of the base",
        "lrm model merge progress --out models/progress-merged",
        "lrm_reward_node.model_command",
        "configure_merge",
        "run_merge",
    ),
    Command(
        ("modes",),
        "list the reward modes: what each looks at, its range and its model",
        "lrm modes --json",
        "lrm_reward_node.modes.command",
    ),
    Command(
        ("robot", "check"),
        "listen to a live robot: what is missing, misnamed, too slow, stale or in the wrong unit",
        "lrm robot check so101 --seconds 5",
        "lrm_bringup.commands.robot",
    ),
    Command(
        ("demonstrate",),
        "record demonstrations by a person, one bag each, with their outcome",
        'lrm demonstrate --robot my_so101.yaml --task "put the giraffe in the bowl" --episodes 20',
        "lrm_bringup.commands.demonstrate",
    ),
    Command(
        ("record-demos",),
        "record demonstrations of the scripted expert as a LeRobotDataset",
        "lrm record-demos --episodes 50 --out out/demos",
        "lrm_sim.cli",
        "configure_record",
        "run_record",
    ),
    Command(
        ("gazebo",),
        "write Gazebo's world, arm, bridge and controllers from the simulated scene, or check them",
        "lrm gazebo --check",
        "lrm_sim.gazebo.command",
    ),
    Command(
        ("replay",),
        "score recorded runs again: bags, LeRobotDatasets, videos, pictures",
        "lrm replay out/demo/latest/bags --out out/replay --check",
        "lrm_bringup.commands.replay",
    ),
    Command(
        ("view",),
        "show live and recorded runs in Rerun: cameras, rewards, commands against measured joints, events",
        "lrm view out/demo/latest --episode -1",
        "lrm_bringup.commands.view",
    ),
    Command(
        ("export", "lerobot"),
        "write bags as a LeRobotDataset (v3) with rewards and outcomes",
        "lrm export lerobot out/demo/latest/bags --out out/dataset",
        "lrm_bringup.commands.export",
    ),
    Command(
        ("import", "lerobot"),
        "write a LeRobotDataset (v3) as bags, one per episode",
        "lrm import lerobot out/dataset --out out/bags",
        "lrm_bringup.commands.import_dataset",
    ),
    Command(
        ("eval", "reward"),
        "say how good reward models are on recordings: every figure, plots, the worst errors",
        "lrm eval reward out/demo/latest --model models/lrm-tiny --mode aligned --out out/eval",
        "lrm_bringup.commands.eval_reward",
    ),
    Command(
        ("report",),
        "write the report of a finished run again, or check it",
        "lrm report out/demo/latest --check",
        "lrm_bringup.commands.report",
    ),
    Command(
        ("diff",),
        "what changed between two runs: success, rewards, latency, parameters",
        "lrm diff out/demo/20260105-101500 out/demo/latest --html out/diff.html",
        "lrm_bringup.commands.diff",
    ),
    Command(("doctor",), "check what this machine has and lacks", "lrm doctor --json", "lrm_bringup.commands.doctor"),
    Command(
        ("params",),
        "list the parameters of every node",
        "lrm params --write docs/parameters.md",
        "lrm_bringup.commands.params",
    ),
)
GROUPS = {
    "data": "make and look at training sets",
    "eval": "measure models on recordings",
    "train": "train the reward model, the base policy, the critics",
    "export": "write bags in another format",
    "import": "write bags from another format",
    "robot": "check a robot against its contract",
    "model": "check a reward model's checkpoint, or merge an adapter into its base",
}


class _Parser(argparse.ArgumentParser):
    """Says a usage error in one line that names the way out."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see: {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Known errors become one line on standard error and code 2."""
    words = list(sys.argv[1:] if argv is None else argv)

    def command() -> int:
        args = parser(words).parse_args(words)
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)

    try:
        return exit_code("lrm", command)
    except BrokenPipeError:  # the reader of our output, for example `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the options of the one command that ``words`` names: the others stay unimported."""
    style = argparse.RawDescriptionHelpFormatter
    root = _Parser(prog="lrm", description=DESCRIPTION, epilog=EPILOG, formatter_class=style)
    commands = root.add_subparsers(metavar="<command>", required=True)
    groups = {}
    for name, text in GROUPS.items():
        group = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        groups[name] = group.add_subparsers(metavar="<what>", required=True)
    for command in COMMANDS:
        parent = groups[command.words[0]] if len(command.words) > 1 else commands
        sub = parent.add_parser(
            command.words[-1],
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
            epilog=f"example:\n  {command.example}",
            formatter_class=style,
        )
        if tuple(words[: len(command.words)]) == command.words:
            module = importlib.import_module(command.module)
            getattr(module, command.configure)(sub)
            sub.set_defaults(run=getattr(module, command.run))
    return root


if __name__ == "__main__":
    sys.exit(main())
