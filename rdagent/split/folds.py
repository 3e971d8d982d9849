"""The host's hidden rows: which labelled rows a program must predict without their labels.

Programs see views made from this table (`views.py`); scores come from the hidden rows alone.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from rdagent.competition import read_test, read_train
from rdagent.competition.tables import canonical_ids
from rdagent.errors import SetupError
from rdagent.records import Record
from rdagent.split.dealing import deal_groups, deal_rows, final_groups, final_rows, one_group_fold
from rdagent.split.row_files import Attached, find_attached
from rdagent.split.row_order import order_predicts
from rdagent.split.units import find_units

if TYPE_CHECKING:
    from rdagent.records import Competition

SMALL = 10_000
"""Labelled rows below which every one of them is hidden once."""
FOLDS = 5
SHARE = 0.2
MOST = 20_000
"""Above `SMALL`: one fold with this share of rows, and no more rows than that."""
TIME_SHARE = 0.4
FINAL = 0.3
Scheme = Literal["stratified", "group", "time", "self-reported"]


class Split(Record):
    """How rows were hidden, and what the user should know about it."""

    scheme: Scheme
    folds: int
    """0: nothing could be hidden, `reason` says why."""
    reason: str
    warnings: tuple[str, ...] = ()
    fresh_ids: bool = False
    """Hidden rows get ids of their own: theirs collide with test's, or predict labels."""
    fresh_names: bool = False
    """Files in a folder shared with test are renamed: their names predict labels."""


def make_split(c: Competition, seed: int = 0) -> tuple[Split, pd.DataFrame]:
    """Hide labelled rows; the same competition and seed give the same table.

    The table has a line per row of train: row (position), fold (-1: never hidden),
    part (search, final or train) and, in the group scheme, group (text).
    """
    attached = find_attached(c)
    if attached.unresolved:
        return _self_reported(attached.unresolved)
    train, test = read_train(c), read_test(c)
    labels = train[list(c.target_columns)]
    labelled = labels.notna().all(axis=1).to_numpy()
    time = time_of(train, c) if c.time_column in train.columns else None
    fold, part = np.full(len(train), -1), np.full(len(train), "train", dtype=object)
    table = pd.DataFrame({"row": np.arange(len(train)), "fold": fold, "part": part})
    rng = np.random.default_rng(seed)
    scheme: Scheme = "stratified"
    reason = "train and test look alike"
    if time is not None:
        scheme, reason = "time", f"test comes after train in {c.time_column}"
        _deal_time(table, time, labelled)
    elif c.group_column in train.columns and train[c.group_column][labelled].nunique() > 1:
        scheme, reason = "group", f"train and test share no {c.group_column}"
        units = find_units(c, train, test, attached, train[c.group_column])
        table["group"] = pd.Series(units).astype(str)
        _deal_groups(c, table, labels, labelled, units, rng)
    else:
        units = find_units(c, train, test, attached)
        _deal_stratified(c, table, labels, labelled, units, rng)
    folds = sorted(set(table["fold"]) - {-1})
    if not folds:
        return _self_reported(f"{int(labelled.sum())} labelled rows are too few to hide any")
    table["fold"] = table["fold"].map({-1: -1} | {f: n for n, f in enumerate(folds)})
    split = _naming(c, train, test, attached, table, scheme, reason, len(folds))
    return split, table


def time_of(train: pd.DataFrame, c: Competition) -> np.ndarray | None:
    """The time of each row as a number; unknown times count as the earliest. None: unreadable."""
    column = train[c.time_column]
    if pd.api.types.is_numeric_dtype(column):
        time = column.to_numpy(float, na_value=np.nan)
    else:
        dates = pd.to_datetime(column.astype(str), errors="coerce", format="mixed", utc=True)
        time = np.where(dates.isna(), np.nan, dates.astype("int64").to_numpy(float))
    if np.isnan(time).mean() > 0.5:
        return None
    return np.where(np.isnan(time), -np.inf, time)


def save_split(split: Split, table: pd.DataFrame, run_dir: Path) -> None:
    """Write `split.json` and `folds.csv` into the run folder, the latter for the host alone."""
    (run_dir / "split.json").write_text(split.model_dump_json(indent=1) + "\n", encoding="utf-8")
    # Last, and whole or not at all: where it lies, the split is complete.
    write_private(run_dir / "folds.csv", table.to_csv(index=False, lineterminator="\n"))


def load_split(run_dir: Path) -> tuple[Split, pd.DataFrame]:
    """What `save_split` wrote. Raises SetupError where that cannot be read any more."""
    try:
        split = Split.model_validate_json((run_dir / "split.json").read_text(encoding="utf-8"))
        kinds = {"row": int, "fold": int, "part": object, "group": object}
        table = pd.read_csv(run_dir / "folds.csv", dtype=kinds)
        table[["row", "fold", "part"]]
    except (OSError, ValueError, KeyError) as error:
        raise SetupError(
            f"folds.csv or split.json of {run_dir.name} cannot be read, and nothing else knows "
            "which rows were hidden: put them back, or start a new run"
        ) from error
    return split, table


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _self_reported(reason: str) -> tuple[Split, pd.DataFrame]:
    split = Split(scheme="self-reported", folds=0, reason=reason)
    return split, pd.DataFrame({"row": [], "fold": [], "part": []}).astype(
        {"row": int, "fold": int, "part": object}
    )


def _strata(c: Competition, labels: pd.DataFrame) -> np.ndarray:
    """What folds balance: classes, quantiles of the target, or each row's rarest label."""
    if c.task == "multilabel" and labels.shape[1] > 1:
        held = labels.apply(pd.to_numeric, errors="coerce").to_numpy(float) > 0
        weights = np.where(held, held.sum(axis=0), np.inf)
        return np.where(held.any(axis=1), weights.argmin(axis=1) + 1, 0)
    first = labels.iloc[:, 0]
    numbers = pd.to_numeric(first, errors="coerce")
    if c.task in ("regression", "ranking") and numbers.notna().any() and first.nunique() > 10:
        ranks = numbers.rank(method="first").fillna(0)
        return np.asarray((ranks * 10 / (len(ranks) + 1)).astype(int))
    codes = pd.factorize(first)[0]
    return np.asarray(codes if codes.max() < len(codes) / 2 else np.zeros_like(codes))


def _rare(c: Competition, labels: pd.DataFrame, units: np.ndarray) -> np.ndarray:
    """Rows of classes with under three rows (copies count once): train cannot spare them."""
    rare = np.zeros(len(labels), dtype=bool)
    if c.task not in ("binary", "multiclass"):
        return rare
    for column in labels.columns:
        copies = pd.Series(units).groupby(labels[column].to_numpy()).nunique()
        rare |= labels[column].isin(copies[copies < 3].index).to_numpy()
    return rare


def _deal_stratified(
    c: Competition,
    table: pd.DataFrame,
    labels: pd.DataFrame,
    labelled: np.ndarray,
    units: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Fill fold and part: classes balanced, whole units."""
    rows = np.flatnonzero(labelled)
    rows = rows[~_rare(c, labels.iloc[rows], units[rows])]
    if len(np.unique(units[rows])) < 2:
        return
    strata = _strata(c, labels.iloc[rows])
    if labelled.sum() < SMALL:
        fold = deal_rows(units[rows], strata, rng, folds=FOLDS)
    else:
        share = min(SHARE, MOST / labelled.sum())
        fold = deal_rows(units[rows], strata, rng, share=share, most=MOST)
    final = final_rows(units[rows], strata, fold, FINAL, rng)
    _fill(table, rows, fold, final)


def _deal_groups(
    c: Competition,
    table: pd.DataFrame,
    labels: pd.DataFrame,
    labelled: np.ndarray,
    units: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Fill fold and part: whole groups; a group that holds a rare class stays in train whole."""
    rows = np.flatnonzero(labelled)
    rare = _rare(c, labels.iloc[rows], rows)
    kept = ~np.isin(units[rows], units[rows[rare]])
    # Where that would keep most rows from being scored, rare classes go with their group.
    if len(np.unique(units[rows[kept]])) >= FOLDS and kept.mean() > 0.5:
        rows = rows[kept]
    if len(np.unique(units[rows])) < 2:
        return
    strata = _strata(c, labels.iloc[rows])
    if labelled.sum() < SMALL:
        fold = deal_groups(units[rows], strata, rng, FOLDS)
    else:
        fold = one_group_fold(units[rows], min(int(SHARE * labelled.sum()), MOST), rng)
    final = final_groups(units[rows], strata, fold, FINAL, rng)
    _fill(table, rows, fold, final)


def _deal_time(table: pd.DataFrame, time: np.ndarray, labelled: np.ndarray) -> None:
    """Fill fold and part: successive blocks at the end; equal times never straddle a border."""
    rows = np.flatnonzero(labelled)
    rows = rows[np.argsort(time[rows], kind="stable")]
    count, share, folds = len(rows), TIME_SHARE, FOLDS
    if count >= SMALL:
        share, folds = min(SHARE, MOST / count), 1
    borders = count - np.ceil(count * share * np.arange(folds, -1, -1) / folds).astype(int)
    # A border moves to the end of its moment, so that a fold trains on earlier rows only.
    moments = time[rows]
    borders = np.searchsorted(moments, moments[np.clip(borders, 1, count) - 1], side="right")
    borders[-1] = count
    fold = np.full(count, -1)
    for n, (start, end) in enumerate(pairwise(borders)):
        fold[start:end] = n
    hidden = np.flatnonzero(fold >= 0)
    final = np.zeros(count, dtype=bool)
    final[hidden[len(hidden) - round(len(hidden) * FINAL) :]] = True
    _fill(table, rows, fold, final)


def _fill(table: pd.DataFrame, rows: np.ndarray, fold: np.ndarray, final: np.ndarray) -> None:
    table.loc[rows, "fold"] = fold
    table.loc[rows, "part"] = np.where(fold < 0, "train", np.where(final, "final", "search"))


def _naming(
    c: Competition,
    train: pd.DataFrame,
    test: pd.DataFrame,
    attached: Attached,
    table: pd.DataFrame,
    scheme: Scheme,
    reason: str,
    folds: int,
) -> Split:
    """Decide whether hidden rows need ids and file names of their own, and warn."""
    warnings, fresh_ids, fresh_names = [], False, False
    labels = train[list(c.target_columns)]
    links = {link.column for row in attached.train for link in row} - set(c.id_columns)
    if c.id_column in test.columns:
        fresh_ids = c.id_column not in train.columns or bool(train[c.id_column].duplicated().any())
        if not fresh_ids:
            both = canonical_ids(pd.concat([train[c.id_column], test[c.id_column]]))
            fresh_ids = bool(both.duplicated().any()) or _crowded(c, attached)
    # In time order ids may grow with time: the program knows the time anyway.
    if scheme != "time":
        for column in (*c.id_columns, *sorted(links)):
            if column in train.columns and order_predicts(train[column], labels):
                fresh_ids |= column == c.id_column
                fresh_names |= column != c.id_column
                warnings.append(f"{column} alone predicts the target: hidden rows get a fresh one")
        if scheme == "stratified" and order_predicts(pd.Series(table["row"]), labels):
            warnings.append(
                f"the order of rows in {c.train_file} alone predicts the target: "
                "hidden rows are shuffled, a score cannot profit from it"
            )
    return Split(
        scheme=scheme, folds=folds, reason=reason, warnings=tuple(warnings),
        fresh_ids=fresh_ids, fresh_names=fresh_names,
    )  # fmt: skip


def _crowded(c: Competition, attached: Attached) -> bool:
    """Whether a file named by train's id would land on another file at its destination."""
    there = set(attached.paths)
    for link in (link for row in attached.train for link in row if link.column == c.id_column):
        home = attached.destination(link.folder)
        if home is not None and home != link.folder:
            rest = "/".join(link.path.split("/")[link.depth :])
            if f"{home}/{rest}" in there:
                return True
    return False
