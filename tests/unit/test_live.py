"""The live view shows what is there, says UNKNOWN where nothing is known, and writes plain lines without a terminal."""

from __future__ import annotations

import dataclasses
import io
import math
from collections import Counter

import pytest
from rich.console import Console

from lrm_bringup.demo.collector import EpisodeSeen, Scene
from lrm_bringup.live import View, screen
from lrm_bringup.report.journal import REFINE, EpisodeEnded, LearnerSeen, RewardSeen, SafetySeen
from lrm_core.episodes import EpisodeState


def scene() -> Scene:
    filled = Scene(task="put the red cube in the blue bowl", phase=REFINE, phase_done=3, phase_total=60)
    filled.episode = EpisodeSeen("e", EpisodeState.RUNNING, filled.task, 7, 1, 0, 42, 100, "", 5)
    filled.rewards = {
        "progress": RewardSeen("e", "progress", 0.62, "OK", 1, 0, 0.9, False, 0.002, 0.06, "f"),
        "completion": RewardSeen("e", "completion", math.nan, "LATE", 1, 0, math.nan, False, 0.002, math.nan, "f"),
    }
    filled.episodes = [episode(True), episode(False)]
    filled.learner = LearnerSeen(5, 30, 1, 0, 120, 640, 0.031, 0.4)
    filled.safety = SafetySeen("HOLDING", "no command for 0.5 s", 400, 3, 1)
    filled.unknown = Counter({"LATE": 2})
    filled.latencies_s.extend([0.05, 0.07, 0.06])
    filled.restarts = Counter({"reward": 1})
    return filled


def episode(success: bool | None) -> EpisodeEnded:
    outcome = "in_container" if success else "beside"
    return EpisodeEnded(REFINE, 0, "e", 7, "t", 60, "max_steps", 0, 1, 5, 0.83, success, outcome)


def text_of(filled: Scene, remaining_s: float = 432.0) -> str:
    console = Console(file=io.StringIO(), width=110, force_terminal=False)
    console.print(screen(filled, remaining_s, 61.0))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_screen_names_everything_a_person_wants_to_know() -> None:
    text = text_of(scene())
    for wanted in (
        "put the red cube in the blue bowl", "7 min 12 s left", "refining from rewards", "episode 4/60", "step 42/100",
        "+0.62", "UNKNOWN: late", "1/2 (50 %)", "weights v5", "640 updates", "holding: no command for 0.5 s", "2 late",
        "p50 60 ms", "2/2 predicted", "reward 1",
    ):  # fmt: skip
        assert wanted in text


def test_an_empty_scene_can_be_shown() -> None:
    assert "lrm demo" in text_of(Scene(), math.nan)


def plain() -> tuple[View, Scene, io.StringIO]:
    out, filled = io.StringIO(), scene()
    return View(lambda: filled, lambda: 100.0, console=Console(file=out, width=200, highlight=False)), filled, out


def test_without_a_terminal_there_is_one_line_per_episode() -> None:
    view, _, out = plain()
    with view:
        view.episode(episode(True))
        view.episode(episode(None))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "refine 3/60: model says 0.83, truth in container" in lines[0]
    assert "truth unknown" in lines[1]
    assert "\x1b" not in out.getvalue()


def test_what_it_waits_for_is_said_once_and_not_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    view, _, out = plain()
    now_s = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with view:
        for text in ("waiting for a, b", "waiting for a, b", "waiting for b"):
            view.now(text)
        now_s[0] += 10.0
        for text in ("waiting for b", "", "waiting for c"):
            view.now(text)
    assert [line.split("] ")[1] for line in out.getvalue().splitlines()] == ["waiting for a, b", "waiting for c"]


def test_an_episode_cut_short_says_why() -> None:
    view, _, out = plain()
    view.episode(dataclasses.replace(episode(None), reason="clock_jumped"))
    assert "cut short after 60 steps: clock jumped" in out.getvalue()


def test_on_a_terminal_the_screen_is_drawn_and_cleared() -> None:
    out = io.StringIO()
    console = Console(file=out, width=110, height=40, force_terminal=True)
    with View(scene, lambda: 100.0, console=console) as view:
        view.say("a line that stays")
    text = out.getvalue()
    assert "refining from rewards" in text
    assert "a line that stays" in text
