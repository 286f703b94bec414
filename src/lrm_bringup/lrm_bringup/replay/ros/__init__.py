"""Bags as events, rewards as messages, and the pipeline as the node builds it."""
