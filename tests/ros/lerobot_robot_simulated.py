"""A plugin of LeRobot: its SO-101 on a simulated serial bus whose servos are the simulated arm, and two cameras.

Everything above the wire is LeRobot's own: ``SOFollower``, ``FeetechMotorsBus``, calibration, units, sign bits.
Simulated is what Feetech's SDK talks to: a port, and six servos with their registers. A port, or a camera, is there
while the file that it names exists; that of a port says what the servos' permanent registers hold.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from lerobot.cameras import Camera, CameraConfig
from lerobot.motors import Motor, MotorNormMode, motors_bus
from lerobot.motors.feetech import FeetechMotorsBus
from lerobot.motors.motors_bus import MotorsBusBase
from lerobot.robots import Robot, RobotConfig
from lerobot.robots.so_follower import SOFollower
from lerobot.robots.so_follower.config_so_follower import SOFollowerConfig

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
MODEL, MIDDLE, JAW, OPEN_M = "sts3215", 4095 / 2, (1000, 3000), 0.08
SIGNS = np.array([1.0, 1.0, -1.0, 1.0, 1.0])
"""The elbow's servo is mounted the other way round, and its zero is not that of the joint."""
ZEROS_RAD = np.array([0.0, 0.0, 1.2, 0.0, 0.0])
COMM_SUCCESS, COMM_RX_TIMEOUT, COMM_PORT_BUSY = 0, -6, -1
if motors_bus.serial is None:  # pyserial comes with the SDK; LeRobot names its error where a port does not open
    motors_bus.serial = SimpleNamespace(SerialException=OSError)
_TICKS_PER_RAD = 4095 / (2 * np.pi)


def to_ticks(joints: np.ndarray) -> np.ndarray:
    """Encoder ticks (6,) of joint positions (6,) in rad and m."""
    arm = MIDDLE + SIGNS * (joints[:5] - ZEROS_RAD) * _TICKS_PER_RAD
    return np.rint([*arm, JAW[0] + joints[5] / OPEN_M * (JAW[1] - JAW[0])]).astype(int)


def to_joints(ticks: np.ndarray) -> np.ndarray:
    """Joint positions of encoder ticks."""
    arm = ZEROS_RAD + SIGNS * (ticks[:5] - MIDDLE) / _TICKS_PER_RAD
    return np.array([*arm, (ticks[5] - JAW[0]) / (JAW[1] - JAW[0]) * OPEN_M])


def written_registers(servos: Mapping[str, Mapping[str, int]]) -> dict[int, bytearray]:
    """Registers by the number of a servo, with the range that was calibrated in the permanent ones."""
    registers = {number: bytearray(100) for number in range(1, 7)}
    for servo in servos.values():
        for name, value in (("Min", servo["range_min"]), ("Max", servo["range_max"])):
            address = _address(f"{name}_Position_Limit")
            registers[servo["id"]][address : address + 2] = value.to_bytes(2, "little")
    return registers


class Scene:
    """MuJoCo in a thread of its own, in real time: servos below, two cameras above."""

    _scenes: ClassVar[dict[str, Scene]] = {}

    @classmethod
    def at(cls, port: str) -> Scene:
        """The scene behind a port; the same for the arm and its cameras."""
        if port not in cls._scenes:
            cls._scenes[port] = Scene(json.loads(Path(port).read_text()))
        return cls._scenes[port]

    def __init__(self, written: Mapping[str, Mapping[str, int]]) -> None:
        self.users = 0
        self.registers = written_registers(written)
        self.changed = threading.Condition()
        self.images: dict[str, np.ndarray] = {}
        self.taken_s = 0.0
        self.joints: np.ndarray | None = None
        self.target: np.ndarray | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Begin with the first user."""
        self.users += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            with self.changed:
                assert self.changed.wait_for(lambda: self.joints is not None, 60.0), "the simulation does not start"

    def release(self) -> None:
        """End with the last user."""
        self.users -= 1
        if not self.users and self._thread is not None:
            self._thread.join()
            self._thread = self.joints = self.target = None

    def _run(self) -> None:
        import gymnasium

        env = gymnasium.make("lrm_sim.env:lrm_sim/PickPlace-v0", image_size=128, disable_env_checker=True).unwrapped
        values, _ = env.reset(seed=3)
        self.target = values["joint_positions"]
        next_s = time.monotonic()
        while True:
            self._show(values)
            if not self.users:
                break
            next_s = max(next_s + 0.1, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
            values = env.step(self.target)[0]
        env.close()

    def _show(self, values: dict[str, np.ndarray]) -> None:
        with self.changed:
            self.joints = values["joint_positions"].astype(float)
            self.images = {name: values[name] for name in ("front", "wrist")}
            self.taken_s = time.perf_counter()
            self.changed.notify_all()


class Wire:
    """A port and what is plugged into it, as the objects of Feetech's SDK that LeRobot uses."""

    def __init__(self, port: str) -> None:
        self.port_name = port
        self.is_open = self.is_using = False

    @property
    def plugged(self) -> bool:
        return Path(self.port_name).exists()

    def openPort(self) -> bool:  # noqa: N802 - the SDK's names
        if self.plugged and not self.is_open:
            self.scene = Scene.at(self.port_name)
            self.scene.acquire()
            self.is_open = True
        return self.is_open

    def closePort(self) -> None:  # noqa: N802
        if self.is_open:
            self.scene.release()
        self.is_open = False

    def clearPort(self) -> None:  # noqa: N802
        pass

    def setPacketTimeoutMillis(self, _ms: float) -> None:  # noqa: N802
        pass

    def read(self, number: int, address: int, length: int) -> tuple[int, int, int]:
        if not self.plugged:
            return 0, COMM_RX_TIMEOUT, 0
        if address == _address("Present_Position"):
            assert self.scene.joints is not None
            return int(to_ticks(self.scene.joints)[number - 1]), COMM_SUCCESS, 0
        return int.from_bytes(self.scene.registers[number][address : address + length], "little"), COMM_SUCCESS, 0

    def write(self, number: int, address: int, data: list[int]) -> int:
        if not self.plugged:
            return COMM_RX_TIMEOUT
        registers, scene = self.scene.registers[number], self.scene
        registers[address : address + len(data)] = bytes(data)
        if address == _address("Goal_Position") and registers[_address("Torque_Enable")] and scene.target is not None:
            ticks = to_ticks(np.asarray(scene.target, dtype=float))
            ticks[number - 1] = int.from_bytes(bytes(data), "little")
            scene.target = to_joints(ticks)
        return COMM_SUCCESS


class Packets:
    """``PacketHandler``."""

    def ping(self, wire: Wire, number: int) -> tuple[int, int, int]:
        _, comm, error = wire.read(number, 0, 1)
        return FeetechMotorsBus.model_number_table[MODEL], comm, error

    def read1ByteTxRx(self, wire: Wire, number: int, address: int) -> tuple[int, int, int]:  # noqa: N802
        return wire.read(number, address, 1)

    def read2ByteTxRx(self, wire: Wire, number: int, address: int) -> tuple[int, int, int]:  # noqa: N802
        return wire.read(number, address, 2)

    def writeTxRx(self, wire: Wire, number: int, address: int, _length: int, data: list[int]) -> tuple[int, int]:  # noqa: N802
        return wire.write(number, address, data), 0

    def getTxRxResult(self, comm: int) -> str:  # noqa: N802
        return {COMM_RX_TIMEOUT: "[TxRxResult] There is no status packet!"}.get(comm, str(comm))

    def getRxPacketError(self, error: int) -> str:  # noqa: N802
        return str(error)


class Group:
    """``GroupSyncRead`` and ``GroupSyncWrite``."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.start_address, self.data_length = wire, 0, 0
        self.params: dict[int, list[int]] = {}
        self.values: dict[int, int] = {}

    def clearParam(self) -> None:  # noqa: N802
        self.params = {}

    def addParam(self, number: int, data: list[int] | None = None) -> None:  # noqa: N802
        self.params[number] = data or []

    def txRxPacket(self) -> int:  # noqa: N802
        found = {number: self.wire.read(number, self.start_address, self.data_length) for number in self.params}
        self.values = {number: value for number, (value, _, _) in found.items()}
        return next((comm for _, comm, _ in found.values() if comm != COMM_SUCCESS), COMM_SUCCESS)

    def getData(self, number: int, _address: int, _length: int) -> int:  # noqa: N802
        return self.values[number]

    def txPacket(self) -> int:  # noqa: N802
        for number, data in self.params.items():
            self.wire.write(number, self.start_address, data)
        return COMM_SUCCESS  # servos do not answer a group write: nobody learns that it was lost


class SimulatedBus(FeetechMotorsBus):
    """LeRobot's bus on :class:`Wire`; its constructor alone would want the SDK."""

    wire: ClassVar[type[Wire]] = Wire

    def __init__(self, port: str, motors: dict[str, Motor], calibration: Any) -> None:
        MotorsBusBase.__init__(self, port, motors, calibration)
        self.protocol_version = 0
        self._id_to_model_dict = {motor.id: motor.model for motor in motors.values()}
        self._id_to_name_dict = {motor.id: name for name, motor in motors.items()}
        self.port_handler = self.wire(port)
        self.packet_handler, self.sync_reader, self.sync_writer = Packets(), *(Group(self.port_handler) for _ in "rw")
        self._comm_success, self._no_error = COMM_SUCCESS, 0
        self._has_different_ctrl_tables = False  # else compared by a package that comes with the SDK

    def _split_into_byte_chunks(self, value: int, length: int) -> list[int]:
        return list(value.to_bytes(length, "little"))


def motors(use_degrees: bool) -> dict[str, Motor]:
    """As LeRobot's SO-101 lists them, follower and leader alike."""
    arm = MotorNormMode.DEGREES if use_degrees else MotorNormMode.RANGE_M100_100
    modes = {name: MotorNormMode.RANGE_0_100 if name == "gripper" else arm for name in JOINTS}
    return {name: Motor(number, MODEL, modes[name]) for number, name in enumerate(JOINTS, 1)}


@RobotConfig.register_subclass("simulated_follower")
@dataclass
class SimulatedFollowerConfig(RobotConfig, SOFollowerConfig):
    """As LeRobot's SO-101."""


class SimulatedFollower(SOFollower):
    """LeRobot's SO-101 on the simulated bus."""

    config_class = SimulatedFollowerConfig
    name = "simulated_follower"

    def __init__(self, config: SimulatedFollowerConfig) -> None:
        Robot.__init__(self, config)
        self.config = config
        self.bus = SimulatedBus(config.port, motors(config.use_degrees), self.calibration)
        self.cameras = {}


@CameraConfig.register_subclass("simulated_eye")
@dataclass
class SimulatedEyeConfig(CameraConfig):
    """One of the scene's two cameras."""

    port: str = ""
    device: str = ""
    view: str = "front"
    color_mode: Any = field(default=None)


class SimulatedEye(Camera):
    """Gives every frame once."""

    def __init__(self, config: SimulatedEyeConfig) -> None:
        super().__init__(config)
        self.config = config
        self._connected = False
        self.latest_timestamp: float | None = None

    @property
    def is_connected(self) -> bool:
        return self._connected

    @staticmethod
    def find_cameras() -> list[dict[str, Any]]:
        return []

    def connect(self, warmup: bool = True) -> None:
        if not Path(self.config.device).exists():
            raise ConnectionError(f"Failed to open {self.config.device}.")
        self.scene = Scene.at(self.config.port)
        self.scene.acquire()
        self._connected = True

    def read(self) -> np.ndarray:
        return self.async_read(1000.0)

    def async_read(self, timeout_ms: float = 200.0) -> np.ndarray:
        new = lambda: self.scene.joints is not None and self.scene.taken_s != self.latest_timestamp  # noqa: E731
        with self.scene.changed:
            if not Path(self.config.device).exists() or not self.scene.changed.wait_for(new, timeout_ms / 1e3):
                raise TimeoutError("no frame")
            self.latest_timestamp = self.scene.taken_s
            return self.scene.images[self.config.view].copy()

    def disconnect(self) -> None:
        if self._connected:
            self.scene.release()
        self._connected = False


def _address(name: str) -> int:
    return FeetechMotorsBus.model_ctrl_table[MODEL][name][0]
