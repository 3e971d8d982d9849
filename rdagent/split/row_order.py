"""Does an id, a file name or the order of rows alone tell the target?"""

from __future__ import annotations

import numpy as np
import pandas as pd

CERTAIN = 5.0
"""Standard errors: among shuffled labels this happens once in millions of tests."""
NOTABLE = 0.03
"""Smaller effects gain no program anything worth a warning."""


def order_predicts(values: pd.Series, labels: pd.DataFrame) -> bool:
    """Whether labels drift along sorted `values`, or neighbours have (un)like labels."""
    place = _order(values)
    return any(_predicts(labels[column].iloc[place]) for column in labels.columns[:20])


def _order(values: pd.Series) -> np.ndarray:
    """Positions in the order of the values: by their wording first, then by their number."""
    if pd.api.types.is_numeric_dtype(values):
        return np.argsort(values.to_numpy(), kind="stable")
    text = values.astype(str)
    wording = pd.factorize(text.str.replace(r"\d+", "#", regex=True), sort=True)[0]
    number = pd.to_numeric(text.str.extract(r"(\d+)\D*$")[0], errors="coerce").fillna(-1)
    return np.lexsort((text.to_numpy(object), number.to_numpy(float), wording))


def _predicts(labels: pd.Series) -> bool:
    labels = labels.dropna()
    n = len(labels)
    if n < 20 or labels.nunique() < 2:
        return False
    if pd.api.types.is_numeric_dtype(labels) and labels.nunique() > 20:
        return _numbers_predict(labels.rank().to_numpy(float))
    codes = pd.factorize(labels)[0]
    share = np.bincount(codes) / n
    if len(share) > n / 2:
        return False
    # Classes that sit early or late.
    place = np.arange(n)
    means = np.bincount(codes, place) / (share * n)
    drift = (means - place.mean()) / n
    errors = np.sqrt((1 - share) / (12 * share * n))
    if (np.abs(drift) > np.maximum(NOTABLE, CERTAIN * errors)).any():
        return True
    # Neighbours that agree (or differ) more than chance.
    two, three = (share**2).sum(), (share**3).sum()
    agree = (codes[1:] == codes[:-1]).mean() - two
    error = np.sqrt(max(two * (1 - two) + 2 * (three - two**2), 1e-12) / n)
    return bool(abs(agree) > max(NOTABLE, CERTAIN * error))


def _numbers_predict(ranks: np.ndarray) -> bool:
    limit = max(NOTABLE, CERTAIN / np.sqrt(len(ranks)))
    drift = np.corrcoef(np.arange(len(ranks)), ranks)[0, 1]
    neighbours = np.corrcoef(ranks[1:], ranks[:-1])[0, 1]
    return bool(max(abs(drift), abs(neighbours)) > limit)
