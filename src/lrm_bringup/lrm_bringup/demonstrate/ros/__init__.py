"""The graph as the demonstrations see it."""
