"""Hand-over of residual weights from the learner to the control loop."""

from __future__ import annotations

import hashlib
import threading

from lrm_core.errors import BadInput
from lrm_policy_node.rl.actor import ResidualPolicy


class WeightsBox:
    """The newest weights that are fit for use. Received on one thread, adopted on another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data: bytes | None = None
        self._version = 0

    @property
    def version(self) -> int:
        """Version of the newest weights; 0: none."""
        return self._version

    def offer(self, version: int, data: bytes, sha256: str) -> None:
        """Take new weights; on :class:`BadInput` the old ones stay.

        Args:
            version: as the learner counts.
            data: safetensors file image.
            sha256: of ``data``, hexadecimal.
        """
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise BadInput(
                "policy weights sha256", found, sha256, f"Version {version} is refused, the old weights stay."
            )
        ResidualPolicy.from_bytes(data)
        with self._lock:
            self._data, self._version = data, version

    def adopt(self, residual: ResidualPolicy) -> None:
        """Load the newest weights into ``residual``, if there are any it has not."""
        with self._lock:
            data, version = self._data, self._version
        if data is not None and version != residual.version:
            residual.load(data)
