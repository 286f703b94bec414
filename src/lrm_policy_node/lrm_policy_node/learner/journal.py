"""An append-only journal of transitions with their scores: what was acknowledged survives a kill.

One JSON object per line. A record counts only when its line is whole: a process that dies while writing leaves at most
one torn line at the end, which is cut off when the journal is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.transitions import CreditedTransition, Scores, Transition

_ARRAYS = ("observation", "action", "next_observation")


class Journal:
    """Journal in ``path``.

    Raises:
        BadInput: the file cannot be opened for writing, or a line other than the last one is not a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise BadInput("journal", str(path), "a file that can be written", str(error)) from error
        self._repair()

    def read(self) -> list[CreditedTransition]:
        """All records, oldest first."""
        self._file.seek(0)
        return [_decode(line, self.path) for line in self._file]

    def append(self, transitions: Iterable[CreditedTransition]) -> None:
        """Write records and wait until they are on the disk; raises OSError when it is full."""
        lines = b"".join(_encode(transition) for transition in transitions)
        if not lines:
            return
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _repair(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)


def _encode(credited: CreditedTransition) -> bytes:
    record = asdict(credited)
    for name in _ARRAYS:
        record["transition"][name] = [float(x) for x in record["transition"][name]]
    return json.dumps(record).encode() + b"\n"


def _decode(line: bytes, path: Path) -> CreditedTransition:
    try:
        record = json.loads(line)
        arrays = {name: np.asarray(record["transition"][name], np.float32) for name in _ARRAYS}
        transition = Transition(**record["transition"] | arrays)
        return CreditedTransition(transition, Scores(**record["start"]), Scores(**record["end"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "journal", str(path), "one transition per line", f"Move it away to start anew. {error}"
        ) from error
