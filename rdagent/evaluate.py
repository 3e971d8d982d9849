"""Runs a program on the host's views and scores what it predicts.

The program sees a view; what it writes is checked against the host's key of that view;
labels never leave this process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.errors import GradingError, InvalidSubmissionError
from rdagent.gates import read_submission
from rdagent.graders.hidden import HiddenGrader
from rdagent.interfaces import Runner
from rdagent.predictions import combine
from rdagent.records import (
    Comparison,
    Competition,
    Execution,
    Job,
    Kind,
    Program,
    Resources,
    Score,
)
from rdagent.refusals import refuse, too_slow
from rdagent.runs import RunFolder
from rdagent.split import Split
from rdagent.stored import Stored, self_reported
from rdagent.views import View, read_key

SIGTERM_GRACE = 10.0
"""Seconds between SIGTERM and the end of a program."""

Recorder = Callable[[Execution], None]
"""Told each execution as it ended."""


@dataclass
class Evaluation:
    """What came of one version of a program."""

    error: str | None = None
    score: Score | None = None
    comparison: Comparison | None = None
    """Against the rival, on the search rows both have."""
    hidden: pd.DataFrame | None = None
    """Predictions of hidden rows, indexed by row of train."""
    test: pd.DataFrame | None = None
    """Predictions of the real test rows: the folds' mean, or their vote."""
    full: bool = False
    """It failed past its first run: mending it costs a full run a time."""
    marks: list[str] = field(default_factory=list)


@dataclass
class Evaluator:
    """Everything it takes to run and score programs of one run."""

    folder: RunFolder
    competition: Competition
    split: Split
    table: pd.DataFrame
    """Row, fold and part of every labelled row (`folds.csv`)."""
    views: dict[str, View]
    runner: Runner
    resources: Resources
    grader: HiddenGrader | None
    """None: self-reported, there are no hidden rows."""
    debug_timeout: float
    full_timeout: float
    seed: int = 0
    python: str = ""
    """Version of the interpreter that runs programs."""
    env: dict[str, str] = field(default_factory=dict)
    stage: Callable[[str], None] = lambda text: None
    """Told what is going on, for the screen."""

    def __post_init__(self) -> None:
        self._keys = {name: read_key(view) for name, view in self.views.items()}
        self._sources = {name: _sources(key) for name, key in self._keys.items()}
        self.stored = Stored(self.folder, self.competition, self.table)

    @property
    def fold_views(self) -> list[View]:
        """What a full run covers: each fold, or the full data where nothing is hidden."""
        folds = [v for v in self.views.values() if v.fold is not None and v.name != "debug"]
        return sorted(folds, key=lambda v: v.fold or 0) or [self.views["full"]]

    @property
    def test_rows(self) -> int:
        """Real rows to predict."""
        return len(self._sources["full"]["test"][0])

    def execute(
        self,
        id: int,
        attempt: int,
        program: Program,
        view: View,
        *,
        kind: Kind,
        seed: int,
        timeout: float,
        deadline: float | None = None,
    ) -> tuple[Execution, pd.DataFrame | None]:
        """One execution in a fresh folder, and its predictions in the view's order if valid.

        `deadline` is what it is told (DS_DEADLINE); None: all of its time but for the grace.
        """
        suffix = "" if kind in ("debug", "fold", "refit") else f"-{kind}"
        workdir = self.folder.workspace(id, attempt, view.name + suffix)
        lay_out(workdir, program)
        told = without_grace(timeout) if deadline is None else deadline
        job = Job(
            kind=kind, fold=view.fold, seed=seed, view=view.path, workdir=workdir,
            timeout=timeout, resources=self.resources,
            env={**self.env, "DS_DEADLINE": f"{told:.0f}"},
        )  # fmt: skip
        execution = self.runner.run(job)
        frame, error = None, failure(execution, timeout)
        if error is None:
            try:
                submission = workdir / "submission.csv"
                frame = read_submission(submission, self.competition, self._keys[view.name])
            except InvalidSubmissionError as problem:
                error = str(problem)
                if execution.terminated:
                    error = f"ran longer than its {timeout:.3g} s, and when it was stopped {error}"
        return execution.model_copy(update={"error": error}), frame

    def evaluate(
        self, id: int, attempt: int, program: Program, rival: pd.DataFrame | None,
        record: Recorder, seconds_left: Callable[[], float],
    ) -> Evaluation:  # fmt: skip
        """Debug run, then fold after fold; stops early at a failure or clearly below the rival.

        `rival`: the hidden predictions that it has to beat.
        """
        refusal = refuse(program, self.competition, self.python)
        if refusal:
            record(Execution(kind="debug", seconds=0.0, error=refusal))
            return Evaluation(error=refusal)
        if "debug" in self.views:
            execution = self._debug(id, attempt, program, seconds_left)
            record(execution)
            if execution.error:
                return Evaluation(error=f"debug run: {execution.error}")
        return self._full(id, attempt, program, rival, record, seconds_left)

    def _debug(
        self, id: int, attempt: int, program: Program, seconds_left: Callable[[], float]
    ) -> Execution:
        """The run on the sample, told the deadline of a fold: so it shows what a fold takes."""
        self.stage("debug run")
        view, folds = self.views["debug"], self.fold_views
        limit = max(min(self.debug_timeout, seconds_left()), 1.0)
        full = max(min(self.full_timeout, seconds_left()), 1.0)
        told = min(without_grace(limit), without_grace(full) / len(folds))
        execution, _ = self.execute(
            id, attempt, program, view, kind="debug", seed=self.seed, timeout=limit, deadline=told
        )
        if execution.error:
            return execution
        left = min(self.full_timeout, seconds_left())
        error = too_slow(program, execution.seconds, told, view, folds, left)
        return execution.model_copy(update={"error": error})

    def _full(
        self, id: int, attempt: int, program: Program, rival: pd.DataFrame | None,
        record: Recorder, seconds_left: Callable[[], float],
    ) -> Evaluation:  # fmt: skip
        result = Evaluation()
        views, used = self.fold_views, 0.0
        hidden, tests = [], []
        for n, view in enumerate(views):
            self.stage(f"fold {n + 1} of {len(views)}" if len(views) > 1 else "full run")
            limit = min(self.full_timeout - used, seconds_left())
            if limit <= 0:
                ended = "the run's search time" if seconds_left() <= 0 else "DS_FULL_TIMEOUT"
                return Evaluation(error=f"{ended} ended after {n} of {len(views)} folds", full=True)
            execution, frame = self.execute(
                id, attempt, program, view, kind="fold", seed=self.seed, timeout=limit,
                deadline=without_grace(limit) / (len(views) - n),  # later folds need theirs
            )  # fmt: skip
            record(execution)
            used += execution.seconds
            if frame is None:
                full = n > 0 or "debug" in self.views  # without a sample the first fold is it
                return Evaluation(error=f"{view.name}: {execution.error}", full=full)
            self._mark(execution, result)
            hidden.append(self.of_source(frame, view, "train"))
            tests.append(self.of_source(frame, view, "test"))
            if n == 0 and len(views) > 1 and rival is not None:
                result.comparison = self.compare(hidden[0], rival)
                if result.comparison is not None and result.comparison.high < 0:
                    result.marks.append("stopped after the first fold: clearly below the best")
                    break
        result.hidden = pd.concat(hidden)
        result.test = combine(tests, self.competition)
        self._score(id, attempt, result, rival)
        result.full = result.error is not None
        return result

    def _score(self, id: int, attempt: int, result: Evaluation, rival: pd.DataFrame | None) -> None:
        if self.grader is None:
            workdir = self.folder.workspace(id, attempt, self.fold_views[0].name)
            result.score = self_reported(workdir, self.competition)
            if result.score is None:
                result.error = "scores.csv has no finite score in a row `ensemble` (or any row)"
            return
        assert result.hidden is not None
        try:
            result.score = self.grader.score(result.hidden, "search")
        except (GradingError, InvalidSubmissionError) as error:
            result.error = str(error)
            return
        if rival is not None:
            result.comparison = self.compare(result.hidden, rival)

    def compare(self, hidden: pd.DataFrame, rival: pd.DataFrame) -> Comparison | None:
        """Paired, on the search rows that both have; positive: better than the rival.

        None where the metric is undefined for one of them (a rank of constants, say).
        """
        assert self.grader is not None
        try:
            return self.grader.compare(hidden, rival, "search")
        except GradingError:
            return None

    def tests(self, id: int, attempt: int, suffix: str = "") -> list[pd.DataFrame]:
        """Each fold's predictions of the real test rows; folds without a valid file left out."""
        frames = []
        for view in self.fold_views:
            path = self.folder.workspace(id, attempt, view.name + suffix) / "submission.csv"
            try:
                frame = read_submission(path, self.competition, self._keys[view.name])
            except InvalidSubmissionError:
                continue
            frames.append(self.of_source(frame, view, "test"))
        return frames

    def of_source(self, frame: pd.DataFrame, view: View, source: str) -> pd.DataFrame:
        """The rows that came from `source` (train: hidden rows; test), by their row there."""
        positions, rows = self._sources[view.name][source]
        return frame.take(positions).set_axis(rows)

    def rerun(
        self, id: int, attempt: int, program: Program, seconds_left: Callable[[], float]
    ) -> tuple[list[Execution], pd.DataFrame | None]:
        """All folds once more under another seed; predictions of hidden rows unless one failed."""
        executions: list[Execution] = []
        hidden, used = [], 0.0
        for n, view in enumerate(self.fold_views):
            self.stage(f"near tie: experiment {id} under another seed, fold {n + 1}")
            limit = min(self.full_timeout - used, seconds_left())
            if limit <= 0:
                return executions, None
            execution, frame = self.execute(
                id, attempt, program, view, kind="rerun", seed=self.seed + 1, timeout=limit,
                deadline=without_grace(limit) / (len(self.fold_views) - n),
            )  # fmt: skip
            executions.append(execution)
            used += execution.seconds
            if frame is None:
                return executions, None
            hidden.append(self.of_source(frame, view, "train"))
        return executions, pd.concat(hidden)

    def _mark(self, execution: Execution, result: Evaluation) -> None:
        marks = {
            "unprotected": not execution.protected,
            "stopped by SIGTERM before its limit": execution.terminated,
        }
        result.marks += [m for m, holds in marks.items() if holds and m not in result.marks]


def without_grace(timeout: float) -> float:
    """Seconds of a limit that a program can plan with: SIGTERM comes before its end."""
    return timeout - SIGTERM_GRACE if timeout >= 10 * SIGTERM_GRACE else timeout * 0.9


def lay_out(workdir: Path, program: Program) -> None:
    """A fresh workspace with the program's files and an empty `models/`."""
    if workdir.exists():
        shutil.rmtree(workdir)  # what an interrupted agent left
    inputs = workdir / "workspace_input"
    os.makedirs(inputs / "models")  # noqa: PTH103  (a millisecond less than pathlib's, per fold)
    for name, text in program.files.items():
        path = inputs / name
        if path.parent != inputs:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def failure(execution: Execution, timeout: float) -> str | None:
    """Why an execution ended badly; None when its submission may be read."""
    if execution.limit:
        return f"used more {execution.limit} than allowed and was stopped"
    if execution.timed_out:
        return f"ran longer than its {timeout:.3g} s and was stopped"
    if execution.exit_code != 0 and not execution.terminated:
        return f"ended with exit code {execution.exit_code}"
    return None


def _sources(key: pd.DataFrame) -> dict[str, tuple[np.ndarray, pd.Index]]:
    """For each source: positions in the view's order, and the row there, sorted by row."""
    found = {}
    for source in ("train", "test"):
        mine = np.flatnonzero((key["source"] == source).to_numpy())
        rows = key["row"].to_numpy()[mine]
        order = np.argsort(rows)
        found[source] = (mine[order], pd.Index(rows[order], name="row"))
    return found
