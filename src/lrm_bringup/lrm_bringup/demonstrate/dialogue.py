"""Demonstrations one after the other, as a person tells them. Knows neither ROS nor the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import TerminationReason

ANSWERS = {
    "": TerminationReason.JUDGED_SUCCESS,
    "s": TerminationReason.JUDGED_SUCCESS,
    "f": TerminationReason.JUDGED_FAILURE,
    "d": TerminationReason.CANCELLED,
}
"""What a person says at the end -> how the demonstration ended."""
QUIT = "q"
_BEGIN = "put things in place, then Enter begins (q: stop)"
_END = "recording. Enter or s: it succeeded, f: it failed, d: it does not count"


class Stage(Protocol):
    """Where demonstrations take place."""

    def now_ns(self) -> int:
        """Stamp of the newest observation, nanoseconds."""

    def steps_since(self, start_ns: int) -> int:
        """Control periods from the stamp ``start_ns`` to now."""

    def show(self, machine: EpisodeMachine) -> None:
        """Tell everyone the state of the demonstration; returns when all have heard it."""


def demonstrate(
    stage: Stage, name: str, count: int, max_steps: int, ask: Callable[[str], str]
) -> Counter[TerminationReason]:
    """Lead a person through demonstrations; how many ended in which way.

    Args:
        stage: where they take place.
        name: beginning of the episode ids; unique over runs.
        count: how many that count are wanted, successes and failures.
        max_steps: control steps that one may take, as everyone is told.
        ask: puts a question to the person; an answer in lower case. EOFError: there is nobody any more.
    """
    machine, ended = EpisodeMachine(max_steps), Counter[TerminationReason]()
    while (counted := sum(ended.values()) - ended[TerminationReason.CANCELLED]) < count:
        try:
            if ask(f"demonstration {counted + 1} of {count}: {_BEGIN}") == QUIT:
                break
        except EOFError:
            break
        ended[_one(stage, machine, f"{name}.{sum(ended.values())}", ask)] += 1
    return ended


def _one(stage: Stage, machine: EpisodeMachine, episode_id: str, ask: Callable[[str], str]) -> TerminationReason:
    machine.begin(episode_id)
    machine.start(stage.now_ns())
    stage.show(machine)
    reason = TerminationReason.CANCELLED
    try:
        reason = _judgement(ask)
    except EOFError:
        pass
    finally:  # also when it is interrupted: nobody waits for an end that never comes
        machine.reach(stage.steps_since(machine.start_stamp_ns))
        machine.end(reason, stage.now_ns())
        machine.complete()
        stage.show(machine)
    return reason


def _judgement(ask: Callable[[str], str]) -> TerminationReason:
    question = _END
    while (answer := ask(question)) not in ANSWERS:
        question = f"{answer!r} is none of these. {_END}"
    return ANSWERS[answer]
