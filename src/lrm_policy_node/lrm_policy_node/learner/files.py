"""What lies in the learner's folder."""

from __future__ import annotations

TRANSITIONS = "transitions.jsonl"
"""The journal: every transition with its scores."""
WEIGHTS = "weights.safetensors"
"""The newest weights that were handed over."""
