"""What a robot's ``joint_states`` mean: which joints are the arm's, and in what unit the gripper is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lrm_core.errors import BadInput


@dataclass(frozen=True)
class StateUnits:
    """Joints and units of one robot's state; a bag keeps them, so that it can be read without the robot's file.

    Attributes:
        joint_names: J joints in command order, the gripper last.
        wire: the gripper closed and open, as the robot says it; equal ends: it says metres.
        opening_m: closed and open, in metres.
    """

    joint_names: tuple[str, ...]
    wire: tuple[float, float] = (0.0, 0.0)
    opening_m: tuple[float, float] = (0.0, 0.0)

    @property
    def metres_per_unit(self) -> float:
        """Metres of opening per unit on the wire; 0: the wire has metres."""
        closed, opened = self.wire
        low, high = self.opening_m
        return 0.0 if closed == opened else (high - low) / (opened - closed)

    def from_wire(self, names: Sequence[str], positions: Sequence[float]) -> tuple[float, ...]:
        """Named positions as the robot says them, in the project's units: rad, and metres of the gripper."""
        scale = self.metres_per_unit
        if not scale:
            return tuple(positions)
        gripper, closed, low = self.joint_names[-1], self.wire[0], self.opening_m[0]
        return tuple(
            low + (value - closed) * scale if name == gripper else value
            for name, value in zip(names, positions, strict=False)
        )

    def to_wire(self, positions: np.ndarray) -> np.ndarray:
        """Positions (J,) in the project's units, as the robot takes them."""
        scale = self.metres_per_unit
        if not scale:
            return positions
        wire = np.array(positions, dtype=np.float64)
        wire[-1] = self.wire[0] + (wire[-1] - self.opening_m[0]) / scale
        return wire

    def to_json(self) -> str:
        """As text; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StateUnits:
        """Read what :meth:`to_json` wrote.

        Raises:
            BadInput: it is something else.
        """
        try:
            found = json.loads(text)
            names = tuple(map(str, found["joint_names"]))
            wire, opening = (tuple(map(float, found[key])) for key in ("wire", "opening_m"))
            if names and (len(wire), len(opening)) == (2, 2) and np.isfinite([*wire, *opening]).all():
                return cls(names, (wire[0], wire[1]), (opening[0], opening[1]))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("state units", text[:80], "joint_names, wire and opening_m as JSON", str(error)) from error
        raise BadInput("state units", text[:80], "at least one joint, and two finite numbers per range")
