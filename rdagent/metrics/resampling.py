"""Bootstrap weights, and what metrics become under all of them at once.

A resample of n rows is a vector of counts (how often each row was drawn). With B of them
as a matrix of shape (B, n), a metric over every resample is a few matrix products instead
of B calls; each function here equals the plain metric on the repeated rows.

Shapes: y (n,) class codes, booleans or values; p (n,) or (n, classes); weights (B, n),
fastest when its transpose is contiguous. Undefined values are NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kernel = Callable[[Array, Array, Array], Array]


def bootstrap_weights(
    strata: Array, seed: int, resamples: int = 200, units: Array | None = None
) -> Array:
    """Counts of each row in `resamples` draws with replacement within each stratum.

    strata: (n,) integers. units: (n,) integers; rows of one unit are drawn together, in the
    stratum of the unit's first row. Returns (resamples, n) floats.
    """
    if units is not None:
        _, first, unit = np.unique(units, return_index=True, return_inverse=True)
        per_unit = bootstrap_weights(strata[first], seed, resamples)
        return np.ascontiguousarray(per_unit.T[unit]).T
    order = np.argsort(strata, kind="stable")
    _, start, stratum, size = np.unique(
        strata[order], return_index=True, return_inverse=True, return_counts=True
    )
    n = len(strata)
    drawn = np.random.default_rng(seed).random((n, resamples)) * size[stratum, None]
    cell = (drawn.astype(np.intp) + start[stratum, None]) * resamples + np.arange(resamples)
    counts = np.bincount(cell.ravel(), minlength=n * resamples).reshape(n, resamples)
    weights = np.empty((n, resamples))
    weights[order] = counts
    return weights.T


def nanmean(values: Array | list[Array] | list[float]) -> Array:
    """Mean over the first axis without NaN; NaN (and no warning) where nothing is left."""
    stack = np.asarray(values, dtype=float)
    known = ~np.isnan(stack)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Array = np.where(known, stack, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def row_mean(loss: Callable[[Array, Array], Array], root: bool = False) -> Kernel:
    """A metric that is a mean over rows (or the square root of one)."""

    def kernel(y: Array, p: Array, weights: Array) -> Array:
        mean: Array = weights @ loss(y, p) / weights.sum(axis=1)
        return np.sqrt(mean) if root else mean

    return kernel


def _sums(codes: Array, size: int, weights: Array) -> Array:
    """Weight of each code 0..size-1 in each resample, (size, B)."""
    from scipy.sparse import csc_array

    n = len(codes)
    one_hot = csc_array((np.ones(n), codes, np.arange(n + 1)), shape=(size, n))
    sums: Array = one_hot @ weights.T
    return sums


def _ratio(top: Array, bottom: Array, otherwise: float) -> Array:
    out: Array = np.full(np.broadcast_shapes(top.shape, bottom.shape), otherwise)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def class_counts(y: Array, p: Array, weights: Array) -> tuple[Array, Array, Array]:
    """True, predicted and correct weight of each class, (classes, B) each.

    Two-dimensional y and p are indicators: each column is a class of its own.
    """
    if y.ndim == 2:
        true, predicted, hit = ((weights @ a).T for a in (y, p, y * p))
        return true, predicted, hit
    size = int(max(y.max(), p.max())) + 1
    both = _sums(np.where(y == p, y, y + size), 2 * size, weights)
    hit = both[:size]
    return hit + both[size:], _sums(p, size, weights), hit


def f1(average: str) -> Kernel:
    """F1 `binary` (class 1), or `macro`, `micro`, `weighted` over classes or indicators."""

    def kernel(y: Array, p: Array, weights: Array) -> Array:
        true, predicted, hit = class_counts(y, p, weights)
        if average == "micro":
            return _ratio(2 * hit.sum(axis=0), (true + predicted).sum(axis=0), 0.0)
        each = _ratio(2 * hit, true + predicted, 0.0)
        if average == "weighted":
            return _ratio((each * true).sum(axis=0), true.sum(axis=0), 0.0)
        if average == "binary":
            return each[1] if len(each) > 1 else np.zeros(len(weights))
        counted = len(each) if y.ndim == 2 else (true + predicted > 0).sum(axis=0)
        return _ratio(each.sum(axis=0), np.asarray(counted), 0.0)

    return kernel


def balanced_accuracy(y: Array, p: Array, weights: Array) -> Array:
    true, _, hit = class_counts(y, p, weights)
    return nanmean(_ratio(hit, true, np.nan))


def mcc(y: Array, p: Array, weights: Array) -> Array:
    true, predicted, hit = class_counts(y, p, weights)
    total = true.sum(axis=0)
    top = hit.sum(axis=0) * total - (true * predicted).sum(axis=0)
    spread = (total**2 - (true**2).sum(axis=0)) * (total**2 - (predicted**2).sum(axis=0))
    return _ratio(top, np.sqrt(spread), 0.0)


def quadratic_kappa(y: Array, p: Array, weights: Array) -> Array:
    """From moments: the observed disagreement is a sum of squares, the expected one too."""
    total = weights.sum(axis=1)
    observed = weights @ (y - p) ** 2
    expected = weights @ (y**2 + p**2) - 2 * (weights @ y) * (weights @ p) / total
    return 1 - _ratio(observed, expected, np.nan)


def _spread(values: Array, weights: Array) -> Array:
    """Sum of squares around the mean; exactly 0 where all rows drawn share one value."""
    squares = weights @ values**2
    spread: Array = squares - (weights @ values) ** 2 / weights.sum(axis=1)
    spread[spread <= 1e-12 * squares] = 0.0
    return spread


def r2(y: Array, p: Array, weights: Array) -> Array:
    error = weights @ (y - p) ** 2
    return 1 - _ratio(error, _spread(y - y.mean(), weights), np.nan)


def pearson(y: Array, p: Array, weights: Array) -> Array:
    """NaN where the labels are constant, 0 where only the predictions are."""
    y, p = y - y.mean(), p - p.mean()
    top = weights @ (y * p) - (weights @ y) * (weights @ p) / weights.sum(axis=1)
    spread_y, spread_p = _spread(y, weights), _spread(p, weights)
    return np.where(spread_y > 0, _ratio(top, np.sqrt(spread_y * spread_p), 0.0), np.nan)


def median_absolute_error(y: Array, p: Array, weights: Array) -> Array:
    error = np.abs(y - p)
    order = np.argsort(error)
    below = np.cumsum(weights.T[order], axis=0)
    total = below[-1]
    middle = [(below <= rank).sum(axis=0) for rank in ((total - 1) // 2, total // 2)]
    values: Array = error[order][np.array(middle)].mean(axis=0)
    return values


def _centred_ranks(values: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Ranks less their mean, (distinct, B); weight, (distinct, B); each row's place, (n,)."""
    distinct, place = np.unique(values, return_inverse=True)
    mass = _sums(place, len(distinct), weights)
    ranks = np.cumsum(mass, axis=0) - mass / 2 - mass.sum(axis=0) / 2
    return ranks, mass, place


def spearman(y: Array, p: Array, weights: Array) -> Array:
    """NaN where the labels are constant, 0 where only the predictions are."""
    rank_y, mass_y, place_y = _centred_ranks(y, weights)
    rank_p, mass_p, place_p = _centred_ranks(p, weights)
    top = np.einsum("nb,nb,nb->b", weights.T, rank_y[place_y], rank_p[place_p])
    spread_y = np.einsum("nb,nb,nb->b", mass_y, rank_y, rank_y)
    spread_p = np.einsum("nb,nb,nb->b", mass_p, rank_p, rank_p)
    return np.where(spread_y > 0, _ratio(top, np.sqrt(spread_y * spread_p), 0.0), np.nan)


def _at_thresholds(y: Array, p: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """At each distinct score of a positive row, ascending, (thresholds, B) each:
    weight of positives there, of negatives there, of negatives below; all negatives, (B,)."""
    thresholds = np.unique(p[y])
    size = len(thresholds)
    place = np.searchsorted(thresholds, p)
    level = np.append(thresholds, np.inf)[place] == p
    kind = np.where(y, 0, np.where(level, 1, 2))
    # one pass over the weights for all three kinds: this is the time of AUC with many classes
    sums = _sums(place + kind * size, 3 * size + 1, weights)
    positive, negative, between = sums[:size], sums[size : 2 * size], sums[2 * size : -1]
    below = np.cumsum(negative + between, axis=0) - negative
    return positive, negative, below, below[-1] + negative[-1] + sums[-1]


def one_vs_rest(kernel: Kernel) -> Kernel:
    """Mean over classes of a binary metric; classes that a resample lacks are left out."""

    def wrapped(y: Array, p: Array, weights: Array) -> Array:
        if p.ndim == 1:
            return kernel(y.astype(bool), p, weights)
        return nanmean([kernel(y == k, p[:, k], weights) for k in range(p.shape[1])])

    return wrapped


def roc_auc(y: Array, p: Array, weights: Array) -> Array:
    """Binary: share of (positive, negative) pairs in the right order, ties half."""
    if y.all() or not y.any():
        return np.full(len(weights), np.nan)
    positive, negative, below, negatives = _at_thresholds(y, p, weights)
    pairs = np.einsum("tb,tb->b", positive, below + negative / 2)
    return _ratio(pairs, positive.sum(axis=0) * negatives, np.nan)


def average_precision(y: Array, p: Array, weights: Array) -> Array:
    """Binary: precision at each threshold, weighted by the positives there."""
    if not y.any():
        return np.full(len(weights), np.nan)
    positive, _, below, negatives = _at_thresholds(y, p, weights)
    total = positive.sum(axis=0)
    found = total - np.cumsum(positive, axis=0) + positive
    wrong = negatives - below
    return _ratio((positive * _ratio(found, found + wrong, 0.0)).sum(axis=0), total, np.nan)
