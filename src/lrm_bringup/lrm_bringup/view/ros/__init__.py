"""The part of the viewer that knows messages: drawing them, bags, the live graph."""
