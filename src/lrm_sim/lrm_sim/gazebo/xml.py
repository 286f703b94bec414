"""Small pieces of XML that URDF and SDF share."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from lrm_sim.gazebo.description import Pose

WRITTEN = "Written by `lrm gazebo` from the MuJoCo scene (lrm_sim.scene, assets/arm.xml); do not edit."


def numbers(values: Iterable[float] | np.ndarray) -> str:
    """Numbers separated by spaces, to a nanometre; no negative zero, so that the text is the same everywhere."""
    return " ".join(f"{round(float(value), 9) + 0.0:.9g}" for value in values)


def add(parent: Element, tag: str, text: object = "", **attributes: str) -> Element:
    """A new child with text."""
    child = SubElement(parent, tag, attributes)
    if text != "":
        child.text = str(text).lower() if isinstance(text, bool) else str(text)
    return child


def six(pose: Pose) -> str:
    """Position and roll, pitch, yaw, as SDF's ``<pose>`` has it."""
    return f"{numbers(pose.position)} {numbers(pose.rpy)}"


def inertia_entries(inertia: np.ndarray) -> dict[str, str]:
    """The six independent entries of an inertia matrix, by their names in URDF and SDF."""
    rows = {"ixx": (0, 0), "ixy": (0, 1), "ixz": (0, 2), "iyy": (1, 1), "iyz": (1, 2), "izz": (2, 2)}
    # Nine digits of the value: an inertia is too small for nine places behind the point.
    return {name: f"{inertia[place] if abs(inertia[place]) > 1e-15 else 0.0:.9g}" for name, place in rows.items()}


def document(root: Element) -> str:
    """Indented text of a document, with the note of who writes it."""
    ElementTree.indent(root, "  ")
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0"?>\n<!-- {WRITTEN} -->\n{body}\n'
