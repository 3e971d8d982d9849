"""Labels and predictions of one competition as the arrays that its metric takes.

A label is spelled in many ways (1, 1.0, "1", True); what a CSV reader made of it must not
decide whether a prediction counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rdagent.competition.outcome import labels_of
from rdagent.errors import GradingError, InvalidSubmissionError, SetupError
from rdagent.metrics import Metric
from rdagent.metrics.resampling import Array
from rdagent.records import Competition


class Encoder:
    """Label codes follow `c.classes`; else they are the ranks of `labels`' distinct values.

    labels: the target columns of as many labelled rows as there are. Integer ratings keep
    their distances when the metric is quadratic kappa.
    """

    def __init__(self, c: Competition, labels: pd.DataFrame, metric: Metric) -> None:
        self.c = c
        self.metric = metric
        self._codes = [_codes(labels_of(labels[t]), metric) for t in c.target_columns]

    def truth(self, frame: pd.DataFrame) -> Array:
        """y of `frame`, which has the target columns. Raises SetupError for an unknown label."""
        c = self.c
        columns = [frame[t] for t in c.target_columns]
        if c.task == "ranking":
            return _objects([set(row) for row in _label_lists(columns[0])])
        if c.exclusive:
            place = {c.classes[p]: k for k, p in enumerate(c.prediction_columns)}
            return _encode(columns[0], _spellings(place))
        if len(columns) == 1:
            return self._truth(columns[0], 0)
        y = np.full((len(frame), len(columns)), np.nan)  # a row may lack some of its labels
        for j, column in enumerate(columns):
            known = column.notna().to_numpy()
            y[known, j] = self._truth(column[known], j)
        return y if c.output == "value" or np.isnan(y).any() else y.astype(int)

    def _truth(self, column: pd.Series, j: int) -> Array:
        if self.c.output == "value":
            return _numbers(column)
        code = _encode(column, self._codes[j])
        if self.c.output == "label":
            return code
        positive = self.c.classes[self.c.prediction_columns[j]]
        return np.asarray(code == self._codes[j][str(positive)], dtype=int)

    def predicted(self, frame: pd.DataFrame) -> Array:
        """p of `frame`, which has the prediction columns. Raises InvalidSubmissionError."""
        c = self.c
        columns = [frame[p] for p in c.prediction_columns]
        if c.task == "ranking":
            return _objects(_label_lists(columns[0]))
        try:
            if c.output == "label":
                pairs = zip(columns, self._codes, strict=True)
                return _stack([_encode(x, codes) for x, codes in pairs])
            p = _stack([_numbers(x) for x in columns])
        except SetupError as error:
            raise InvalidSubmissionError(f"predictions: {error}") from error
        if c.output == "value":
            if "rmsle" in self.metric.name and p.min() < 0:
                raise InvalidSubmissionError(
                    f"predictions must be at least 0 for {self.metric.name}, and the smallest is "
                    f"{p.min():g}: clip them at 0"
                )
            return p
        # Of two exclusive columns the second says all.
        return p[:, 1] if c.exclusive and len(columns) == 2 else p

    def truth_in_sample(self, frame: pd.DataFrame) -> Array:
        """y of answers in the probability columns: 1 where the label holds, or the label."""
        c = self.c
        columns = [frame[p] for p in c.prediction_columns]
        if len(columns) == 1 and not pd.api.types.is_numeric_dtype(columns[0]):
            return self._truth(columns[0], 0)
        ones = _stack([_numbers(x) for x in columns])
        one_a_row = not c.exclusive or bool((ones.sum(axis=1) == 1).all())
        if not one_a_row or not np.isin(ones, (0, 1)).all():
            raise GradingError("the answers' probability columns must hold one 1 a row and zeros")
        y: Array = ones.argmax(axis=1) if c.exclusive else ones.astype(int)
        return y

    def in_sample_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The labels of `frame` in the prediction columns: as they are, or 1 for what holds."""
        c = self.c
        if c.output != "probability":
            return frame[list(c.target_columns)].set_axis(list(c.prediction_columns), axis=1)
        y = self.truth(frame)
        if c.exclusive:
            y = (y[:, None] == np.arange(len(c.prediction_columns))).astype(int)
        return pd.DataFrame(
            y.reshape(len(frame), -1), columns=list(c.prediction_columns), index=frame.index
        )


def _codes(labels: list[Any], metric: Metric) -> dict[str, int]:
    whole = all(isinstance(x, int) and not isinstance(x, bool) for x in labels)
    if whole and labels and "kappa" in metric.name:
        return _spellings({x: x - labels[0] for x in labels})
    return _spellings({x: k for k, x in enumerate(labels)})


def _spellings(codes: dict[Any, int]) -> dict[str, int]:
    """Every way a label may be written; its own text goes before another label's variant."""
    found = {str(label): code for label, code in codes.items()}
    for label, code in codes.items():
        text = str(label)
        variants = {text.strip()}
        try:
            number = float({"true": "1", "false": "0"}.get(text.strip().lower(), text))
        except ValueError:
            number = None
        if number is not None and number.is_integer():
            variants |= {str(int(number)), str(number)}
            variants |= {"True", "true", "TRUE"} if number == 1 else set()
            variants |= {"False", "false", "FALSE"} if number == 0 else set()
        for variant in variants:
            found.setdefault(variant, code)
    return found


def _encode(column: pd.Series, codes: dict[str, int]) -> Array:
    """Integer codes, (n,). Raises SetupError naming the first label that is none."""
    place, distinct = pd.factorize(column)
    if (place < 0).any():
        raise SetupError(f"{column.name} is empty in {int((place < 0).sum())} rows")
    code = [codes.get(str(x), codes.get(str(x).strip(), -1)) for x in distinct]
    if -1 in code:
        unknown = distinct[code.index(-1)]
        few = ", ".join(list(dict.fromkeys(codes))[:6])
        raise SetupError(f"{column.name} holds {str(unknown)!r}, which is no known label ({few})")
    return np.asarray(code, dtype=int)[place]


def _numbers(column: pd.Series) -> Array:
    numbers: Array = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise SetupError(f"{column.name} holds {column.iloc[row]!r}, which is no finite number")
    return numbers


def _stack(columns: list[Array]) -> Array:
    return columns[0] if len(columns) == 1 else np.column_stack(columns)


def _objects(rows: list[Any]) -> Array:
    out = np.empty(len(rows), dtype=object)
    out[:] = rows
    return out


def _label_lists(column: pd.Series) -> list[list[str]]:
    """Space-separated labels, best first."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # single integer labels beside an empty cell
    return column.astype("string").fillna("").str.split().tolist()
