"""Runs any policy of LeRobot that plans in chunks as a base policy (:class:`lrm_core.protocols.Policy`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.fingerprints import weights_fingerprint
from lrm_core.protocols import STATE
from lrm_policy_node.lerobot.cameras import cameras_for, image_sizes, renamed, resizes
from lrm_policy_node.lerobot.checkpoint import load_checkpoint
from lrm_policy_node.lerobot.demonstrations import STATE_KEY

if TYPE_CHECKING:
    import torch


class LeRobotPolicy:
    """A frozen policy with its own processors, which has planned once.

    Args:
        folder: LeRobot pretrained folder (``config.json``, ``model.safetensors``, both processors).
        device: torch device.
        features: camera of the robot -> feature; empty: every image feature is from a camera of its own name.

    Attributes:
        chunk_steps: H, steps of ``predict_action_chunk``.
        cameras: the cameras it looks through, in the order of ``features``.
        image_sizes: (height, width) of each of them.
        resizes: it takes images of other sizes as well.
        observation_steps: the policy's ``n_obs_steps``.
        joints: J.
        fingerprint: of its weights, and of what its processors learnt.

    Raises:
        BadInput: the folder is no complete checkpoint, a feature has no camera, or the policy plans no chunks.
    """

    def __init__(
        self, folder: str | Path, device: str = "cpu", features: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        folder = Path(folder)
        self._policy, self._before, self._after = load_checkpoint(folder, device)
        self._device = device
        config = self._policy.config
        sizes, names = image_sizes(config, self._before.steps), renamed(self._before.steps)
        self._features = cameras_for(tuple(sizes), features, names)
        self.cameras = tuple(self._features)
        self.image_sizes = {camera: sizes[names.get(feature, feature)] for camera, feature in self._features.items()}
        self.resizes = resizes(config)
        self.observation_steps = int(config.n_obs_steps)
        self.joints = int(config.action_feature.shape[0])
        self.fingerprint = weights_fingerprint(folder)
        self.chunk_steps = self._tried(folder)
        self.reset("", 0)

    def reset(self, task: str, seed: int) -> None:
        """An episode begins; see :class:`lrm_core.protocols.Policy`."""
        self._task, self._seed, self._plans = task, seed, 0
        self._policy.reset()

    def chunk(
        self, observation: Mapping[str, np.ndarray], earlier: Sequence[Mapping[str, np.ndarray]] = ()
    ) -> np.ndarray:
        """(H, J) float32 joint targets; see :class:`lrm_core.protocols.Policy`."""
        import torch

        seen = [*earlier, observation][-self.observation_steps :]
        batches = [self._batch(one) for one in seen]
        with torch.inference_mode(), _drawn_from(self._seed, self._plans, self._device):
            ready = [self._before(batch) for batch in batches]
            if self.observation_steps > 1:
                _queue(self._policy, ready)
            actions = self._after(self._policy.predict_action_chunk(ready[-1]))
        self._plans += 1
        chunk: np.ndarray = actions[0].float().cpu().numpy()
        return chunk

    def _batch(self, observation: Mapping[str, np.ndarray]) -> dict[str, Any]:
        import torch

        batch: dict[str, Any] = {"task": self._task}
        state = _entry(observation, STATE)
        if state.shape != (self.joints,):
            raise BadInput(f"observation {STATE}", state.shape, f"shape {(self.joints,)}, as the policy was trained")
        batch[STATE_KEY] = torch.from_numpy(state.astype(np.float32))
        for camera, feature in self._features.items():
            size = None if self.resizes else self.image_sizes[camera]
            image = _checked_image(camera, _entry(observation, camera), size)
            batch[feature] = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255.0
        return batch

    def _tried(self, folder: Path) -> int:
        """Steps of a first plan, from nothing but zeros, so that what could not work fails before it is needed."""
        blank: dict[str, np.ndarray] = {STATE: np.zeros(self.joints, np.float32)}
        blank |= {camera: np.zeros((*size, 3), np.uint8) for camera, size in self.image_sizes.items()}
        self.reset("", 0)
        try:
            chunk = self.chunk(blank)
        except Exception as error:  # whatever other people's code raises: this policy does not plan
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise self._unfit(folder, reason) from error
        if chunk.ndim != 2 or chunk.shape[1] != self.joints or not np.isfinite(chunk).all():
            raise self._unfit(folder, f"It planned {chunk.shape}, finite: {bool(np.isfinite(chunk).all())}.")
        return len(chunk)

    def _unfit(self, folder: Path, reason: str) -> BadInput:
        inputs = f"{STATE_KEY} and images"
        allowed = f"a policy that plans finite chunks of {self.joints} joints from {inputs} (predict_action_chunk)"
        return BadInput(f"policy of type {self._policy.config.type}", str(folder), allowed, reason)


@contextmanager
def _drawn_from(seed: int, plan: int, device: str) -> Iterator[None]:
    """Whatever is drawn at random inside follows from seed and number of the plan alone, and disturbs nobody else."""
    import torch

    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(np.random.SeedSequence([seed + 1, plan]).generate_state(1)[0]))
        yield


def _queue(policy: Any, batches: Sequence[dict[str, torch.Tensor]]) -> None:
    """Fill the policy's queues of observations as its ``select_action`` does; the first fills what is empty.

    LeRobot has this inside ``select_action`` alone, which plans when its own actions are used up, not when asked.
    """
    import torch
    from lerobot.policies.utils import populate_queues
    from lerobot.utils.constants import ACTION, OBS_IMAGES

    policy.reset()
    for batch in batches:
        batch.pop(ACTION, None)  # LeRobot's pipelines put an empty one in
        batch[OBS_IMAGES] = torch.stack([batch[name] for name in policy.config.image_features], dim=-4)
        populate_queues(policy._queues, batch)


def _entry(observation: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in observation:
        raise BadInput("observation", sorted(observation), f"an entry {name!r}")
    return np.asarray(observation[name])


def _checked_image(camera: str, image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    expected = (*(size or image.shape[:2]), 3)
    if image.ndim != 3 or image.shape != expected:
        raise BadInput(f"observation {camera}", image.shape, f"shape {expected}, as the policy was trained")
    if image.dtype != np.uint8:
        raise BadInput(f"image {camera}", str(image.dtype), "uint8 RGB")
    return image
