"""Training of the tiny reward model: its parts equal transformers' own, and a whole run on synthetic episodes."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_core.sources import source_function
from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS, PROGRESS_BINS
from lrm_reward_node.training import pools
from lrm_reward_node.training.batches import Batcher
from lrm_reward_node.training.checkpoint import new_model, save_processor
from lrm_reward_node.training.command import Options, train
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS, load_episode, save_episode
from lrm_reward_node.training.forward import Forward
from lrm_reward_node.training.images import Augmentation, patches
from lrm_reward_node.training.loop import StageParams, StageRunner, learning_rate_factor
from lrm_reward_node.training.presets import PRESETS
from lrm_reward_node.training.questions import PromptTable
from lrm_reward_node.training.stages import make_batchers, regression_targets, tokenizer_for
from lrm_reward_node.training.table import FrameTable, build_table
from lrm_reward_node.training.tokenizer import build_tokenizer
from lrm_reward_node.vlm.encoding import rendered
from lrm_reward_node.vlm.rope import token_positions
from lrm_reward_node.vlm.vision import encode_images
from reward_episodes import synthetic_episode, synthetic_episodes
from small_disk import small_disk

TASK = "put the red cube in the blue bowl"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table() -> FrameTable:
    return build_table(synthetic_episodes("train", 8, 1))


@pytest.fixture(scope="module")
def processor(table: FrameTable, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from transformers import AutoProcessor

    folder = tmp_path_factory.mktemp("processor")
    tokenizer = tokenizer_for(table)
    save_processor(folder, tokenizer)
    new_model(tokenizer).config.save_pretrained(folder)
    return AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def batchers(table: FrameTable) -> list[Batcher]:
    return make_batchers(table, tokenizer_for(table), 2, CPU, 0)


def test_patches_equal_those_of_the_image_processor(table: FrameTable, processor) -> None:  # type: ignore[no-untyped-def]
    index = torch.tensor([0, 5])
    ours = patches(table.frames, index, None, torch.Generator()).flatten(0, 1)
    theirs = processor.image_processor(images=list(table.frames[index].numpy()), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_augmentation_keeps_range_and_treats_the_views_of_a_sample_alike(table: FrameTable) -> None:
    index = torch.tensor([3, 3, 4, 4])
    generator = torch.Generator().manual_seed(0)
    changed = patches(table.frames, index, dataclasses.replace(Augmentation(), noise=0.0), generator, views=2)
    torch.testing.assert_close(changed[0], changed[1])
    assert not torch.equal(changed[0], patches(table.frames, index[:1], None, generator)[0])
    assert changed.min() >= -1.0 and changed.max() <= 1.0


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (6, 8)])
def test_the_batched_vision_tower_equals_that_of_transformers(table: FrameTable, rows: int, columns: int) -> None:
    visual = new_model(tokenizer_for(table)).model.visual.eval()
    pixels = torch.randn(3, rows * columns, 1536)
    with torch.no_grad():
        ours, (deep,) = encode_images(visual, pixels, rows, columns)
        theirs = visual(pixels.flatten(0, 1), grid_thw=torch.tensor([[1, rows, columns]] * 3))
    torch.testing.assert_close(ours.flatten(0, 1), theirs.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deep.flatten(0, 1), theirs.deepstack_features[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_positions_equal_those_of_transformers(table: FrameTable, processor, head: RewardHead) -> None:  # type: ignore[no-untyped-def]
    model = new_model(processor.tokenizer).model
    prompt = prompts.build(head, TASK)
    images = [table.frames[0].numpy()] * prompt.images
    inputs = processor(text=[rendered(prompt, processor)], images=images, return_tensors="pt")
    expected, _ = model.get_rope_index(inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"])
    assert torch.equal(token_positions(inputs["input_ids"], model.config.image_token_id, 4, 4), expected)


def test_the_training_loss_is_the_models_own_likelihood(table: FrameTable, batchers: list[Batcher], processor) -> None:  # type: ignore[no-untyped-def]
    """A training row is the prompt that the reward model sees, and its loss is what the model itself gives."""
    torch.manual_seed(0)
    model = new_model(processor.tokenizer).eval()
    batch = batchers[0].draw({"completion": 1})
    with torch.no_grad():
        _, (nats,) = Forward(model, table.frames, None, torch.Generator()).losses([batch])[0]
        task = table.tasks[table.episode[int(batch.frames[0, 0])]]
        yes = int(batch.tokens[0, 0]) == processor.tokenizer.convert_tokens_to_ids("yes")
        texts = [a for t in dict.fromkeys([task, *table.tasks]) for a in [prompts.build(RewardHead.COMPLETION, t)]]
        losses = [_loss(model, processor, p, table.frames[int(batch.frames[0, 0])].numpy(), yes) for p in texts]
    assert min(abs(loss - float(nats)) for loss in losses) < 1e-4


def _loss(model, processor, prompt, image, yes: bool) -> float:  # type: ignore[no-untyped-def]
    answer = ANSWERS[RewardHead.COMPLETION].texts[int(yes)]
    inputs = processor(text=[rendered(prompt, processor) + answer], images=[image], return_tensors="pt")
    ids = inputs["input_ids"][0]
    at = int((ids == processor.tokenizer.convert_tokens_to_ids("yes" if yes else "no")).nonzero()[-1, 0])
    return -float(torch.log_softmax(model(**inputs).logits[0, at - 1], -1)[ids[at]])


def test_progress_targets_have_the_true_progress_as_expected_value(table: FrameTable, batchers: list[Batcher]) -> None:
    samples = batchers[1].pools["progress"].samples
    tokenizer = tokenizer_for(table)
    value = {tokenizer.convert_tokens_to_ids(text): float(text) for text in PROGRESS_BINS}
    expected = [
        sum(w * value[int(t)] for t, w in zip(*row, strict=True))
        for row in zip(samples.tokens[:, 0], samples.weights[:, 0], strict=True)
    ]
    np.testing.assert_allclose(expected, table.progress[samples.frames[:, 1]], atol=1e-5)
    assert (samples.frames[:, 0] == table.first[samples.frames[:, 1]]).all()


def test_comparisons_stay_in_one_episode_leave_out_ties_and_come_in_both_orders(
    table: FrameTable, batchers: list[Batcher]
) -> None:
    samples = batchers[1].pools["contrastive"].samples
    a, b = samples.frames.T
    difference = table.progress[b] - table.progress[a]
    assert (table.episode[a] == table.episode[b]).all() and (np.abs(difference) >= 0.03).all()
    image_b = tokenizer_for(table).convert_tokens_to_ids("ImageB")
    assert ((samples.tokens[:, 0, 0] == image_b) == (difference > 0)).all()
    assert (a < b).any() and (a > b).any()


def test_a_pair_that_is_not_trained_is_never_asked_about() -> None:
    episodes = [e for e in synthetic_episodes("train", 16, 1) if e.task != "put the green cylinder in the white box"]
    table = build_table(episodes)
    tokenizer = tokenizer_for(table)
    for batcher in make_batchers(table, tokenizer, 2, CPU, 0):
        texts = [tokenizer.decode(row) for row in batcher.ids]
        assert not [text for text in texts if "green cylinder" in text and "white box" in text]
        assert [text for text in texts if "green cylinder" in text]


def test_what_has_fallen_off_the_table_is_no_target(table: FrameTable) -> None:
    known = regression_targets(table)[1]
    fallen = replace(table, places=table.places.copy())
    fallen.places[0, 0, 2] = -4.0
    name = table.names[table.episode[0], 0]
    lost = known & ~regression_targets(fallen)[1]
    assert np.argwhere(lost).tolist() == [[0, 3 * name + axis] for axis in range(3)]


def test_every_draw_holds_the_answers_it_is_meant_to_teach(table: FrameTable, batchers: list[Batcher]) -> None:
    for batcher in batchers:
        batch = batcher.draw(dict.fromkeys(batcher.pools, 4))
        width = batch.ids.shape[1]
        rows = (batch.at[batch.value] // width).tolist()
        assert set(rows) == set(range(len(batch.ids)))
        following = batch.ids.flatten()[batch.at + 1]
        assert ((following[:, None] == batch.tokens) | (batch.weights == 0)).any(1).all()


def test_prompts_are_a_few_tens_of_tokens_and_words_are_whole() -> None:
    tokenizer = build_tokenizer([TASK])
    assert tokenizer.tokenize(TASK) == ["put", "Ġthe", "Ġred", "Ġcube", "Ġin", "Ġthe", "Ġblue", "Ġbowl"]
    for answers in ANSWERS.values():
        assert {len(tokenizer.tokenize(text)) for text in answers.texts} == {3}


@pytest.mark.parametrize("text", ["Räume die Tasse weg 🫖", "put\tthe  ZEBRA\nin 0.35 boxes", "ImageAB nothing 1.0.0"])
def test_any_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = build_tokenizer([TASK])
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_same_corpus_gives_the_same_tokenizer() -> None:
    first, second = build_tokenizer([TASK, "a b"]), build_tokenizer(["a b", TASK])
    assert first.get_vocab() == second.get_vocab()


def test_privileged_facts_are_read_off_the_positions() -> None:
    table = build_table([synthetic_episode(0), synthetic_episode(1)])
    assert table.inside[table.success, 0, 0].all() and not table.inside[~table.success, 0, 0].any()
    assert table.held[:, 0].any() and not table.held[:, 1].any()


def test_success_of_another_verb_does_not_say_that_the_object_is_inside() -> None:
    put, lift = synthetic_episode(0), synthetic_episode(2)
    lift = dataclasses.replace(lift, task="lift the red cube", labels={**lift.labels, "verb": "lift"})
    far = np.array([0.25, 0.0, 0.0], np.float32)
    positions = {**lift.positions, "object": lift.positions["container"] + far}
    table = build_table([put, dataclasses.replace(lift, positions=positions)])
    of_lift = ~table.put[table.episode]
    assert table.success[of_lift].any() and not (table.inside[of_lift, 0, 0] == 1).any()
    assert (table.inside[~of_lift & table.success, 0, 0] == 1).all()
    prompts = PromptTable(tokenizer_for(table), 1)
    rows, _ = pools._other_tasks(table, prompts)[0]
    assert not [text for text in map(prompts.tokenizer.decode, np.array(prompts._rows, object)[rows]) if "lift" in text]


def test_a_scaled_preset_is_shorter_in_everything_and_never_empty() -> None:
    half, least = PRESETS["cpu"].scaled(0.5), PRESETS["cpu"].scaled(1e-9)
    assert half.episodes * 2 == PRESETS["cpu"].episodes and half.read.steps * 2 == PRESETS["cpu"].read.steps
    assert (least.episodes, least.see.steps, least.read.steps, least.adapt.steps) == (1, 1, 1, 1)
    assert not any(stage.minutes for stage in (PRESETS["cpu"].see, PRESETS["cpu"].read, PRESETS["cpu"].adapt))


def test_episodes_without_a_success_are_refused() -> None:
    with pytest.raises(BadInput, match="without a successful frame"):
        build_table([synthetic_episode(1)])


def test_an_episode_survives_its_file(tmp_path: Path) -> None:
    episode = synthetic_episode(3)
    save_episode(tmp_path / "e.npz", episode)
    read = load_episode(tmp_path / "e.npz")
    for field in dataclasses.fields(episode):
        np.testing.assert_equal(getattr(read, field.name), getattr(episode, field.name))


@pytest.mark.parametrize("name", ["nothing", "nowhere.at_all:f", "math:sqrt2", "math:sqrt"])
def test_a_source_that_cannot_be_called_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="--source"):
        source_function(name, parameters=SOURCE_PARAMETERS)


def test_the_learning_rate_warms_up_and_falls() -> None:
    factors = [learning_rate_factor(i / 100) for i in range(101)]
    assert max(factors) <= 1.0 and factors[0] < 0.1 and factors[-1] == pytest.approx(0.02)
    assert all(a >= b for a, b in pairwise(factors[3:]))


def test_a_stage_goes_on_from_its_checkpoint_and_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    def run(folder: Path, stop_at: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 1)
        x = torch.randn(4, 3)
        calls = 0

        def loss(batch: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            return module(x).square().mean(), {}

        runner = StageRunner(folder, checkpoint_every_s=0.0)
        params = StageParams(steps=12, batch=4, learning_rate=1e-2)
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                runner.run("one", params, module, loss, resume=False)
            torch.nn.init.zeros_(module.weight)
            stop_at = None
        runner.run("one", params, module, loss, resume=True)
        assert runner.finished("one")
        return module.weight.detach().clone()

    torch.testing.assert_close(run(tmp_path / "broken", 7), run(tmp_path / "whole", None))


def test_a_whole_run_gives_a_checkpoint_that_loads_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(out=tmp_path / "out", work=tmp_path / "work", preset="smoke", device="cpu")
    options = dataclasses.replace(options, source="reward_episodes:synthetic_episodes", evaluation_episodes=2)
    assert train(options) == 0
    figures = json.loads((tmp_path / "work" / "quality.json").read_text())
    assert set(figures) == {"held_out_seeds", "held_out_pairs"}
    assert all(row["unknown"] == 0.0 and not math.isnan(row["progress_error"]) for row in figures.values())
    weights = list((tmp_path / "out").rglob("*.safetensors"))
    assert len(weights) == 4 and all(path.stat().st_size < 16 * 2**20 for path in weights)
    capsys.readouterr()

    (tmp_path / "out" / "model.safetensors").unlink()
    assert train(dataclasses.replace(options, resume=True, evaluation_episodes=0)) == 0
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--preset"):
        train(Options(out=tmp_path, work=tmp_path, preset="huge"))


def test_a_run_from_a_checkpoint_keeps_its_words_and_changes_it_a_little(tmp_path: Path) -> None:
    first = Options(
        out=tmp_path / "first", work=tmp_path / "work", preset="smoke", device="cpu", evaluation_episodes=0,
        source="reward_episodes:synthetic_episodes",
    )  # fmt: skip
    assert train(first) == 0
    second = dataclasses.replace(first, out=tmp_path / "second", work=tmp_path / "work2", start=first.out)
    assert train(second) == 0
    assert (second.out / "tokenizer.json").read_text() == (first.out / "tokenizer.json").read_text()
    for name in ("model.safetensors", "completion/adapter_model.safetensors"):
        before, after = load_file(first.out / name), load_file(second.out / name)
        moved = [(after[key].float() - value.float()).abs().max() for key, value in before.items()]
        assert 0.0 < max(moved) < 0.05
    assert str(tmp_path) not in (second.out / "completion" / "adapter_config.json").read_text()
    with pytest.raises(BadInput, match="--from"):
        train(dataclasses.replace(second, start=tmp_path / "nowhere"))


def test_a_full_disk_while_training_is_named_and_the_same_run_goes_on(tmp_path: Path) -> None:
    module, draw = torch.nn.Linear(300, 300), torch.ones(1, 300)

    def loss(batch: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return module(draw).square().mean(), {}

    with small_disk(tmp_path / "disk", 8) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(8 * 2**20 - 200_000))
        runner, params = StageRunner(disk, checkpoint_every_s=0.0), StageParams(5, 1, 1e-3)
        with pytest.raises(BadInput, match="--resume"):
            runner.run("read", params, module, loss, resume=True)
        with pytest.raises(BadInput, match="room for more"):
            save_episode(disk / "train" / "0.npz", noisy_episode())
        assert not list(disk.rglob("*.partial")) and not list(disk.rglob("*.pt")) and not list(disk.rglob("*.npz"))
        filler.unlink()
        runner.run("read", params, module, loss, resume=True)
        assert runner.finished("read")


def noisy_episode() -> EpisodeRecord:
    """One that does not become smaller on its way to the disk."""
    episode = synthetic_episode(0)
    return dataclasses.replace(episode, front=np.random.default_rng(0).integers(0, 256, (40, 96, 128, 3), np.uint8))
