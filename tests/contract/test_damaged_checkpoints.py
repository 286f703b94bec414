# ruff: noqa: E501
"""Checkpoints that are damaged, foreign or put together wrongly: one clear line each, and never a number.

Every case changes one thing in a copy of the shipped checkpoint; what is not changed is a link.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lrm_bringup import cli
from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.contract import contract_query
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.ros.node import RewardNode, load_model
from lrm_reward_node.vlm.files import PROCESSOR_FILES
from lrm_reward_node.vlm.processor import load_processor
from lrm_reward_node.vlm.qwen import load
from lrm_reward_node.vlm.vetting import read_architecture
from reward_checkpoints import full_forward
from ros_testing import default_context

Damage = Callable[[Path], None]
CONFIG, WEIGHTS = "progress/adapter_config.json", "progress/adapter_model.safetensors"
BASE, IMAGES, TOKENIZER = "model.safetensors", "preprocessor_config.json", "tokenizer.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_path("lrm-tiny"), tmp_path / "copy", copy_function=os.symlink))


def own(path: Path) -> Path:
    """A copy in the place of the link, so that the shipped file stays as it is."""
    source = path.resolve()
    path.unlink()
    shutil.copyfile(source, path)
    return path


def with_values(name: str, **changes: Any) -> Damage:
    """Set values of a JSON file; ``a__b`` is b in the object a."""

    def damage(folder: Path) -> None:
        path = own(folder / name)
        values = json.loads(path.read_text())
        for key, value in changes.items():
            *outer, last = key.split("__")
            inside = values
            for step in outer:
                inside = inside[step]
            inside[last] = value
        path.write_text(json.dumps(values))

    return damage


def with_bytes(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).write_bytes(content)

    return damage


def with_tensors(name: str, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Damage:
    def damage(folder: Path) -> None:
        path = own(folder / name)
        tensors = {key: change(key, value).contiguous() for key, value in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})

    return damage


def spoiled(part: str, value: float) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """One number of the tensors whose name holds ``part``."""

    def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if part in name:
            tensor.view(-1)[-1] = value
        return tensor

    return change


def removed(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def twice_as_wide(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat((tensor, tensor), 1 if "lora_A" in name else 0)


def pickled_base(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / BASE).unlink()


def pickled_adapter(folder: Path) -> None:
    torch.save({}, folder / "progress" / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def pickled_under_another_name(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"lora": torch.ones(3)}, folder / WEIGHTS)


def linked_to_itself(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("adapter_model.safetensors")


def folder_linked_to_itself(folder: Path) -> None:
    shutil.rmtree(folder / "progress")
    (folder / "progress").symlink_to("progress")


def folder_in_the_place_of_a_file(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def without_a_head(folder: Path) -> None:
    shutil.rmtree(folder / "completion")


def one_adapter_for_two_heads(folder: Path) -> None:
    shutil.rmtree(folder / "progress")
    (folder / "progress").symlink_to("contrastive")


def own_processor(**changes: Any) -> Damage:
    """Progress brings a processor, and it is not the base's."""

    def damage(folder: Path) -> None:
        for name in (*PROCESSOR_FILES, "video_preprocessor_config.json"):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, folder / "progress" / name)
        path = folder / "progress" / IMAGES
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def own_tokenizer_of_another_model(folder: Path) -> None:
    own_processor()(folder)
    path = folder / "progress" / TOKENIZER
    values = json.loads(path.read_text())
    words = values["model"]["vocab"]
    one, other = list(words)[-2:]
    words[one], words[other] = words[other], words[one]
    path.write_text(json.dumps(values))


def without_the_letter_k(folder: Path) -> None:
    path = own(folder / TOKENIZER)
    values = json.loads(path.read_text())
    words = values["model"]["vocab"]
    words["ķ"] = words.pop("k")
    values["added_tokens"] = [t for t in values["added_tokens"] if "k" not in t["content"] or t["special"]]
    values["model"]["merges"] = [m for m in values["model"]["merges"] if "k" not in "".join(m)]
    path.write_text(json.dumps(values))


CASES: dict[str, tuple[Damage, str]] = {
    "empty weights": (with_bytes(BASE, b""), r"weights is .*complete safetensors file.*cut short"),
    "no safetensors header": (with_bytes(BASE, bytes(range(256)) * 9), r"weights is .*complete safetensors file"),
    "pickle under another name": (pickled_under_another_name, r"weights is .*progress.*complete safetensors file"),
    "8 bit adapter": (with_tensors(WEIGHTS, lambda _, t: t.to(torch.int8)), r"weights is .*F32.*lora_A.* is of I8"),
    "fp8 base": (with_tensors(BASE, lambda _, t: t.to(torch.float8_e4m3fn)), r"weights is .*F32.* is of F8_E4M3"),
    "NaN in the base": (with_tensors(BASE, spoiled("layers.2.mlp.up", np.nan)), r"model is .*finite.*mlp\.up.*NaN"),
    "NaN in the tower": (with_tensors(BASE, spoiled("pos_embed", np.nan)), r"model is .*finite.*pos_embed.*NaN"),
    "infinite adapter": (with_tensors(WEIGHTS, spoiled("lora_A", np.inf)), r"progress adapter is .*finite.*lora_A"),
    "adapter of another base": (with_tensors(WEIGHTS, twice_as_wide), r"progress adapter is .*fit the base.*\[512, 16\]"),
    "rank of another adapter": (with_values(CONFIG, r=8), r"progress adapter is .*weights that fit the base.*\[256, 8\]"),
    "a missing head": (without_a_head, r"completion adapter is .*an existing file.*as adapters"),
    "one adapter for two heads": (one_adapter_for_two_heads, r"progress adapter is .*contrastive.*the same weights"),
    "pickled base": (pickled_base, r"model is .*\*\.safetensors.*pickle.*convert"),
    "pickled adapter": (pickled_adapter, r"progress adapter is .*an existing file.*pickle.*convert"),
    "a link to itself": (linked_to_itself, r"progress adapter is .*an existing file"),
    "a folder linked to itself": (folder_linked_to_itself, r"progress adapter is .*an existing file"),
    "a folder in the place of a file": (folder_in_the_place_of_a_file, r"progress adapter is .*an existing file"),
    "an empty folder": (emptied, r"model is .*\*\.safetensors"),
    "another architecture": (with_values("config.json", model_type="llama"), r"model is .*type qwen3_vl.*'llama'"),
    "the model before": (with_values("config.json", model_type="qwen2_5_vl"), r"type qwen3_vl.*'qwen2_5_vl'"),
    "a larger model": (with_values("config.json", text_config__num_hidden_layers=36), r"fit config\.json.*parameters"),
    "one layer more": (with_values("config.json", text_config__num_hidden_layers=6), r"fit config\.json.*layers\.5"),
    "fewer attention heads": (with_values("config.json", text_config__num_attention_heads=2), r"fit config\.json.*mism"),
    "a word for a width": (with_values("config.json", text_config__hidden_size="big"), r"config\.json of Qwen3-VL.*int"),
    "config.json cut short": (with_bytes("config.json", b'{ "model_type": '), r"model is .*a readable JSON file"),
    "config.json that is a list": (with_bytes("config.json", b"[]"), r"model is .*a JSON object"),
    "config.json not in UTF-8": (with_bytes("config.json", b"\xff\xfe{}"), r"model is .*a readable JSON file.*utf-8"),
    "no config.json": (removed("config.json"), r"model is .*a readable JSON file"),
    "DoRA": (with_values(CONFIG, use_dora=True), r"progress adapter is .*Not in the file.*magnitude"),
    "IA3": (with_values(CONFIG, peft_type="IA3"), r"progress adapter is .*LoRA.*peft_type is 'IA3'"),
    "a method still unknown": (with_values(CONFIG, use_new=True), r"progress adapter is .*use_new.*does not know"),
    "rank 0": (with_values(CONFIG, r=0), r"progress adapter is .*r is 0"),
    "a word for the rank": (with_values(CONFIG, r="16"), r"progress adapter is .*r is '16'"),
    "alpha 0": (with_values(CONFIG, lora_alpha=0), r"progress adapter is .*changes the model's output"),
    "alpha NaN": (with_values(CONFIG, lora_alpha=float("nan")), r"progress adapter is .*not finite"),
    "targets that are not there": (with_values(CONFIG, target_modules=["c_attn"]), r"progress adapter .*c_attn"),
    "fewer layers adapted": (with_values(CONFIG, layers_to_transform=[0, 1]), r"progress adapter is .*Not used"),
    "an adapter config that is a list": (with_bytes(CONFIG, b"[1]"), r"progress adapter is .*a JSON object"),
    "an adapter config of bytes": (with_bytes(CONFIG, b"\xff\xfe"), r"progress adapter is .*a readable JSON file"),
    "another patch size": (with_values(IMAGES, patch_size=14), r"processor is .*patch size is 14, not 16"),
    "another merge size": (with_values(IMAGES, merge_size=1), r"processor is .*merge size is 1, not 2"),
    "another length in time": (with_values(IMAGES, temporal_patch_size=1), r"processor is .*temporal patch size is 1"),
    "no deviation": (with_values(IMAGES, image_std=[0.0, 1.0, 1.0]), r"processor is .*image_std is \(0\.0"),
    "one mean for three": (with_values(IMAGES, image_mean=[0.5]), r"processor is .*image_mean is .*not 3 usable"),
    "pictures of any size": (with_values(IMAGES, do_resize=False), r"processor is .*do_resize"),
    "no size": (with_values(IMAGES, size={"shortest_edge": 0, "longest_edge": 0}), r"processor is .*size"),
    "CLIP's processor": (with_values(IMAGES, image_processor_type="CLIPImageProcessor"), r"image processor is a CLIP"),
    "no image processor": (removed(IMAGES), r"processor is .*tokenizer and image processor files"),
    "no tokenizer": (removed(TOKENIZER), r"processor is .*tokenizer and image processor files"),
    "a tokenizer cut short": (with_bytes(TOKENIZER, b'{ "version": "1.0", '), r"processor is .*tokenizer and image"),
    "another image token": (with_values("config.json", image_token_id=7), r"processor is .*image token is 5, not 7"),
    "another vision start": (with_values("config.json", vision_start_token_id=7), r"vision start token is 3, not 7"),
    "a tokenizer without k": (without_the_letter_k, r"processor is .*cannot spell"),
    "no chat template": (removed("chat_template.jinja"), r"processor is .*chat template does not work"),
    "a broken chat template": (with_bytes("chat_template.jinja", b"{% for %}"), r"chat template does not work"),
    "a chat template of text": (with_bytes("chat_template.jinja", b"{{ messages[0].role }}"), r"leaves out text or pic"),
    "an adapter's processor of another model": (own_processor(patch_size=14), r"processor is '.*progress'.*patch size"),
    "an adapter's tokenizer of another model": (own_tokenizer_of_another_model, r"processor is '.*progress'.*of the base"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_that_is_not_whole_is_refused_in_one_line(folder: Path, case: str) -> None:
    damage, message = CASES[case]
    damage(folder)
    with pytest.raises(BadInput, match=message) as error:
        load(str(folder))
    assert "\n" not in str(error.value)


def test_the_copy_that_the_cases_damage_is_good(folder: Path) -> None:
    assert all(e.ok for e in load(str(folder)).score([contract_query(head, 1) for head in MODEL_HEADS]))


def test_a_picture_costs_a_bounded_number_of_tokens_whatever_the_processor_allows(folder: Path) -> None:
    """Qwen3-VL's own processor allows 16 megapixels: 16384 tokens and as many squared in its attention."""
    with_values(IMAGES, size={"shortest_edge": 65536, "longest_edge": 16777216})(folder)
    processor = load_processor(folder, read_architecture(folder))
    for shape in ((4320, 7680, 3), (8192, 8192, 3), (580, 64000, 3)):
        grid = processor.image_processor(images=[np.zeros(shape, np.uint8)], return_tensors="np")["image_grid_thw"]
        assert 2000 < grid.prod() / processor.image_processor.merge_size**2 <= 4096
    small = processor.image_processor(images=[np.zeros((480, 640, 3), np.uint8)], return_tensors="np")
    assert small["image_grid_thw"].prod() == 1200


def test_a_node_refuses_a_damaged_checkpoint_in_configure(folder: Path, ros_domain_id: int) -> None:
    from rclpy.parameter import Parameter

    CASES["NaN in the base"][0](folder)
    with default_context():
        node = RewardNode(load_model, parameter_overrides=[Parameter("model", value=str(folder))])
        try:
            assert not node.start()
            assert node.failure.startswith("configure failed: model is ") and "NaN" in node.failure
        finally:
            node.destroy_node()


def test_swapped_adapters_are_told_by_the_golden_scores(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """They have one shape, so that nothing but their answers tells them apart."""
    (folder / "contrastive").rename(folder / "kept")
    (folder / "progress").rename(folder / "contrastive")
    (folder / "kept").rename(folder / "progress")
    with caplog.at_level(logging.WARNING):
        load(str(folder))
    assert "golden.json was written for other files than these" in caplog.text
    assert cli.main(["model", "check", "--model", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["golden"]["state"] == "differ"


def test_rank_stabilised_lora_is_scaled_as_peft_scales_it(folder: Path) -> None:
    query = contract_query(RewardHead.PROGRESS, 1)
    plain = load(str(folder)).score([query])[0]
    with_values(CONFIG, use_rslora=True)(folder)
    model = load(str(folder))
    weights = np.exp(full_forward(model, query))
    (stabilised,) = model.score([query])
    expected = float(weights @ ANSWERS[query.head].values / weights.sum())
    assert stabilised.value == pytest.approx(expected, abs=1e-4) and stabilised.value != plain.value
