"""How a run is laid out: cameras and rewards above, joints below, states and events at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrm_bringup.view.canvas import Canvas

REWARDS, TRUTH, JOINTS, NUMBERS = "rewards", "truth", "joints", "numbers"
CAMERAS, STATES, EVENTS = "cameras", "states", "events"
"""First parts of the entity paths below a robot."""


def blueprint(canvas: Canvas) -> Any:
    """The layout of everything drawn so far; one tab per robot where there are several."""
    import rerun.blueprint as rrb

    from lrm_bringup.view.canvas import STAMP

    robots = sorted({_robot(path) for path in (*canvas.cameras, *canvas.series)})
    tabs = [_robot_view(canvas, robot) for robot in robots]
    root = tabs[0] if len(tabs) == 1 else rrb.Tabs(*tabs)
    return rrb.Blueprint(root, rrb.TimePanel(timeline=STAMP), rrb.SelectionPanel(state="collapsed"))


def _robot_view(canvas: Canvas, robot: str) -> Any:
    import rerun.blueprint as rrb

    cameras = [path for path in canvas.cameras if _robot(path) == robot]
    groups = [path for path in canvas.series if _robot(path) == robot]
    joints = [path for path in groups if _kind(path) == JOINTS]
    others = [path for path in groups if _kind(path) not in (JOINTS, REWARDS, TRUTH)]
    pictures = [rrb.Spatial2DView(origin=path, name=path.rpartition("/")[2]) for path in cameras]
    scored = rrb.TimeSeriesView(
        origin=_below(robot), name="rewards",
        contents=[f"+ {_below(robot, REWARDS)}/**", f"+ {_below(robot, TRUTH)}/**"],
    )  # fmt: skip
    rows: list[Any] = []
    if pictures or any(_kind(path) == REWARDS for path in groups):
        rows.append(rrb.Horizontal(*pictures, scored, column_shares=[*(1 for _ in pictures), 2]))
    plots = [_plot(path, legend=path == joints[0]) for path in joints]
    further = [_plot(path, legend=True) for path in others]
    if plots or further:
        shown = [rrb.Grid(*found, name=name) for name, found in (("joints", plots), ("numbers", further)) if found]
        rows.append(rrb.Tabs(*shown))
    rows.append(
        rrb.Horizontal(
            rrb.StateTimelineView(origin=_below(robot, STATES), name="states"),
            rrb.TextLogView(origin=_below(robot, EVENTS), name="events"),
        )
    )
    return rrb.Vertical(*rows, row_shares=[3, 3, 2][-len(rows) :], name=robot or "robot")


def _plot(path: str, legend: bool) -> Any:
    """A legend covers a part of its plot: one is enough for plots whose curves have the same colours."""
    import rerun.blueprint as rrb

    return rrb.TimeSeriesView(
        origin=f"/{path}", name=path.rpartition("/")[2], plot_legend=rrb.PlotLegend(visible=legend)
    )


def _robot(path: str) -> str:
    parts = path.split("/")
    kinds = (REWARDS, JOINTS, TRUTH, CAMERAS, STATES, EVENTS, NUMBERS)
    return "/".join(parts[: next(i for i, part in enumerate(parts) if part in kinds)])


def _kind(path: str) -> str:
    return path.removeprefix(_robot(path)).strip("/").split("/")[0]


def _below(robot: str, *parts: str) -> str:
    return "/" + "/".join(part for part in (robot, *parts) if part)
