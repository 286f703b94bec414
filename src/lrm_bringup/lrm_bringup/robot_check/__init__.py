"""``lrm robot check``: a live robot against its contract. ``judging`` is pure; ``ros`` listens."""
