"""Shapes a stream of joint targets so that position, velocity, acceleration and jerk stay within limits.

Between two emitted targets lies an interval h. With the differences a robot sees,

    v' = (q' - q) / h,    a' = (v' - v) / h,    j' = (a' - a) / h,

each joint chooses the acceleration a' of the step, and every limit is a bound on a'. Position and velocity need more
than clipping, or there would be no room left to stop: they are kept by discrete-time exponential control barrier
functions, which ask for room in proportion to speed. With d the distance to a position limit and v, a towards it,

    d - 2 τ v - τ² a >= 0    and    V - v - σ a >= 0    after every step.

τ and σ are the smallest times for which these bounds never contradict the limits of acceleration A, jerk J or each
other, whatever intervals h >= h_min follow (decision 14 has the proof). So a stop is always possible. At slow rates τ
is 0: one step is long enough to stop in, and the position bound is plain clipping.

Sources: Nguyen and Sreenath 2016 (exponential control barrier functions), Agrawal and Sreenath 2017 (discrete time).
"""

from __future__ import annotations

import numpy as np

from lrm_core.safety.limits import SafetyLimits

_ROUNDING = 1e-13
_SHARE = 0.5
"""Of acceleration and jerk an approach uses: the rest is for braking."""


class Limiter:
    """State of S independent streams of J joints; ``streams`` is (S,), or () for a single robot.

    Attributes:
        position, velocity, acceleration: (S, J) of the target emitted last, by the differences above.
        stop_time_s: (J,) τ.
    """

    def __init__(
        self, limits: SafetyLimits, streams: tuple[int, ...] = (), *, min_interval_s: float, max_interval_s: float
    ) -> None:
        self.limits = limits
        self._min_s, self._max_s = min_interval_s, max_interval_s
        self.stop_time_s, self._lift_time_s = _times(limits, min_interval_s)
        shape = (*streams, len(limits.joint_names))
        self.position, self.velocity, self.acceleration = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._goal = np.full(shape, np.nan)

    def restart(self, position: np.ndarray, where: np.ndarray) -> None:
        """Begin at rest at ``position`` (S, J) in the streams ``where`` (S,)."""
        chosen = where[..., None]
        self.position = np.where(chosen, self.limits.clip(position), self.position)
        self._goal = np.where(chosen, np.nan, self._goal)
        self.velocity = np.where(chosen, 0.0, self.velocity)
        self.acceleration = np.where(chosen, 0.0, self.acceleration)

    def next(self, goal: np.ndarray, interval_s: np.ndarray, moving: np.ndarray) -> np.ndarray:
        """The next target (S, J) towards finite ``goal`` (S, J), ``interval_s`` (S,) after the last; changes nothing.

        The goal itself where the limits allow, else what a critically damped approach reaches; where the goal is
        ``moving`` (S,), an approach to its motion, so that no lag stays. An interval outside of [min, max] counts as
        the nearer end.
        """
        h = self._bounded(interval_s)
        low, high = self._bounds(h)
        left = goal - self.position
        exact = (left / h - self.velocity) / h
        drift = (goal - self._goal) / h
        drift = np.where(moving[..., None] & (np.abs(drift) <= self.limits.velocity_max), drift, 0.0)
        behind, slip = left - h * drift, self.velocity - drift
        time = self._approach_time_s(behind, slip)
        approach = (behind - (h + 2.0 * time) * slip) / (h + time) ** 2
        shaped = self.position + h * (self.velocity + h * np.clip(approach, low, high))
        # Reached at a speed that one step cannot take away, the goal would be overshot.
        brake = (left / h - drift) / h
        stoppable = (np.abs(brake) <= self.limits.acceleration_max) & (
            np.abs(brake + exact) <= self.limits.jerk_max * h
        )
        reached = ((low <= exact) & (exact <= high) & stoppable) | (np.abs(goal - shaped) <= _ROUNDING)
        return self.limits.clip(np.where(reached, goal, shaped))

    def brake(self, interval_s: np.ndarray) -> np.ndarray:
        """The next target (S, J) of the quickest stop; changes nothing.

        The largest deceleration that can still be ramped down to zero, jerk J times h a step, when the speed is gone:
        v = a h / 2 + a² / 2J, solved for a.
        """
        h = self._bounded(interval_s)
        low, high = self._bounds(h)
        speed = np.abs(self.velocity)
        ramped = 2.0 * speed / (h / 2.0 + np.sqrt(h**2 / 4.0 + 2.0 * speed / self.limits.jerk_max))
        wanted = -np.sign(self.velocity) * np.minimum(ramped, speed / h)
        return self.limits.clip(self.position + h * (self.velocity + h * np.clip(wanted, low, high)))

    def emit(self, goal: np.ndarray, target: np.ndarray, interval_s: np.ndarray, where: np.ndarray) -> None:
        """Take ``target`` of :meth:`next` for ``goal`` as emitted in the streams ``where`` (S,)."""
        h, chosen = self._bounded(interval_s), where[..., None]
        velocity = (target - self.position) / h
        acceleration = (velocity - self.velocity) / h
        self.position, self._goal = np.where(chosen, target, self.position), np.where(chosen, goal, self._goal)
        self.acceleration = np.where(chosen, acceleration, self.acceleration)
        self.velocity = np.where(chosen, velocity, self.velocity)

    def rest(self, target: np.ndarray, interval_s: np.ndarray) -> np.ndarray:
        """Where a stop begun right after ``target`` (S, J) would end: (S, J)."""
        h, time = self._bounded(interval_s), self.stop_time_s
        velocity = (target - self.position) / h
        acceleration = (velocity - self.velocity) / h
        early, late = time * velocity, 2.0 * time * velocity + time**2 * acceleration
        farthest = np.where(velocity >= 0.0, np.maximum(early, late), np.minimum(early, late))
        return self.limits.clip(target + farthest)

    def _approach_time_s(self, behind: np.ndarray, slip: np.ndarray) -> np.ndarray:
        """(S, J) time constant that closes a distance and a difference of speed with a share of acceleration and jerk.

        The nearer, the quicker, as in a square-root controller; never slower than what a stop may take.
        """
        most, jerk = _SHARE * self.limits.acceleration_max, _SHARE * self.limits.jerk_max
        distance, speed = np.abs(behind), np.abs(slip)
        by_acceleration = np.maximum(np.sqrt(distance / most), speed / most)
        by_jerk = np.maximum(np.cbrt(distance / jerk), np.sqrt(speed / jerk))
        return np.minimum(np.maximum(by_acceleration, by_jerk), self.stop_time_s)

    def _bounded(self, interval_s: np.ndarray) -> np.ndarray:
        return np.clip(interval_s, self._min_s, self._max_s)[..., None]

    def _bounds(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest acceleration (S, J) of a step of ``h`` (S, 1)."""
        limits, speed = self.limits, self.velocity
        lift, slow = h + self._lift_time_s, h + self.stop_time_s
        braked = (slow + self.stop_time_s) * speed
        ramp = limits.jerk_max * h
        high = np.minimum(limits.acceleration_max, self.acceleration + ramp)
        high = np.minimum(high, (limits.velocity_max - speed) / lift)
        high = np.minimum(high, (limits.position_high - self.position - braked) / slow**2)
        low = np.maximum(-limits.acceleration_max, self.acceleration - ramp)
        low = np.maximum(low, -(limits.velocity_max + speed) / lift)
        low = np.maximum(low, -(self.position - limits.position_low + braked) / slow**2)
        return low, high


def _times(limits: SafetyLimits, h: float) -> tuple[np.ndarray, np.ndarray]:
    """τ and σ (J,) for intervals of at least ``h`` seconds."""
    speed, most, jerk = limits.velocity_max, limits.acceleration_max, limits.jerk_max
    slow = speed / most
    finite = np.isfinite(jerk)
    a, j = np.where(finite, most, 0.0), np.where(finite, jerk, 1.0)
    inside = a**2 + j * (speed - a * h)
    by_jerk = np.where(inside > 0.0, (a + np.sqrt(np.maximum(inside, 0.0))) / j, a / (2.0 * j))
    slow = np.maximum(slow, np.where(finite, by_jerk, 0.0))
    return np.maximum(0.0, slow - h), np.maximum(0.0, np.where(finite, a / j, 0.0) - h)
