"""Attacks on the reward model: what it is shown, what is true meanwhile, and what it makes of that."""
