"""LeRobot's configuration classes by the names in a robot's file, its own and those of installed plugins."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any

from lrm_core.errors import BadInput
from lrm_core.robot import CameraSpec, LeRobotDeviceSpec, RobotContract


def robot_config(contract: RobotContract) -> Any:
    """``lerobot.robots.RobotConfig`` of the section ``lerobot``, without cameras: the driver reads those itself.

    Raises:
        BadInput: LeRobot has no such type, or refuses one of its options.
    """
    from lerobot.robots import RobotConfig

    arm = contract.lerobot
    if arm is None:
        fix = "Add the section (docs/lerobot-arms.md), or start without this driver (driver:=false)."
        raise BadInput(f"lerobot in {contract.path}", None, "which of LeRobot's arms this is", fix)
    return _decoded(RobotConfig, "lerobot.robots", _values(arm), f"lerobot in {contract.path}")


def teleoperator_config(contract: RobotContract) -> Any:
    """``lerobot.teleoperators.TeleoperatorConfig`` of the section ``leader``.

    Raises:
        BadInput: LeRobot has no such type, or refuses one of its options.
    """
    from lerobot.teleoperators import TeleoperatorConfig

    leader = contract.leader
    if leader is None:
        fix = "Add the section (docs/lerobot-arms.md), or start without this node (leader:=false)."
        raise BadInput(f"leader in {contract.path}", None, "which of LeRobot's teleoperators this is", fix)
    return _decoded(TeleoperatorConfig, "lerobot.teleoperators", _values(leader), f"leader in {contract.path}")


def camera_config(contract: RobotContract, camera: CameraSpec, options: Mapping[str, Any]) -> Any:
    """``lerobot.cameras.CameraConfig`` of one camera; its size is that of the robot's file unless ``options`` say it.

    Raises:
        BadInput: LeRobot has no such type, or refuses one of its options.
    """
    from lerobot.cameras import CameraConfig

    size = {name: value for name in ("width", "height") if (value := getattr(camera, name))}
    where = f"lerobot.cameras.{camera.name} in {contract.path}"
    return _decoded(CameraConfig, "lerobot.cameras", {**size, **options}, where)


def _values(device: LeRobotDeviceSpec) -> dict[str, Any]:
    return {**device.options, "type": device.type, "id": device.id} | ({"port": device.port} if device.port else {})


def _decoded(registry: Any, package: str, values: Mapping[str, Any], where: str) -> Any:
    import draccus

    kind = str(values["type"])
    if not _registered(registry, package, kind):
        known = sorted(registry.get_known_choices())
        raise BadInput(f"type of {where}", kind, f"one of {known}, or that of an installed plugin of LeRobot")
    try:
        return draccus.decode(registry, dict(values))
    except Exception as error:  # draccus and the classes' own checks raise several kinds
        shown = {name: value for name, value in values.items() if name != "type"}
        raise BadInput(where, shown, f"what LeRobot's {kind} takes", str(error)) from error


def _registered(registry: Any, package: str, kind: str) -> bool:
    """Import LeRobot's sub-packages, the likely ones first, then its plugins, until one of them registers ``kind``."""
    from lerobot.utils.import_utils import register_third_party_plugins

    folder = importlib.import_module(package)
    likely = {kind, re.sub(r"\d+", "", kind)}
    names = [module.name for module in pkgutil.iter_modules(folder.__path__) if module.ispkg]
    for name in sorted(names, key=lambda name: name not in likely):
        if kind in registry.get_known_choices():
            return True
        try:
            importlib.import_module(f"{package}.{name}")
        except ImportError:
            continue  # a device whose SDK is not installed; if it is the one that is wanted, the caller says so
    if kind not in registry.get_known_choices():
        register_third_party_plugins()
    return kind in registry.get_known_choices()
