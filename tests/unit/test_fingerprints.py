"""Fingerprints of weights."""

from __future__ import annotations

from pathlib import Path

from lrm_core.fingerprints import weights_fingerprint


def test_a_fingerprint_is_that_of_all_weights_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"one")
    (tmp_path / "head" / "model.safetensors").write_bytes(b"two")
    first = weights_fingerprint(tmp_path)
    assert len(first) == 12
    (tmp_path / "README.md").write_text("words")
    assert weights_fingerprint(tmp_path) == first
    (tmp_path / "head" / "model.safetensors").write_bytes(b"twO")
    assert weights_fingerprint(tmp_path) != first
