"""Where the latched emergency stop is kept, so that the stage that comes after a killed one still holds."""

from __future__ import annotations

import os
from pathlib import Path

from lrm_core.errors import BadInput
from lrm_policy_node.safety.params import AUTO, SafetyParams


def latch_file(params: SafetyParams, robot: str, namespace: str) -> Path | None:
    """The file that exists while the stop is latched; None: nothing is kept.

    Args:
        params: ``auto`` keeps it in ``$ROS_HOME/lrm`` (``~/.ros/lrm``), and nowhere in lock-step: a simulation that
            waits for each command begins anew, and hurts nobody.
        robot: name of the robot.
        namespace: of the node; robot and namespace have a file of their own.

    Raises:
        BadInput: the folder of ``auto`` cannot be made.
    """
    wanted = params.emergency_stop_file
    if not wanted or (wanted == AUTO and params.lockstep):
        return None
    if wanted != AUTO:
        return Path(wanted).expanduser()
    folder = Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "lrm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = f"{error}. Set ROS_HOME, or emergency_stop_file to a file in a folder that can be written."
        raise BadInput("parameter emergency_stop_file", AUTO, f"with {folder} to write to", fix) from error
    return folder / f"emergency_stop.{robot}{namespace.rstrip('/').replace('/', '.')}"
