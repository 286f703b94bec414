"""From the probabilities a model states to those that come true: fitted per head on held-out episodes.

Completion and contrastive are probabilities of one of two answers: logistic (Platt) calibration of the log-odds
(Platt 1999; Guo et al. 2017). Progress is a number with a spread: the spread is widened or narrowed until its 90 %
interval holds 90 % of the truth (normalised split-conformal prediction; Lei et al. 2018, section 5.2). Both keep the
order of the answers: what was ranked above something stays above it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead
from lrm_reward_node.model import RewardModel, RewardQuery

logger = logging.getLogger(__name__)

FILE = "calibration.json"
"""Beside the adapters."""
AUTO, NONE = "auto", "none"
COVERAGE, SIGMAS = 0.9, 1.645
"""The published interval is value ± 1.645 uncertainties and is meant to hold 90 % of the truth."""
_EDGE = 1e-6
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class LogisticCalibration:
    """P' = σ(slope · logit(P) + intercept) for a head with two answers; ``slope`` > 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def probability(self, stated: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of stated ones, any shape, [0, 1]."""
        return _sigmoid(self.slope * _logit(stated) + self.intercept)

    def apply(self, estimate: RewardEstimate) -> RewardEstimate:
        """The estimate with calibrated value, uncertainty and confidence."""
        signed = estimate.head is RewardHead.CONTRASTIVE
        stated = (estimate.value + 1.0) / 2.0 if signed else estimate.value
        chance = float(self.probability(np.array(stated)))
        spread = math.sqrt(chance * (1.0 - chance))
        return replace(
            estimate,
            value=2.0 * chance - 1.0 if signed else chance,
            uncertainty=2.0 * spread if signed else spread,
            confidence=max(chance, 1.0 - chance),
        )


@dataclass(frozen=True)
class SpreadCalibration:
    """uncertainty' = scale · (uncertainty + floor); the value stays. Units of progress, [0, 1]."""

    scale: float = 1.0
    floor: float = 0.0

    def spread(self, stated: np.ndarray) -> np.ndarray:
        """Calibrated standard deviations of stated ones, any shape."""
        spread: np.ndarray = self.scale * (np.asarray(stated, np.float64) + self.floor)
        return spread

    def apply(self, estimate: RewardEstimate) -> RewardEstimate:
        """The estimate with a calibrated uncertainty."""
        return replace(estimate, uncertainty=float(self.spread(np.array(estimate.uncertainty))))


HeadCalibration = LogisticCalibration | SpreadCalibration
KINDS: dict[RewardHead, type[HeadCalibration]] = {
    RewardHead.CONTRASTIVE: LogisticCalibration,
    RewardHead.PROGRESS: SpreadCalibration,
    RewardHead.COMPLETION: LogisticCalibration,
}


def fit_logistic(stated: np.ndarray, truth: np.ndarray) -> LogisticCalibration:
    """Maximum likelihood by Newton's method, with Platt's smoothed targets, so that separable data stay finite.

    Args:
        stated: (N,) probabilities the model states.
        truth: (N,) bool.

    Raises:
        BadInput: both outcomes do not occur, or the model's order is worse than chance.
    """
    truth = np.asarray(truth, bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise BadInput("calibration episodes", f"{positives} of {len(truth)} positive", "both outcomes")
    target = np.where(truth, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    design = np.column_stack([_logit(stated), np.ones(len(truth))])
    weights = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(design, target, weights)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] <= 0.0:
        raise BadInput("calibration", f"slope {weights[0]:.3g}", "scores that rise with the truth", "Train the head.")
    return LogisticCalibration(float(weights[0]), float(weights[1]))


def _newton_step(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One step, halved until the likelihood does not fall."""
    chance = _sigmoid(design @ weights)
    gradient = design.T @ (target - chance)
    curvature = (design * (chance * (1.0 - chance))[:, None]).T @ design + 1e-9 * np.eye(2)
    step: np.ndarray = np.linalg.solve(curvature, gradient)
    now = _likelihood(design, target, weights)
    while _likelihood(design, target, weights + step) < now - 1e-12 and np.abs(step).max() > 1e-12:
        step = step / 2.0
    return step


def fit_spread(error: np.ndarray, stated: np.ndarray) -> SpreadCalibration:
    """The floor that makes the errors likeliest, then the scale whose interval holds ``COVERAGE`` of them.

    Args:
        error: (N,) value minus truth.
        stated: (N,) uncertainty the model states.

    Raises:
        BadInput: too few errors for a 90 % interval, or all are zero.
    """
    error, stated = np.abs(np.asarray(error, np.float64)), np.asarray(stated, np.float64)
    if len(error) < 20 or not error.any():
        raise BadInput("calibration frames", len(error), "at least 20 frames, not all of them without error")
    floors = np.quantile(error[error > 0.0], np.linspace(0.05, 0.95, 19))
    found = [_scaled(error, stated, float(floor)) for floor in floors]
    return min(found, key=lambda one: _surprise(error, one.spread(stated)))


def _scaled(error: np.ndarray, stated: np.ndarray, floor: float) -> SpreadCalibration:
    # The finite-sample quantile of split-conformal prediction.
    rank = min(1.0, math.ceil((len(error) + 1) * COVERAGE) / len(error))
    return SpreadCalibration(float(np.quantile(error / (stated + floor), rank)) / SIGMAS, floor)


def _surprise(error: np.ndarray, spread: np.ndarray) -> float:
    return float(np.mean(np.log(spread) + 0.5 * (error / spread) ** 2))


class CalibratedRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` whose probabilities are corrected."""

    def __init__(self, model: RewardModel, heads: Mapping[RewardHead, HeadCalibration]) -> None:
        self._model, self._heads = model, dict(heads)
        content = json.dumps({head.value: asdict(one) for head, one in sorted(self._heads.items())})
        self.fingerprint = hashlib.sha256(f"{model.fingerprint}\0{content}".encode()).hexdigest()

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """As the model's; an answer without a confidence, as generated text has none, stays as it is."""
        return [self._corrected(estimate) for estimate in self._model.score(queries)]

    def _corrected(self, estimate: RewardEstimate) -> RewardEstimate:
        head = self._heads.get(estimate.head)
        if head is not None and estimate.ok and not math.isnan(estimate.confidence):
            estimate = head.apply(estimate)
        return replace(estimate, fingerprint=self.fingerprint)


def save(path: Path, fingerprint: str, heads: Mapping[RewardHead, HeadCalibration], about: Mapping[str, Any]) -> None:
    """Write ``path``: ``fingerprint`` of the model without calibration, and in ``about`` what it was fitted on."""
    values = {head.value: asdict(one) for head, one in heads.items()}
    path.write_text(json.dumps({"fingerprint": fingerprint, "heads": values, "about": about}, indent=2) + "\n")


def load(path: Path, fingerprint: str) -> dict[RewardHead, HeadCalibration]:
    """Read what :func:`save` wrote.

    Raises:
        BadInput: not such a file, or it belongs to another model.
    """
    owner, heads = _content(path)
    if owner != fingerprint:
        fix = "Run lrm calibrate for this model, or remove the file."
        raise BadInput("calibration", str(path), f"one of the model {fingerprint[:12]}, not of {owner[:12]}", fix)
    return heads


def _content(path: Path) -> tuple[str, dict[RewardHead, HeadCalibration]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        heads = {RewardHead(name): _head(RewardHead(name), value) for name, value in content["heads"].items()}
        return content["fingerprint"], heads
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "Write it again with: lrm calibrate"
        raise BadInput("calibration", str(path), "a file written by lrm calibrate", f"{error}. {fix}") from error


def calibrated(model: RewardModel, choice: str, folder: str = "") -> RewardModel:
    """``model`` with its probabilities corrected.

    Args:
        model: the model as it is.
        choice: ``auto``: the file beside the adapters, where there is one of this very model; ``none``; or a file.
        folder: of the adapters; may be a hub name, where nothing lies beside them.

    Raises:
        BadInput: the named file is not one of lrm calibrate, or belongs to another model.
    """
    if choice == NONE:
        return model
    if choice != AUTO:
        return CalibratedRewardModel(model, load(Path(choice), model.fingerprint))
    path = Path(folder) / FILE
    if not folder or not path.is_file():
        return model
    if owner_of(path) != model.fingerprint:
        # Another readout or other adapters: its figures were not measured for this model.
        logger.warning("%s belongs to another model or readout: probabilities are as the model states them", path)
        return model
    return CalibratedRewardModel(model, load(path, model.fingerprint))


def owner_of(path: Path) -> str:
    """Fingerprint of the model that the file was fitted for."""
    return str(_content(path)[0])


def checked(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """What ``lrm calibrate`` measured on episodes it was not fitted on: split -> before, after -> figure -> value.

    Raises:
        BadInput: not such a file.
    """
    _content(path)
    found: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_text(encoding="utf-8"))["about"]["checked"]
    return found


def _head(head: RewardHead, value: Mapping[str, Any]) -> HeadCalibration:
    if head not in MODEL_HEADS:
        raise ValueError(f"no model head: {head.value}")
    kind = KINDS[head]
    numbers = {field.name: float(value[field.name]) for field in fields(kind)}
    if not all(map(math.isfinite, numbers.values())) or min(numbers.get("slope", 1.0), numbers.get("scale", 1.0)) <= 0:
        raise ValueError(f"{head.value}: {numbers}")
    return kind(**numbers)


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(probability, np.float64), _EDGE, 1.0 - _EDGE)
    logit: np.ndarray = np.log(clipped) - np.log1p(-clipped)
    return logit


def _sigmoid(x: np.ndarray) -> np.ndarray:
    sigmoid: np.ndarray = np.exp(-np.logaddexp(0.0, -x))
    return sigmoid


def _likelihood(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    odds = design @ weights
    return float(np.sum(target * odds - np.logaddexp(0.0, odds)))
