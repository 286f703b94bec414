"""Which weights a model has, in a word short enough to compare by eye."""

from __future__ import annotations

import hashlib
from pathlib import Path

_WEIGHTS = "*.safetensors"
_DIGITS = 12


def weights_fingerprint(folder: Path) -> str:
    """First 12 hexadecimal digits of a sha256 over the ``*.safetensors`` in ``folder`` and below, by path.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(_WEIGHTS)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]
