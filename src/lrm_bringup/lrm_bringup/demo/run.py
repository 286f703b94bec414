"""One run of the demo from the first process to the report. Owns the order of things; everything else has a module."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_bringup.demo.collector import Collector
from lrm_bringup.demo.demonstrations import origin_of
from lrm_bringup.demo.folder import new_run_folder, seed_learner, shown
from lrm_bringup.demo.identity import fingerprints
from lrm_bringup.demo.nodes import demo_specs, learner_spec, success_threshold
from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.demo.plan import MAX_SCENES, Goal, Plan
from lrm_bringup.demo.seeding import Seeding
from lrm_bringup.demo.stop import INTERRUPTED, Interrupted, StopRequest
from lrm_bringup.environment import DomainClaim, run_environment
from lrm_bringup.graph import POLICY
from lrm_bringup.live import View
from lrm_bringup.pages.numbers import percent
from lrm_bringup.parameters import shipped
from lrm_bringup.processes import EventKind, ProcessEvent, Supervisor
from lrm_bringup.report.journal import (
    AFTER,
    BEFORE,
    JOURNAL,
    REFINE,
    EpisodeEnded,
    JournalWriter,
    ProcessSeen,
    RunEnded,
    RunStarted,
)
from lrm_bringup.report.page import REPORT, write_report
from lrm_bringup.versions import revision, versions
from lrm_core.errors import LrmError
from lrm_policy_node.runtime.loading import policy_folder

if TYPE_CHECKING:
    from lrm_bringup.ros.driver import Driver, GoalResult

READY_TIMEOUT_S = 240.0
BACK_TIMEOUT_S = 180.0
FRUITLESS_GOALS = 5
"""So many goals in a row without one complete episode end the run."""


def run_demo(options: DemoOptions) -> int:
    """Run the demo; returns the exit code: 0, 1 when it could not go on, 130 when it was interrupted."""
    options.check()
    folder = new_run_folder(options.out)
    if options.warm_start is not None:
        seed_learner(folder, options.warm_start)
    claim = DomainClaim()
    env = run_environment(claim.domain_id) | {"ROS_LOG_DIR": str(folder / "logs" / "ros")}
    os.environ.update(env)  # the driver node lives in this process
    try:
        return DemoRun(options, folder, claim.domain_id, env).run()
    finally:
        claim.release()


class DemoRun:
    """One run.

    Args:
        options: what was asked for.
        folder: run folder.
        domain_id: DDS domain of the run.
        env: environment of its processes.
    """

    def __init__(self, options: DemoOptions, folder: Path, domain_id: int, env: dict[str, str]) -> None:
        from lrm_sim.collect import EVALUATION_SEEDS, REFINE_SEEDS

        self._options, self._folder, self._domain_id, self._env = options, folder, domain_id, env
        self._start_s = self._episode_start_s = time.monotonic()
        offset = options.seed * MAX_SCENES
        self._plan = Plan(options.size, {BEFORE: EVALUATION_SEEDS + offset, REFINE: REFINE_SEEDS + offset})
        self._journal = JournalWriter(folder / JOURNAL)
        self._collector = Collector(self._journal.write, self._on_episode)
        self._collector.scene.task = options.task
        self._collector.scene.success_threshold = success_threshold()
        self._view = View(self._collector.snapshot, lambda: self._plan.remaining_s(self._elapsed_s()), options.live)
        self._stop = StopRequest()
        self._seeding: Seeding | None = None

    def run(self) -> int:
        """Everything, and the report of whatever there is."""
        self._journal.write(self._started())
        code, reason = 1, ""
        with self._view:
            here = f"ROS_DOMAIN_ID={self._domain_id} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"
            self._view.say(f"every topic of it in Rerun: {here} lrm view --live")
            try:
                reason = self._run_episodes()
                code = 0
            except Interrupted:
                code, reason = INTERRUPTED, "interrupted"
            except LrmError as error:
                reason = str(error)
                self._view.say(f"stopped: {reason}")
            self._view.now("writing the report")
            self._journal.write(RunEnded(code == 0, reason, round(self._elapsed_s(), 1)))
            self._journal.close()
            summary = write_report(self._folder)
            self._view.now("")
        self._say_result(summary)
        return code

    def _run_episodes(self) -> str:
        from lrm_bringup.ros.driver import Driver

        if self._options.size.episodes and self._has_demonstrations():
            self._seeding = Seeding(self._options, self._folder, self._env)
        try:
            with Supervisor(
                demo_specs(self._options, self._folder, self._env), on_event=self._on_process
            ) as supervisor:
                driver = Driver(self._collector, self._domain_id)
                try:
                    self._await_ready(supervisor, driver)
                    self._pursue(supervisor, driver)
                finally:
                    self._view.now("stopping the processes")
                    self._collector.close()
                    supervisor.stop()
                    driver.close()
        finally:
            if self._seeding:
                self._seeding.kill()
        return self._completed()

    def _await_ready(self, supervisor: Supervisor, driver: Driver, since_s: float = 0.0) -> None:
        """Wait until every node has said in /diagnostics that it works."""
        names = list(supervisor.restarts())
        deadline_s = time.monotonic() + (BACK_TIMEOUT_S if since_s else READY_TIMEOUT_S)
        while missing := [name for name in names if not driver.heard_from(name, since_s)]:
            self._view.now(f"waiting for {', '.join(missing)}")
            self._check_time()
            supervisor.check()
            if time.monotonic() > deadline_s:
                raise LrmError(f"{', '.join(missing)}: no sign of life; see {self._folder / 'logs'}")
            time.sleep(0.05)
        for name in names:
            supervisor.mark_ready(name)
        self._view.now("")

    def _pursue(self, supervisor: Supervisor, driver: Driver) -> None:
        fruitless = 0
        while (goal := self._plan.next_goal(self._elapsed_s())) is not None:
            if goal.phase == REFINE and "learner" not in supervisor.restarts():
                self._start_learner(supervisor, driver)
                continue  # that took time: plan again
            result, gained = self._run_goal(goal, supervisor, driver)
            self._stop.check()
            fruitless = 0 if gained else fruitless + 1
            if result.reason == "completed":
                continue
            if fruitless >= FRUITLESS_GOALS:
                raise LrmError(f"{fruitless} goals in a row gave no episode; last: {result.reason}: {result.message}")
            if not self._out_of_time():
                self._view.say(f"goal {result.reason}: {result.message}; the remaining episodes are sent again")
                self._await_ready(supervisor, driver, time.monotonic())

    def _start_learner(self, supervisor: Supervisor, driver: Driver) -> None:
        demonstrations = self._seeding.wait(self._view.now, self._check_time) if self._seeding else ""
        supervisor.add(learner_spec(self._options, self._folder, self._env, demonstrations))
        self._await_ready(supervisor, driver)

    def _run_goal(self, goal: Goal, supervisor: Supervisor, driver: Driver) -> tuple[GoalResult, int]:
        done, total = len(self._plan.done[goal.phase]), self._planned(goal.phase)
        self._collector.begin(goal.phase, done, total)
        self._episode_start_s = time.monotonic()
        policy = supervisor.pid("policy")
        result = driver.run_goal(
            goal.phase == REFINE,
            goal.first_seed,
            goal.episodes,
            self._options.task,
            cancel=lambda: bool(self._stop or supervisor.failure or self._plan.overdue(goal.phase, self._elapsed_s())),
            lost=lambda: supervisor.pid("policy") != policy,
        )
        supervisor.check()
        if self._seeding:
            self._seeding.check()
        driver.settle(self._collector, result)
        return result, len(self._plan.done[goal.phase]) - done

    def _planned(self, phase: str) -> int:
        return self._options.size.episodes if phase == REFINE else self._plan.scenes(self._elapsed_s())

    def _has_demonstrations(self) -> bool:
        """False, and said, where nobody can make the base policy's demonstrations again."""
        policy = self._options.policy or shipped(POLICY).policy
        if origin_of(policy_folder(policy)) is not None:
            return True
        start = "from the warm start alone" if self._options.warm_start else "from an empty buffer"
        self._view.say(f"{policy} does not say how to make its demonstrations again: the learner starts {start}")
        return False

    def _completed(self) -> str:
        done, size = self._plan.done, self._options.size
        if not done[AFTER] and size.episodes:
            raise LrmError(f"{size.seconds:g} s were too short to refine and measure again")
        if len(done[REFINE]) < size.episodes or len(done[BEFORE]) < size.eval_episodes:
            return (
                f"completed; the time allowed {len(done[REFINE])} of {size.episodes} refined episodes and "
                f"{len(done[BEFORE])} of {size.eval_episodes} scenes"
            )
        return "completed"

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def _out_of_time(self) -> bool:
        """The last seconds belong to the report."""
        return self._plan.overdue(AFTER, self._elapsed_s())

    def _check_time(self) -> None:
        """Raise when a stop was asked for, or when waiting any longer leaves no time for the report."""
        self._stop.check()
        if self._out_of_time():
            raise LrmError(f"{self._options.size.seconds:g} s were too short for this machine")

    def _on_process(self, event: ProcessEvent) -> None:
        self._collector.process(ProcessSeen(event.name, event.kind.value, event.message, event.pid))
        if event.kind in (EventKind.CRASHED, EventKind.RESTARTED):
            self._view.say(f"{event.name} {event.kind.value}{': ' + event.message if event.message else ''}")

    def _on_episode(self, entry: EpisodeEnded) -> None:
        """Called on the thread of the driver node, while this one waits for the goal."""
        now_s = time.monotonic()
        new = entry.complete and entry.seed not in self._plan.done[entry.phase]
        self._plan.record(entry.phase, [entry.seed] if new else [], now_s - self._episode_start_s)
        self._episode_start_s = now_s
        self._view.episode(entry)

    def _started(self) -> RunStarted:
        options = self._options
        return RunStarted(
            run_id=self._folder.name,
            seed=options.seed,
            task=options.task,
            reward_source=options.reward,
            speed=options.speed,
            seconds=options.size.seconds,
            episodes_planned=options.size.episodes,
            eval_episodes_planned=options.size.eval_episodes,
            started_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            command=list(options.command),
            versions=versions() | ({"revision": found} if (found := revision()) else {}),
            fingerprints=fingerprints(options),
            success_threshold=self._collector.scene.success_threshold,
        )

    def _say_result(self, summary: dict[str, Any]) -> None:
        success, reward = summary["success"], summary["reward"]
        self._view.say(
            f"success {percent(success[BEFORE]['rate'])} → {percent(success[AFTER]['rate'])} "
            f"({success[BEFORE]['n']} and {success[AFTER]['n']} episodes), {summary['episodes']} episodes refined, "
            f"{reward['scored']} rewards, {reward['unknown']} unknown"
        )
        self._view.say(f"report: {shown(self._folder / REPORT)}")
