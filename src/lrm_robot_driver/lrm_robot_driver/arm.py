"""LeRobot's ``Robot`` as an arm in the project's units."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_robot_driver import calibration, loading, motors
from lrm_robot_driver.motors import POSITION
from lrm_robot_driver.units import UnitMap


class LeRobotArm:
    """Connects, checks the calibration, reads and commands positions. One thread uses it.

    Every connection is a new ``Robot``: what a broken one still believes (open port, cached registers) is left behind.

    Args:
        contract: the robot, with a section ``lerobot``.
        torque: False: the motors are switched off and stay so, for a person who moves the arm by hand.
    """

    def __init__(self, contract: RobotContract, torque: bool = True) -> None:
        self._config = loading.robot_config(contract)
        assert contract.lerobot is not None
        self._contract, self._spec, self._torque = contract, contract.lerobot, torque
        self._units = UnitMap(self._spec.joints)
        self._robot: Any = None

    def open(self) -> None:
        """Connect; torque is on afterwards, as LeRobot's ``configure`` leaves it, or was never switched on.

        Raises:
            BadInput: the calibration is missing or cannot be true, the units or motors are others, or nobody answers.
        """
        from lerobot.robots import make_robot_from_config

        robot = motors.made(make_robot_from_config, self._config, self._spec)
        if not self._torque and not motors.on_bus(robot):
            raise BadInput("torque", False, f"true: LeRobot's {self._spec.type} has no bus of motors to switch off")
        motors.check(robot, self._spec, self._contract.path)
        recorded, file = motors.ranges(robot), str(robot.calibration_fpath)
        calibration.check(self._spec, recorded, file, self._contract.limits)
        self._robot = robot
        motors.connect(robot, self._spec, partial(self._connect, robot))

    def read(self) -> np.ndarray:
        """(J,) float64 measured positions, rad and m; raises what LeRobot raises."""
        observation = self._robot.get_observation()
        return self._units.positions({motor: observation.get(motor + POSITION) for motor in self._units.motors})

    def send(self, positions: np.ndarray) -> None:
        """Command positions (J,); raises what LeRobot raises."""
        self._robot.send_action({motor + POSITION: value for motor, value in self._units.values(positions).items()})

    def close(self) -> None:
        """Disconnect as LeRobot does (torque off, unless ``disable_torque_on_disconnect`` is false)."""
        robot, self._robot = self._robot, None
        if robot is not None:
            motors.disconnect(robot)

    def _connect(self, robot: Any) -> None:
        if self._torque:
            robot.connect(calibrate=False)
            return
        robot.bus.connect()  # alone: LeRobot's connect() ends with torque on, towards a goal of long ago
        robot.bus.disable_torque()
