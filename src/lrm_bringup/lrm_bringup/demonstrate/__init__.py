"""A person as the one who runs episodes: says when a demonstration begins, when it ends, and how it went."""
