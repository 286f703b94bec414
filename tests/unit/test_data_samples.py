"""Pure logic of training sets: splits that do not leak, questions that do not pretend, idle time that is cut."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.episode_sources import Declared, Episode, Frame
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.data import making, trimming
from lrm_reward_node.data.duplicates import Duplicates
from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.looks import content_hash, looks_of
from lrm_reward_node.data.making import OtherTasks, questions
from lrm_reward_node.data.manifest import Frames, Sampling, SourceEntry, Splits
from lrm_reward_node.data.meanings import Meanings, normal
from lrm_reward_node.data.pool import in_processes
from lrm_reward_node.data.reading import Pace, read_episode, thinned
from lrm_reward_node.data.splits import key_of, split_of
from lrm_reward_node.data.summary import Summary
from lrm_reward_node.data.tasks import TaskTable
from lrm_reward_node.parsing import parse_answer
from lrm_reward_node.readout import ANSWERS

TASK = "put the red cube in the blue bowl"
PLAIN = Meanings()
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
EPISODES = st.lists(st.builds(lambda i, t, s: facts(id=i, task=t, scene=s), NAMES, NAMES, NAMES), max_size=30)


def facts(frames: int = 9, start: int = 0, end: int | None = None, **episode: str) -> Facts:
    named = Episode(**({"id": "e", "task": TASK, "outcome": "success"} | episode))
    return Facts("source", named, [i * 500_000_000 for i in range(frames)], start, frames - 1 if end is None else end)


def asked(one: Facts, others: OtherTasks | None = None, **sampling: object) -> list[making.Question]:
    rng = np.random.default_rng(0)
    return list(questions(one, replace(Sampling(), **sampling), others or OtherTasks(), rng))


@given(NAMES, NAMES, NAMES, st.integers(0, 99))
def test_what_must_not_part_shares_a_split_however_it_is_written(one: str, other: str, task: str, seed: int) -> None:
    """Whatever else differs: the scene, the name, the letter case of a sentence."""
    pairs = {
        "episode": (facts(id=one, group="run", task=task), facts(id=other, group="run", scene=one)),
        "task": (facts(id=one, task=f"Open  the {task}."), facts(id=other, task=f"open the {task}", scene=one)),
        "scene": (facts(id=one, scene="table", task=task), facts(id=other, scene="table")),
    }
    for by, (first, second) in pairs.items():
        splits = Splits(by=by, train=0.5, validation=0.3, test=0.2, seed=seed)
        assert split_of(key_of(first, by, PLAIN), splits, PLAIN) == split_of(key_of(second, by, PLAIN), splits, PLAIN)


@given(EPISODES, NAMES)
def test_more_episodes_move_none_of_the_others(episodes: list[Facts], new: str) -> None:
    splits = Splits(train=0.5, validation=0.5)
    before = [split_of(key_of(one, "episode", PLAIN), splits, PLAIN) for one in episodes]
    grown = [*episodes, facts(id=new)]
    assert [split_of(key_of(one, "episode", PLAIN), splits, PLAIN) for one in grown[:-1]] == before


@given(st.floats(0.0, 1.0), st.integers(0, 9))
def test_shares_of_splits_are_met(train: float, seed: int) -> None:
    splits = Splits(train=train, validation=1.0 - train, seed=seed)
    share = np.mean([split_of(f"episode {i}", splits, PLAIN) == "train" for i in range(2000)])
    assert abs(share - train) < 0.06


def test_what_is_assigned_by_hand_stays_there() -> None:
    assert split_of("here", Splits(assign={"here": "test"}), PLAIN) == "test"
    by_task = Splits(by="task", assign={"Open the  door.": "test"})
    assert split_of(key_of(facts(task="open the door"), "task", PLAIN), by_task, PLAIN) == "test"


def test_episodes_of_two_sources_are_not_one_because_they_have_one_name() -> None:
    assert key_of(facts(id="clip.mp4"), "episode", PLAIN) != key_of(
        replace(facts(id="clip.mp4"), source="other"), "episode", PLAIN
    )


def test_two_cameras_of_one_recording_share_a_split() -> None:
    front, wrist = facts(id="front-1", group="run 1"), facts(id="wrist-1", group="run 1")
    assert key_of(front, "episode", PLAIN) == key_of(wrist, "episode", PLAIN)


@given(st.lists(NAMES, min_size=1, max_size=8), st.lists(NAMES, max_size=8))
def test_the_sentence_of_another_split_is_never_asked(train: list[str], test: list[str]) -> None:
    table = TaskTable()
    for split, tasks in (("train", train), ("test", test)):
        for task in tasks:
            table.add(split, task)
    others = table.others("train", train[0])
    assert {normal(task) for task in (*others.near, *others.far)} <= {normal(task) for task in train[1:]}


def test_a_sentence_with_other_articles_is_no_wrong_sentence() -> None:
    table = TaskTable()
    for task in ("put the banana on the plate", "Put banana on a plate.", "put the pear on the plate", "open the door"):
        table.add("train", task)
    assert table.others("train", "put banana on plate") == OtherTasks(["put the pear on the plate"], ["open the door"])


INTO, LIFT, PICK = "place the red cube into the blue bowl", "lift the red cube", "pick up the red cube"


def test_a_sentence_of_equal_meaning_is_no_wrong_sentence_and_shares_the_split() -> None:
    meanings = Meanings({PICK: LIFT})
    meanings.add(Episode("a", INTO, meaning=TASK))  # says what its sentence means, for the episodes of others too
    table = TaskTable(meanings)
    for task in (TASK, INTO, LIFT, PICK):
        table.add("train", task)
    for task, others in ((TASK, {LIFT, PICK}), (INTO, {LIFT, PICK}), (PICK, {TASK, INTO}), (LIFT, {TASK, INTO})):
        found = table.others("train", task)
        assert {*found.near, *found.far} == others
    keys = [key_of(facts(task=task), "task", meanings) for task in (TASK, INTO.upper(), LIFT, PICK)]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    with pytest.raises(BadInput, match="same meaning"):
        split_of(keys[0], Splits(by="task", assign={TASK: "train", INTO: "test"}), meanings)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=12))
def test_meaning_the_same_goes_both_ways_and_on(pairs: list[tuple[str, str]]) -> None:
    meanings = Meanings()
    for task, meaning in pairs:
        meanings.add(Episode("e", task, meaning=meaning))
    assert all(meanings.of(task) == meanings.of(meaning) for task, meaning in pairs)
    assert meanings.of("never said") == "never said"


def test_the_nearest_pairs_that_are_asked_as_different_tasks_are_listed() -> None:
    table = TaskTable()
    for task in (TASK, INTO, LIFT):
        table.add("train", task)
        table.others("train", task)
    assert table.nearest(2, ["other_object", "wrong_sentence"])[0] == sorted([TASK, INTO])
    assert sorted([TASK, INTO]) not in table.nearest(9, ["wrong_sentence"])


@given(st.integers(2, 40), st.data())
def test_every_answer_is_one_that_the_heads_can_give(frames: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, frames - 2))
    one = facts(frames, start, data.draw(st.integers(start + 1, frames - 1)))
    for question in asked(one, OtherTasks(["other"], ["another"]), goal=0.5):
        value = parse_answer(question.head, ANSWERS[question.head].texts[question.answer]).value
        assert value is not None and abs(value - question.target) <= 0.05 + 1e-9
        assert all(0 <= frame < frames for frame in question.frames)
        assert len(question.frames) == {"contrastive": 2, "completion": 1}.get(
            question.head.value, 1 + question.initial + question.goal
        )


def test_progress_of_a_success_runs_from_0_to_1_between_the_idle_times() -> None:
    found = asked(facts(11, start=2, end=7), negatives=[])
    progress = [(q.frames[-1], q.target) for q in found if q.head is RewardHead.PROGRESS]
    assert progress == [(f, pytest.approx((f - 2) / 5)) for f in range(2, 8)]
    assert {q.frames[0] for q in found if q.head is RewardHead.COMPLETION and q.answer == 1} == {7, 8, 9, 10}


def test_the_clock_of_a_failure_is_not_pretended_to_be_progress() -> None:
    found = asked(facts(outcome="failure"), OtherTasks(["other"], ["another"]))
    assert {(q.head, q.answer, q.made) for q in found} == {(RewardHead.COMPLETION, 0, "recorded_failure")}


def test_an_episode_of_unknown_outcome_answers_nothing() -> None:
    assert asked(facts(outcome="unknown"), OtherTasks(["other"], ["another"])) == []


def test_the_truth_of_a_failure_is_used_where_it_is_known() -> None:
    one = replace(facts(4, outcome="failure"), progress=[0.0, 0.4, 0.4, 0.2], success=[False] * 4)
    found = asked(one, gaps=[1])
    assert [q.target for q in found if q.head is RewardHead.PROGRESS] == [0.0, 0.4, 0.4, 0.2]
    pairs = {(q.frames, q.target) for q in found if q.head is RewardHead.CONTRASTIVE}
    assert pairs == {((0, 1), 1.0), ((1, 0), -1.0), ((2, 3), -1.0), ((3, 2), 1.0)}  # the tie is not asked


def test_comparisons_stand_at_every_gap_in_both_orders() -> None:
    found = [q for q in asked(facts(9), gaps=[1, 4]) if q.head is RewardHead.CONTRASTIVE]
    assert {abs(q.frames[1] - q.frames[0]) for q in found} == {1, 4}
    assert sum(q.target for q in found) == 0.0
    assert all((q.frames[1] > q.frames[0]) == (q.target > 0) for q in found)


def test_near_pairs_of_a_long_episode_are_asked() -> None:
    found = [q for q in asked(facts(101), gaps=[1]) if q.head is RewardHead.CONTRASTIVE]
    assert len(found) == 200


def test_made_failures_are_answered_with_no() -> None:
    found = [q for q in asked(facts(9), OtherTasks(["near"], ["far"])) if q.made in making.MADE[4:]]
    no = [q for q in found if q.head is not RewardHead.CONTRASTIVE]
    assert {q.made for q in no} == {"truncated", "wrong_sentence", "other_object", "frozen"}
    assert {q.target for q in no} == {0.0}
    assert {q.task for q in no if q.made in ("wrong_sentence", "other_object")} == {"near", "far"}


def test_a_camera_that_stands_still_shows_for_ever_what_is_true_of_its_first_picture() -> None:
    one = replace(facts(4), progress=[0.4, 0.6, 0.8, 1.0], success=[True, True, True, True])
    frozen = {q.head: (q.answer, q.target) for q in asked(one) if q.made == "frozen"}
    assert frozen == {RewardHead.PROGRESS: (4, 0.4), RewardHead.COMPLETION: (1, 1.0)}
    nobody_knows = replace(one, progress=[None, 0.6, 0.8, 1.0], success=[None, True, True, True])
    assert not [q for q in asked(nobody_knows) if q.made == "frozen"]


@given(st.integers(0, 10), st.integers(2, 20), st.integers(0, 10))
def test_idle_starts_and_ends_are_cut_from_states(before: int, moving: int, after: int) -> None:
    path = np.concatenate((np.zeros(before), np.linspace(0.0, 1.0, moving), np.ones(after)))
    states = np.stack((path, 0.02 * path), 1)
    assert trimming.active_span(trimming.motion_of_states(states)) == (max(0, before), before + moving - 1)


def test_work_in_processes_comes_back_in_order_and_a_process_that_dies_is_named() -> None:
    assert list(in_processes(abs, range(-30, 0), 2)) == list(range(30, 0, -1))
    with pytest.raises(BadInput, match="one of them died"):
        list(in_processes(os._exit, [3], 2))


def test_a_robot_that_stands_still_moves_nowhere() -> None:
    assert trimming.active_span(trimming.motion_of_states(np.full((9, 6), 0.3))) is None
    assert trimming.active_span(trimming.motion_of_pictures(np.full((9, 16, 16), 80, np.uint8))) is None


class Recorded:
    """A source of one episode in memory."""

    def __init__(self, frames: list[Frame], declared: Declared | None = None) -> None:
        self._frames, self._declared = frames, declared or Declared()

    def episodes(self) -> Iterator[Episode]:
        yield Episode("e", TASK, "success")

    def declared(self, episode: Episode) -> Declared:
        return self._declared

    def losses(self) -> list[str]:
        return []

    def frames(self, episode: Episode) -> Iterator[Frame]:
        return iter(self._frames)


def frame(step: int, period_ms: int = 100, broken: bool = False, **known: object) -> Frame:
    def picture() -> np.ndarray:
        if broken:
            raise BadInput("frame", step, "a picture")
        rgb = np.zeros((32, 48, 3), np.uint8)
        rgb[:, : 2 * step + 1] = 200
        return rgb

    return Frame(step * period_ms * 1_000_000, picture, **known)  # type: ignore[arg-type]


def read(source: Recorded, rate_hz: float = 10.0, **entry: str) -> Facts:
    settings = SourceEntry("test", "test", None, Path(), **entry)  # type: ignore[arg-type]
    return read_episode(source, settings, next(source.episodes()), Frames(rate_hz=rate_hz))[0]


def kinds(one: Facts) -> set[str]:
    return {problem.kind for problem in one.problems}


def test_a_sound_episode_has_no_problem() -> None:
    one = read(Recorded([frame(i) for i in range(20)], Declared(20, 10.0)))
    assert one.usable and one.problems == [] and len(one.stamps_ns) == 20


@pytest.mark.parametrize(
    ("frames", "declared", "kind", "usable"),
    [
        ([], Declared(), "no frames", False),
        ([frame(0)], Declared(), "one frame", False),
        ([frame(i, broken=True) for i in range(5)], Declared(), "no frames", False),
        ([frame(i, broken=i == 3) for i in range(9)], Declared(), "broken frames", True),
        ([frame(i) for i in range(9)], Declared(frames=30), "frames missing", True),
        ([frame(i) for i in range(9)], Declared(rate_hz=30.0), "rate disagrees", True),
        ([frame(i * i) for i in range(1, 9)], Declared(), "variable rate", True),
        ([frame(i) for i in (0, 1, 2, 2, 1, 3, 4)], Declared(), "stamps out of order", True),
        ([frame(0) for i in range(9)], Declared(), "one frame", False),
        ([frame(i, state=np.array([i, math.nan])) for i in range(9)], Declared(), "bad states", True),
        ([replace(frame(i), picture=frame(0).picture) for i in range(9)], Declared(), "nothing moves", False),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_episode_is_named(
    frames: list[Frame], declared: Declared, kind: str, usable: bool
) -> None:
    one = read(Recorded(frames, declared))
    assert kind in kinds(one) and one.usable is usable


@pytest.mark.parametrize(
    ("entry", "kind"), [({"task": "<image> do"}, "bad task"), ({"outcome": "unknown"}, "unknown outcome")]
)
def test_a_bad_label_leaves_an_episode_out(entry: dict[str, str], kind: str) -> None:
    one = read(Recorded([frame(i) for i in range(9)]), **entry)
    assert kind in kinds(one) and not one.usable


def test_a_long_episode_is_thinned_evenly_and_keeps_its_ends() -> None:
    source = Recorded([frame(i, 1000) for i in range(1000)])
    entry, settings = SourceEntry("test", "test", None, Path()), Frames(rate_hz=1.0, max_frames=8)
    one, kept = read_episode(source, entry, next(source.episodes()), settings)
    steps = np.diff(one.stamps_ns) / 1e9
    assert 6 <= len(kept) == len(one.stamps_ns) <= 8 and one.recorded == 1000
    assert one.stamps_ns[0] == 0 and one.stamps_ns[-1] == 999 * 10**9
    assert steps.max() <= 2.5 * steps.min()


def test_states_that_are_not_finite_do_not_decide_what_is_idle() -> None:
    still = [np.array([math.nan if i == 4 else 0.0]) for i in range(9)]
    one = read(Recorded([frame(i, state=state) for i, state in enumerate(still)]))
    assert (one.start, one.end) == (0, 8)


def test_the_truth_of_the_last_frame_is_the_outcome_unless_the_manifest_says_otherwise() -> None:
    frames = [frame(i, success=i == 8) for i in range(9)]
    assert read(Recorded(frames)).episode.outcome == "success"
    blind = read(Recorded([frame(i, success=True if i == 8 else None) for i in range(9)]))
    assert blind.episode.outcome == "success" and blind.success == []  # an outcome is no truth of the frames
    told = read(Recorded(frames), outcome="failure")
    assert told.episode.outcome == "failure" and told.success == []


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(50, 900))
def test_first_and_last_frame_are_kept_and_no_two_come_too_soon(gaps: list[int], period_ms: int) -> None:
    stamps = np.cumsum(gaps) * 1_000_000
    frames = [Frame(int(stamp), lambda: np.zeros((4, 4, 3), np.uint8)) for stamp in stamps]
    kept = [one.stamp_ns for one in thinned(frames, Pace(period_ms * 1_000_000))]
    assert kept[0] == stamps[0] and kept[-1] == stamps[-1] and len(set(kept)) == len(kept)
    span_ms = (stamps[-1] - stamps[0]) / 1e6
    assert len(kept) <= span_ms / period_ms + 2.06 + 0.05 * span_ms / period_ms


def known(pixels: np.ndarray) -> Facts:
    one = facts(len(pixels), id=str(pixels.sum()))
    one.content, one.looks = content_hash([p.tobytes() for p in pixels]), looks_of(pixels)
    return one


def test_an_episode_that_was_compressed_again_is_a_duplicate_and_another_scene_is_not() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(20, 230, (9, 16, 16), np.uint8)
    again = (first.astype(int) + rng.integers(-1, 2, first.shape)).astype(np.uint8)
    moved = first.copy()
    moved[4:, 3:6, 3:6] = 255 - moved[4:, 3:6, 3:6]
    stored = {"a": known(first), "b": known(moved), "c": known(again)}
    duplicates = Duplicates(stored.__getitem__)
    assert duplicates.earlier("a", stored["a"]) is None
    assert duplicates.earlier("b", stored["b"]) is None
    assert duplicates.earlier("c", stored["c"]) is stored["a"]
    assert duplicates.earlier("d", stored["b"]) is stored["b"]


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 1)), st.integers(1, 1000), min_size=1))
def test_sources_and_answers_are_drawn_as_their_weights_say(counts: dict[tuple[str, int], int]) -> None:
    fixed = {"head": "completion", "split": "train", "made": "clock"}
    rows = [fixed | {"source": s, "answer": a, "count": n} for (s, a), n in counts.items()]
    summary = Summary("index", "", "episode", ["train"], {"a": 3.0, "b": 1.0}, samples=rows)
    drawn = {key: n * summary.weight("completion", "train", *key) for key, n in counts.items()}
    assert sum(drawn.values()) == pytest.approx(sum(counts.values()))
    by_source = {name: sum(v for (s, _), v in drawn.items() if s == name) for name in "ab"}
    if all(by_source.values()):
        assert by_source["a"] == pytest.approx(3.0 * by_source["b"])
    for name in "ab":
        answers = [v for (s, _), v in drawn.items() if s == name]
        assert answers == pytest.approx([np.mean(answers)] * len(answers)) if answers else True
