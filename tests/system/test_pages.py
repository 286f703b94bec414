"""The pages as a browser shows them: plots and film strips are there, nothing is fetched, nothing goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import Page, browser
from hack_models import Gullible
from lrm_bringup.cli import main
from lrm_bringup.hacks.page import render
from lrm_bringup.hacks.summary import findings, summary
from lrm_bringup.replay.page import PAGE
from lrm_bringup.replay.run import ReplayOptions, replay_one, write
from lrm_bringup.replay.series import NamedPipeline
from lrm_bringup.replay.sources import PictureFolder
from lrm_bringup.report.page import REPORT, write_report
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.hacks.attacks import BUILT_IN
from lrm_reward_node.pipeline import RewardPipeline
from synthetic_run import TASK, write_run
from test_hack_suite import ABOUT, suite

PAGES = {"report": (9, 6), "replay": (2, 6), "hack_test": (10, 6), "diff": (0, 0)}
"""Page -> plots and pictures it has at least."""
SIZES = {"desktop": (1200, 900), "phone": (390, 844)}
PLOTS = """[...document.querySelectorAll('svg')].map(svg => {
  const box = (svg.closest('.scroll') ?? svg).getBoundingClientRect();  // a wide one scrolls
  const marks = [...svg.querySelectorAll('path, rect, circle')];
  return {label: svg.getAttribute('aria-label'), width: box.width, height: box.height, marks: marks.length,
    extent: Math.max(...marks.map(mark => { const b = mark.getBBox(); return Math.max(b.width, b.height); })),
    text: [...svg.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.value)).join(' ')};
})"""
PICTURES = """[...document.querySelectorAll('.strip img')].map(img => {
  const box = img.getBoundingClientRect();
  return {natural: img.naturalWidth, complete: img.complete, width: box.width, height: box.height};
})"""
LINKS = "[...document.querySelectorAll('[src], [href]')].map(e => e.getAttribute('src') ?? e.getAttribute('href'))"
LIGHTNESS = """(() => {
  const sum = colour => colour.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 765;
  const style = getComputedStyle(document.body);
  return {page: sum(style.backgroundColor), text: sum(style.color)};
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, page: Page) -> dict[str, Path]:
    """One page of every kind, each made by the code that makes it for people; ``page``: none without a browser."""
    folder = tmp_path_factory.mktemp("pages")
    write_report(write_run(folder / "run", evaluations=4, refined=12))
    return {
        "report": folder / "run" / REPORT,
        "replay": _replay(folder) / PAGE,
        "hack_test": _hack_test(folder),
        "diff": _diff(folder),
    }


def _replay(folder: Path) -> Path:
    """Two models over the same film."""
    pictures = folder / "film"
    pictures.mkdir()
    for index in range(12):
        Image.fromarray(np.full((48, 64, 3), 20 * index, np.uint8)).save(pictures / f"{index}.png")
    models = [NamedPipeline(name, RewardPipeline(FakeRewardModel(), limits=NO_LIMITS)) for name in ("one", "two")]
    options = ReplayOptions(task=TASK, out=folder / "replay")
    write(replay_one(PictureFolder(pictures, 1.0), models, options), folder / "replay" / "film", {}, options)
    return folder / "replay" / "film"


def _diff(folder: Path) -> Path:
    """Two runs of other seeds."""
    runs = (write_run(folder / name, bags=False, seed=seed) for name, seed in (("a", 1), ("b", 2)))
    assert main(["diff", *map(str, runs), "--html", str(folder / "diff.html")]) == 0
    return folder / "diff.html"


def _hack_test(folder: Path) -> Path:
    attacks = [
        attack
        for attack in BUILT_IN
        if attack.control or attack.name in ("frozen_camera", "photo_of_success", "shuffled")
    ]
    gullible = suite(Gullible())
    found = [findings(attack, list(gullible.run(attack)), 3, 2) for attack in attacks]
    path = folder / "hack_test.html"
    rule = {"success_threshold": 0.8, "success_confirmations": 2}
    path.write_text(render(found, summary(found, {"rule": rule, **ABOUT})), encoding="utf-8")
    return path


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return SIZES[request.param]


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest, page: Page, files: dict[str, Path], size: tuple[int, int]) -> str:
    """A page, open at a size."""
    page.open(files[request.param].as_uri(), width=size[0], height=size[1])
    return str(request.param)


def test_nothing_goes_wrong_and_nothing_leaves_the_page(name: str, page: Page) -> None:
    assert page.problems == []
    assert [url[:80] for url in page.requests if not url.startswith(("data:", "file:"))] == []
    assert sum(url.startswith("file:") for url in page.requests) == 1, "the page alone"
    assert [link[:80] for link in page.run(LINKS) if "//" in link.split(",")[0]] == []
    assert page.run("document.scripts.length") == 0


def test_plots_are_drawn(name: str, page: Page, size: tuple[int, int]) -> None:
    plots: list[dict[str, Any]] = page.run(PLOTS)
    assert len(plots) >= PAGES[name][0]
    for plot in plots:
        assert min(plot["width"], plot["height"]) >= 50, plot["label"]
        assert plot["width"] <= size[0], plot["label"]
        assert plot["extent"] > 1, f"{plot['label']}: nothing is drawn"
        assert plot["label"]
        assert not {"nan", "inf", "infinity", "undefined"} & set(plot["text"].lower().replace(",", " ").split())


def test_film_strips_show_pictures(name: str, page: Page) -> None:
    pictures: list[dict[str, Any]] = page.run(PICTURES)
    assert len(pictures) >= PAGES[name][1]
    for picture in pictures:
        assert picture["complete"]
        assert picture["natural"] > 8
        assert min(picture["width"], picture["height"]) >= 8


def test_no_page_is_wider_than_the_window(name: str, page: Page) -> None:
    assert page.run("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_follows_the_colours_of_the_system(kind: str, dark: bool, page: Page, files: dict[str, Path]) -> None:
    page.open(files[kind].as_uri(), dark=dark)
    found = page.run(LIGHTNESS)
    assert (found["page"] < 0.3) == (found["text"] > 0.7) == dark


def test_a_plot_with_a_number_that_is_none_is_found(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "broken.html"
    path.write_text('<img src="https://example.org/a.png"><svg aria-label="x"><path d="M0 0L10 NaN"/></svg>')
    page.open(path.as_uri())
    assert page.problems, "a path that is none, and a picture from elsewhere"
    assert any(url.startswith("https:") for url in page.requests)
