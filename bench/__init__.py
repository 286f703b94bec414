"""Measurements that are too long for the test suite. Every command here prints its figures; none is written down in code."""
