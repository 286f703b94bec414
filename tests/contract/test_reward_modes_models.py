"""The reward modes on real models of their real classes, tiny and random: contract, windows and times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardStatus
from lrm_reward_node.modes import registry
from lrm_reward_node.modes.contract import PERIOD_NS, RewardModeContract, contract_frame, contract_window
from lrm_reward_node.modes.mode import ModelOptions, RewardMode, Window
from lrm_reward_node.modes.roboreward import PROMPT, RoboRewardMode, parse_score, reward, video_metadata
from lrm_reward_node.modes.topreward import mean_fps, scaled
from reward_checkpoints import save_random_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_checkpoint(tmp_path_factory.mktemp("tiny"))


class _Opened(RewardModeContract):
    """Opens the mode once for all tests of the class."""

    name: ClassVar[str]
    opened: ClassVar[dict[str, RewardMode]] = {}

    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def make_mode(self) -> RewardMode:
        if self.name not in self.opened:
            self.opened[self.name] = registry.open_mode(self.name, ModelOptions(model=str(self.folder)))
        return self.opened[self.name]


class TestTri(_Opened):
    name = "tri"


class TestRoboReward(_Opened):
    name, answers = "roboreward", False

    @pytest.fixture(autouse=True)
    def _few_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lrm_reward_node.modes.roboreward.MAX_NEW_TOKENS", 4)

    def test_the_processor_writes_the_real_time_of_every_frame(self) -> None:
        mode = self.make_mode()
        assert isinstance(mode, RoboRewardMode)
        frames = [replace(contract_frame(i), stamp_ns=int(t * 1e9)) for i, t in enumerate((5, 7, 9, 10.5))]
        inputs = mode.inputs("tidy up", frames)
        text = mode._processor.tokenizer.decode(inputs["input_ids"][0])
        # Two frames are one temporal patch: its time is their mean.
        assert "<1.0 seconds>" in text and "<4.8 seconds>" in text
        assert text.count("seconds>") == 2 and PROMPT.replace("{task}", "tidy up") in text
        assert inputs["video_grid_thw"][0, 0] == 2

    @pytest.mark.parametrize(("text", "value"), [("ANSWER: 1", 0.0), ("ANSWER: 4", 0.75), (" ANSWER: 5\n", 1.0)])
    def test_a_legal_answer_is_a_reward(self, monkeypatch: pytest.MonkeyPatch, text: str, value: float) -> None:
        mode = self.make_mode()
        monkeypatch.setattr(mode, "_generate", lambda inputs: text)
        estimate = mode.score(contract_window())
        assert estimate.ok and estimate.value == value and estimate.raw_text == text


class TestTopReward(_Opened):
    name = "topreward"

    def test_its_weights_are_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[object] = []
        real = Qwen3VLForConditionalGeneration.from_pretrained
        monkeypatch.setattr(
            Qwen3VLForConditionalGeneration, "from_pretrained", lambda *a, **k: read.append(a) or real(*a, **k)
        )
        registry.open_mode(self.name, ModelOptions(model=str(self.folder)))
        assert len(read) == 1

    def test_it_is_the_scaled_log_probability_of_true(self) -> None:
        """Against transformers alone: the softmax at the position before the last token of the same prompt."""
        mode: Any = self.make_mode()
        window = contract_window()
        processor = AutoProcessor.from_pretrained(self.folder)
        config = mode._model.config
        chat = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": config.prompt_prefix}]}]
        opening = processor.apply_chat_template(chat, tokenize=False).split(processor.tokenizer.eos_token)[0]
        inputs = processor(
            text=[opening + config.prompt_suffix_template.format(instruction=window.task)],
            videos=[np.stack([frame.rgb for frame in window.video])],
            video_metadata=[{"fps": 1.0, "frames_indices": [0, 1, 2, 3], "total_num_frames": 4}],
            do_sample_frames=False,
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = mode._model.model(**inputs).logits[0, -2].float()
        expected = float(torch.log_softmax(logits, -1)[inputs["input_ids"][0, -1]])
        estimate = mode.score(window)
        assert estimate.raw_text == f"log P(True) = {expected:.3f}"
        assert estimate.value == pytest.approx(scaled(expected), abs=1e-5)

    def test_a_model_that_says_nothing_finite_is_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mode: Any = self.make_mode()
        monkeypatch.setattr(mode._model, "compute_reward", lambda batch: torch.tensor([float("nan")]))
        assert mode.score(contract_window()).status is RewardStatus.MODEL_ERROR


@pytest.fixture(scope="module")
def robometer_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Robometer of LeRobot's real class, saved as LeRobot saves it."""
    from lerobot.rewards.robometer import RobometerConfig, RobometerRewardModel

    torch.manual_seed(0)
    config = RobometerConfig(pretrained_path=None, base_model_id=str(folder), torch_dtype="float32", device="cpu")
    saved = tmp_path_factory.mktemp("robometer")
    RobometerRewardModel(config).save_pretrained(saved)
    return saved


class TestRobometer(RewardModeContract):
    opened: ClassVar[list[RewardMode]] = []

    @pytest.fixture(autouse=True)
    def _folder(self, robometer_folder: Path) -> None:
        self.folder = robometer_folder

    def make_mode(self) -> RewardMode:
        if not self.opened:
            self.opened.append(registry.open_mode("robometer", ModelOptions(model=str(self.folder))))
        return self.opened[0]

    def test_its_value_is_that_of_the_heads_at_the_last_frame(self) -> None:
        mode: Any = self.make_mode()
        window = contract_window()
        encoded = mode._encoder.encode_samples([(np.stack([frame.rgb for frame in window.video]), window.task)])
        with torch.inference_mode():
            bins, _ = mode._model._compute_rbm_logits(dict(encoded))
        expected = float(torch.softmax(bins[0, -1].float(), -1) @ torch.linspace(0, 1, 10))
        assert bins.shape == (1, 4, 10)
        assert mode.score(window).value == pytest.approx(expected, abs=1e-6)

    def test_at_most_eight_frames_of_at_most_320_pixels_are_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mode: Any = self.make_mode()
        shown: list[np.ndarray] = []
        encode = mode._encoder.encode_samples
        monkeypatch.setattr(mode._encoder, "encode_samples", lambda s: shown.append(s[0][0]) or encode(s))
        wide = [CameraFrame(np.full((480, 640, 3), i, np.uint8), i * PERIOD_NS, "front") for i in range(12)]
        mode.score(Window("tidy up", wide[-1], video=tuple(wide)))
        assert shown[0].shape == (8, 240, 320, 3)
        assert [int(frame.max()) for frame in shown[0]][::7] == [0, 11]

    def test_a_missing_tensor_is_refused(self, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        for path in self.folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        tensors = load_file(tmp_path / "model.safetensors")
        del tensors["progress_head.4.weight"]
        save_file(tensors, tmp_path / "model.safetensors")
        with pytest.raises(BadInput, match="progress_head"):
            registry.open_mode("robometer", ModelOptions(model=str(tmp_path)))

    def test_another_checkpoint_is_refused(self, folder: Path) -> None:
        with pytest.raises(BadInput, match="a Robometer checkpoint"):
            registry.open_mode("robometer", ModelOptions(model=str(folder)))


@pytest.mark.parametrize(
    "text", ["", "4", "ANSWER: 6", "ANSWER: 0", "ANSWER: 4.5", "ANSWER: 45", "The ANSWER: 4", "ANSWER: 4 or 5"]
)
def test_what_is_not_the_published_answer_has_no_score(text: str) -> None:
    assert parse_score(text) is None


def test_scales() -> None:
    assert [reward(s) for s in (1, 2, 3, 4, 5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [scaled(x) for x in (-30.0, -25.0, -15.0, -5.0, 0.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert np.isnan(scaled(float("nan")))


def test_frame_times_are_handed_over_in_milliseconds_and_as_a_mean_rate() -> None:
    frames = [replace(contract_frame(0), stamp_ns=int(t * 1e9)) for t in (3, 5, 7, 7.5)]
    assert video_metadata(frames) == {"fps": 1000.0, "frames_indices": [0, 2000, 4000, 4500], "total_num_frames": 4501}
    assert mean_fps(frames) == pytest.approx(3 / 4.5)


@pytest.mark.parametrize("name", ["roboreward", "topreward"])
def test_a_model_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="model"):
        registry.open_mode(name, ModelOptions(model=str(tmp_path)))
    with pytest.raises(BadInput, match="dtype"):
        registry.open_mode(name, ModelOptions(model=str(tmp_path), dtype="int3"))
