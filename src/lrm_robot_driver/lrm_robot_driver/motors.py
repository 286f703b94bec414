"""What is asked of LeRobot's devices with motors, arms and leaders alike: are they what the robot's file says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lrm_core.errors import BadInput, first_line
from lrm_core.robot import LeRobotDeviceSpec
from lrm_robot_driver.calibration import MotorRange

POSITION = ".pos"
"""What LeRobot appends to a motor's name for its position."""
_TICKS = 4096
"""Of a turn, where the bus does not tell: all servos of LeRobot's small arms have 12 bits."""


def made(make: Callable[[Any], Any], config: Any, spec: LeRobotDeviceSpec) -> Any:
    """LeRobot's device, not connected yet; raises :class:`BadInput` when LeRobot cannot make it."""
    try:
        return make(config)
    except Exception as error:  # a missing SDK, a field that makes no sense; what is raised depends on the type
        raise BadInput("LeRobot's device", spec.type, "one that it can make", first_line(error)) from error


def on_bus(device: Any) -> Mapping[str, Any]:
    """LeRobot's motors by name; none where the device has no bus of its own."""
    return getattr(getattr(device, "bus", None), "motors", {})


def check(device: Any, spec: LeRobotDeviceSpec, path: Path) -> None:
    """Raise :class:`BadInput` unless the device has the motors of ``spec``, and they count in its units."""
    names = {name.removesuffix(POSITION) for name in device.action_features}
    wanted = sorted(joint.motor for joint in spec.joints)
    if set(wanted) != names:
        raise BadInput(f"motors of {spec.section} in {path}", wanted, f"LeRobot's {sorted(names)}, all of them")
    for joint in spec.joints:
        motor = on_bus(device).get(joint.motor)
        unit = motor.norm_mode.value if motor else joint.unit
        if unit != joint.unit:
            options = f"Set {spec.section}.joints, or {spec.section}.options.use_degrees"
            fix = f"{options}, and calibrate scale and offset with it."
            raise BadInput(f"unit of {joint.name} of {spec.section} in {path}", joint.unit, f"{unit}, LeRobot's", fix)


def ranges(device: Any) -> dict[str, MotorRange]:
    """What was recorded of each motor; empty: no calibration."""
    resolutions = getattr(getattr(device, "bus", None), "model_resolution_table", {})
    models = {name: motor.model for name, motor in on_bus(device).items()}
    return {
        name: MotorRange(one.range_min, one.range_max, resolutions.get(models.get(name), _TICKS))
        for name, one in device.calibration.items()
    }


def connect(device: Any, spec: LeRobotDeviceSpec, connecting: Callable[[], None]) -> None:
    """Call ``connecting``; raises :class:`BadInput` when nobody answers, or it is not what was calibrated."""
    try:
        connecting()
        calibrated = device.is_calibrated
    except Exception as error:
        fix = "Is it plugged in and powered, and is this its port (lerobot-find-port)? May you open it (group dialout)?"
        allowed = f"a device that answers ({first_line(error)})"
        raise BadInput(f"LeRobot's {spec.type} {spec.id}", spec.port or spec.type, allowed, fix) from error
    if not calibrated:
        fix = f"Is it another one's? Run: {spec.calibrate_command} (Enter writes the file to the motors)."
        allowed = "what is written in its motors"
        raise BadInput(f"calibration of {spec.id}", str(device.calibration_fpath), allowed, fix)


def disconnect(device: Any) -> None:
    """Disconnect as LeRobot does, and give the port back whatever state the device is in."""
    # A bus that no longer answers cannot take the torque off, and LeRobot then leaves the port open.
    with contextlib.suppress(Exception):
        device.disconnect()
    bus = getattr(device, "bus", None)
    with contextlib.suppress(Exception):
        if bus is not None and bus.is_connected:
            bus.disconnect(disable_torque=False)
