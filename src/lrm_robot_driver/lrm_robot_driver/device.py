"""A thread that owns one device: works with it, closes it when it is lost, opens it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from lrm_core.errors import first_line
from lrm_robot_driver.connection import Connection, State

_IDLE_S = 0.05
_JOIN_S = 10.0


class Device(Protocol):
    """A piece of hardware behind somebody else's library, which may raise anything."""

    def open(self) -> None:
        """Connect."""

    def step(self) -> None:
        """One round of work; takes about a period and never much longer."""

    def close(self) -> None:
        """Disconnect; works on a device that is half open or broken."""


class DeviceThread:
    """Runs ``device`` until :meth:`stop`; after that it is still open.

    Args:
        name: what people call it.
        device: opened already.
        connection: its state; read by other threads.
        say: takes a line for people, and whether it is bad.
    """

    def __init__(self, name: str, device: Device, connection: Connection, say: Callable[[str, bool], None]) -> None:
        self._name, self._device, self._say = name, device, say
        self.connection = connection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.connection.state is State.CONNECTED:
                self._work()
            elif self.connection.due(time.monotonic()):
                self._open()
            else:
                self._stop.wait(_IDLE_S)

    def _work(self) -> None:
        try:
            self._device.step()
        except Exception as error:  # vendors' libraries raise what they like, and the arm must not be left to itself
            if self.connection.failed(first_line(error), time.monotonic()):
                self._say(f"{self._name} lost: {self.connection.text}", True)
                self._device.close()
        else:
            self.connection.succeeded()

    def _open(self) -> None:
        try:
            self._device.open()
        except Exception as error:
            self._device.close()
            self.connection.stayed_closed(first_line(error), time.monotonic())
            self._say(f"{self._name}: {self.connection.text}", True)
        else:
            self.connection.opened()
            self._say(f"{self._name} is back", False)
