"""The published prompts, byte for byte: an adapter is valid only with the exact prompt it was trained on.

Source: arXiv 2603.16065 and its released adapters. ``<image>`` marks where a picture stands. A task sentence that holds
the mark is refused: the published rendering would ask for a picture that nobody gives.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead

IMAGE = "<image>"

CONTRASTIVE = (
    "Task: Compare the completion progress.\n\nThe task is: {task}.\n\nYou are given:\n"
    "- Later observation (Image A): <image>\n- Later observation (Image B): <image>\n\n"
    "Question: Which of Image A or Image B is closer to completing the task?\n"
    'Select one value from the following list:\n["ImageA", "ImageB"]\n\n'
    "Please provide a step-by-step visual analysis first, and then output your answer in the following JSON format:\n"
    '{ "more_complete_image": "selected_value" }'
)

_PROGRESS_HEAD = "Task: Estimate the completion progress.\nThe task is: {task}\nYou are given:\n"
_PROGRESS_INITIAL = "- Initial observation: <image>\n"
_PROGRESS_GOAL = "- Goal Standard: <image>\n"
_PROGRESS_TAIL = (
    "- Current observation: <image>\n\nQuestion: {question}\n"
    "Select one value from the following list:\n[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]\n\n"
    "Definitions:\n- 0.0: Task has just started.\n- 0.1 - 0.9: Intermediate progress steps ({middle}).\n"
    "- 1.0: Task is Finished.\nOutput your answer in the following JSON format:\n"
    '{ "completion_progress": selected_value }'
)
_QUESTION = "Based on the task description, estimate the completion progress as a value between 0.0 and 1.0."
_QUESTION_GOAL = (
    "Compare the Current Observation with the Goal Standard. "
    "Estimate the completion progress as a value between 0.0 and 1.0."
)

COMPLETION = (
    "Task: Whether the task has been completed.\n\nThe task is: {task}\n\nYou are given:\n"
    "- Current observation:<image>"
    "Has the task been completed?\nOutput your answer in the following JSON format:\n"
    '{ "task_completed": "yes" or "no" }'
)


def progress_template(*, initial: bool, goal: bool = False) -> str:
    """The progress prompt; images in order: goal (if any), initial (if any), current."""
    question, middle = _QUESTION, "assess how close to completion"
    if goal:
        question, middle = _QUESTION_GOAL, "assess visual distance to Goal"
    tail = _PROGRESS_TAIL.replace("{question}", question).replace("{middle}", middle)
    return _PROGRESS_HEAD + (_PROGRESS_GOAL if goal else "") + (_PROGRESS_INITIAL if initial else "") + tail


def template(head: RewardHead, *, initial: bool = True, goal: bool = False) -> str:
    """The template of one model head with ``{task}`` and ``<image>`` in place."""
    if head is RewardHead.CONTRASTIVE:
        return CONTRASTIVE
    if head is RewardHead.PROGRESS:
        return progress_template(initial=initial, goal=goal)
    if head is RewardHead.COMPLETION:
        return COMPLETION
    raise BadInput("head", head.value, "contrastive, progress or completion")


def all_templates() -> list[str]:
    """Every template, in a fixed order: what of the prompts belongs in a fingerprint."""
    given = [(initial, goal) for goal in (False, True) for initial in (True, False)]
    return [CONTRASTIVE, COMPLETION, *(progress_template(initial=initial, goal=goal) for initial, goal in given)]


def image_order(head: RewardHead, *, initial: bool = True, goal: bool = False) -> tuple[str, ...]:
    """Names of the pictures in the order of the prompt's marks, out of goal, initial, previous and current."""
    if head is RewardHead.CONTRASTIVE:
        return ("previous", "current")
    if head is RewardHead.PROGRESS:
        return ("goal",) * goal + ("initial",) * initial + ("current",)
    return ("current",)


MAX_NEW_TOKENS = {RewardHead.CONTRASTIVE: 512, RewardHead.PROGRESS: 128, RewardHead.COMPLETION: 128}
"""Limits of the published greedy decoding."""

MAX_TASK_CHARS = 1000
"""A longer task sentence is refused: it would cost more tokens than prompt and pictures together."""
_MARKUP = re.compile(r"<[^<>\s]+>|<\|.*\|>", re.DOTALL)
"""What tokenizers take for control tokens, such as ``<|im_end|>`` and ``</think>``, and the image mark."""


@dataclass(frozen=True)
class Prompt:
    """Text segments with one image between each two: ``len(segments) == images + 1``."""

    segments: tuple[str, ...]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.segments) - 1

    @property
    def text(self) -> str:
        """The user turn as text, with ``<image>`` where a picture stands."""
        return IMAGE.join(self.segments)

    def messages(self) -> list[dict[str, object]]:
        """One user turn in the form that a processor's chat template takes; no system turn. Empty text is left out."""
        content: list[dict[str, str]] = []
        for index, text in enumerate(self.segments):
            if index:
                content.append({"type": "image"})
            if text:
                content.append({"type": "text", "text": text})
        return [{"role": "user", "content": content}]


def check_task(task: str) -> None:
    """Refuse a task sentence that cannot be asked, or that would change the question around it.

    Other text stands in the prompt as it is: a sentence that asks for an answer is a bad sentence, and what it says is
    never read as the model's answer.

    Raises:
        BadInput: the task is blank, longer than ``MAX_TASK_CHARS`` or not Unicode text, or holds control
            characters, a control token of a chat format or the image mark.
    """
    if not task.strip():
        raise BadInput("task", task, "a sentence such as 'put the red cube in the blue bowl'")
    if len(task) > MAX_TASK_CHARS:
        raise BadInput("task", f"{task[:60]}…", f"at most {MAX_TASK_CHARS} characters", f"It has {len(task)}.")
    if any("\ud800" <= char <= "\udfff" for char in task):  # how Python carries bytes that are not UTF-8
        raise BadInput("task", task, "text in UTF-8")
    if any(unicodedata.category(char) == "Cc" and not char.isspace() for char in task):
        raise BadInput("task", task, "text without control characters")
    if found := _MARKUP.search(task):
        raise BadInput("task", task, f"plain text without control tokens or marks such as {found.group()[:40]}")


def build(head: RewardHead, task: str, *, initial: bool = True, goal: bool = False) -> Prompt:
    """The prompt of ``head`` for ``task``.

    Raises:
        BadInput: see :func:`check_task`.
    """
    check_task(task)
    segments = template(head, initial=initial, goal=goal).split(IMAGE)
    if head is RewardHead.COMPLETION:
        segments = [segment.strip() for segment in segments]
    return Prompt(tuple(segment.replace("{task}", task) for segment in segments))


def fixed_pieces() -> list[str]:
    """The fixed text between images and task sentence of all prompts, as rendered, longest first."""
    texts = [CONTRASTIVE, progress_template(initial=True), progress_template(initial=False)]
    pieces = {piece for text in texts for segment in text.split(IMAGE) for piece in segment.split("{task}")}
    pieces |= {piece for segment in COMPLETION.split(IMAGE) for piece in segment.strip().split("{task}")}
    return sorted((piece for piece in pieces if piece.strip()), key=lambda piece: (-len(piece), piece))
