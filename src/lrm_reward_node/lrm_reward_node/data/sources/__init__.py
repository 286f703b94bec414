"""Sources of episodes that need no other package of this project."""
