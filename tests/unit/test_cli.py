"""The ``lrm`` program from outside: help that teaches, errors in one line, a fast start."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys

import pytest

from lrm_bringup import cli
from lrm_bringup.commands import report
from lrm_core.errors import BadInput

HEAVY = {"torch", "transformers", "lerobot", "mujoco", "rclpy", "matplotlib"}


def python(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def lrm(*words: str) -> subprocess.CompletedProcess[str]:
    return python("import sys; from lrm_bringup.cli import main; sys.exit(main())", *words)


def test_help_names_every_command() -> None:
    text = lrm("--help").stdout
    assert all(command.words[0] in text for command in cli.COMMANDS)


@pytest.mark.parametrize("words", [["--help"], ["demo", "--help"]], ids=" ".join)
def test_help_imports_no_heavy_library(words: list[str]) -> None:
    program = (
        f"import sys; from lrm_bringup import cli\ntry: cli.main({words})\nexcept SystemExit: pass\n"
        f"print('HEAVY', sorted({HEAVY} & set(sys.modules)))"
    )
    assert "HEAVY []" in python(program).stdout


def test_help_takes_less_than_400_ms_of_processor_time() -> None:
    def used_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = used_s()
    lrm("--help")
    assert used_s() - before < 0.4


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: "-".join(command.words))
def test_every_command_teaches_with_an_example(command: cli.Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*command.words, "--help"])
    assert end.value.code == 0
    assert f"example:\n  {command.example}" in capsys.readouterr().out


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: "-".join(command.words))
def test_every_example_is_accepted_by_its_own_parser(command: cli.Command) -> None:
    words = shlex.split(command.example)[1:]
    assert callable(cli.parser(words).parse_args(words).run)


@pytest.mark.parametrize("words", [(), ("dmeo",), ("train",), ("demo", "--seconds", "soon"), ("report",)])
def test_wrong_usage_is_one_line_with_the_way_out(words: tuple[str, ...]) -> None:
    result = lrm(*words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "--help" in result.stderr


def test_a_known_error_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise BadInput("run folder", "x", "a folder")

    monkeypatch.setattr(report, "run", fail)
    assert cli.main(["report", "x"]) == 2
    assert capsys.readouterr().err == "lrm: run folder is 'x': expected a folder.\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--seconds", "5"), "--seconds is 5.0: expected at least 60"),
        (("--episodes", "-1"), "--episodes"),
        (("--eval-episodes", "0"), "--eval-episodes"),
        (("--seed", "-3"), "--seed"),
        (("--task", " "), "--task"),
        (("--task", "make tea"), "task is 'make tea'"),
    ],
)
def test_a_demo_that_cannot_be_run_is_refused_before_anything_starts(words: tuple[str, ...], named: str) -> None:
    result = lrm("demo", *words, "--out", os.devnull)
    assert result.returncode == 2
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1
