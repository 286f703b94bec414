"""A checkpoint that did not load as a whole is refused with one clear message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.contract import contract_query
from lrm_reward_node.vlm.qwen import load
from reward_checkpoints import edit_adapter, give_own_vision, save_random_checkpoint

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_checkpoint(tmp_path_factory.mktemp("good"))


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["model.safetensors", "progress/adapter_model.safetensors"])
def test_a_truncated_file(folder: Path, name: str) -> None:
    cut(folder / name)
    with pytest.raises(BadInput, match=r"weights .*complete safetensors file.*cut short"):
        load(str(folder))


def test_a_backbone_of_another_shape(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-3].contiguous()
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(BadInput, match=r"model .*weights that fit config\.json"):
        load(str(folder))


def test_a_backbone_with_a_missing_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["lm_head.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(BadInput, match=r"missing keys: lm_head\.weight"):
        load(str(folder))


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_adapter(folder: Path, name: str) -> None:
    (folder / "completion" / name).unlink()
    with pytest.raises(BadInput, match=r"completion adapter .*an existing file"):
        load(str(folder))


def zero_lora_b(tensors: Tensors) -> None:
    for name in tensors:
        if "lora_B" in name:
            tensors[name] = torch.zeros_like(tensors[name])


def drop_one(tensors: Tensors) -> None:
    del tensors[sorted(tensors)[0]]


def add_one(tensors: Tensors) -> None:
    tensors["base_model.model.model.language_model.layers.99.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 256)


def reshape_one(tensors: Tensors) -> None:
    name = sorted(tensors)[0]
    tensors[name] = tensors[name][:, :-1].contiguous()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (zero_lora_b, "a trained adapter.*lora_B are zero"),
        (drop_one, "every tensor was loaded.*Not in the file"),
        (add_one, "every tensor was loaded.*Not used"),
        (reshape_one, "weights that fit the base"),
    ],
)
def test_an_adapter_whose_weights_did_not_load(folder: Path, change: Callable[[Tensors], None], message: str) -> None:
    edit_adapter(folder, "contrastive", change)
    with pytest.raises(BadInput, match=f"contrastive adapter .*{message}"):
        load(str(folder))


def test_a_folder_that_is_none_and_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model .*an existing folder or a hub name"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match=r"model .*\*\.safetensors"):
        load(str(tmp_path))


def test_rank_alpha_and_targets_are_read_from_each_adapter(folder: Path) -> None:
    base_value = load(str(folder)).score([contract_query(RewardHead.PROGRESS, 1)])[0].value
    path = folder / "progress" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 64}))
    model = load(str(folder))
    assert model.checkpoint.model.peft_config["progress"].lora_alpha == 64
    assert model.score([contract_query(RewardHead.PROGRESS, 1)])[0].value != base_value


def test_visual_and_merger_overlap_and_are_read_as_visual(folder: Path) -> None:
    """The released progress adapter brings its whole vision tower and lists ``visual`` and the nested ``merger``."""
    before = load(str(folder))
    give_own_vision(folder, "progress")
    path = folder / "progress" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "modules_to_save": ["visual", "merger"]}))

    model = load(str(folder))

    assert model.checkpoint.own_vision == {RewardHead.PROGRESS}
    queries = [contract_query(head, 1) for head in MODEL_HEADS]
    old, new = before.score(queries), model.score(queries)
    assert all(e.ok for e in new)
    assert [a.value == pytest.approx(b.value, abs=1e-5) for a, b in zip(old, new, strict=True)] == [True, False, True]
