"""Runs an ACT policy from a local LeRobot folder as a base policy (:class:`lrm_core.protocols.Policy`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.fingerprints import weights_fingerprint
from lrm_policy_node.lerobot.demonstrations import CAMERAS, STATE_KEY, image_key
from lrm_policy_node.lerobot.vision import KeypointVisionStep


class ActPolicy:
    """A frozen ACT policy with its own normalisation.

    Args:
        folder: LeRobot pretrained folder (``config.json``, ``model.safetensors``, both processors).
        device: torch device.
        features: camera -> the policy's feature of it; a camera that is not named: observation.images.<camera>.

    Attributes:
        chunk_steps: K, the policy's ``n_action_steps``.
        cameras: the cameras it looks at.
        image_shape: (H, W, 3) of each of them.
        fingerprint: of its weights, and of what its processors learnt.

    Raises:
        BadInput: the folder is not a complete checkpoint of an ACT policy with the cameras front and wrist.
    """

    def __init__(
        self, folder: str | Path, device: str = "cpu", features: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        folder = Path(folder)
        self._features = {camera: features.get(camera, image_key(camera)) for camera in CAMERAS}
        _check_files(folder)
        self._policy, self._before, self._after = _load(folder, device)
        config = self._policy.config
        self.cameras, self.image_shape = _cameras(config.input_features, self._before.steps, self._features)
        if not self.cameras or STATE_KEY not in config.input_features:
            raise BadInput(
                "policy", sorted(config.input_features), f"{STATE_KEY} and {list(self._features.values())} of one size"
            )
        self.joints = config.input_features[STATE_KEY].shape[0]
        self.chunk_steps = int(config.n_action_steps)
        self.fingerprint = weights_fingerprint(folder)

    def reset(self) -> None:
        """Forget everything about the current episode."""
        self._policy.reset()

    def chunk(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """(K, J) float32 joint targets from ``front``, ``wrist`` (H, W, 3) uint8 RGB and ``state`` (J,) float32."""
        import torch

        batch = {STATE_KEY: torch.from_numpy(self._checked(observation, "state", (self.joints,)).astype(np.float32))}
        for camera in self.cameras:
            image = self._checked(observation, camera, self.image_shape)
            if image.dtype != np.uint8:
                raise BadInput(f"image {camera}", str(image.dtype), "uint8 RGB")
            batch[self._features[camera]] = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255.0
        with torch.inference_mode():
            actions = self._after(self._policy.predict_action_chunk(self._before(batch)))
        chunk: np.ndarray = actions[0, : self.chunk_steps].float().cpu().numpy()
        return chunk

    def _checked(self, observation: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in observation:
            raise BadInput("observation", sorted(observation), f"an entry {name!r}")
        value = np.asarray(observation[name])
        if value.shape != shape:
            raise BadInput(f"observation {name}", value.shape, f"shape {shape}, as the policy was trained")
        return value


def _cameras(
    inputs: Mapping[str, Any], steps: Sequence[Any], features: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    """Cameras and their one image shape; no cameras when the policy does not fit."""
    for step in steps:
        if isinstance(step, KeypointVisionStep):
            return (CAMERAS[0],), (step.image_size[0], step.image_size[1], 3)
    shapes = {camera: inputs[feature].shape for camera, feature in features.items() if feature in inputs}
    if set(shapes) != set(CAMERAS) or len(set(shapes.values())) != 1:
        return (), (0, 0, 3)
    channels, height, width = shapes[CAMERAS[0]]
    return CAMERAS, (height, width, channels)


def _check_files(folder: Path) -> None:
    needed = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise BadInput(
            "policy folder", str(folder), f"a LeRobot pretrained folder with {missing}", "See: lrm train policy"
        )


def _load(folder: Path, device: str):  # type: ignore[no-untyped-def]
    import torch
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors
    from safetensors import SafetensorError

    try:
        policy = ACTPolicy.from_pretrained(folder, strict=True)
        policy.config.device = device
        before, after = make_pre_post_processors(
            policy.config,
            pretrained_path=str(folder),
            preprocessor_overrides={"device_processor": {"device": device}},
        )
    except (SafetensorError, RuntimeError, ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(
            "policy checkpoint", str(folder), "a complete ACT checkpoint", f"It does not load: {reason}"
        ) from error
    if not all(torch.isfinite(tensor).all() for tensor in policy.state_dict().values()):
        raise BadInput("policy checkpoint", str(folder), "finite weights", "Train or fetch it again.")
    return policy.to(device).eval(), before, after
