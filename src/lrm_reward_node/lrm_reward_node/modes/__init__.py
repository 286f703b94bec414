"""Reward modes: one small interface over different reward models. Others register by entry point (``registry``)."""
