"""Scores programs on the labels that the host hid from them: the loop's only judge.

Bands and comparisons come from one set of bootstrap resamples, stratified by fold and class
(whole groups where rows come in groups), the same for every program: two programs are
compared on the same rows and the same draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from rdagent.errors import GradingError, SetupError
from rdagent.graders.blocks import ScriptScores
from rdagent.graders.encoding import Encoder
from rdagent.metrics import get_metric
from rdagent.metrics.resampling import Array, bootstrap_weights, nanmean
from rdagent.records import Comparison, Competition, Score

Part = Literal["search", "final", "all"]

_DRAWS = 3
"""Sets of resamples kept: the search rows, those of the first fold, all rows."""
_REMEMBERED = 64
"""Programs whose 200 values are kept: the best one is compared with each that comes."""


SMALLEST_STRATUM = 10
"""Rows of a class in a fold from which they are drawn as a stratum of their own."""


class HiddenGrader:
    """Grades predictions of hidden rows.

    Args:
        c: its metric is a name of `metrics.METRICS`, or `grade.py` in its folder of answers.
        train: all labelled rows; `table.row` are positions in it.
        table: columns row, fold, part and, where rows come in groups, group (`split.make_split`).
        seed: of the resamples; the same seed gives the same band.

    Raises:
        SetupError: no such metric, it does not fit the task, or a hidden label is unusable.
    """

    def __init__(
        self, c: Competition, train: pd.DataFrame, table: pd.DataFrame, seed: int = 0
    ) -> None:
        self.c = c
        self.seed = seed
        self._table = table[table["fold"] >= 0].sort_values(["fold", "row"], ignore_index=True)
        hidden = train.iloc[self._table["row"].to_numpy()]
        self._draws: dict[bytes, Array] = {}
        self._measured: dict[bytes, tuple[float, Array | None]] = {}
        self._judge: _MetricScores | ScriptScores
        if c.metric == "grade.py":
            self._judge = ScriptScores(c, train, seed)
        else:
            self._judge = _MetricScores(c, train, hidden)

    def score(self, predictions: pd.DataFrame, part: Part = "search", band: bool = True) -> Score:
        """Score of `predictions` (index: row of train; columns: c.prediction_columns).

        Covers the rows of `part` that are predicted; `low` and `high` hold 95 % of the
        resamples when `band`. Raises InvalidSubmissionError for predictions that cannot be
        scored, GradingError where the metric is undefined.
        """
        at = self._positions(part, predictions)
        frame = predictions.loc[self._rows(at)]
        if isinstance(self._judge, ScriptScores):
            value, low, high = self._judge.score(frame, self._table.loc[at], band)
        else:
            value, values = self._measure(frame, at, band)
            low, high = (None, None) if values is None else _interval(values, value)
        if not np.isfinite(value):
            raise GradingError(f"{self.c.metric} is undefined on the hidden rows of {part}")
        return Score(
            value=value, metric=self.c.metric, higher_is_better=self.c.higher_is_better,
            low=low, high=high, folds=tuple(sorted(map(int, set(self._table["fold"][at])))),
        )  # fmt: skip

    def compare(self, a: pd.DataFrame, b: pd.DataFrame, part: Part = "search") -> Comparison:
        """Paired difference on the rows that both predict; positive: `a` is better."""
        at = self._positions(part, a, b)
        rows = self._rows(at)
        first, second = a.loc[rows], b.loc[rows]
        sign = 1.0 if self.c.higher_is_better else -1.0
        if isinstance(self._judge, ScriptScores):
            delta, low, high = self._judge.compare(first, second, self._table.loc[at])
            low, high = (low, high) if sign > 0 else (-high, -low)
            return Comparison(delta=sign * delta, low=low, high=high)
        (value, values), (other, others) = (self._measure(f, at) for f in (first, second))
        delta = sign * (value - other) + 0.0  # no -0.0
        if values is None or others is None or not np.isfinite(delta):
            raise GradingError(f"{self.c.metric} is undefined on the rows that both predict")
        low, high = _interval(sign * (values - others) + 0.0, delta)
        return Comparison(delta=delta, low=low, high=high)

    def search_rows(self, fold: int) -> Array:
        """Rows of train in the search part of a fold, ascending."""
        chosen = (self._table["fold"] == fold) & (self._table["part"] == "search")
        return self._table["row"].to_numpy()[chosen.to_numpy()]

    def _positions(self, part: Part, *frames: pd.DataFrame) -> Array:
        """Places in the table of the rows of `part` that all frames predict, fold by fold."""
        chosen = np.ones(len(self._table), dtype=bool)
        if part != "all":
            chosen &= (self._table["part"] == part).to_numpy()
        for frame in frames:
            chosen &= self._table["row"].isin(frame.index).to_numpy()
        if not chosen.any():
            raise GradingError(f"no hidden row of the {part} part is predicted")
        return np.flatnonzero(chosen)

    def _rows(self, at: Array) -> Array:
        return self._table["row"].to_numpy()[at]

    def _slices(self, at: Array) -> list[slice]:
        """One slice a fold; the table is sorted by fold."""
        _, starts = np.unique(self._table["fold"].to_numpy()[at], return_index=True)
        return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(at)], strict=True)]

    def _measure(
        self, frame: pd.DataFrame, at: Array, band: bool = True
    ) -> tuple[float, Array | None]:
        """Value and, if `band`, values in the resamples; the best program's are remembered."""
        judge = self._judge
        assert isinstance(judge, _MetricScores)
        p = judge.predicted(frame)
        content = repr(p.tolist()).encode() if p.dtype == object else p.tobytes()
        key = hashlib.sha256(at.tobytes() + content).digest()
        value, values = self._measured.pop(key, (None, None))
        if value is None:
            value = judge.value(p, at, self._slices(at))
        if band and values is None and np.isfinite(value):
            values = judge.resampled(p, at, self._slices(at), self._weights(at))
        while len(self._measured) >= _REMEMBERED:
            self._measured.pop(next(iter(self._measured)))
        self._measured[key] = value, values
        return value, values

    def _weights(self, at: Array) -> Array:
        """The resamples of these rows, (200, rows): drawn once, then shared by all programs."""
        key = at.tobytes()
        if key not in self._draws:
            while len(self._draws) >= _DRAWS:
                self._draws.pop(next(iter(self._draws)))
            assert isinstance(self._judge, _MetricScores)
            fold = self._table["fold"].to_numpy()[at]
            if "group" in self._table:
                unit = pd.factorize(self._table["group"].astype(str).to_numpy()[at])[0]
                unit = unit * (fold.max() + 1) + fold  # a group is drawn within its fold
                self._draws[key] = bootstrap_weights(fold, self.seed, units=unit)
            else:
                strata = _strata(fold, self._judge.classes[at])
                self._draws[key] = bootstrap_weights(strata, self.seed)
        return self._draws[key]


class _MetricScores:
    """The hidden labels and a metric of ours."""

    def __init__(self, c: Competition, train: pd.DataFrame, hidden: pd.DataFrame) -> None:
        self.metric = get_metric(c.metric)
        if c.task not in self.metric.tasks:
            fits = " or ".join(self.metric.tasks)
            raise SetupError(
                f"metric {c.metric} measures {fits}, and {c.id} is {c.task}: "
                "name another `metric` in competition.toml"
            )
        encoder = Encoder(c, train[list(c.target_columns)], self.metric)
        self.predicted = encoder.predicted
        self.y = encoder.truth(hidden)
        if "rmsle" in c.metric and np.nanmin(self.y) < 0:
            raise SetupError(f"rmsle needs labels of at least 0, and {c.id} has smaller ones")
        one_class_a_row = c.task in ("binary", "multiclass") and self.y.ndim == 1
        self.classes = self.y if one_class_a_row else np.zeros(len(hidden), dtype=int)

    def value(self, p: Array, at: Array, folds: list[slice]) -> float:
        y = self.y[at]
        return float(self._over_folds(lambda s: self.metric.score(y[s], p[s]), folds))

    def resampled(self, p: Array, at: Array, folds: list[slice], weights: Array) -> Array:
        y = self.y[at]
        return self._over_folds(lambda s: self.metric.resampled(y[s], p[s], weights[:, s]), folds)

    def _over_folds(self, of: Callable[[slice], float | Array], folds: list[slice]) -> Array:
        """Pooled over folds if the metric is a mean over rows, else averaged."""
        if self.metric.pooled:
            return np.asarray(of(slice(None)))
        return nanmean(np.array([of(s) for s in folds]))


def _strata(fold: Array, classes: Array) -> Array:
    """Fold and class of each row; where those are few rows the fold alone, else all together.

    A stratum of one row is the same in every resample, and few rows hardly vary: a band from
    such strata would be too narrow (by half for one row a class and fold).
    """
    strata = np.zeros(len(fold), dtype=int)
    for finer in (fold, fold * (int(classes.max()) + 1) + classes):
        labels, counts = np.unique(finer, return_inverse=True, return_counts=True)[1:]
        large = counts[labels] >= SMALLEST_STRATUM
        strata = np.where(large, strata.max() + 1 + labels, strata)
    return strata


def _interval(values: Array, value: float) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of the defined resamples, the value itself included."""
    known = values[~np.isnan(values)]
    if not len(known):
        return value, value
    low, high = np.quantile(known, (0.025, 0.975))
    return min(float(low), value), max(float(high), value)
