"""Measurements that are too long for the test suite. Every command prints its figures; none is written down in code."""
