"""Bags that a killed recorder left behind: cut to their last whole chunk and closed, so that every reader opens them.

File format: https://mcap.dev/spec. A record is an opcode, a length (uint64, little endian) and that many bytes; a file
without summary is legal and is read from front to back.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lrm_bringup.recorder import index
from lrm_bringup.recorder.bag import PARTIAL

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _CHUNK, _MESSAGE_INDEX, _METADATA, _DATA_END = 0x01, 0x02, 0x06, 0x07, 0x0C, 0x0F
_END = struct.pack("<BQI", _DATA_END, 4, 0) + struct.pack("<BQQQI", _FOOTER, 20, 0, 0, 0) + _MAGIC


def mend_all(out_dir: Path) -> list[Path]:
    """Close what is left in ``<out_dir>/.partial`` and move it to ``out_dir``; returns the bags that were saved.

    A bag that holds no whole chunk is removed.
    """
    saved = []
    for folder in sorted(path for path in (out_dir / PARTIAL).glob("*") if path.is_dir()):
        files = [file for file in folder.glob("*.mcap") if mend(file)]
        target = _free(out_dir / folder.name)
        if files:
            saved.append(folder.rename(target))
        else:
            shutil.rmtree(folder)
    for reserve in (out_dir / PARTIAL).glob("*.reserve"):
        reserve.unlink()
    return saved


def note_mended(out_dir: Path, bag: Path) -> None:
    """Name a bag that was saved in the index, with what it says about itself."""
    from lrm_bringup.bags.bag import RecordedBag

    facts = RecordedBag(bag).facts
    line = {
        "episode_id": facts.get("episode_id", bag.name), "bag": bag.name, "outcome": "",
        "cut_short": "the recorder died", "task": facts.get("task", ""), "seed": int(facts.get("seed", -1)),
        "weights_version": int(facts.get("weights_version", 0)), "confirmed_success": None, "true_success": None,
    }  # fmt: skip
    index.append(out_dir, line)


def mend(file: Path) -> bool:
    """Make ``file`` a whole MCAP file again. False when it holds no message."""
    with file.open("r+b") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return False
        chunks, end = 0, 0
        for opcode, after in _records(stream):
            if opcode == _FOOTER:
                return True
            chunks += opcode == _CHUNK
            if opcode in (_HEADER, _METADATA, _CHUNK, _MESSAGE_INDEX):  # all that our bags hold before their torn end
                end = after
        stream.seek(end)
        stream.truncate()
        stream.write(_END)
    return chunks > 0


def _records(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Opcode and end of every whole record from here on."""
    size = stream.seek(0, 2)
    position = len(_MAGIC)
    while position + 9 <= size:
        stream.seek(position)
        opcode, length = struct.unpack("<BQ", stream.read(9))
        position += 9 + length
        if position > size:
            return
        yield opcode, position


def _free(path: Path) -> Path:
    numbered = (path.with_name(f"{path.name}_{number}") for number in range(2, 1000))
    return path if not path.exists() else next(one for one in numbered if not one.exists())
