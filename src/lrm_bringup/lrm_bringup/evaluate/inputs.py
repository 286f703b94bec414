"""What the words on the command line stand for: recordings, tables of scores, score files of the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lrm_bringup.bags.bag import bags_in
from lrm_bringup.evaluate.labels import Label, label_for, read_labels
from lrm_bringup.replay.built import SUFFIX
from lrm_bringup.replay.run import SUMMARY, TABLE, expand
from lrm_bringup.replay.sources import pictures_in
from lrm_core.errors import BadInput
from lrm_reward_node.data.index import episodes_in
from lrm_reward_node.data.sources.videos import table_in, videos_in
from lrm_reward_node.data.summary import SUMMARY as DATA

RECORDING, SCORED, SCORE_FILE = "recording", "table of scores", "score file"
ORIGINAL = "original"
"""Name of the model whose score files come without one."""
_RUN = ("bags", "journal.jsonl")


@dataclass(frozen=True)
class EvalInput:
    """One thing to evaluate.

    Attributes:
        path: a recording, a folder of ``lrm replay`` or its table, or a ``vlm_scores.json``.
        kind: which of these.
        source: what it belongs to, for figures per source.
        labels: what people wrote down; key: file, its stem, or the episode's name.
        model: of a score file, the name given as ``NAME=FILE``.
    """

    path: Path
    kind: str
    source: str
    labels: Mapping[str, Label] = field(default_factory=dict)
    model: str = ""

    @property
    def name(self) -> str:
        """Unique for people: the name of the file or folder."""
        return self.path.resolve().name

    @property
    def label(self) -> Label:
        """The label of the whole input."""
        return label_for(self.labels, self.path.name, self.path.stem)


def find_inputs(words: Sequence[str], labels: Mapping[str, Label], split: str = "") -> list[EvalInput]:
    """All inputs behind the words, in their order, each once.

    Args:
        words: of the command line.
        labels: of people.
        split: of training sets among them.

    Raises:
        BadInput: a word names nothing that exists, or a training set has no such split.
    """
    found = [one for word in words for one in _behind(word, labels, split)]
    if split and not any(one.path.suffix == SUFFIX for one in found):
        raise BadInput("--split", split, "nothing: no input is a folder of lrm data build")
    return list({(one.path.resolve(), one.model): one for one in found}.values())


def _behind(word: str, labels: Mapping[str, Label], split: str) -> Iterator[EvalInput]:
    path = Path(word)
    name, equals, rest = word.partition("=")
    if equals and not path.exists():
        path = Path(rest)
    else:
        name = ""
    if not path.exists():
        raise BadInput("input", word, "an existing file or folder, or NAME=FILE for a score file")
    if path.is_file() and path.suffix == ".json":
        yield EvalInput(path, SCORE_FILE, path.resolve().parent.name, labels, name or ORIGINAL)
    elif name:
        raise BadInput(
            "input", word, "NAME=FILE with a vlm_scores.json", "Models of other inputs are named by --model."
        )
    elif path.is_dir():
        yield from _folder(path, labels, split)
    else:
        kind = SCORED if path.suffix == ".parquet" else RECORDING
        yield EvalInput(path, kind, path.resolve().parent.name, labels)


def _folder(path: Path, labels: Mapping[str, Label], split: str) -> Iterator[EvalInput]:
    name = path.resolve().name
    if (path / TABLE).is_file():
        yield EvalInput(path, SCORED, name, labels)
    elif (path / DATA).is_file():
        yield from (EvalInput(one, RECORDING, name, labels) for one in episodes_in(path, split))
    elif table := table_in(path):
        named = read_labels(table)
        missing = [file for file in named if not (path / file).is_file()]
        if missing:
            raise BadInput(f"file in {table}", missing[0], "a file that lies beside it")
        yield from (_clip(path, file, named[file], labels) for file in named)
    elif all((path / part).exists() for part in _RUN):
        yield from (EvalInput(bag, RECORDING, name, labels) for bag in expand([path / "bags"]))
    elif tables := sorted(p.parent for p in path.glob(f"*/{TABLE}") if (p.parent / SUMMARY).is_file()):
        yield from (EvalInput(table, SCORED, name, labels) for table in tables)
    elif videos := _videos(path):
        yield from (_clip(path, file, Label(), labels) for file in videos)
    else:
        yield from (EvalInput(one, RECORDING, name, labels) for one in expand([path]))


def _videos(path: Path) -> list[str]:
    """Videos in a folder that is nothing else: no bag, no bags, no dataset, no pictures."""
    something = (
        bags_in(path) or expand([path]) != [path] or (path / "meta" / "info.json").is_file() or pictures_in(path)
    )
    return [] if something else videos_in(path)


def _clip(folder: Path, file: str, told: Label, labels: Mapping[str, Label]) -> EvalInput:
    """A clip of a folder, which may lie deeper in it, beside others of its name."""
    path = folder / file
    own = {path.name: labels.get(file, told)}
    return EvalInput(path, RECORDING, folder.resolve().name, {**own, **labels})
