"""The reward node: ``configure`` loads the model and fails when it cannot, ``activate`` listens and publishes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead, RewardStatus
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_reward_node.calibration import calibrated
from lrm_reward_node.camera_check import CameraLimits
from lrm_reward_node.cameras import camera_specs, check_cameras
from lrm_reward_node.checkpoint import checkpoint_path
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.params import RewardParams
from lrm_reward_node.pipeline import Fusion, RewardPipeline
from lrm_reward_node.prompts import check_task
from lrm_reward_node.ros.publishers import RewardPublishers
from lrm_reward_node.ros.session import ScoringSession
from lrm_reward_node.scoring import read_picture
from lrm_reward_node.swap import in_both_orders

ModelFactory = Callable[[RewardParams], RewardModel]


class RewardNode(LrmLifecycleNode[RewardParams]):
    """Scores what one or several cameras see.

    Args:
        model_factory: loads the model that the parameters name; raises :class:`LrmError` when it cannot.
    """

    params_class = RewardParams

    def __init__(self, model_factory: ModelFactory, **node_arguments: Any) -> None:
        super().__init__("reward", **node_arguments)
        self._model_factory = model_factory
        self._pipeline: RewardPipeline | None = None
        self._publishers_of_rewards: RewardPublishers | None = None
        self._session: ScoringSession | None = None

    def configure_node(self, params: RewardParams) -> None:
        """Load the model and create the publishers."""
        check_cameras(params.cameras, params.camera_quorum)
        self._cameras = camera_specs(params.cameras, params.robot)
        fusion = Fusion.of(params.fusion_form, params.fusion_weights)
        if params.task:
            check_task(params.task)
        goal = read_picture(Path(params.goal_image).expanduser()) if params.goal_image else None
        started_s = time.monotonic()
        model = corrected(self._model_factory(params), params)
        _prove(model, goal)
        self.get_logger().info(f"reward model {model.fingerprint} loaded in {time.monotonic() - started_s:.1f} s")
        limits = CameraLimits(params.camera_min_detail, params.camera_max_changed, params.camera_noise)
        self._pipeline = RewardPipeline(model, fusion, params.min_confidence, goal, limits)
        self._publishers_of_rewards = RewardPublishers(self, params.cameras)

    def activate_node(self) -> None:
        """Listen to cameras and episodes."""
        assert self._pipeline is not None
        assert self._publishers_of_rewards is not None
        self._session = ScoringSession(self, self.params, self._cameras, self._pipeline, self._publishers_of_rewards)

    def deactivate_node(self) -> None:
        """Stop listening; what the model works on is still published."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def cleanup_node(self) -> None:
        """Give back the model and the publishers."""
        if self._publishers_of_rewards is not None:
            self._publishers_of_rewards.destroy()
        self._publishers_of_rewards = self._pipeline = None


def _prove(model: RewardModel, goal: np.ndarray | None) -> None:
    """Ask every head once: the first real frame meets a warm model, and one that cannot run fails here."""
    black = np.zeros((128, 128, 3), np.uint8)
    goals = {RewardHead.PROGRESS: goal}
    for estimate in model.score(
        [RewardQuery(head, "put the cube in the bowl", black, 1, black, 1, goals.get(head)) for head in MODEL_HEADS]
    ):
        if estimate.status is RewardStatus.MODEL_ERROR:
            raise BadInput(f"answer of the {estimate.head.value} head", estimate.raw_text, "an answer to a black image")


def corrected(model: RewardModel, params: RewardParams) -> RewardModel:
    """``model`` as its rewards are published: calibrated, and contrastive in both orders where ``params`` say so."""
    folder = "" if params.backend == "openai" else params.adapters or checkpoint_path(params.model)
    return in_both_orders(calibrated(model, params.calibration, folder), params.contrastive_swap)


def load_model(params: RewardParams) -> RewardModel:
    """The vision-language reward model that ``params`` name, in this process or on servers.

    Raises:
        BadInput: the checkpoint or an adapter is missing, damaged or did not load, or a server is not fit.
    """
    if params.backend == "openai":
        from lrm_reward_node.remote.model import connect

        return connect(
            params.server_urls, params.server_models, params.readout, params.parsing, timeout_s=params.server_timeout_s,
            deadline_s=params.deadline_s, token_env=params.server_token_env, ca_file=params.server_ca_file,
        )  # fmt: skip
    import torch

    from lrm_reward_node.vlm.qwen import load

    if params.torch_threads:
        torch.set_num_threads(params.torch_threads)
    path = checkpoint_path(params.model)
    return load(
        path, params.adapters or None, params.device, params.dtype, params.readout, params.parsing, params.quantization
    )


def main() -> None:
    """Console script ``lrm_reward_node``."""
    sys.exit(run(lambda: RewardNode(load_model)))


if __name__ == "__main__":
    main()
