"""How a run is laid out: cameras and rewards above, joints below, states and events at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrm_bringup.view.canvas import Canvas

REWARDS, TRUTH, JOINTS, NUMBERS = "rewards", "truth", "joints", "numbers"
CAMERAS, STATES, EVENTS = "cameras", "states", "events"
DEPTHS, CLOUDS = "depth", "clouds"
"""First parts of the entity paths below a robot."""
STAMP, ARRIVAL = "stamp", "arrival"
"""Time lines: the stamp of the frame that something is about, and when it was recorded or arrived."""


def blueprint(canvas: Canvas) -> Any:
    """The layout of everything drawn so far; one tab per robot where there are several."""
    import rerun.blueprint as rrb

    robots = sorted({_robot(path) for path in (*canvas.cameras, *canvas.depths, *canvas.series, *canvas.states)})
    tabs = [_robot_view(canvas, robot) for robot in robots]
    root = tabs[0] if len(tabs) == 1 else rrb.Tabs(*tabs)
    return rrb.Blueprint(root, rrb.TimePanel(timeline=STAMP), rrb.SelectionPanel(state="collapsed"))


def _robot_view(canvas: Canvas, robot: str) -> Any:
    import rerun.blueprint as rrb

    cameras = [path for path in canvas.cameras if _robot(path) == robot]
    groups = [path for path in canvas.series if _robot(path) == robot]
    joints = [path for path in groups if _kind(path) == JOINTS]
    others = [path for path in groups if _kind(path) == NUMBERS]
    seen = [rrb.Spatial2DView(origin=f"/{path}", name=path.rpartition("/")[2]) for path in cameras]
    seen += [_depth_view(path) for path in canvas.depths if _robot(path) == robot]
    scored = _reward_plots(robot, [path for path in groups if _kind(path) == REWARDS])
    plots = {"joints": [_plot(path, path == joints[0]) for path in joints], "numbers": [_plot(path) for path in others]}
    tabs = [rrb.Grid(*found, name=name) for name, found in plots.items() if found]
    foot = (
        rrb.StateTimelineView(origin=_below(robot, STATES), name="states"),
        rrb.TextLogView(origin=_below(robot, EVENTS), name="events"),
    )
    rows: list[tuple[int, Any]] = []
    if seen or scored:
        right = [rrb.Vertical(*scored)] if scored else []
        rows.append((3, rrb.Horizontal(*seen, *right, column_shares=[*(1 for _ in seen), *(2 for _ in right)])))
    if tabs:
        rows.append((3, rrb.Tabs(*tabs)))
    rows.append((2, rrb.Horizontal(*foot)))
    shares, shown = zip(*rows, strict=True)
    return rrb.Vertical(*shown, row_shares=list(shares), name=robot or "robot")


def _depth_view(path: str) -> Any:
    import rerun.blueprint as rrb

    view = rrb.Spatial3DView if _kind(path) == CLOUDS else rrb.Spatial2DView
    return view(origin=f"/{path}", name=f"{_kind(path)} {path.rpartition('/')[2]}")


def _reward_plots(robot: str, groups: list[str]) -> list[Any]:
    """A plot for the verdicts, one per camera and per replayed model below it, each with the truth."""
    import rerun.blueprint as rrb

    views: list[Any] = []
    for group in sorted(groups):
        inner = [f"- /{other}/**" for other in groups if other.startswith(f"{group}/")]
        contents = [f"+ /{group}/**", *inner, f"+ {_below(robot, TRUTH)}/**"]
        name = group.removeprefix(f"{robot}/").removeprefix(f"{REWARDS}/")
        legend = rrb.PlotLegend(visible=not views)
        views.append(rrb.TimeSeriesView(origin=_below(robot), name=name, contents=contents, plot_legend=legend))
    return views


def _plot(path: str, legend: bool = True) -> Any:
    """A legend covers a part of its plot: one is enough for plots whose curves have the same colours."""
    import rerun.blueprint as rrb

    return rrb.TimeSeriesView(
        origin=f"/{path}", name=path.rpartition("/")[2], plot_legend=rrb.PlotLegend(visible=legend)
    )


def _robot(path: str) -> str:
    parts = path.split("/")
    kinds = (REWARDS, JOINTS, TRUTH, CAMERAS, DEPTHS, CLOUDS, STATES, EVENTS, NUMBERS)
    return "/".join(parts[: next(i for i, part in enumerate(parts) if part in kinds)])


def _kind(path: str) -> str:
    return path.removeprefix(_robot(path)).strip("/").split("/")[0]


def _below(robot: str, *parts: str) -> str:
    return "/" + "/".join(part for part in (robot, *parts) if part)
