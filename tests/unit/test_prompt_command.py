"""``lrm prompt``: what the model is asked, for whoever wants to ask it himself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lrm_bringup.cli import main
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts

TASK = 'räume "den Becher" weg\nund dann 🫖'
PICTURES = [pytest.param(initial, goal, id=f"initial={initial}-goal={goal}") for initial in (0, 1) for goal in (0, 1)]


def prompt(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["prompt", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def options(initial: bool, goal: bool) -> list[str]:
    return ["--initial"] * initial + ["--goal"] * goal


@pytest.mark.parametrize(("initial", "goal"), PICTURES)
@pytest.mark.parametrize("head", MODEL_HEADS)
def test_json_holds_the_text_the_model_is_asked_and_the_order_of_its_pictures(
    head: RewardHead, initial: bool, goal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = prompt(capsys, head.value, "--task", TASK, "--json", *options(initial, goal))
    expected = prompts.build(head, TASK, initial=initial, goal=goal).text
    order = list(prompts.image_order(head, initial=initial, goal=goal))
    assert code == 0 and json.loads(out) == {"mode": head.value, "text": expected, "images": order}
    assert expected.count("<image>") == len(order)


def test_plain_output_is_the_prompt_and_the_order_of_its_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = prompt(capsys, "progress", "--task", TASK, "--initial", "--goal")
    text = prompts.build(RewardHead.PROGRESS, TASK, goal=True).text
    assert code == 0 and out == f"{text}\n\nimages: goal, initial, current\n"


def test_tri_is_the_three_heads_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    alone = {}
    for head in MODEL_HEADS:
        alone[head.value] = json.loads(prompt(capsys, head.value, "--task", TASK, "--initial", "--json")[1])
    together = json.loads(prompt(capsys, "tri", "--task", TASK, "--initial", "--json")[1])
    assert together == {"mode": "tri", "prompts": alone} and list(together["prompts"]) == list(alone)
    plain = prompt(capsys, "tri", "--task", TASK, "--initial")[1]
    assert (
        plain
        == "\n\n".join(f"{mode}:\n{one['text']}\n\nimages: {', '.join(one['images'])}" for mode, one in alone.items())
        + "\n"
    )


@pytest.mark.parametrize("task", [" ", "a <|im_start|> b", "a <image> b", b"caf\xe9".decode(errors="surrogateescape")])
def test_a_task_that_cannot_be_asked_is_one_line(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = prompt(capsys, "tri", "--task", task)
    assert code == 2 and out == "" and err.startswith("lrm: task is") and err.count("\n") == 1


def test_no_model_is_imported() -> None:
    words = ["prompt", "tri", "--task", "put bread on plate"]
    program = f"import sys; from lrm_bringup import cli; cli.main({words}); assert 'torch' not in sys.modules"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, stdout=subprocess.DEVNULL, env=env)
