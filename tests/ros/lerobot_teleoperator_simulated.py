"""A plugin of LeRobot: its SO-101 leader on a simulated serial bus, held by a hand that is a file.

``<port>.hand`` says where a person holds each joint, rad and m, as JSON; while ``<port>.stalled`` exists the bus does
not answer, and does not fail either.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig
from lerobot.teleoperators.so_leader import SOLeader, SOLeaderConfig

from lerobot_robot_simulated import SimulatedBus, Wire, motors, written_registers


class Hand:
    """Stands where :class:`lerobot_robot_simulated.Scene` stands for the follower."""

    target = None

    def __init__(self, port: str) -> None:
        self._place, self._stalled = Path(f"{port}.hand"), Path(f"{port}.stalled")
        self.registers = written_registers(json.loads(Path(port).read_text()))

    @property
    def joints(self) -> np.ndarray:
        """(6,) where the person holds it."""
        while self._stalled.exists():
            time.sleep(0.01)
        return np.array(json.loads(self._place.read_text()))

    def release(self) -> None:
        """Nothing runs."""


class HandWire(Wire):
    """A port with a leader at its end."""

    def openPort(self) -> bool:  # noqa: N802 - the SDK's name
        if self.plugged and not self.is_open:
            self.scene = Hand(self.port_name)
            self.is_open = True
        return self.is_open


class HandBus(SimulatedBus):
    """LeRobot's bus on :class:`HandWire`."""

    wire: ClassVar[type[Wire]] = HandWire


@TeleoperatorConfig.register_subclass("simulated_leader")
@dataclass
class SimulatedLeaderConfig(TeleoperatorConfig, SOLeaderConfig):
    """As LeRobot's SO-101 leader."""


class SimulatedLeader(SOLeader):
    """LeRobot's SO-101 leader on the simulated bus."""

    config_class = SimulatedLeaderConfig
    name = "simulated_leader"

    def __init__(self, config: SimulatedLeaderConfig) -> None:
        Teleoperator.__init__(self, config)
        self.config = config
        self.bus = HandBus(config.port, motors(config.use_degrees), self.calibration)
