"""The ACT base policy: real LeRobot training on a few small frames, a regular LeRobot folder, clear errors."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.fingerprints import weights_fingerprint
from lrm_core.protocols import Policy
from lrm_policy_node.lerobot import demonstrations, model
from lrm_policy_node.lerobot.policy import LeRobotPolicy
from lrm_policy_node.lerobot.train import FrameBank, TrainSettings, train
from lrm_policy_node.lerobot.train_vision import VisionSettings, scenes, train_vision
from lrm_policy_node.lerobot.vision import KeypointVisionStep

SIZE, STEPS = 32, 14
CPU = torch.device("cpu")
SETTINGS = TrainSettings(steps=12, batch_size=8, warmup_steps=2, learning_rate=1e-3)


def episode(seed: int, length: int = STEPS) -> EpisodeRecord:
    rng = np.random.default_rng(seed)
    image = lambda: rng.integers(0, 255, (length, SIZE, SIZE, 3), dtype=np.uint8)  # noqa: E731
    states = rng.normal(size=(length, 6)).astype(np.float32)
    nothing = np.zeros(length)
    return EpisodeRecord(
        "put it there", seed, "success", image(), image(), states, states + 0.1, nothing, nothing > 0, {}, {}
    )


def episodes(count: int) -> list[EpisodeRecord]:
    return [episode(seed, STEPS + seed) for seed in range(count)]


DATA = demonstrations.from_records(episodes(3))


def observation() -> dict[str, np.ndarray]:
    record = episode(9)
    return {"front": record.front[0], "wrist": record.wrist[0], "state": record.states[0]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("act")
    train(DATA, folder, SETTINGS, CPU)
    return folder


def test_a_trained_policy_plans_a_chunk_of_joint_targets(trained: Path) -> None:
    policy = LeRobotPolicy(trained)
    assert isinstance(policy, Policy) and policy.chunk_steps == 10
    assert policy.image_sizes == {"front": (SIZE, SIZE), "wrist": (SIZE, SIZE)}
    assert policy.fingerprint == weights_fingerprint(trained)
    policy.reset("put it there", 0)
    chunk = policy.chunk(observation())
    assert chunk.shape == (10, 6) and chunk.dtype == np.float32 and np.isfinite(chunk).all()
    assert np.array_equal(chunk, policy.chunk(observation())), "the same frame gives the same plan"


def test_the_folder_is_one_that_lerobot_loads_with_nothing_missing(trained: Path) -> None:
    from lerobot.policies.act.modeling_act import ACTPolicy

    policy = ACTPolicy.from_pretrained(trained, strict=True)
    stored = load_file(trained / "model.safetensors")
    assert set(policy.state_dict()) == set(stored)
    assert all(tensor.dtype == torch.float16 for tensor in stored.values())
    assert not (trained / "state.pt").exists(), "what only a resumed training needs is gone"


def bank(stats: dict[str, dict[str, torch.Tensor]]) -> FrameBank:
    return FrameBank(DATA, None, stats, SETTINGS, CPU)


def test_training_normalises_as_the_saved_processors_do() -> None:
    stats = model.dataset_stats(DATA)
    before, after = model.make_act_pre_post_processors(model.act_config(DATA), stats)
    raw, ours = bank({}).batch(), bank(stats).batch()
    theirs = before(dict(raw))
    for key in stats:
        assert torch.allclose(ours[key], theirs[key], atol=1e-5), key
    back = after(ours[demonstrations.ACTION_KEY])
    assert torch.allclose(back, raw[demonstrations.ACTION_KEY], atol=1e-5)


def test_actions_after_the_end_of_an_episode_are_masked_and_never_another_episodes() -> None:
    batch = bank({}).batch()
    state, actions, padded = (batch[k] for k in (demonstrations.STATE_KEY, demonstrations.ACTION_KEY, "action_is_pad"))
    assert torch.allclose(actions[:, 0], state + 0.1, atol=1e-5)
    assert padded.any() and not padded[:, 0].any()
    for row, mask in zip(actions, padded, strict=True):
        if mask.any():
            first = int(mask.nonzero()[0])
            assert torch.equal(row[first:], row[first - 1].expand_as(row[first:]))


def test_training_resumes_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, batch = [], FrameBank.batch

    def interrupted(bank: FrameBank) -> dict[str, torch.Tensor]:
        drawn.append(1)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return batch(bank)

    monkeypatch.setattr(FrameBank, "batch", interrupted)
    settings = TrainSettings(steps=2, batch_size=4, save_every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(DATA, tmp_path, settings, CPU)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 1
    train(DATA, tmp_path, settings, CPU)
    assert len(drawn) == 3, "the first step was not done again"


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    """The loss is a mean over the last 100 steps, the first ones included."""
    first = train(DATA, tmp_path / "a", replace(SETTINGS, steps=1), CPU)
    assert train(DATA, tmp_path / "b", replace(SETTINGS, steps=60), CPU) < 0.95 * first


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "policy_preprocessor.json"])
def test_a_folder_that_is_not_complete_is_named(trained: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(trained, tmp_path / "policy")
    (folder / missing).unlink()
    with pytest.raises(BadInput, match=missing):
        LeRobotPolicy(folder)


@pytest.mark.parametrize("damage", ["truncated", "another shape", "a tensor is missing", "not finite"])
def test_a_damaged_checkpoint_is_refused_with_its_cause(trained: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(trained, tmp_path / "policy")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = "model.action_head.weight"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:100_000])
    elif damage == "another shape":
        save_file(tensors | {name: torch.zeros(7, 256)}, weights)
    elif damage == "a tensor is missing":
        save_file({key: value for key, value in tensors.items() if key != name}, weights)
    else:
        save_file(tensors | {name: torch.full_like(tensors[name], float("nan"))}, weights)
    with pytest.raises(BadInput, match="policy checkpoint"):
        LeRobotPolicy(folder)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("front", np.zeros((64, 64, 3), np.uint8), "observation front"),
        ("wrist", np.zeros((SIZE, SIZE, 3), np.float32), "image wrist"),
        ("state", np.zeros(5, np.float32), "observation state"),
    ],
)
def test_an_observation_of_another_shape_is_refused(trained: Path, entry: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        LeRobotPolicy(trained).chunk(observation() | {entry: value})


def test_demonstrations_are_checked() -> None:
    with pytest.raises(BadInput, match="no episode"):
        demonstrations.from_records([])
    with pytest.raises(BadInput, match="source"):
        demonstrations.from_source("nowhere:nothing", {})
    with pytest.raises(BadInput, match="dataset"):
        demonstrations.from_dataset(Path("nowhere"))


def labelled(seed: int) -> EpisodeRecord:
    """A bright square whose place in the image is its position."""
    rng = np.random.default_rng(seed)
    front = np.zeros((STEPS, SIZE, SIZE, 3), np.uint8)
    corners = rng.integers(2, SIZE - 8, (STEPS, 2))
    for image, (row, column) in zip(front, corners, strict=True):
        image[row : row + 6, column : column + 6] = 255
    places = np.concatenate([corners / SIZE * 0.4, np.zeros((STEPS, 1))], axis=1).astype(np.float32)
    return replace(episode(seed), front=front, positions={"object": places}, labels={"object": "white square"})


def test_cameras_reach_the_features_that_the_robot_names(trained: Path) -> None:
    seen = observation()
    swapped = {"front": "observation.images.wrist", "wrist": "observation.images.front"}
    crossed = LeRobotPolicy(trained, features=swapped).chunk(seen | {"front": seen["wrist"], "wrist": seen["front"]})
    assert np.array_equal(LeRobotPolicy(trained).chunk(seen), crossed)
    with pytest.raises(BadInput, match=r"observation\.images\.top"):
        LeRobotPolicy(trained, features={"front": "observation.images.top"})


@pytest.fixture(scope="module")
def vision() -> tuple[KeypointVisionStep, dict[str, float]]:
    data = scenes([labelled(seed) for seed in range(30)])
    return train_vision(data, VisionSettings(steps=300, batch_size=32), CPU)


def test_the_encoder_learns_where_things_are(vision: tuple[KeypointVisionStep, dict[str, float]]) -> None:
    errors_m = vision[1]
    assert set(errors_m) == {"white square"} and errors_m["white square"] < 0.05, "chance is 0.15 m"


def test_a_policy_that_sees_keypoints_is_a_regular_lerobot_folder(
    vision: tuple[KeypointVisionStep, dict[str, float]], tmp_path: Path
) -> None:
    train(DATA, tmp_path, SETTINGS, CPU, vision=vision[0], about={"source": "here"})
    policy = LeRobotPolicy(tmp_path)
    assert policy.image_sizes == {"front": (SIZE, SIZE)}
    seen = observation()
    moved = seen | {"front": labelled(0).front[0]}
    assert policy.chunk(seen).shape == (10, 6)
    assert not np.array_equal(policy.chunk(seen), policy.chunk(moved)), "it looks at the front camera"
    assert np.array_equal(policy.chunk(seen), policy.chunk(seen | {"wrist": moved["front"]})), "and at no other"
