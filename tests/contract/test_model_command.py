"""``lrm model check`` tells a whole checkpoint from one that is not, and ``lrm model merge`` keeps the scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoProcessor

from lrm_bringup import cli
from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import golden
from lrm_reward_node.contract import FakeRewardModel, RewardModelContract, contract_query
from lrm_reward_node.model import RewardModel
from lrm_reward_node.training.stages import LORA_TARGETS
from lrm_reward_node.vlm.loading import load_backbone, load_checkpoint
from lrm_reward_node.vlm.qwen import load
from lrm_reward_node.vlm.routed import RoutedRewardModel
from reward_checkpoints import edit_adapter, save_random_checkpoint

SHIPPED = model_path("lrm-tiny")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released layout: progress brings a vision tower of its own, as PEFT saves ``["visual", "merger"]``."""
    folder = save_random_checkpoint(tmp_path_factory.mktemp("released"))
    shutil.rmtree(folder / "progress")
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=LORA_TARGETS, modules_to_save=["visual", "merger"], init_lora_weights=False)
    peft = get_peft_model(load_backbone(folder, torch.float32), config, adapter_name="progress")
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "modules_to_save" in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    peft.save_pretrained(folder, selected_adapters=["progress"])
    saved = json.loads((folder / "progress" / "adapter_config.json").read_text())["modules_to_save"]
    assert set(saved) == {"visual", "merger"}
    return folder


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


@pytest.fixture(scope="module")
def merged(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same checkpoint with progress merged into its own copy of the base."""
    folder = Path(shutil.copytree(released, tmp_path_factory.mktemp("merged") / "copy"))
    out = tmp_path_factory.mktemp("out") / "progress"
    assert cli.main(["model", "merge", "progress", "--model", str(folder), "--out", str(out)]) == 0
    shutil.rmtree(folder / "progress")
    shutil.move(out, folder / "progress")
    return folder


def check(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = cli.main(["model", "check", "--model", str(folder), "--json", *words])
    return code, json.loads(capsys.readouterr().out or "{}")


def test_the_shipped_checkpoint_is_proven_by_its_golden_scores(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(capsys, SHIPPED)
    assert code == 0 and found["ok"]
    assert found["golden"]["state"] == "match" and found["golden"]["scores"] == 24
    assert found["golden"]["written_for_these_files"]
    for head in MODEL_HEADS:
        proof = found["heads"][head.value]
        assert (proof["rank"], proof["alpha"], proof["tensors"], proof["lora_b"]) == (16, 32.0, 40, 20)
        assert proof["zero_lora_b"] == [] and proof["logit_change"] > 0.0 and not proof["own_vision"]
    assert len(found["fingerprint"]) == 64
    assert cli.main(["model", "check"]) == 0
    assert found["fingerprint"] in capsys.readouterr().out


def test_the_released_layout_is_loaded_with_its_own_vision_tower(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = check(capsys, released)
    proof = found["heads"]["progress"]
    assert code == 0 and found["golden"]["state"] == "absent"
    assert proof["own_vision"] and proof["modules_to_save"] == ["visual"] and proof["vision_change"] > 0.0
    assert not found["heads"]["contrastive"]["own_vision"] and found["heads"]["contrastive"]["vision_change"] == 0.0


Change = Callable[[dict[str, torch.Tensor]], None]


def one_zero_lora_b(tensors: dict[str, torch.Tensor]) -> None:
    name = sorted(name for name in tensors if "lora_B" in name)[0]
    tensors[name] = torch.zeros_like(tensors[name])


def all_zero_lora_b(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({name: torch.zeros_like(t) for name, t in tensors.items() if "lora_B" in name})


def not_finite(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({name: torch.full_like(t, torch.nan) for name, t in tensors.items() if "lora_B" in name})


def drop_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[sorted(tensors)[0]]


def test_a_module_whose_lora_b_is_zero_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_adapter(folder, "completion", one_zero_lora_b)
    code, found = check(capsys, folder)
    proof = found["heads"]["completion"]
    assert code == 0 and len(proof["zero_lora_b"]) == 1 and "self_attn" in proof["zero_lora_b"][0]


@pytest.mark.parametrize(
    ("change", "message"), [(all_zero_lora_b, "lora_B are zero"), (drop_one, "Not in the file"), (not_finite, "")]
)
def test_a_half_loaded_checkpoint_fails_the_check(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Change, message: str
) -> None:
    edit_adapter(folder, "contrastive", change)
    code, found = check(capsys, folder)
    assert code == 1 and not found["ok"] and message in found["failed"][0]


def test_golden_scores_find_a_changed_adapter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "golden.json"
    assert cli.main(["model", "check", "--model", str(folder), "--write-golden", str(file)]) == 0
    assert check(capsys, folder)[0] == 0

    def double(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: 2.0 * t for name, t in tensors.items() if "lora_B" in name})

    edit_adapter(folder, "completion", double)
    code, found = check(capsys, folder)
    assert code == 1 and found["golden"]["state"] == "differ" and not found["golden"]["written_for_these_files"]
    assert found["failed"] and all("completion" in line for line in found["failed"])


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 2}', '{"format": 1, "digest": "", "dtype": "float32", "tolerance": {}}']
)
def test_a_file_that_holds_no_golden_scores_is_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "golden.json"
    file.write_text(content)
    assert cli.main(["model", "check", "--golden", str(file)]) == 2
    assert cli.main(["model", "check", "--golden", str(tmp_path / "none.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_checkpoint_that_cannot_be_read_is_unusable(tmp_path: Path) -> None:
    assert cli.main(["model", "check", "--model", str(tmp_path)]) == 2


def test_unknown_answers_are_never_golden_and_never_match(monkeypatch: pytest.MonkeyPatch) -> None:
    good = golden.record(FakeRewardModel(), "digest", "float32")
    assert all(one.ok for one in golden.compare(FakeRewardModel(), good, "float32"))
    monkeypatch.setattr("lrm_reward_node.contract._usable", lambda image: False)
    with pytest.raises(BadInput, match="MODEL_ERROR"):
        golden.record(FakeRewardModel(), "digest", "float32")
    compared = golden.compare(FakeRewardModel(), good, "float32")
    assert not any(one.ok for one in compared) and all("MODEL_ERROR" in one.why for one in compared)


def test_a_processor_of_another_model_is_refused(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "patch_size": 14}))
    with pytest.raises(BadInput, match=r"processor .*patch size is 14, not 16"):
        load(str(folder))


@pytest.fixture(scope="module")
def merged_model(merged: Path) -> RewardModel:
    return load(str(merged))


def test_a_merged_model_stands_alone_with_the_processor_of_its_head(merged: Path) -> None:
    for name in ("tokenizer.json", "preprocessor_config.json", "video_preprocessor_config.json", "chat_template.jinja"):
        assert (merged / "progress" / name).read_bytes() == (merged / name).read_bytes()


@pytest.mark.parametrize("own", [True, False])
def test_a_head_takes_the_processor_in_its_folder_and_else_the_base_s(
    folder: Path, capsys: pytest.CaptureFixture[str], own: bool
) -> None:
    if own:
        AutoProcessor.from_pretrained(folder).save_pretrained(folder / "contrastive")
    assert check(capsys, folder)[1]["heads"]["contrastive"]["own_processor"] is own


class TestMergedHead(RewardModelContract):
    @pytest.fixture(autouse=True)
    def _use(self, merged_model: RewardModel) -> None:
        self.model = merged_model

    def make_model(self) -> RewardModel:
        return self.model

    def test_it_scores_as_its_adapter_does(self, released: Path) -> None:
        assert isinstance(self.model, RoutedRewardModel)
        queries = [contract_query(head, stamp) for stamp in (1, 2, 3) for head in MODEL_HEADS]
        expected = [estimate.value for estimate in load(str(released)).score(queries)]
        np.testing.assert_allclose([estimate.value for estimate in self.model.score(queries)], expected, atol=1e-3)


def test_a_merged_head_is_shown_as_one(merged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(capsys, merged)
    proof = found["heads"]["progress"]
    assert code == 0 and proof["merged"] and proof["own_vision"] and proof["logit_change"] > 0.0
    assert proof["own_processor"]
    assert not found["heads"]["contrastive"]["merged"]


def test_a_merged_head_that_is_the_plain_base_fails_the_check(
    merged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(merged, tmp_path / "copy"))
    shutil.copy(folder / "model.safetensors", folder / "progress" / "model.safetensors")
    code, found = check(capsys, folder)
    assert code == 1 and "equal the base's" in found["failed"][0]


def test_a_merged_head_with_a_missing_tensor_is_refused(merged: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(merged, tmp_path / "copy"))
    path = folder / "progress" / "model.safetensors"
    tensors = load_backbone(folder / "progress", torch.float32).state_dict()
    save_file({k: v.contiguous() for k, v in list(tensors.items())[1:]}, path, {"format": "pt"})
    with pytest.raises(BadInput, match="missing keys"):
        load_checkpoint(str(folder), None, "cpu", "float32")


def test_merging_refuses_a_folder_in_use_and_a_head_that_is_merged(merged: Path, tmp_path: Path) -> None:
    words = ["model", "merge", "progress", "--model", str(merged), "--out"]
    assert cli.main([*words, str(merged)]) == 2
    assert cli.main([*words, str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


def test_models_of_different_checkpoints_are_not_routed_together() -> None:
    other = FakeRewardModel()
    other.fingerprint = "another"  # type: ignore[misc]
    with pytest.raises(BadInput, match="fingerprint"):
        RoutedRewardModel(FakeRewardModel(), {RewardHead.PROGRESS: other})
