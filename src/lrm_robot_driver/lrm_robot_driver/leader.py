"""LeRobot's ``Teleoperator`` as a leader: where a person has put it, in the units of the arm that follows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_robot_driver import calibration, loading, motors
from lrm_robot_driver.motors import POSITION
from lrm_robot_driver.units import UnitMap


class LeRobotLeader:
    """Connects, checks the calibration, reads. One thread uses it; every connection is a new ``Teleoperator``.

    Args:
        contract: the robot that follows, with a section ``leader``.
    """

    def __init__(self, contract: RobotContract) -> None:
        self._config = loading.teleoperator_config(contract)
        assert contract.leader is not None
        self._contract, self._spec = contract, contract.leader
        self._units = UnitMap(self._spec.joints)
        self._teleoperator: Any = None

    def open(self) -> None:
        """Connect.

        Raises:
            BadInput: it says no joint positions, the calibration is missing or cannot be true, the units or motors are
                others, or nobody answers.
        """
        from lerobot.teleoperators import make_teleoperator_from_config

        device = motors.made(make_teleoperator_from_config, self._config, self._spec)
        self._check_positions(device)
        motors.check(device, self._spec, self._contract.path)
        if motors.on_bus(device):  # one without motors of its own has nothing that could be calibrated as they are
            calibration.check(self._spec, motors.ranges(device), str(device.calibration_fpath))
        self._teleoperator = device
        motors.connect(device, self._spec, partial(device.connect, calibrate=False))

    def read(self) -> np.ndarray:
        """(J,) float64 positions of the leader, rad and m; raises what LeRobot raises, BadInput when not finite."""
        action = self._teleoperator.get_action()
        return self._units.positions({motor: action.get(motor + POSITION) for motor in self._units.motors})

    def close(self) -> None:
        """Disconnect."""
        device, self._teleoperator = self._teleoperator, None
        if device is not None:
            motors.disconnect(device)

    def _check_positions(self, device: Any) -> None:
        features = getattr(device, "action_features", {})  # LeRobot's keyboard has none before it is told of an arm
        if not features or not all(name.endswith(POSITION) for name in features):
            fix = "LeRobot's gamepad, keyboard and phone say how the tool moves: they need a node of their own."
            where = f"type of leader in {self._contract.path}"
            raise BadInput(where, self._spec.type, "one that says the position of every joint", fix)
