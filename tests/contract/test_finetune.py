"""Fine-tuning on real parts: simulated episodes, a small Qwen3-VL, transformers' Trainer, peft and TRL."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import Qwen3VLForConditionalGeneration

import finetune_bench as bench
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.data.samples import open_samples
from lrm_reward_node.finetune.disk import sha256
from lrm_reward_node.finetune.questions import Answers, Collator, Item, answer_number, sample_row
from lrm_reward_node.finetune.trainer import SealedCheckpoints
from lrm_reward_node.golden import picture
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.vlm.answers import answer_tokens
from lrm_reward_node.vlm.loading import load_checkpoint
from lrm_reward_node.vlm.merging import merge
from lrm_reward_node.vlm.proof import probe_logits
from lrm_reward_node.vlm.qwen import load
from reward_checkpoints import save_random_checkpoint
from ros_testing import wait_until
from small_disk import small_disk

TASK = "put the red cube in the blue bowl"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.build_data(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.save_small_base(tmp_path_factory.mktemp("base"), adapters=True)


@dataclass
class Asked:
    """A sample in memory."""

    head: str
    answer: str
    target: float
    images: tuple[np.ndarray, ...]
    task: str = TASK
    initial: bool = True
    goal: bool = False
    weight: float = 1.0
    origin: str = "a test"


def asked(head: RewardHead, count: int = 3) -> list[Asked]:
    shown = 1 if head is RewardHead.COMPLETION else 2
    texts, values = ANSWERS[head].texts, ANSWERS[head].values
    pictures = [tuple(picture(2 * i + k) for k in range(shown)) for i in range(count)]
    return [Asked(head.value, texts[-1 - i % 2], values[-1 - i % 2], one) for i, one in enumerate(pictures)]


@pytest.fixture(scope="module", params=[True, False], ids=["one token", "several tokens"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return load(str(save_random_checkpoint(tmp_path_factory.mktemp("model"), words_of_answers=request.param)))


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_held_out_likelihoods_are_those_of_the_readout(model, head: RewardHead) -> None:  # type: ignore[no-untyped-def]
    collator, samples = Collator(head, model.checkpoint.processors[head]), asked(head)
    inputs = collator([Item(sample, True) for sample in samples])
    labels = inputs.pop("labels")
    model.checkpoint.model.set_adapter(head.value)
    with torch.inference_mode():
        found = collator.answers.likelihoods(model.checkpoint.model(**inputs).logits).numpy()
        expected = model.log_likelihoods([sample_row(sample) for sample in samples])
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert [ANSWERS[head].values[int(row[0])] for row in labels] == [sample.target for sample in samples]


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_the_loss_is_that_of_answer_and_end_of_turn_alone(model, head: RewardHead) -> None:  # type: ignore[no-untyped-def]
    collator, samples = Collator(head, model.checkpoint.processors[head]), asked(head, 2)
    batch = collator([Item(sample, False) for sample in samples])
    end = collator.tokenizer.eos_token_id
    trained = [[int(label) for label in row if label >= 0] for row in batch["labels"]]
    assert trained == [[*collator.encode(sample.answer), end] for sample in samples]
    model.checkpoint.model.set_adapter(head.value)
    with torch.inference_mode():
        together = float(model.checkpoint.model(**batch).loss)
        nats = [
            _nats(model.checkpoint.model, collator, sample, row) for sample, row in zip(samples, trained, strict=True)
        ]
    assert together == pytest.approx(sum(map(sum, nats)) / sum(map(len, nats)), abs=1e-4)


def _nats(model, collator: Collator, sample: Asked, answer: list[int]) -> list[float]:  # type: ignore[no-untyped-def]
    """Of every token of the answer, without padding and with all logits."""
    inputs = collator.batch([sample_row(sample)], [answer])
    known = torch.log_softmax(model(**inputs).logits[0].float(), -1)
    return [-float(known[len(known) - len(answer) + i - 1, token]) for i, token in enumerate(answer)]


def test_an_analysis_before_the_answer_is_trained_and_not_scored(model) -> None:  # type: ignore[no-untyped-def]
    head = RewardHead.CONTRASTIVE
    collator, sample = Collator(head, model.checkpoint.processors[head]), asked(head, 1)[0]
    plain = collator([Item(sample, True)])["labels"]
    sample.answer = f"In Image B the cube is in the bowl.\n{sample.answer}"
    assert torch.equal(collator([Item(sample, True)])["labels"], plain)
    (trained,) = collator([Item(sample, False)])["labels"]
    said = collator.tokenizer.decode([int(label) for label in trained if label >= 0])
    assert said == sample.answer + collator.tokenizer.eos_token


def test_few_rows_visit_every_place_where_answers_part(model) -> None:  # type: ignore[no-untyped-def]
    for head in MODEL_HEADS:
        tokenizer = model.checkpoint.processors[head].tokenizer
        answers = Answers(answer_tokens(tokenizer, ANSWERS[head].texts))
        seen = {
            choice[:n] for i in answers.covers for choice in [answers.tokens.choices[i]] for n in range(len(choice))
        }
        assert {(), *answers.tokens.branches} <= seen
        assert len(answers.covers) < len(ANSWERS[head].texts)


def test_an_answer_that_is_none_and_a_missing_picture_name_their_origin(model) -> None:  # type: ignore[no-untyped-def]
    head = RewardHead.PROGRESS
    collator, sample = Collator(head, model.checkpoint.processors[head]), asked(head, 1)[0]
    sample.answer = '{ "completion_progress": 0.55 }'
    with pytest.raises(BadInput, match="a test"):
        collator([Item(sample, True)])
    sample.images = sample.images[:1]
    with pytest.raises(BadInput, match="1 pictures"):
        collator([Item(sample, False)])


@pytest.fixture(scope="module")
def trained(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All heads from the base's adapters on, with a preference stage."""
    folder = tmp_path_factory.mktemp("trained")
    preference = {"pairs": 8, "candidates": 30, "max_probability": 1.0, "steps": 3, "learning_rate": 0.01}
    config = bench.write_config(folder / "config.yaml", base, preference=preference)
    assert (
        bench.train("--data", str(data), "--config", str(config), "--from", str(base), "--out", str(folder / "o")) == 0
    )
    return folder / "o"


def test_what_is_written_is_the_released_layout_and_safetensors_alone(trained: Path) -> None:
    for head in MODEL_HEADS:
        names = {path.name for path in (trained / head.value).iterdir()}
        assert {
            "adapter_config.json",
            "adapter_model.safetensors",
            "tokenizer.json",
            "preprocessor_config.json",
        } <= names
    assert not [path for path in trained.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    card = (trained / "README.md").read_text()
    listed = dict(re.findall(r"\| (\S+/adapter_model.safetensors) \| `(\w{64})`", card))
    assert listed == {f"{h.value}/adapter_model.safetensors": sha256(trained / h.value / "adapter_model.safetensors")
                      for h in MODEL_HEADS}  # fmt: skip


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_the_figures_are_those_of_the_reward_model_that_is_read_from_the_files(
    trained: Path, base: Path, data: Path, head: RewardHead
) -> None:
    result = json.loads((trained / "metrics.json").read_text())["heads"][head.value]
    last = result.get("after_preference", result["after"])
    samples = open_samples(data, head.value, "validation")
    spread = np.unique(np.linspace(0, len(samples) - 1, 8).astype(int))
    shown = [samples[int(i)] for i in spread]
    known = load(str(base), str(trained)).log_likelihoods([sample_row(sample) for sample in shown])
    right = [one[answer_number(sample)] - np.logaddexp.reduce(one) for one, sample in zip(known, shown, strict=True)]
    assert last["figures"]["nats"] == pytest.approx(-np.mean(right), abs=1e-3)
    assert result["before"]["samples"] == last["samples"] == 8
    assert result["before"]["figures"]["nats"] != result["after"]["figures"]["nats"]
    low, high = last["intervals"]["nats"]
    assert low <= last["figures"]["nats"] <= high
    assert f"{last['figures']['nats']:.3f}" in (trained / "README.md").read_text()


def test_the_preference_stage_trains_on_the_pairs_the_model_is_least_sure_of(trained: Path) -> None:
    result = json.loads((trained / "metrics.json").read_text())["heads"]["contrastive"]
    assert result["preference"] == {"asked": result["preference"]["asked"], "hard": 8, "steps": 3}
    assert result["after_preference"]["figures"]["nats"] != result["after"]["figures"]["nats"]


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_this_project_and_plain_peft_load_the_same(trained: Path, base: Path, head: RewardHead) -> None:
    ours = load_checkpoint(str(base), str(trained), "cpu", "float32")
    ours.model.set_adapter(head.value)
    plain = Qwen3VLForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(plain, trained / head.value).eval()
    torch.testing.assert_close(probe_logits(theirs), probe_logits(ours.model))


def test_merged_it_is_a_model_of_plain_transformers(trained: Path, base: Path, tmp_path: Path) -> None:
    merge(str(base), str(trained), RewardHead.PROGRESS, tmp_path / "merged", "cpu", "float32")
    ours = load_checkpoint(str(base), str(trained), "cpu", "float32")
    ours.model.set_adapter("progress")
    plain = Qwen3VLForConditionalGeneration.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    torch.testing.assert_close(probe_logits(plain), probe_logits(ours.model), atol=1e-5, rtol=1e-4)


def progress_run(folder: Path, data: Path, base: Path, **sections: object) -> list[str]:
    """Words of a run of progress alone that keeps a checkpoint every two steps."""
    lora, training = {"rank": 2, "alpha": 4, "dropout": 0.1}, {"steps": 24}
    sections = {"heads": ["progress"], "lora": lora, "training": training, **sections}
    config = bench.write_config(folder / "config.yaml", base, **sections)
    return ["--data", str(data), "--config", str(config)]


@pytest.fixture(scope="module")
def uninterrupted(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("uninterrupted")
    bench.train(*progress_run(folder, data, base), "--out", str(folder / "o"))
    return bench.weights(folder / "o")


def test_a_run_killed_between_two_checkpoints_ends_with_the_same_weights(
    data: Path, base: Path, tmp_path: Path, uninterrupted: str
) -> None:
    words = [*progress_run(tmp_path, data, base), "--out", str(tmp_path / "o"), "--device", "cpu"]
    program = [sys.executable, "-m", "lrm_reward_node.finetune", *words]
    kept = tmp_path / "o" / "training" / "progress" / "checkpoint-4" / "complete.json"
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: kept.is_file() or process.poll() is not None, 120.0, "the second checkpoint")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "o" / "progress").exists()
    assert bench.train(*words) == 0
    assert bench.weights(tmp_path / "o") == uninterrupted


def test_a_loss_that_is_not_finite_ends_the_run_and_names_what_to_change() -> None:
    class Diverging:
        state = SimpleNamespace(global_step=7)

        def training_step(self, loss: float) -> torch.Tensor:
            return torch.tensor(loss)

    class Sealed(SealedCheckpoints, Diverging):
        pass

    assert Sealed().training_step(2.5) == 2.5
    for loss in (float("nan"), float("inf")):
        with pytest.raises(BadInput, match=r"loss after 7 steps.*learning_rate"):
            Sealed().training_step(loss)


def test_a_full_disk_is_one_clear_error_and_a_restart_goes_on(
    data: Path, base: Path, tmp_path: Path, uninterrupted: str
) -> None:
    words = progress_run(tmp_path, data, base)
    with small_disk(tmp_path / "disk", 1) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(760_000))
        with pytest.raises(BadInput, match="make room and run the same command again"):
            bench.train(*words, "--out", str(disk / "o"))
        assert (disk / "o" / "training" / "progress" / "checkpoint-2" / "complete.json").is_file()
        filler.unlink()
        assert bench.train(*words, "--out", str(disk / "o")) == 0
        assert bench.weights(disk / "o") == uninterrupted


def test_a_finished_run_is_not_trained_again_and_another_one_is_refused(
    data: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"training": {"steps": 2}}
    words = [*progress_run(tmp_path, data, base, **short), "--out", str(tmp_path / "o")]
    bench.train(*words)
    written = (tmp_path / "o" / "progress" / "adapter_model.safetensors").stat().st_mtime_ns
    bench.train(*words)
    assert (tmp_path / "o" / "progress" / "adapter_model.safetensors").stat().st_mtime_ns == written
    assert "done before" in capsys.readouterr().err
    progress_run(tmp_path, data, base, training={"steps": 4})
    with pytest.raises(BadInput, match="another config"):
        bench.train(*words)


def test_training_ends_early_and_the_best_checkpoint_is_what_is_written(data: Path, base: Path, tmp_path: Path) -> None:
    wild = {"training": {"steps": 24, "learning_rate": 1.0}, "evaluation": {"patience": 2}}
    bench.train(*progress_run(tmp_path, data, base, **wild), "--out", str(tmp_path / "o"))
    result = json.loads((tmp_path / "o" / "metrics.json").read_text())["heads"]["progress"]
    assert result["best_step"] == result["steps"] - 4 < 20


def test_memory_is_saved_without_another_result(data: Path, base: Path, tmp_path: Path) -> None:
    found = []
    for saving in (False, True):
        folder = tmp_path / str(saving)
        folder.mkdir()
        training = {"steps": 3, "gradient_checkpointing": saving}
        bench.train(*progress_run(folder, data, base, training=training), "--out", str(folder / "o"))
        found.append(load_file(folder / "o" / "progress" / "adapter_model.safetensors"))
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, atol=1e-5, rtol=1e-3)


def test_a_vision_tower_of_its_own_is_trained_and_loaded(data: Path, base: Path, tmp_path: Path) -> None:
    lora = {"rank": 2, "alpha": 4, "vision": ["progress"]}
    bench.train(*progress_run(tmp_path, data, base, lora=lora, training={"steps": 2}), "--out", str(tmp_path / "o"))
    assert any(
        "visual.blocks" in name for name in bench.tensor_names(tmp_path / "o/progress/adapter_model.safetensors")
    )
    for head in ("contrastive", "completion"):
        shutil.copytree(base / head, tmp_path / "o" / head)
    checkpoint = load_checkpoint(str(base), str(tmp_path / "o"), "cpu", "float32")
    assert checkpoint.own_vision == {RewardHead.PROGRESS}
    assert checkpoint.proofs[RewardHead.PROGRESS].vision_change > 0.0


def few_shot_config(path: Path, base: Path, **rehearsal: object) -> Path:
    """Completion alone, a few steps, with these keys of the section ``rehearsal``."""
    evaluation = {"every": 0, "samples": 64}
    return bench.write_config(path, base, heads=["completion"], evaluation=evaluation, rehearsal=rehearsal)


def test_a_new_task_is_adapted_from_a_few_episodes_and_measured_on_the_others_and_on_the_old_tasks(
    data: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = few_shot_config(tmp_path / "c.yaml", base, share=0.5, check="validation")
    words = ["--data", str(data), "--config", str(config), "--from", str(base), "--episodes", "3"]
    assert bench.train(*words, "--out", str(tmp_path / "o")) == 0
    shown = capsys.readouterr().err
    for text in ("before", "after", "change", "new task", "old tasks", "old tasks, 50 % of the draws"):
        assert text in shown
    result = json.loads((tmp_path / "o" / "metrics.json").read_text())
    head = result["heads"]["completion"]
    assert len(result["run"]["episodes"]) == 3
    assert head["before"]["episodes"] == head["after"]["episodes"] == 5
    assert head["trained_on"] + head["after"]["samples"] == len(open_samples(data, "completion", "test"))
    assert head["old"]["before"]["episodes"] == head["old"]["after"]["episodes"] == 4
    card = (tmp_path / "o" / "README.md").read_text()
    for measured in (head, head["old"]):
        before, after, change = (measured[stage]["figures"]["nats"] for stage in ("before", "after", "change"))
        assert change == pytest.approx(after - before) and change != 0.0
        assert f"{change:+.3f} [" in card
    assert "50 % of the draws were samples of the old tasks" in card
    assert {path.name for path in (tmp_path / "o").iterdir()} >= {head.value for head in MODEL_HEADS}
    load_checkpoint(str(base), str(tmp_path / "o"), "cpu", "float32")


@pytest.mark.parametrize(
    ("rehearsal", "split", "named"),
    [
        ({"share": 0.5}, "train", "another split than that of the new task"),
        ({"share": 0.5}, "validation", "a split without the new task"),
        ({"check": "validation"}, "validation", "rehearsal.check"),
        ({"share": 0.5}, "", "without --episodes"),
    ],
)
def test_old_tasks_that_are_not_old_or_not_asked_for_are_refused(
    rehearsal: dict[str, object], split: str, named: str, data: Path, base: Path, tmp_path: Path
) -> None:
    config = few_shot_config(tmp_path / "c.yaml", base, **rehearsal)
    few = ["--episodes", "2", "--split", split] if split else []
    words = ["--data", str(data), "--config", str(config), "--from", str(base), "--out", str(tmp_path / "o"), *few]
    with pytest.raises(BadInput, match=named):
        bench.train(*words)


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    data: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*progress_run(tmp_path, data, base), "--out", str(tmp_path / "o"), "--dry-run"]
    assert bench.train(*words) == 0
    shown = capsys.readouterr().err
    assert f"arm: {len(open_samples(data, 'progress', 'train'))}" in shown and "24 × 4" in shown
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--episodes", "3"], "--from"),
        (["--task", TASK], "--episodes"),
        (["--data", "nowhere"], "data folder"),
        (["--from", "nowhere/at/all"], "--from"),
        (["--from", "BASE", "--episodes", "3"], "evaluation.every"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_trained(
    words: list[str], named: str, data: Path, base: Path, tmp_path: Path
) -> None:
    given = [str(base) if word == "BASE" else word for word in words]
    options = [*progress_run(tmp_path, data, base), "--out", str(tmp_path / "o"), *given]
    with pytest.raises(BadInput, match=named):
        bench.train(*options)
    assert not (tmp_path / "o").exists()
