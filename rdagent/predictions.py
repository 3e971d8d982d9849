"""Sets of predictions: several combined, two compared, one written as users submit it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdagent.competition import read_sample, read_test
from rdagent.competition.tables import canonical_ids

if TYPE_CHECKING:
    from pathlib import Path

    from rdagent.records import Competition


def combine(frames: list[pd.DataFrame], c: Competition) -> pd.DataFrame:
    """Mean of several sets of predictions (probabilities renormalised), or a vote for labels.

    Tied votes go to the earliest frame with a tied label; lists of labels are merged by
    reciprocal rank. All frames have the same rows in the same order.
    """
    if len(frames) == 1:
        return frames[0].copy()
    if c.output == "label":
        merge = _merge_rankings if c.task == "ranking" else _vote
        return pd.DataFrame({x: merge([f[x] for f in frames]) for x in c.prediction_columns})
    values = np.mean([f[list(c.prediction_columns)].to_numpy(float) for f in frames], axis=0)
    if c.output == "probability" and c.exclusive:
        values = values / values.sum(axis=1, keepdims=True)
    return pd.DataFrame(values, columns=list(c.prediction_columns))


def _vote(columns: list[pd.Series]) -> pd.Series:
    codes, labels = pd.factorize(pd.concat(columns, ignore_index=True))
    votes = codes.reshape(len(columns), -1)
    rows = np.arange(votes.shape[1])
    counts = np.zeros((votes.shape[1], len(labels)), dtype=int)
    for vote in votes:
        counts[rows, vote] += 1
    tied = counts[rows, votes] == counts.max(axis=1)
    winners: Any = votes[tied.argmax(axis=0), rows]
    return pd.Series(labels[winners])


def _merge_rankings(columns: list[pd.Series]) -> pd.Series:
    merged = []
    for lists in zip(*(x.astype(str).str.split() for x in columns), strict=True):
        points: dict[str, float] = {}
        for labels in lists:
            for position, label in enumerate(labels, 1):
                points[label] = points.get(label, 0) + 1 / position
        best = sorted(points, key=lambda x: -points[x])[: max(map(len, lists))]
        merged.append(" ".join(best))
    return pd.Series(merged)


def distance(a: pd.DataFrame, b: pd.DataFrame, c: Competition) -> float:
    """How far two sets of predictions for the same rows are apart; 0: the same.

    Labels: share that differs. Probabilities: mean absolute difference. Values: the same in
    standard deviations of `b`, column by column.
    """
    columns = list(c.prediction_columns)
    if c.output == "label":
        differ = a[columns].to_numpy(object) != b[columns].to_numpy(object)
        return float(differ.mean())
    ours, theirs = a[columns].to_numpy(float), b[columns].to_numpy(float)
    spread: Any = 1.0
    if c.output == "value":
        spread = theirs.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
    return float((np.abs(ours - theirs) / spread).mean())


def write_submission(path: Path, c: Competition, test_predictions: pd.DataFrame) -> None:
    """Write predictions of the real test rows (in the test file's order) as users submit them.

    Ids are the test file's own text, rows and columns in the sample submission's order. The
    file appears whole or not at all.
    """
    sample, test = read_sample(c).reset_index(drop=True), read_test(c)
    order = sample_order(c, sample, test) if c.id_column else np.arange(len(test))
    if not c.sample_file:  # the user's own sample spells its ids as the graders want them
        for name in c.id_columns:
            sample[name] = test[name].to_numpy()[order]
    for name in c.prediction_columns:
        sample[name] = test_predictions[name].to_numpy()[order]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    sample.to_csv(temporary, index=False)
    temporary.replace(path)


def sample_order(c: Competition, sample: pd.DataFrame, test: pd.DataFrame) -> Any:
    """Position in the test file of each row of the sample submission."""
    ours, theirs = test[c.id_column], sample[c.id_column]
    if set(ours) != set(theirs):
        ours, theirs = canonical_ids(ours), canonical_ids(theirs)
    return pd.Index(ours).get_indexer(pd.Index(theirs))
