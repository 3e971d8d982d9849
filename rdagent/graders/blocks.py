"""The user's `grade.py` as the loop's metric: run on hidden labels, fold by fold.

A program of the user's cannot be resampled 200 times, so bands come from ten blocks of rows
that are graded one by one: their mean +- 1.96 standard deviations / sqrt(10).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.errors import GradingError, SetupError
from rdagent.graders.encoding import Encoder
from rdagent.graders.script import run_script
from rdagent.metrics import default_metric, get_metric
from rdagent.metrics.resampling import Array
from rdagent.records import Competition

BLOCKS = 10
_REMEMBERED = 64
"""Graded sets of rows kept, so that a comparison does not grade the best one again."""


class ScriptScores:
    """Scores of predictions by `eval/<competition>/grade.py`; folds are averaged."""

    def __init__(self, c: Competition, train: pd.DataFrame, seed: int) -> None:
        script = c.eval_dir / "grade.py" if c.eval_dir else None
        if script is None or not script.is_file():
            raise SetupError(f"metric grade.py, but there is no eval/{c.id}/grade.py: add it")
        self.c = c
        self.script = script
        self._seed = seed
        self._answers = _answers(c, train)
        self._known: dict[str, float] = {}

    def score(
        self, frame: pd.DataFrame, table: pd.DataFrame, band: bool
    ) -> tuple[float, float | None, float | None]:
        """Value and band of `frame`, whose rows are those of `table`, in order."""
        folds, blocks = self._folds(table), self._blocks(table) if band else []
        values = self._grade(frame, folds + blocks)
        value = float(np.mean(values[: len(folds)]))
        if not band:
            return value, None, None
        return (value, *_band(values[len(folds) :], value))

    def compare(
        self, a: pd.DataFrame, b: pd.DataFrame, table: pd.DataFrame
    ) -> tuple[float, float, float]:
        """Difference of the values and its band, block by block."""
        folds = self._folds(table)
        parts = folds + self._blocks(table)
        differences = self._grade(a, parts) - self._grade(b, parts)
        delta = float(np.mean(differences[: len(folds)]))
        return (delta, *_band(differences[len(folds) :], delta))

    def _folds(self, table: pd.DataFrame) -> list[Array]:
        return [rows.to_numpy() for _, rows in table.groupby("fold")["row"]]

    def _blocks(self, table: pd.DataFrame) -> list[Array]:
        """Ten blocks of rows, each within a fold, alike in their labels; groups stay whole."""
        folds = table["fold"].nunique()
        blocks = []
        for n, (_, mine) in enumerate(table.groupby("fold")):
            count = min(BLOCKS // folds + (n < BLOCKS % folds), len(mine) // 2)
            block = self._deal(mine, max(count, 1))
            blocks += [rows.to_numpy() for _, rows in mine["row"].groupby(block)]
        return blocks

    def _deal(self, table: pd.DataFrame, count: int) -> Array:
        """Block of each row: shuffled, ordered by label (or group), dealt like cards."""
        row = table["row"].to_numpy()
        if "group" in table:
            unit = pd.factorize(table["group"].astype(str))[0]
        else:
            labels = self._answers.loc[row].groupby(list(self.c.prediction_columns)).ngroup()
            order = np.lexsort((np.random.default_rng(self._seed).permutation(len(row)), labels))
            unit = np.empty(len(row), dtype=int)
            unit[order] = np.arange(len(row))
        return np.asarray(unit % count)

    def _grade(self, frame: pd.DataFrame, parts: list[Array]) -> Array:
        """grade.py's score of each set of rows; several run side by side."""
        while len(self._known) > _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            return np.array(list(pool.map(lambda rows: self._grade_rows(frame, rows), parts)))

    def _grade_rows(self, frame: pd.DataFrame, rows: Array) -> float:
        answers = self._answers.loc[rows]
        submission = answers.copy()
        for column in self.c.prediction_columns:
            submission[column] = frame.loc[rows, column].to_numpy()
        text = submission.to_csv(index=False)
        key = hashlib.sha256(text.encode() + rows.tobytes()).hexdigest()
        score = self._known.get(key)
        if score is None:
            score = self._known[key] = self._run(answers.to_csv(index=False), text)
        return score

    def _run(self, answers: str, submission: str) -> float:
        with tempfile.TemporaryDirectory(prefix="hidden-") as folder:
            paths = Path(folder, "answers.csv"), Path(folder, "submission.csv")
            for path, text in zip(paths, (answers, submission), strict=True):
                path.write_text(text, encoding="utf-8")
            try:
                report = run_script(self.script, self.c.id, *paths)
            except GradingError:
                # Its last words may quote hidden labels, and errors are read by researchers.
                raise GradingError("grade.py failed on these predictions") from None
        lower = report.get("is_lower_better")
        if lower is not None and lower == self.c.higher_is_better:
            better = "lower" if lower else "higher"
            raise SetupError(
                f"grade.py says that {better} is better: set higher_is_better = "
                f"{str(not lower).lower()} in competition.toml"
            )
        return float(report["score"])


def _answers(c: Competition, train: pd.DataFrame) -> pd.DataFrame:
    """The labels of train as a file of answers has them: the sample's columns."""
    from rdagent.competition import read_sample

    encoder = Encoder(
        c, train[list(c.target_columns)], get_metric(default_metric(c.task, c.output))
    )
    labelled = train.dropna(subset=list(c.target_columns))
    frame = labelled.drop(columns=[x for x in c.prediction_columns if x in labelled])
    frame = frame.assign(**dict(encoder.in_sample_columns(labelled)))
    if c.id_column and not (c.id_column in frame and frame[c.id_column].is_unique):
        frame[c.id_column] = frame.index
    return frame[[x for x in read_sample(c).columns if x in frame]]


def _band(values: Array, value: float) -> tuple[float, float]:
    if len(values) < 2:
        raise GradingError("too few hidden rows for a band of grade.py")
    mean, half = values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return min(float(mean - half), value), max(float(mean + half), value)
