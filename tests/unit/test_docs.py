"""The documentation against the tree: links lead somewhere, commands are ones that the program takes."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrm_bringup import cli
from source_tree import ROOT

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "models").glob("*/README.md"),
    ]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`(?:\w+=\S+ )?(?:scripts/run )?(lrm [a-z][^`]*)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
ENDS = ("|", ">", ";", "&&")
PLACEHOLDERS = {"{…}", "$SOURCE_ARGS"}
"""Words that stand for JSON that is said elsewhere."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """Names of a page's headings, as links have them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(text: str) -> Iterator[str]:
    """Lines of fenced and indented code, with continued lines joined."""
    fenced, joined = False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            yield joined
            joined = ""


def command(line: str) -> list[str] | None:
    """The words behind ``lrm`` of a line of shell; None for any other line."""
    if not re.match(r"(?:\w+=\S+ )*(?:time )?(?:scripts/run )?(?:lrm|\.venv/bin/lrm) [a-z-]", line):
        return None
    words = shlex.split(line, comments=True)
    start = next(at for at, word in enumerate(words) if word.endswith("lrm")) + 1
    end = next((at for at, word in enumerate(words) if word.startswith(ENDS)), len(words))
    return ["{}" if word in PLACEHOLDERS else word for word in words[start:end]]


def commands(path: Path) -> list[list[str]]:
    return [words for line in code_lines(path.read_text(encoding="utf-8")) if (words := command(line))]


def options(parser: ArgumentParser, words: list[str]) -> set[str]:
    """Option names of the sub-command that ``words`` begin with."""
    for word in words:
        subs = next((action.choices for action in parser._actions if isinstance(action.choices, dict)), {})
        if word not in subs:
            break
        parser = subs[word]
    return set(parser._option_string_actions)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=relative)
def test_every_command_in_a_code_block_is_accepted(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = []
    for words in commands(page):
        try:
            cli.parser(words).parse_args(words)
        except SystemExit as end:
            if end.code:
                refused.append((shlex.join(words), capsys.readouterr().err.strip()))
    assert refused == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_in_a_sentence_knows_its_options(page: Path) -> None:
    foreign = []
    for span in SPAN.findall(page.read_text(encoding="utf-8")):
        words = span.partition(" -- ")[0].split()[1:]
        known = options(cli.parser(words), words)
        foreign += [(span, option) for option in OPTION.findall(" ".join(words)) if option not in known]
    assert foreign == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_benchmark_that_is_named_is_there(page: Path) -> None:
    named = set(re.findall(r"python -m bench\.(\w+)", page.read_text(encoding="utf-8")))
    assert {name for name in named if not (ROOT / "bench" / f"{name}.py").is_file()} == set()


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in LINK.findall(index)}
    pages = set((ROOT / "docs").rglob("*.md")) - {ROOT / "docs" / "README.md"}
    assert [relative(page) for page in sorted(pages - linked)] == []


def test_a_command_is_found_in_shell() -> None:
    text = "text\n    scripts/run lrm score \\\n        --task x\n"
    assert list(code_lines(text)) == ["scripts/run lrm score --task x"]
    asked = command("LRM_TOKEN=x scripts/run lrm score --task 'a b' *.png > f  # why")
    assert asked == ["score", "--task", "a b", "*.png"]
    assert command("lrm: robot file is 'x'") is None
    assert command("scripts/run python -m bench.sim") is None
