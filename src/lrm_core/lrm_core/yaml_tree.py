"""YAML with the line of every value, and dataclasses built from it; problems are gathered, not raised one by one."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lrm_core.errors import BadInput
from lrm_core.params import from_mapping

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A value of a YAML file.

    Attributes:
        value: as Python data; None where the file says nothing.
        line: of the file, from 1 on.
        path: where it stands, for example ``sources[0].filter``.
    """

    value: Any
    line: int
    path: str
    lines: Mapping[str, int] = field(repr=False, default_factory=dict)

    def child(self, key: str) -> Node:
        """The value below ``key``; an empty one where there is none."""
        path = f"{self.path}.{key}" if self.path else key
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(value, self.lines.get(path, self.line), path, self.lines)

    def children(self) -> Iterator[Node]:
        """The elements of a list."""
        for index, value in enumerate(self.value):
            path = f"{self.path}[{index}]"
            yield Node(value, self.lines.get(path, self.line), path, self.lines)


def parse(path: Path, what: str, keys: str) -> Node:
    """The whole file.

    Args:
        what: what people call such a file.
        keys: some that it may have.

    Raises:
        BadInput: it cannot be read, is no YAML, or holds no keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree, value = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(what, str(path), "a YAML file that can be read", str(error)) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise BadInput(what, str(path), "valid YAML", f"{place}{getattr(error, 'problem', error)}") from error
    if not isinstance(value, dict):
        raise BadInput(what, str(path), f"keys such as {keys}")
    return Node(value, 1, "", dict(_lines(tree, "")))


def _lines(node: yaml.Node | None, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}" if path else str(key.value)
            yield below, key.start_mark.line + 1
            yield from _lines(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{path}[{index}]", value.start_mark.line + 1
            yield from _lines(value, f"{path}[{index}]")


@dataclass
class Checked:
    """Gathers what is wrong.

    Attributes:
        found: line of the file and text of each problem.
    """

    found: list[tuple[int, str]] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """In the order of the file."""
        return [f"line {line}: {text}" for line, text in sorted(self.found)]

    def note(self, node: Node, text: str) -> None:
        """Something is wrong at ``node``."""
        self.found.append((node.line, text))

    def choice(self, node: Node, value: object, allowed: Iterable[str]) -> None:
        """``value`` is none of ``allowed``."""
        names = list(allowed)
        self.note(node, f"{node.path} is {value!r}: expected one of {names}.{_near(value, names)}")

    def names(self, node: Node, allowed: Mapping[str, object]) -> None:
        """Keys that do not exist are named, with the one that was meant; so are sections that are none."""
        for key in node.value if isinstance(node.value, dict) else ():
            if key not in allowed:
                child = node.child(str(key))
                text = f"{child.path}: there is no such key; expected one of {list(allowed)}.{_near(key, allowed)}"
                self.note(child, text)

    def required(self, node: Node, names: Iterable[str]) -> None:
        """Keys that are missing below ``node``."""
        present = node.value if isinstance(node.value, dict) else {}
        for name in names:
            if present.get(name) is None:
                self.note(node, f"{node.path or 'the file'} has no key {name!r}: add it.")

    def build(self, cls: type[T], node: Node, only: Iterable[str] | None = None) -> T | None:
        """An instance of ``cls`` from the keys below ``node``; None when one of them is wrong.

        Args:
            only: keys that count; None: all, and a key that ``cls`` does not have is wrong.
        """
        if node.value is not None and not isinstance(node.value, dict):
            self.note(node, f"{node.path} is {node.value!r}: expected keys with values")
            return None
        values = dict(node.value or {})
        fields = {one.name: one for one in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if only is None:
            self.names(node, fields)
        before = len(self.found)
        good = {name: value for name, value in values.items() if name in fields}
        for name, value in good.items():
            self._one(cls, node.child(name), value, fields[name])
        return from_mapping(cls, good) if len(self.found) == before else None

    def _one(self, cls: type, node: Node, value: Any, known: dataclasses.Field[Any]) -> None:
        choices = known.metadata.get("values" if isinstance(value, dict) else "choices")
        elements = _elements(value)
        kind = _element_type(known)
        wrong = [element for element in elements if kind is not None and not _is(element, kind)]
        if wrong:
            self.note(node, f"{node.path} holds {wrong[0]!r}: expected elements of type {kind.__name__}.")  # type: ignore[union-attr]
            return
        keys = [key for key in value if not isinstance(key, str)] if isinstance(value, dict) else []
        if keys:  # YAML takes yes, no, on and numbers for something else than words
            self.note(node, f"{node.path} has the key {keys[0]!r}: expected text; put it in quotes.")
            return
        wrong = [element for element in elements if choices is not None and element not in choices]
        if wrong:
            self.choice(node, wrong[0], choices or ())
            return
        try:
            from_mapping(cls, {known.name: value})
        except BadInput as error:
            self.note(node, f"{node.path} is {error.value!r}: expected {error.allowed}.")


def _is(value: Any, kind: type) -> bool:
    """As YAML reads numbers: 1 is a float too, where one is wanted; yes and no are no numbers."""
    return type(value) is kind or (kind is float and type(value) is int)


def _elements(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, list) else [value]


def _element_type(known: dataclasses.Field[Any]) -> type | None:
    """What the elements of a list or the values of a mapping have to be; None for a single value."""
    if known.default_factory is dataclasses.MISSING:
        return None
    default = known.default_factory()
    return type(default[0]) if isinstance(default, list) and default else str


def _near(value: object, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(value), [str(name) for name in names], 1, 0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
