"""LeRobot's ``Robot`` as an arm in the project's units."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lrm_core.errors import BadInput, first_line
from lrm_core.robot import LeRobotSpec, RobotContract
from lrm_robot_driver import calibration, loading
from lrm_robot_driver.calibration import MotorRange
from lrm_robot_driver.units import UnitMap

_POSITION = ".pos"
_TICKS = 4096
"""Of a turn, where the bus does not tell: all servos of LeRobot's small arms have 12 bits."""


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
        robot = self._made()
        self._check_motors(robot)
        calibration.check(self._spec, self._contract.limits, _ranges(robot), str(robot.calibration_fpath))
        self._robot = robot
        try:
            self._connect(robot)
            calibrated = robot.is_calibrated
        except Exception as error:
            raise _unreachable(self._spec, error) from error
        if not calibrated:
            fix = f"Is it another arm's? Run: {self._spec.calibrate_command} (Enter writes the file to the motors)."
            allowed = "what is written in its motors"
            raise BadInput(f"calibration of {self._spec.id}", str(robot.calibration_fpath), allowed, fix)

    def read(self) -> np.ndarray:
        """(J,) float64 measured positions, rad and m; raises what LeRobot raises."""
        observation = self._robot.get_observation()
        return self._units.positions({motor: observation.get(motor + _POSITION) for motor in self._units.motors})

    def send(self, positions: np.ndarray) -> None:
        """Command positions (J,); raises what LeRobot raises."""
        self._robot.send_action({motor + _POSITION: value for motor, value in self._units.values(positions).items()})

    def close(self) -> None:
        """Disconnect as LeRobot does (torque off, unless ``disable_torque_on_disconnect`` is false)."""
        robot, self._robot = self._robot, None
        if robot is None:
            return
        # A bus that no longer answers cannot take the torque off, and LeRobot then leaves the port open.
        with contextlib.suppress(Exception):
            robot.disconnect()
        bus = getattr(robot, "bus", None)
        with contextlib.suppress(Exception):
            if bus is not None and bus.is_connected:
                bus.disconnect(disable_torque=False)

    def _made(self) -> Any:
        from lerobot.robots import make_robot_from_config

        try:
            return make_robot_from_config(self._config)
        except Exception as error:  # a missing SDK, a field that makes no sense; what is raised depends on the type
            raise BadInput("LeRobot's arm", self._spec.type, "one that it can make", first_line(error)) from error

    def _connect(self, robot: Any) -> None:
        if self._torque:
            robot.connect(calibrate=False)
            return
        robot.bus.connect()  # alone: LeRobot's connect() ends with torque on, towards a goal of long ago
        robot.bus.disable_torque()

    def _check_motors(self, robot: Any) -> None:
        if not self._torque and not _motors(robot):
            raise BadInput("torque", False, f"true: LeRobot's {self._spec.type} has no bus of motors to switch off")
        wanted = {motor + _POSITION for motor in self._units.motors}
        actions = set(robot.action_features)
        if wanted != actions:
            names = sorted(name.removesuffix(_POSITION) for name in actions)
            where = f"motors in {self._contract.path}"
            raise BadInput(where, sorted(self._units.motors), f"LeRobot's {names}, all of them")
        for joint in self._spec.joints:
            motor = _motors(robot).get(joint.motor)
            unit = motor.norm_mode.value if motor else joint.unit
            if unit != joint.unit:
                fix = "Set lerobot.joints, or lerobot.options.use_degrees, and calibrate scale and offset with it."
                raise BadInput(f"unit of {joint.name} in {self._contract.path}", joint.unit, f"{unit}, LeRobot's", fix)


def _motors(robot: Any) -> Mapping[str, Any]:
    """LeRobot's motors by name; none where the arm has no bus of its own."""
    return getattr(getattr(robot, "bus", None), "motors", {})


def _ranges(robot: Any) -> dict[str, MotorRange]:
    resolutions = getattr(getattr(robot, "bus", None), "model_resolution_table", {})
    models = {name: motor.model for name, motor in _motors(robot).items()}
    return {
        name: MotorRange(one.range_min, one.range_max, resolutions.get(models.get(name), _TICKS))
        for name, one in robot.calibration.items()
    }


def _unreachable(spec: LeRobotSpec, error: Exception) -> BadInput:
    fix = "Is it plugged in and powered, and is this its port (lerobot-find-port)? May you open it (group dialout)?"
    allowed = f"an arm that answers ({first_line(error)})"
    return BadInput(f"LeRobot's {spec.type} {spec.id}", spec.port or spec.type, allowed, fix)
