"""The port of a reward mode: a window of one episode in, one estimate out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardHead


@dataclass(frozen=True)
class Needs:
    """Which frames a mode looks at, besides the current one.

    Attributes:
        initial: the reset frame; a mode may answer worse without it.
        previous: the frame of the previous query; without it the answer is NO_REFERENCE.
        video_frames: most frames of the video that ends with the current frame; 0: no video.
    """

    initial: bool = False
    previous: bool = False
    video_frames: int = 0

    def words(self) -> str:
        """The window in words, oldest frame first."""
        if self.video_frames:
            return f"video, at most {self.video_frames} frames"
        names = ("initial", self.initial), ("previous", self.previous), ("current", True)
        return ", ".join(name for name, used in names if used)


@dataclass(frozen=True, eq=False)
class Window:
    """What may be looked at when ``current`` is scored.

    Attributes:
        task: task sentence.
        current: the frame that is scored.
        initial: reset frame of the episode, if there is one.
        previous: frame of the previous query, if there is one.
        video: frames of the queries of this episode, oldest first, ``current`` last; empty: ``current`` alone.
    """

    task: str
    current: CameraFrame
    initial: CameraFrame | None = None
    previous: CameraFrame | None = None
    video: tuple[CameraFrame, ...] = ()

    def __post_init__(self) -> None:
        stamps = [frame.stamp_ns for frame in self.video]
        if stamps and (stamps[-1] != self.current.stamp_ns or sorted(set(stamps)) != stamps):
            raise BadInput("video", stamps, f"rising stamps that end at the current one, {self.current.stamp_ns}")


@dataclass(frozen=True)
class ModelOptions:
    """How a mode's model is loaded.

    Attributes:
        model: folder or hub name; empty: the one that the mode names.
        adapters: folder or hub name of adapters, for the modes that take any.
        device: torch device.
        dtype: float32, bfloat16 or float16.
        readout: ``logits`` or ``generate``, for the modes that offer both.
        fusion: form of tri, ``code`` or ``paper``.
    """

    model: str = ""
    adapters: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    readout: str = "logits"
    fusion: str = "code"


class RewardMode(Protocol):
    """Scores windows. ``lrm_reward_node.modes.contract.RewardModeContract`` tests an implementation.

    Attributes:
        spec: what the mode is.
        fingerprint: hash of weights, prompt and readout: the same fingerprint is the same function.
    """

    spec: ModeSpec
    fingerprint: str

    def score(self, window: Window) -> RewardEstimate:
        """The estimate of ``window.current``, in the range of the mode, with the stamp of that frame.

        Never raises because of a window: no answer is UNKNOWN, NaN and a status, never a number.
        """
        ...


@dataclass(frozen=True)
class ModeSpec:
    """What a mode is, without its model; this is what an entry point names.

    Attributes:
        name: name on the command line and of the entry point.
        head: kind of the reward, see :class:`RewardHead`.
        low, high: range of the reward, unitless.
        needs: frames it looks at.
        model: model that is loaded unless another is named; empty: the shipped one.
        source: where the mode is published.
        open: loads the model; raises :class:`BadInput` when it cannot. Heavy imports belong inside.
    """

    name: str
    head: RewardHead
    low: float
    high: float
    needs: Needs
    model: str
    source: str
    open: Callable[[ModeSpec, ModelOptions], RewardMode]
