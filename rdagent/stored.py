"""What experiments left on disk: predictions, submissions, their own scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.predictions import write_submission
from rdagent.records import Competition, Score
from rdagent.runs import RunFolder


@dataclass
class Stored:
    """Predictions of the attempts that count, a file an experiment."""

    folder: RunFolder
    competition: Competition
    table: pd.DataFrame
    """Row, fold and part of every labelled row (`folds.csv`)."""
    _loaded: tuple[int, pd.DataFrame] | None = field(default=None, init=False)

    def save(self, id: int, hidden: pd.DataFrame | None, test: pd.DataFrame | None) -> None:
        """Write the predictions of hidden and of real test rows; None: there shall be none."""
        if self._loaded and self._loaded[0] == id:
            self._loaded = None
        # A killed agent may have left those of the same experiment's first life.
        self.folder.submission(id).unlink(missing_ok=True)
        self.folder.predictions(id).unlink(missing_ok=True)
        if test is not None:
            write_submission(self.folder.submission(id), self.competition, test)
        if hidden is None or hidden.empty:
            return
        folds = self.table.set_index("row")["fold"]
        out = hidden.copy()
        out.insert(0, "fold", folds.loc[hidden.index].to_numpy(), allow_duplicates=True)
        path = self.folder.predictions(id)
        temporary = path.with_name(f".{path.name}.tmp")
        out.to_csv(temporary, index_label="row")
        temporary.replace(path)

    def hidden(self, id: int) -> pd.DataFrame:
        """Predictions of hidden rows of a finished experiment, indexed by row of train."""
        if self._loaded is None or self._loaded[0] != id:
            labels = self.competition.output == "label"
            frame = pd.read_csv(
                self.folder.predictions(id),
                dtype=str if labels else None,
                keep_default_na=not labels,
            )
            # By position: a prediction column may be called `row` or `fold` as well.
            rows = pd.Index(frame.iloc[:, 0].astype(int), name="row")
            columns = list(self.competition.prediction_columns)
            self._loaded = (id, frame.iloc[:, 2:].set_axis(columns, axis=1).set_axis(rows))
        return self._loaded[1]


def self_reported(workdir: Path, competition: Competition) -> Score | None:
    """The program's own word: the `ensemble` row of `scores.csv`, else its best row."""
    path = workdir / "scores.csv"
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1_000_000:
        return None  # the file is the program's: it may be anything
    try:
        values = pd.read_csv(path, index_col=0).iloc[:, 0]
        numbers = pd.to_numeric(values, errors="coerce").dropna()
    except (OSError, ValueError, IndexError):
        return None
    numbers = numbers[np.isfinite(numbers)]
    if numbers.empty:
        return None
    best = numbers.max() if competition.higher_is_better else numbers.min()
    value = numbers["ensemble"] if "ensemble" in numbers.index else best
    return Score(
        value=float(np.ravel(value)[0]), metric=competition.metric,
        higher_is_better=competition.higher_is_better, source="self-reported",
    )  # fmt: skip
