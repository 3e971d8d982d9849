"""Deals rows to folds and parts: balanced over strata, whole units (copies, groups)."""

from __future__ import annotations

import numpy as np


def deal_rows(
    units: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    folds: int | None = None,
    share: float = 1.0,
    most: int = 0,
) -> np.ndarray:
    """Fold of each row: one of `folds`, else 0 for `share` of the rows (at most `most`), -1 others.

    Each stratum is spread evenly, up to one unit.
    """
    first, unit, sizes = _unique(units)
    order = np.lexsort((rng.random(len(first)), -sizes, strata[first]))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    if folds is not None:
        return np.asarray(place[unit] % min(folds, len(first)))
    chosen = _systematic(place, share, rng)
    # Copies can add up to more rows than allowed: leave whole units out again.
    mixed = rng.permutation(np.flatnonzero(chosen))
    chosen[mixed[np.cumsum(sizes[mixed]) > most]] = False
    return np.where(chosen[unit], 0, -1)


def final_rows(
    units: np.ndarray, strata: np.ndarray, fold: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Whether each row is of the final part: `share` of each fold, balanced over strata."""
    first, unit, sizes = _unique(units)
    order = np.lexsort((rng.random(len(first)), -sizes, strata[first], fold[first]))
    place = np.full(len(order), -1)
    hidden = order[fold[first][order] >= 0]
    place[hidden] = np.arange(len(hidden))
    final = _systematic(place, share, rng) & (place >= 0)
    return np.asarray(final[unit])


def deal_groups(
    groups: np.ndarray, strata: np.ndarray, rng: np.random.Generator, folds: int
) -> np.ndarray:
    """Fold of each row: whole groups, the largest first to where their classes are scarcest."""
    _, group, sizes = _unique(groups)
    held = np.zeros((len(sizes), strata.max() + 2))
    np.add.at(held, (group, strata), 1)
    held[:, -1] = sizes  # the fold's size counts like one more class
    total = np.maximum(held.sum(axis=0), 1)
    counts = np.zeros((min(folds, len(sizes)), held.shape[1]))
    fold = np.empty(len(sizes), dtype=int)
    for g in np.lexsort((rng.random(len(sizes)), -sizes)):
        fold[g] = int(np.argmin(counts @ (held[g] / total**2)))
        counts[fold[g]] += held[g]
    return np.asarray(fold[group])


def one_group_fold(groups: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """0 for about `rows` rows in whole groups (the smallest group where none fits), -1 others."""
    _, group, sizes = _unique(groups)
    chosen = _fitting(sizes, rows, rng)
    if not chosen.any():
        chosen[np.argmin(sizes)] = True
    return np.where(chosen[group], 0, -1)


def final_groups(
    groups: np.ndarray,
    strata: np.ndarray,
    fold: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Like `final_rows` with whole groups; a fold of few, uneven groups is split by rows."""
    final = np.zeros(len(groups), dtype=bool)
    for f in np.unique(fold[fold >= 0]):
        here = np.flatnonzero(fold == f)
        _, group, sizes = _unique(groups[here])
        whole = _fitting(sizes, int(len(here) * share * 1.1), rng)[group]
        if whole.mean() < share / 2:
            whole = final_rows(np.arange(len(here)), strata[here], fold[here], share, rng)
        final[here] = whole
    return final


def _unique(units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First row of each unit, unit of each row, rows of each unit."""
    _, first, unit, sizes = np.unique(
        units, return_index=True, return_inverse=True, return_counts=True
    )
    return first, unit, sizes


def _systematic(place: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Every 1/share-th place, from a random start."""
    start = rng.random()
    return np.asarray(np.floor((place + 1) * share + start) > np.floor(place * share + start))


def _fitting(sizes: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Groups in random order that fit into `rows` rows together."""
    chosen, used = np.zeros(len(sizes), dtype=bool), 0
    for g in rng.permutation(len(sizes)):
        if used + sizes[g] <= rows:
            chosen[g], used = True, used + sizes[g]
    return chosen
