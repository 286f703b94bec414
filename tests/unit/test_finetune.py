"""Parts of fine-tuning without a model: configuration, draws, figures, hard pairs, the choice of episodes, seals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.episode_sources import Episode
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.data import manifest
from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.index import SampleIndex
from lrm_reward_node.data.making import completion
from lrm_reward_node.data.samples import open_samples
from lrm_reward_node.data.summary import Summary, write_summary
from lrm_reward_node.evaluation.estimators import mean_of
from lrm_reward_node.finetune import config, disk, few_shot
from lrm_reward_node.finetune.figures import estimators, figures, hard_pairs
from lrm_reward_node.finetune.measured import Measured, intervals, measured
from lrm_reward_node.finetune.questions import Items
from lrm_reward_node.finetune.rehearsal import Mixture, check_old
from lrm_reward_node.finetune.sampler import WeightedDraws
from lrm_reward_node.finetune.tables import part_table
from lrm_reward_node.readout import ANSWERS
from source_tree import ROOT

SHIPPED = sorted((ROOT / "config" / "train").glob("*.yaml"))


@dataclass
class Row:
    """As much of a sample as the choice of episodes looks at."""

    task: str
    target: float
    origin: dict[str, str]


@dataclass
class Rows:
    rows: list[Row]
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))
    split: str = "test"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    @property
    def episode_names(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((row.origin["source"], row.origin["episode"]) for row in self.rows))

    def columns(self, *names: str) -> Iterator[pa.Table]:
        """In two parts, each with dictionaries of its own, as an index has them."""
        for rows in (self.rows[:4], self.rows[4:]):
            text = {"task": [row.task for row in rows], "made": [row.origin["made"] for row in rows]}
            episode = [self.episode_names.index((row.origin["source"], row.origin["episode"])) for row in rows]
            found = {name: pa.array(column, pa.string()).dictionary_encode() for name, column in text.items()}
            found |= {"episode": pa.array(episode, pa.int32()), "target": pa.array([row.target for row in rows])}
            yield pa.table({name: found[name] for name in names})

    def question(self, index: int) -> Row:
        return self.rows[index]


def episodes(outcomes: list[bool], task: str = "stack") -> Rows:
    rows = []
    for number, success in enumerate(outcomes):
        origin = {"source": "arm", "episode": str(number), "made": "truth"}
        rows += [Row(task, 0.0, origin), Row("other", 0.0, origin | {"made": "wrong_sentence"})]
        rows += [Row(task, float(success), origin)]
    return Rows(rows)


def pick(samples: Rows, count: int, task: str = "") -> few_shot.FewShot:
    return few_shot.choose(dict.fromkeys(MODEL_HEADS, samples), count, task)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert config.load(path).heads == MODEL_HEADS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config" / "train" / "accelerate").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_launch_configuration_is_one_of_accelerate(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from transformers.models.qwen3_vl import modeling_qwen3_vl

    found = load_config_from_file(str(path))
    assert found.num_processes == 8
    wrapped = getattr(found, "fsdp_config", {}).get("fsdp_transformer_layer_cls_to_wrap", "")
    assert all(hasattr(modeling_qwen3_vl, name) for name in wrapped.split(",") if name)


def test_everything_wrong_with_a_configuration_is_named_with_line_and_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("heads: [progres]\ntraining:\n  step: 3\n  batch_size: 0\nlora:\n  targets: []\nevaluation: 4\n")
    with pytest.raises(config.BadConfig) as caught:
        config.load(path)
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    for text in ("line 1: heads is 'progres'", "'progress'", "line 3", "'steps'", "batch_size is 0", "at least 1",
                 "lora.targets is empty", "evaluation is 4"):  # fmt: skip
        assert text in said


def test_a_head_that_stands_twice_and_an_evaluation_after_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("heads: [progress, progress]\ntraining: {steps: 5}\nevaluation: {every: 9}\n")
    with pytest.raises(config.BadConfig, match=r"each once(.|\n)*at most training.steps \(5\)"):
        config.load(path)


def test_an_empty_split_is_named_and_not_the_task() -> None:
    with pytest.raises(BadInput, match=r"--split is 'test'"):
        pick(Rows([]), 2, "stack")
    with pytest.raises(BadInput, match="--task is 'lift'"):
        pick(episodes([True, False]), 1, "lift")


@given(
    weights=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50).filter(any),
    seed=st.integers(0, 2**31),
    count=st.integers(0, 300),
    more=st.integers(0, 300),
)
def test_draws_are_the_same_every_time_and_a_longer_run_begins_like_a_shorter_one(
    weights: list[float], seed: int, count: int, more: int
) -> None:
    short = list(WeightedDraws(np.array(weights), count, seed))
    assert short == list(WeightedDraws(np.array(weights), count + more, seed))[:count]
    assert all(weights[i] > 0.0 for i in short)


def test_samples_are_drawn_as_often_as_their_weights_say() -> None:
    drawn = np.bincount(list(WeightedDraws(np.array([1.0, 0.0, 3.0]), 200_000, 0)), minlength=3) / 200_000
    assert drawn == pytest.approx([0.25, 0.0, 0.75], abs=0.01)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(BadInput, match="weights"):
        WeightedDraws(np.array(weights), 3, 0)


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_figures_of_a_model_that_is_always_right_and_of_one_that_is_always_wrong(head: RewardHead) -> None:
    values = np.array(ANSWERS[head].values)
    right = np.arange(len(values))
    likelihoods = np.where(np.eye(len(values), dtype=bool), 0.0, -50.0)
    good = figures(head, likelihoods, right, values)
    bad = figures(head, likelihoods[::-1], right, values)
    assert good["nats"] == pytest.approx(0.0, abs=1e-6) and good["accuracy"] == 1.0
    assert bad["nats"] > 10.0 and bad["accuracy"] <= 0.1
    main = {RewardHead.CONTRASTIVE: ("direction_accuracy", 1.0, 0.0), RewardHead.COMPLETION: ("auc", 1.0, 0.0),
            RewardHead.PROGRESS: ("pearson", 1.0, -1.0)}[head]  # fmt: skip
    assert good[main[0]] == pytest.approx(main[1]) and bad[main[0]] == pytest.approx(main[2])


def test_an_auc_without_both_outcomes_is_not_defined() -> None:
    assert math.isnan(figures(RewardHead.COMPLETION, np.zeros((3, 2)), np.ones(3), np.ones(3))["auc"])


def test_intervals_widen_when_samples_belong_to_fewer_episodes() -> None:
    scores = np.random.default_rng(0).random(60)
    scores[::2] += np.repeat(np.linspace(-1.0, 1.0, 6), 5)

    def mean(episodes: list[str]) -> tuple[float, float]:
        return intervals({"mean": mean_of(scores)}, episodes)["mean"]

    alone, together = mean([str(i) for i in range(60)]), mean([str(i // 10) for i in range(60)])
    assert alone[0] < scores.mean() < alone[1]
    assert together[1] - together[0] > alone[1] - alone[0]
    assert mean([str(i) for i in range(60)]) == alone


def test_intervals_of_many_samples_are_made_in_parts_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"mean": mean_of(np.random.default_rng(0).random(40))}
    episodes = [str(i // 4) for i in range(40)]
    whole = intervals(found, episodes)
    monkeypatch.setattr("lrm_reward_node.finetune.measured.WEIGHTS_AT_ONCE", 1000)
    assert intervals(found, episodes) == whole


def test_a_change_is_that_of_pairs_and_none_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    before, episodes = rng.random(60), [str(i // 4) for i in range(60)]
    gain = 0.1 + 0.001 * rng.random(60)
    one, other = (Measured({"mean": mean_of(values)}, episodes) for values in (before, before + gain))
    change, alone = other.since(one).told(), other.told()
    assert change["figures"]["mean"] == pytest.approx(gain.mean())
    assert np.ptp(change["intervals"]["mean"]) < 0.01 * np.ptp(alone["intervals"]["mean"])
    assert one.since(one).told()["intervals"]["mean"] == (0.0, 0.0)
    assert (change["samples"], change["episodes"]) == (60, 15)


def test_every_task_and_source_has_the_figures_of_its_samples_alone() -> None:
    rng = np.random.default_rng(0)
    likelihoods, done = rng.normal(size=(40, 2)), rng.integers(0, 2, 40)
    labels, episodes = np.stack((done, done), 1), [str(i // 2) for i in range(40)]
    tasks = ["lift" if i < 24 else "stack" for i in range(40)]
    told = measured(RewardHead.COMPLETION, likelihoods, labels, episodes, {"task": tasks}).told()
    alone = measured(RewardHead.COMPLETION, likelihoods[:24], labels[:24], episodes[:24], {}).told()
    assert told["by_task"]["lift"] == alone and alone["episodes"] == 12
    assert [told["by_task"][task]["samples"] for task in ("lift", "stack")] == [24, 16]
    header, rows = part_table({"completion": {"after": told}})
    assert [row[3] for row in rows] == ["lift", "stack"] and f"{alone['figures']['auc']:.3f} [" in rows[0][-1]
    assert part_table({"completion": {"after": alone}}) == ([], []) and len(header) == len(rows[0])


def test_stated_probabilities_are_compared_with_what_is_true() -> None:
    """Nine of ten are done where nine of ten are stated; then five of ten."""
    likelihoods = np.log(np.tile([0.1, 0.9], (20, 1)))
    done = np.array([1.0] * 9 + [0.0] + [1.0] * 5 + [0.0] * 5)
    good, bad = (figures(RewardHead.COMPLETION, likelihoods[:10], d, d) for d in (done[:10], done[10:]))
    assert good["ece"] == pytest.approx(0.0, abs=1e-9) and bad["ece"] == pytest.approx(0.4)
    assert math.isnan(figures(RewardHead.COMPLETION, likelihoods, np.ones(20), np.ones(20))["ece"])
    sure = np.where(np.arange(11) == 5, 0.0, -50.0)[None].repeat(10, 0)  # 0.5, nothing else
    targets = np.array([0.5] * 7 + [0.6] * 3)
    assert figures(RewardHead.PROGRESS, sure, np.full(10, 5), targets)["coverage_90"] == pytest.approx(0.7)


@given(
    kinds=st.lists(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=6), min_size=1, max_size=4),
    shares=st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4),
)
def test_every_kind_of_a_mixture_is_drawn_as_often_as_its_share_says(
    kinds: list[list[float]], shares: list[float]
) -> None:
    rows = [episodes([True] * len(weights), f"kind {number}") for number, weights in enumerate(kinds)]
    chosen = [3 * np.arange(len(weights))[::-1] for weights in kinds]  # one sample of each episode, backwards
    for one, weights in zip(rows, kinds, strict=True):
        one.weights = np.repeat(weights, 3)
    mixed = Mixture([(Items(*one), share) for *one, share in zip(rows, chosen, shares, strict=False)])  # type: ignore[arg-type]
    places = np.split(np.arange(len(mixed)), np.cumsum([len(weights) for weights in kinds])[:-1])
    for at, one, index, share in zip(places, rows, chosen, shares, strict=False):
        assert mixed.weights[at].sum() == pytest.approx(share)
        assert [mixed[int(i)] for i in at] == [one[int(i)] for i in index]
        assert [mixed.question(int(i)) for i in at] == [one.question(int(i)) for i in index]


def test_the_shipped_manifest_of_a_few_episodes_has_the_splits_that_its_configuration_reads() -> None:
    rehearsal = config.load(ROOT / "config" / "train" / "few-shot.yaml").rehearsal
    sources = manifest.load(ROOT / "config" / "data" / "few-shot.yaml").sources
    assert 0.0 < rehearsal.share < 1.0
    assert {source.split for source in sources} == {rehearsal.split, rehearsal.check, "test"}


def test_what_is_rehearsed_cannot_be_what_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rehearsal: {share: 0.5, split: validation, check: validation}\n")
    with pytest.raises(config.BadConfig, match=r"line 1: rehearsal.check is 'validation'"):
        config.load(path)


def test_a_model_that_answers_not_a_number_has_no_likelihood_and_no_interval() -> None:
    likelihoods = np.zeros((6, 2))
    likelihoods[2] = math.nan
    found = estimators(RewardHead.COMPLETION, likelihoods, np.zeros(6), np.zeros(6))
    assert math.isnan(figures(RewardHead.COMPLETION, likelihoods, np.zeros(6), np.zeros(6))["nats"])
    assert all(math.isnan(end) for end in intervals({"nats": found["nats"]}, list("abcdef"))["nats"])


@given(st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=30), st.sampled_from([0.0, 0.2, 0.45, 1.0]))
def test_hard_pairs_are_the_worst_ones_and_none_is_easy(odds: list[float], limit: float) -> None:
    likelihoods = np.stack((np.zeros(len(odds)), np.array(odds)), 1)
    right = 1.0 / (1.0 + np.exp(np.array(odds)))  # of answer 0
    found = hard_pairs(likelihoods, np.zeros(len(odds)), limit)
    assert len(found) == (right <= limit).sum()
    assert right[found] == pytest.approx(sorted(right)[: len(found)])


@given(st.lists(st.booleans(), min_size=6, max_size=20), st.integers(1, 5))
def test_chosen_episodes_are_balanced_fixed_and_never_measured_on(outcomes: list[bool], count: int) -> None:
    found = pick(episodes(outcomes), count)
    wins = sum(found.chosen.values())
    assert len(found.chosen) == count and not found.chosen.keys() & found.rest.keys()
    assert len(found.chosen) + len(found.rest) == len(outcomes)
    assert wins == min(sum(outcomes), max(-(-count // 2), count - (len(outcomes) - sum(outcomes))))
    assert pick(episodes(outcomes), count).chosen == found.chosen
    assert found.tasks == ("stack",)


def test_all_questions_about_a_chosen_episode_go_with_it() -> None:
    samples = episodes([True, False, True, False])
    train, test = pick(samples, 2).items(samples)
    assert (len(train), len(test)) == (6, 6)
    assert not {one.origin["episode"] for one in train.questions()} & {
        one.origin["episode"] for one in test.questions()
    }


def index_of(folder: Path, *tasks: tuple[str, str, str]) -> Path:
    """A training set without pictures: one success per split, sentence and meaning."""
    index = SampleIndex(folder / "index-0")
    for number, (split, task, meaning) in enumerate(tasks):
        episode = index.episodes.add("", Facts("arm", Episode(str(number), task, "success"), [0, 1]), split, meaning)
        for done in (False, True):
            index.add(completion(task, int(done), done, "truth"), episode, "arm", split)
    index.close()
    write_summary(folder, Summary("index-0", "", "task", [], {"arm": 1.0}))
    return folder


def test_the_new_task_in_other_words_among_the_old_ones_is_refused(tmp_path: Path) -> None:
    new = [("test", "lift the cube", "lift"), ("test", "lift the cube", "lift")]
    data = index_of(tmp_path, *new, ("train", "raise the cube", "lift"), ("validation", "stack the cubes", "stack"))
    found = few_shot.choose({head: open_samples(data, "completion", "test") for head in MODEL_HEADS}, 1, "")
    train, test = found.items(open_samples(data, "completion", "test"))
    assert found.tasks == ("lift the cube",) and (len(train), len(test)) == (2, 2)
    with pytest.raises(BadInput, match="'raise the cube' means the same"):
        check_old(data, found, "test", config.Rehearsal(share=0.5))
    check_old(data, found, "test", config.Rehearsal(share=0.0, check="validation"))


@pytest.mark.parametrize(("count", "task", "named"), [(4, "", "--episodes is 4"), (2, "stak", "'stack'")])
def test_too_few_episodes_and_an_unknown_task_are_refused(count: int, task: str, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        pick(episodes([True, False, True, False]), count, task)


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights" * step)
    return path


def test_a_checkpoint_counts_only_when_it_is_whole(tmp_path: Path) -> None:
    for step in (5, 10, 20):
        disk.seal(checkpoint(tmp_path, step))
    checkpoint(tmp_path, 30)  # killed before it was sealed
    with (tmp_path / "checkpoint-20" / "adapter_model.safetensors").open("r+b") as file:
        file.truncate(3)
    newest = disk.newest_checkpoint(tmp_path)
    assert newest is not None and newest.name == "checkpoint-10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-5"]


def test_other_errors_than_a_full_disk_pass(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shape"), disk.room(tmp_path):
        raise RuntimeError("shape mismatch")
    with pytest.raises(BadInput, match="--out"), disk.room(tmp_path):
        raise OSError(28, "No space left on device")
