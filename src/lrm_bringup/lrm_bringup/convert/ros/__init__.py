"""Bags read as robot episodes, and episodes written as bags."""
