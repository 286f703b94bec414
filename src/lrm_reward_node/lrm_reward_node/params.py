"""Parameters of the reward node."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param
from lrm_reward_node.camera_check import CameraLimits
from lrm_reward_node.checkpoint import QUANTIZATIONS
from lrm_reward_node.parsing import PARSINGS
from lrm_reward_node.pipeline import FUSION_FORMS
from lrm_reward_node.readout import READOUTS


@dataclass(frozen=True)
class RewardParams:
    """Parameters of the reward node; ``config/reward.yaml`` holds the same names."""

    cameras: list[str] = param(  # noqa: RUF009
        ["front"], "Cameras that are scored: <camera>/image_raw or <camera>/image_raw/compressed."
    )
    robot: str = param(
        "", "Robot description that says the topics of the cameras: a name in config/robots or the path of a YAML file."
    )
    camera_quorum: int = param(0, "Cameras that have to know for a verdict; 0: all of them.", low=0, high=64)
    transport: str = param("raw", "Image transport.", choices=("raw", "compressed"))
    lockstep: bool = param(False, "The robot is a simulation that waits: no frame may be lost, and ages are wall time.")
    backend: str = param(
        "local", "Where the model runs: in this node, or on OpenAI-compatible servers.", choices=("local", "openai")
    )
    server_urls: list[str] = param([], "Servers of backend openai, for example http://gpu:8000.")  # noqa: RUF009
    server_models: list[str] = param(  # noqa: RUF009
        ["contrastive", "progress", "completion"], "Names of the three models at the servers, in this order."
    )
    server_token_env: str = param("", "Environment variable that holds the bearer token. Empty: none is sent.")
    server_timeout_s: float = param(2.0, "Limit of one request to a server.", unit="s", low=0.01, high=600.0)
    server_ca_file: str = param("", "PEM file of the authority behind the servers' certificates. Empty: the system's.")
    model: str = param("", "Checkpoint: a folder, or a name on the model hub. Empty: the one that is shipped.")
    adapters: str = param("", "Folder with contrastive/, progress/, completion/. Empty: those of the checkpoint.")
    device: str = param("cpu", "Device of the model, for example cpu or cuda:0.")
    dtype: str = param("float32", "Number format of the model.", choices=("float32", "bfloat16", "float16"))
    quantization: str = param(
        "none",
        "Weights of the language model in 8 or 4 bit, for small cards; needs the package bitsandbytes.",
        choices=QUANTIZATIONS,
    )
    readout: str = param("logits", "Expected value over the legal answers, or generated text.", choices=READOUTS)
    parsing: str = param(
        "strict",
        "Rules for generated text: the published format alone, or lenient about its framing.",
        choices=PARSINGS,
    )
    torch_threads: int = param(1, "Threads of one forward pass; 0: the library's choice.", low=0, high=256)
    query_rate_hz: float = param(
        0.0,
        "Queries per second of the stamps; 0: the call interval of the policy, once a second without a policy.",
        unit="Hz",
        low=0.0,
        high=100.0,
    )
    task: str = param("", "Task to score from the first frame on, while no policy node says what runs. Empty: wait.")
    goal_image: str = param("", "Picture file of the finished task, for progress to compare with. Empty: none.")
    deadline_s: float = param(
        3.0,
        "A frame that has not arrived this long after its time is LOST; one older when its turn comes is LATE.",
        unit="s",
        low=0.05,
        high=600.0,
    )
    calibration: str = param(
        "auto",
        "Correction of the stated probabilities, written by lrm calibrate: auto takes the file beside the adapters "
        "where there is one of this very model, none takes nothing, else a file.",
    )
    contrastive_swap: bool = param(
        False, "Ask contrastive in both orders of its pictures and average: no order bias, one more answer per frame."
    )
    min_confidence: float = param(0.0, "An answer of lower confidence is UNCERTAIN; 0: off.", low=0.0, high=1.0)
    camera_min_detail: float = param(
        CameraLimits.min_detail,
        "A picture whose strongest edges are weaker, in levels of 255, is covered: CAMERA_FAULT; 0: off.",
        low=0.0,
        high=255.0,
    )
    camera_max_changed: float = param(
        CameraLimits.max_changed,
        "A picture of which a larger share is not as in the reset frame, light apart, shows another scene: "
        "CAMERA_FAULT; 1: off.",
        low=0.0,
        high=1.0,
    )
    camera_noise: bool = param(
        True,
        "The camera has sensor noise, so that a frame equal to that of the previous query is frozen: CAMERA_FAULT. "
        "False for a simulated camera.",
    )
    fusion_form: str = param(
        "code", "Fused reward of the official code, (c+1)/2, or of the paper, signed c.", choices=FUSION_FORMS
    )
    fusion_weights: list[float] = param(  # noqa: RUF009
        [1 / 3, 1 / 3, 1 / 3], "Weights of contrastive, progress and completion; they sum to 1.", low=0.0, high=1.0
    )
    buffer_s: float = param(5.0, "Frames are kept this long.", unit="s", low=0.1, high=600.0)
    buffer_mb: int = param(256, "Frames of one camera are kept up to this size.", unit="MB", low=1, high=65536)
    min_camera_hz: float = param(1.0, "Slower frames are a warning in diagnostics.", unit="Hz", low=0.0, high=1000.0)
    state_dir: str = param(
        "~/.ros/lrm", "Folder for what a restarted node needs to go on with its episode. Empty: nothing is kept."
    )
