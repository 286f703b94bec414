"""The registry of reward modes and the pure parts of the built-in ones."""

from __future__ import annotations

import ast
import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core import plugins
from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.modes import registry
from lrm_reward_node.modes.contract import RewardModeContract, contract_frame, contract_window
from lrm_reward_node.modes.heads import HeadMode, TriMode
from lrm_reward_node.modes.mode import RewardMode, Window
from lrm_reward_node.modes.video import select, times_s
from lrm_reward_node.pipeline import Fusion
from source_tree import SRC


class _PlainTasks(FakeRewardModel):
    """The fake reads no text; a real model refuses a task that cannot be asked."""

    def score(self, queries):  # type: ignore[no-untyped-def]
        from lrm_reward_node.prompts import check_task

        broken = np.zeros((0, 0, 3), np.uint8)
        asked = []
        for query in queries:
            try:
                check_task(query.task)
                asked.append(query)
            except BadInput:
                asked.append(type(query)(query.head, query.task, broken, query.current_stamp_ns))
        return super().score(asked)


class TestContrastive(RewardModeContract):
    def make_mode(self) -> RewardMode:
        return HeadMode(registry.spec("contrastive"), _PlainTasks())


class TestProgress(RewardModeContract):
    def make_mode(self) -> RewardMode:
        return HeadMode(registry.spec("progress"), _PlainTasks())


class TestCompletion(RewardModeContract):
    def make_mode(self) -> RewardMode:
        return HeadMode(registry.spec("completion"), _PlainTasks())


class TestTriAsTheCode(RewardModeContract):
    def make_mode(self) -> RewardMode:
        return TriMode(registry.spec("tri"), _PlainTasks(), Fusion("code"))


class TestTriAsThePaper(RewardModeContract):
    def make_mode(self) -> RewardMode:
        return TriMode(registry.spec("tri"), _PlainTasks(), Fusion("paper"))


def test_the_seven_modes_have_the_published_windows_and_ranges() -> None:
    specs = [registry.spec(name) for name in registry.BUILT_IN]
    assert [(s.name, s.needs.words(), s.low, s.high) for s in specs] == [
        ("contrastive", "previous, current", -1.0, 1.0),
        ("completion", "current", 0.0, 1.0),
        ("progress", "initial, current", 0.0, 1.0),
        ("tri", "initial, previous, current", 0.0, 1.0),
        ("roboreward", "video, at most 16 frames", 0.0, 1.0),
        ("robometer", "video, at most 8 frames", 0.0, 1.0),
        ("topreward", "video, at most 15 frames", 0.0, 1.0),
    ]


def test_the_two_forms_of_tri_differ_in_value_range_and_fingerprint() -> None:
    code, paper = (TriMode(registry.spec("tri"), FakeRewardModel(), Fusion(form)) for form in ("code", "paper"))
    assert (code.spec.low, paper.spec.low) == (0.0, pytest.approx(-1 / 3))
    window = contract_window()
    assert code.score(window).value != paper.score(window).value
    assert code.fingerprint != paper.fingerprint


def test_progress_compares_with_the_reset_frame_and_contrastive_with_the_previous_one() -> None:
    window = contract_window()
    for name, frame in (("progress", window.initial), ("contrastive", window.previous)):
        estimate = HeadMode(registry.spec(name), FakeRewardModel()).score(window)
        assert frame is not None and estimate.reference_stamp_ns == frame.stamp_ns


def _register(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint(name, value, group)])


def test_another_package_registers_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, "mine", f"{__name__}:MINE")
    assert registry.spec("mine") is MINE
    assert isinstance(registry.open_mode("mine"), HeadMode)


def test_a_built_in_mode_that_is_also_installed_is_one_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, "tri", "lrm_reward_node.modes.builtin:TRI")
    assert list(registry.available()) == list(registry.BUILT_IN)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tri", "somebody.else:TRI", "a name of its own"),
        ("mine", "no_such_module:MINE", "can be imported"),
        ("mine", f"{__name__}:registry", "a ModeSpec"),
        ("other", f"{__name__}:MINE", "a ModeSpec of that name"),
        ("mine", f"{__name__}:MINE", "'nothing': expected one of"),
    ],
)
def test_a_bad_registration_names_the_mode(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    _register(monkeypatch, name, value)
    with pytest.raises(BadInput, match=message):
        registry.spec("nothing" if "nothing" in message else name)


def test_the_package_declares_the_built_in_modes() -> None:
    tree = ast.parse((SRC / "lrm_reward_node" / "setup.py").read_text())
    (points,) = (k.value for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords
                 if k.arg == "entry_points")  # fmt: skip
    declared = dict(line.split(" = ") for line in ast.literal_eval(points)[registry.GROUP])
    assert declared == {name: point.value for name, point in registry.available().items()}


def test_the_command_lists_them_and_says_what_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lrm_bringup import cli

    _register(monkeypatch, "mine", "no_such_module:MINE")
    assert cli.main(["modes", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [*registry.BUILT_IN, "mine"]
    assert rows["robometer"]["range"] == [0.0, 1.0] and rows["robometer"]["needs"]["video_frames"] == 8
    assert "no_such_module" in rows["mine"]["error"]
    assert cli.main(["modes"]) == 0


@given(st.integers(1, 60), st.integers(1, 20))
def test_a_selection_is_bounded_in_order_and_ends_at_the_newest_frame(count: int, limit: int) -> None:
    pixel = np.zeros((1, 1, 3), np.uint8)
    frames = [CameraFrame(pixel, i, "front") for i in range(count)]
    stamps = [frame.stamp_ns for frame in select(frames, limit)]
    assert len(stamps) == min(count, limit) and stamps == sorted(set(stamps)) and stamps[-1] == count - 1
    assert limit == 1 or stamps[0] == 0
    gaps = np.diff(stamps)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_times_are_those_of_the_stamps() -> None:
    assert times_s([contract_frame(i) for i in (0, 2, 3)]) == [0.0, 2.0, 3.0]


def test_a_video_that_does_not_end_at_the_current_frame_or_runs_back_is_refused() -> None:
    first, second = contract_frame(0), contract_frame(1)
    for video in ((first,), (second, first), (second, second)):
        with pytest.raises(BadInput, match="rising stamps"):
            Window("x", second, video=video)


def test_an_unknown_head_makes_tri_unknown() -> None:
    estimate = TriMode(registry.spec("tri"), FakeRewardModel(), Fusion()).score(contract_window(1))
    assert estimate.status is RewardStatus.NO_REFERENCE and estimate.head is RewardHead.FUSED


MINE = type(registry.spec("progress"))(
    "mine", RewardHead.PROGRESS, 0.0, 1.0, registry.spec("progress").needs, "", "a test",
    lambda spec, options: HeadMode(spec, FakeRewardModel()),
)  # fmt: skip
