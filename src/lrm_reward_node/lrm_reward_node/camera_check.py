"""Whether a camera picture shows the scene of its episode at all: statistics that stand before the reward model.

A reward model answers whatever it is shown: a photo of success in front of the lens, or the last episode replayed, is a
success to it. What can be known without a model is found here, from the cells of a coarse grid over the picture:

* covered: no two neighbouring cells differ (black, white, flat, out of focus, a hand over the lens);
* foreign: too much of the picture is no longer as it was in the reset frame, light apart. The arm and what it moves
  change a bounded share of the cells, another scene changes most of them;
* frozen: the frame equals that of the previous query byte for byte, which the noise of a real sensor rules out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_core.rewards import MODEL_HEADS, RewardHead

GRID = 32
"""Cells per side; a smaller picture has one per pixel."""
_DETAIL_QUANTILE = 0.98
_CHANGED_DEVIATIONS = 0.45
"""A cell has changed when it is off by this many standard deviations of the reset frame's cells."""
_FIT_ROUNDS = 4
_SAMPLES_PX = 128
"""A larger picture is sampled down to about this many pixels on its shorter side."""


@dataclass(frozen=True)
class CameraLimits:
    """What a picture may look like; :func:`faulty_heads` says which limit it breaks.

    Attributes:
        min_detail: least difference of neighbouring cells at the strongest edges, levels of 255; 0 switches this off.
        max_changed: largest share of cells that may differ from the reset frame, [0, 1]; 1 switches this off.
        noise: the camera has sensor noise, so that two equal frames are a frozen camera.
    """

    min_detail: float = 10.0
    max_changed: float = 0.25
    noise: bool = False


NO_LIMITS = CameraLimits(min_detail=0.0, max_changed=1.0)
"""Every picture is scored."""


def faulty_heads(
    limits: CameraLimits, initial: np.ndarray | None, previous: np.ndarray | None, current: np.ndarray
) -> dict[RewardHead, str]:
    """Heads that must not be asked about ``current``, each with the reason in words.

    All of them when ``current`` is at fault; contrastive or progress alone when the frame it compares with is.

    Args:
        limits: what a picture may look like.
        initial: reset frame of the episode; None: nothing is known of the scene.
        previous: frame of the previous query; None: there is none.
        current: (H, W, 3) uint8 RGB, any size; other arrays are left to the model, which refuses them.
    """
    if limits == NO_LIMITS or not _is_picture(current):
        return {}
    scene = None if initial is current else _view(initial)
    fault = _fault(limits, scene, View.of(current)) or _frozen(limits, previous, current)
    if fault:
        return dict.fromkeys(MODEL_HEADS, fault)
    start = _fault(limits, None, scene)
    before = start if previous is initial else _fault(limits, scene, _view(previous))
    found = {RewardHead.PROGRESS: start, RewardHead.CONTRASTIVE: before}
    return {head: f"the frame it compares with was {why}" for head, why in found.items() if why}


@dataclass(frozen=True, eq=False)
class View:
    """A picture as the checks see it: its size in pixels and (rows, columns, 3) means over the cells of the grid."""

    size: str
    cells: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray) -> View:
        """The view of (H, W, 3) uint8 ``picture``."""
        step = max(1, min(picture.shape[:2]) // _SAMPLES_PX)
        cells: np.ndarray = picture[::step, ::step].astype(np.float32)
        for axis in (0, 1):
            length = cells.shape[axis]
            starts = np.arange(min(GRID, length)) * length // min(GRID, length)
            counts = np.diff(np.append(starts, length)).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            cells = np.add.reduceat(cells, starts, axis=axis) / counts.astype(np.float32)
        return cls(f"{picture.shape[1]}x{picture.shape[0]}", cells)


def detail(view: View) -> float:
    """Difference of neighbouring cells at the strongest edges, levels of 255."""
    steps = np.concatenate([np.abs(np.diff(view.cells, axis=axis)).max(-1).ravel() for axis in (0, 1)])
    if not steps.size:
        return 0.0
    rank = int(_DETAIL_QUANTILE * (steps.size - 1))
    return float(np.partition(steps, rank)[rank])


def changed_share(scene: View, now: View) -> float:
    """Share of cells that are not as in the reset frame ``scene``, [0, 1]; both of one size.

    Light is taken out first: gain, offset, tone curve and a gradient across the picture, per channel, fitted to the
    half of the cells that agree best (least trimmed squares, Rousseeuw 1984).
    """
    off = np.abs(scene.cells - _relit(now.cells, scene.cells)).max(-1)
    spread = float(np.sqrt(scene.cells.var((0, 1)).mean()))
    return float(np.mean(off > max(_CHANGED_DEVIATIONS * spread, 1.0)))


def _fault(limits: CameraLimits, scene: View | None, now: View | None) -> str:
    if now is None:
        return ""
    return _covered(limits, now) or ("" if scene is None else _foreign(limits, scene, now))


def _covered(limits: CameraLimits, view: View) -> str:
    found = detail(view)
    if found >= limits.min_detail:
        return ""
    return f"covered: hardly any detail ({found:.1f} levels, at least {limits.min_detail:g})"


def _foreign(limits: CameraLimits, scene: View, now: View) -> str:
    if limits.max_changed >= 1.0:
        return ""
    if scene.size != now.size:
        return f"foreign: another size than the reset frame ({now.size}, reset frame {scene.size})"
    if unfit := _covered(limits, scene):
        return f"without a scene to compare with: the reset frame was {unfit}"
    found = changed_share(scene, now)
    if found <= limits.max_changed:
        return ""
    return f"foreign: too much changed since the reset frame ({found:.0%}, at most {limits.max_changed:.0%})"


def _frozen(limits: CameraLimits, previous: np.ndarray | None, current: np.ndarray) -> str:
    if not limits.noise or previous is None or previous.shape != current.shape:
        return ""
    row = len(current) // 2  # Nearly every pair differs here: the whole is seldom compared.
    same = np.array_equal(previous[row], current[row]) and np.array_equal(previous, current)
    return "frozen: byte for byte the frame of the previous query" if same else ""


def _view(picture: np.ndarray | None) -> View | None:
    return View.of(picture) if picture is not None and _is_picture(picture) else None


def _is_picture(array: np.ndarray) -> bool:
    return array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size > 0


def _relit(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """``now`` under the light of ``then``, both (rows, columns, 3)."""
    x, y = np.linspace(-1.0, 1.0, now.shape[1]), np.linspace(-1.0, 1.0, now.shape[0])[:, None]
    terms = np.stack([now, np.ones_like(now), now * x[:, None], now * y[..., None], now * now / 255.0], axis=-1)
    features = terms.reshape(-1, 3, 5).transpose(1, 0, 2).astype(np.float64)  # (3, cells, 5)
    wanted, seen = (np.ascontiguousarray(cells.reshape(-1, 3).T, np.float64) for cells in (then, now))
    lit = seen * _middle(wanted / np.maximum(seen, 1.0))
    for _ in range(_FIT_ROUNDS):
        off = np.abs(wanted - lit)
        kept = features * (off <= _middle(off))[..., None]
        normal = kept.transpose(0, 2, 1) @ features + 1e-3 * np.eye(5)  # The ridge: a flat picture has no gain.
        weights = np.linalg.solve(normal, kept.transpose(0, 2, 1) @ wanted[..., None])
        lit = (features @ weights)[..., 0]
    return lit.T.reshape(then.shape)


def _middle(values: np.ndarray) -> np.ndarray:
    """Median of each row (the upper one of two), as a column."""
    half = values.shape[1] // 2
    return np.partition(values, half, axis=1)[:, half, None]
