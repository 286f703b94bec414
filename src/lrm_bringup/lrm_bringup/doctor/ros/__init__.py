"""Checks that talk DDS, each a program of its own, so that one that hangs can be ended."""
