"""How good a reward model is, open loop: published metrics, and scores of held-out episodes against privileged truth."""
