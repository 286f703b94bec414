"""Policies of LeRobot's own classes, small and random, through cameras of any number, name and size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrm_core import resources
from lrm_core.errors import BadInput
from lrm_policy_node.lerobot.demonstrations import ACTION_KEY, STATE_KEY, from_dataset
from lrm_policy_node.lerobot.policy import LeRobotPolicy
from lrm_policy_node.lerobot.train import TrainSettings, train
from lrm_policy_node.lerobot.vision import FRONT_KEY

JOINTS, TASK = 4, "put the red cube in the blue bowl"
TOP, PHONE = "observation.images.top", "observation.images.phone"


def features(**images: tuple[int, int]) -> dict[str, Any]:
    """Input and output features with images of these (height, width)."""
    from lerobot.configs import FeatureType, PolicyFeature

    visual = {f"observation.images.{n}": PolicyFeature(FeatureType.VISUAL, (3, *size)) for n, size in images.items()}
    state = {STATE_KEY: PolicyFeature(FeatureType.STATE, (JOINTS,))}
    return {
        "input_features": {**state, **visual},
        "output_features": {ACTION_KEY: PolicyFeature(FeatureType.ACTION, (JOINTS,))},
        "device": "cpu", "push_to_hub": False,
    }  # fmt: skip


def act(folder: Path) -> Any:
    from lerobot.policies.act.configuration_act import ACTConfig

    sizes = features(phone=(32, 48), top=(24, 32))
    small = {"dim_model": 16, "n_heads": 2, "dim_feedforward": 16, "n_encoder_layers": 1, "use_vae": False}
    return ACTConfig(**sizes, **small, chunk_size=20, n_action_steps=5, pretrained_backbone_weights=None)


def vqbet(folder: Path) -> Any:
    from lerobot.policies.vqbet.configuration_vqbet import VQBeTConfig

    small = {"gpt_input_dim": 16, "gpt_output_dim": 16, "gpt_n_layer": 1, "gpt_n_head": 2, "gpt_hidden_dim": 16}
    codes = {"vqvae_n_embed": 16, "vqvae_embedding_dim": 8, "vqvae_enc_hidden_dim": 8}
    return VQBeTConfig(
        **features(top=(64, 64)), **small, **codes,
        n_obs_steps=3, action_chunk_size=10, crop_shape=None, pretrained_backbone_weights=None,
    )  # fmt: skip


def diffusion(folder: Path) -> Any:
    pytest.importorskip("diffusers", reason="LeRobot's Diffusion policy needs diffusers: lerobot[diffusion]")
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

    return DiffusionConfig(
        **features(phone=(64, 64), top=(64, 64)), n_obs_steps=2, horizon=16, n_action_steps=10, crop_shape=None,
        pretrained_backbone_weights=None, down_dims=(16, 32), diffusion_step_embed_dim=8, n_groups=4,
        num_train_timesteps=4,
    )  # fmt: skip


def smolvla(folder: Path) -> Any:
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    return SmolVLAConfig(
        **features(phone=(48, 64), top=(24, 32)), vlm_model_name=str(small_vlm(folder)), load_vlm_weights=False,
        chunk_size=12, n_action_steps=12, resize_imgs_with_padding=(32, 32), num_vlm_layers=2, num_steps=2,
    )  # fmt: skip


def small_vlm(folder: Path) -> Path:
    """What SmolVLA takes from its language model's folder: a configuration, and the tokens of the shipped tokenizer."""
    from transformers import SmolVLMConfig

    shutil.copytree(resources.model_path("lrm-tiny"), folder, ignore=shutil.ignore_patterns("*.safetensors", "golden*"))
    told = json.loads((folder / "tokenizer_config.json").read_text())
    told["extra_special_tokens"] = {"fake_image_token": "<|vision_start|>", "global_image_token": "<|vision_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 4096}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SmolVLMConfig(
        text_config={**text, **heads, "model_type": "llama"},
        vision_config={**vision, "image_size": 32, "patch_size": 8}, pad_token_id=0, image_token_id=1,
    )  # fmt: skip
    config.save_pretrained(folder)
    return folder


def saved(config: Any, folder: Path) -> Path:
    """A pretrained folder with fresh weights, as LeRobot's training leaves it."""
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    torch.manual_seed(0)
    get_policy_class(config.type)(config).save_pretrained(folder)
    joints = {"mean": torch.zeros(JOINTS), "std": torch.ones(JOINTS)}
    joints |= {"min": -torch.ones(JOINTS), "max": torch.ones(JOINTS)}
    pixels = {name: torch.full((3, 1, 1), value) for name, value in (("mean", 0.5), ("std", 0.5), ("min", 0.0))}
    stats = {name: {**pixels, "max": torch.ones(3, 1, 1)} for name in config.image_features}
    for processor in make_pre_post_processors(config, dataset_stats={STATE_KEY: joints, ACTION_KEY: joints, **stats}):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[act, vqbet, diffusion, smolvla], ids=lambda make: make.__name__)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make: Callable[[Path], Any] = request.param
    work = tmp_path_factory.mktemp(make.__name__)
    return saved(make(work / "vlm"), work / "policy")


ROBOT = {"side": "observation.images.side", "desk": TOP, "phone": PHONE}


def seen(policy: LeRobotPolicy, seed: int) -> dict[str, np.ndarray]:
    """An observation of all of the robot's cameras."""
    rng = np.random.default_rng(seed)
    sizes = {camera: policy.image_sizes.get(camera, (8, 8)) for camera in ROBOT}
    images = {name: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in sizes.items()}
    return {**images, "state": rng.normal(size=JOINTS).astype(np.float32)}


def test_a_policy_of_any_class_plans_the_same_for_a_seed_and_disturbs_nobody(folder: Path) -> None:
    policy = LeRobotPolicy(folder, features=ROBOT)
    config = policy._policy.config
    assert policy.cameras == tuple(camera for camera, name in ROBOT.items() if name in config.image_features)
    earlier = [seen(policy, 1), seen(policy, 2)]
    before = torch.get_rng_state()
    plans = []
    for seed in (7, 7, 8):
        policy.reset(TASK, seed)
        plans.append([policy.chunk(seen(policy, 3), earlier) for _ in range(2)])
    assert torch.equal(torch.get_rng_state(), before)
    assert plans[0][0].shape == (policy.chunk_steps, JOINTS)
    assert np.isfinite(plans[0][0]).all()
    assert np.array_equal(plans[0], plans[1])
    drawn = config.type != "act"
    assert np.array_equal(plans[0][0], plans[2][0]) != drawn, "another seed draws otherwise"
    assert np.array_equal(plans[0][0], plans[0][1]) != drawn, "and so does the next plan"


def test_a_policy_plans_from_as_many_observations_as_it_was_trained_with(folder: Path) -> None:
    policy = LeRobotPolicy(folder, features=ROBOT)

    def plan(*numbers: int) -> np.ndarray:
        policy.reset(TASK, 0)
        *earlier, last = (seen(policy, number) for number in numbers)
        return policy.chunk(last, earlier)

    steps = policy.observation_steps
    assert steps == policy._policy.config.n_obs_steps
    assert np.array_equal(plan(*range(9, 9 - steps, -1)), plan(10, *range(9, 9 - steps, -1))), "what is older is gone"
    assert np.array_equal(plan(5), plan(*[5] * steps)), "at the start the first one stands for those before it"
    assert np.array_equal(plan(5), plan(4, 5)) == (steps == 1)


def test_a_policy_that_takes_sentences_plans_by_the_task(tmp_path: Path) -> None:
    policy = LeRobotPolicy(saved(smolvla(tmp_path / "vlm"), tmp_path / "policy"))
    plans = []
    for task in (TASK, "put the green cylinder in the orange tray"):
        policy.reset(task, 0)
        plans.append(policy.chunk({**seen(policy, 0), "top": np.zeros((9, 12, 3), np.uint8)}))
    assert not np.array_equal(*plans)
    with pytest.raises(BadInput, match="observation top"):
        policy.chunk({**seen(policy, 0), "top": np.zeros((9, 12), np.uint8)})


def test_weights_of_a_backbone_are_not_fetched_where_the_checkpoint_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(act(tmp_path), tmp_path / "policy")
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_backbone_weights"] = "ResNet18_Weights.IMAGENET1K_V1"  # what lerobot-train writes
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("it was fetched"))
    assert LeRobotPolicy(folder).cameras == ("phone", "top")


def test_a_policy_that_needs_what_no_robot_gives_is_refused_before_it_runs(tmp_path: Path) -> None:
    from lerobot.configs import FeatureType, PolicyFeature

    config = act(tmp_path)
    config.input_features["observation.environment_state"] = PolicyFeature(FeatureType.ENV, (3,))
    with pytest.raises(BadInput, match=r"policy of type act.*observation\.environment_state"):
        LeRobotPolicy(saved(config, tmp_path / "policy"))


def test_the_shipped_policy_plans_bit_by_bit_what_lerobot_makes_of_it() -> None:
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    shipped = resources.model_path("act-pick-place")
    policy = LeRobotPolicy(shipped, features={"front": FRONT_KEY, "wrist": "observation.images.wrist"})
    assert (policy.cameras, policy.chunk_steps, policy.observation_steps) == (("front",), 10, 1)
    rng = np.random.default_rng(0)
    front, state = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8), rng.normal(size=6).astype(np.float32)
    theirs = ACTPolicy.from_pretrained(shipped, strict=True).eval()
    before, after = make_pre_post_processors(theirs.config, pretrained_path=str(shipped))
    with torch.inference_mode():
        pixels = torch.from_numpy(front).permute(2, 0, 1).float() / 255.0
        expected = after(theirs.predict_action_chunk(before({STATE_KEY: torch.from_numpy(state), FRONT_KEY: pixels})))
    policy.reset(TASK, 3)
    assert np.array_equal(policy.chunk({"front": front, "state": state}), expected[0].numpy())


def test_a_dataset_of_any_cameras_trains_a_policy_that_looks_through_them(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    def picture(*size: int) -> dict[str, Any]:
        return {"dtype": "image", "shape": (*size, 3), "names": ["height", "width", "channels"]}

    joints = {"dtype": "float32", "shape": (JOINTS,), "names": [f"joint_{i}" for i in range(JOINTS)]}
    columns = {TOP: picture(24, 32), PHONE: picture(32, 32), STATE_KEY: joints, ACTION_KEY: joints}
    root, rng = tmp_path / "data", np.random.default_rng(0)
    written = LeRobotDataset.create("local/data", fps=10, features=columns, root=root, use_videos=False)
    for episode in range(2):
        for _ in range(3 + episode):
            frame = {key: rng.integers(0, 256, columns[key]["shape"], dtype=np.uint8) for key in (TOP, PHONE)}
            state = rng.normal(size=JOINTS).astype(np.float32)
            written.add_frame({**frame, STATE_KEY: state, ACTION_KEY: state, "task": f"task {episode}"})
        written.save_episode()
    written.finalize()
    data = from_dataset(root)
    assert (data.tasks, data.last.tolist()) == (["task 0", "task 1"], [2, 2, 2, 6, 6, 6, 6])
    assert {key: frames.shape for key, frames in data.images.items()} == {TOP: (7, 24, 32, 3), PHONE: (7, 32, 32, 3)}
    train(data, tmp_path / "policy", TrainSettings(steps=1, batch_size=2, warmup_steps=1), torch.device("cpu"))
    policy = LeRobotPolicy(tmp_path / "policy", features=ROBOT)
    assert policy.image_sizes == {"desk": (24, 32), "phone": (32, 32)}
    assert policy.chunk(seen(policy, 0)).shape == (10, JOINTS)
