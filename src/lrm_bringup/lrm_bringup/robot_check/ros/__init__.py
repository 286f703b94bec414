"""The live graph as plain data."""
