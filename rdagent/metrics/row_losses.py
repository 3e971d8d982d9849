"""Losses (or gains) of single rows, (n,): all that a mean over rows needs.

y and p as in `rdagent.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from rdagent.metrics.resampling import Array


def log_losses(y: Array, p: Array) -> Array:
    p = normalised(p)
    chosen = p[np.arange(len(y)), y] if p.ndim == 2 else np.where(y == 1, p, 1 - p)
    eps = np.finfo(float).eps
    loss: Array = -np.log(np.clip(chosen, eps, 1 - eps))
    return loss


def normalised(p: Array) -> Array:
    if p.ndim == 1:
        return p
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1])


def brier(y: Array, p: Array) -> Array:
    """Of several classes: the sum of squares over the classes, 0 to 2."""
    if p.ndim == 1:
        return squares(y, p)
    rows: Array = ((p - (np.arange(p.shape[1]) == y[:, None])) ** 2).sum(axis=1)
    return rows


def squares(y: Array, p: Array) -> Array:
    rows: Array = (y - p) ** 2
    return rows


def smape(y: Array, p: Array) -> Array:
    """In percent, 0 to 200, as leaderboards show it; 0 where both are 0."""
    size = np.abs(y) + np.abs(p)
    rows: Array = 200 * np.abs(y - p) / np.where(size > 0, size, 1)
    return rows


def mape(y: Array, p: Array) -> Array:
    rows: Array = np.abs(y - p) / np.maximum(np.abs(y), np.finfo(float).eps)
    return rows


def pinball(quantile: float) -> Callable[[Array, Array], Array]:
    return lambda y, p: np.maximum(quantile * (y - p), (quantile - 1) * (y - p))


def _first_hits(relevant: set[str], ranked: list[str], k: int) -> list[int]:
    """Places (from 1) within the first k at which a relevant label appears first."""
    hits: list[int] = []
    left = set(relevant)
    for place, label in enumerate(ranked[:k], start=1):
        if label in left:
            left.remove(label)
            hits.append(place)
    return hits


def average_precision_at(k: int) -> Callable[[Array, Array], Array]:
    def row(relevant: set[str], ranked: list[str]) -> float:
        hits = _first_hits(relevant, ranked, k)
        precision = sum(found / place for found, place in enumerate(hits, start=1))
        return precision / max(1, min(len(relevant), k))

    return lambda y, p: np.array([row(*pair) for pair in zip(y, p, strict=True)])


@cache
def _discounted(count: int) -> float:
    """Gain of hits in the first `count` places."""
    return sum(1 / math.log2(1 + place) for place in range(1, count + 1))


def ndcg_at(k: int) -> Callable[[Array, Array], Array]:
    def row(relevant: set[str], ranked: list[str]) -> float:
        gain = sum(1 / math.log2(1 + place) for place in _first_hits(relevant, ranked, k))
        return gain / (_discounted(min(len(relevant), k)) or 1.0)

    return lambda y, p: np.array([row(*pair) for pair in zip(y, p, strict=True)])


def squared_logs(y: Array, p: Array) -> Array:
    return squares(np.log1p(y), np.log1p(p))
