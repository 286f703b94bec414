"""The player as a node."""
