"""Rows that have to be hidden together: copies, several rows of one id or file, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdagent.split.row_files import Attached, file_digests, most_alike

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rdagent.records import Competition

MOST_CHAINED = 0.2
"""Share of rows that groups joined by copies may take together."""


def find_units(
    c: Competition,
    train: pd.DataFrame,
    test: pd.DataFrame,
    attached: Attached,
    group: pd.Series | None = None,
) -> np.ndarray:
    """Number of the unit of each row; rows of one unit are hidden together.

    A unit is what equal features, a repeated id, a shared file or a group tie together. Up to
    1 % of the rows (at least ten) may be copies of one another: where more are equal, the
    features just take few values, and tying them would take whole patterns out of train.
    """
    ties = [pd.factorize(group)[0]] if group is not None else []
    most = most_alike(len(train))
    for keys in _alike(c, train, test, attached):
        codes, _ = pd.factorize(keys)
        sizes = np.bincount(codes[codes >= 0], minlength=1)
        ties.append(np.where((codes >= 0) & (sizes[codes] <= most), codes, -1))
    units = _connect(ties, len(train))
    if group is not None and np.bincount(units).max() > max(
        np.bincount(ties[0] + 1).max(), len(train) * MOST_CHAINED
    ):
        units = _connect(ties[:1], len(train))  # copies chain most groups together: groups win
    return units


def _alike(
    c: Competition, train: pd.DataFrame, test: pd.DataFrame, attached: Attached
) -> list[np.ndarray]:
    """Keys by which rows may be copies; None marks a row without a key."""
    paths = {link.column for row in attached.train for link in row}
    aside = {*c.target_columns, *c.id_columns, *paths, c.group_column}
    shared = [x for x in train.columns if x in test.columns and x not in aside]
    features = train[[x for x in shared if train[x].nunique(dropna=False) > 1]]
    files = file_digests(c, attached.train, set(test.columns)) if paths else []
    keys: list[np.ndarray] = []
    if features.shape[1] or any(files):
        plain = features.apply(lambda x: x if pd.api.types.is_numeric_dtype(x) else x.astype(str))
        hashes: np.ndarray = np.zeros(len(train), dtype=np.uint64)
        if plain.shape[1]:
            hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
        alike = [(int(h), f) for h, f in zip(hashes, files or [b""] * len(train), strict=True)]
        none = features.isna().all(axis=1).to_numpy() & np.array([not f for _, f in alike])
        keys.append(_objects(None if n else key for key, n in zip(alike, none, strict=True)))
    if c.id_column in train.columns:
        keys.append(train[c.id_column].where(train[c.id_column].notna(), None).to_numpy(object))
    for column in sorted(paths):
        named = ({x.path for x in row if x.column == column} for row in attached.train)
        keys.append(_objects(min(p, default=None) for p in named))
    return keys


def _objects(values: Iterable[object]) -> np.ndarray:
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def _connect(ties: list[np.ndarray], rows: int) -> np.ndarray:
    """Connected rows under several ties; code -1 ties nothing."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    for codes in ties:
        order = np.lexsort((np.arange(rows), codes))
        order = order[codes[order] >= 0]
        same = codes[order[1:]] == codes[order[:-1]]
        starts.append(order[:-1][same])
        ends.append(order[1:][same])
    if not sum(map(len, starts)):
        return np.arange(rows)
    one, two = np.concatenate(starts), np.concatenate(ends)
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, two)), shape=(rows, rows))
    return np.asarray(connected_components(graph, directed=False)[1])
