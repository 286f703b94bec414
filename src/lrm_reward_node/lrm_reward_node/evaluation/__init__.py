"""How good a reward model is, open loop: published metrics, and held-out episodes against privileged truth."""
