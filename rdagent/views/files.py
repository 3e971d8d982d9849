"""A view on disk: tables rewritten, further files linked under the names that rows show."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdagent.competition.text_tables import read_text, write_text
from rdagent.views.data import Data, Rows

if TYPE_CHECKING:
    from rdagent.split.row_files import Keyed

COPIED = 16 * 2**20
"""Bytes up to which a loose file is copied: a careless program cannot spoil the user's own."""


def write_view(data: Data, rows: Rows, folder: Path, store: Path, finetune: bool) -> pd.DataFrame:
    """Fill `folder` with the view of `rows`; returns its key."""
    c = data.c
    whole = len(rows.train) == len(data.train) and not rows.hidden.any()
    test = data.test_table(rows)
    if whole:
        copy(c.data_dir / c.train_file, folder / c.train_file)
    else:
        write_text(data.train.iloc[rows.train], folder / c.train_file)
    if whole and list(test.columns) == list(data.test.columns) and len(test) == len(data.test):
        copy(c.data_dir / c.test_file, folder / c.test_file)
    else:
        write_text(test, folder / c.test_file)
    ids = test[c.id_column] if c.id_column in test.columns else None
    if c.test_file != c.sample_file:
        sample = data.sample_table(rows, ids)
        write_text(sample, folder / (c.sample_file or "sample_submission.csv"))
    rewritten = write_tables(data, rows, folder)
    link_files(data, rows, folder, store, rewritten)
    if finetune and c.prev_model:
        (folder / "prev_model").symlink_to(c.prev_model.path)
    key = pd.DataFrame({"source": np.where(rows.hidden, "train", "test"), "row": rows.row})
    if ids is not None:
        key.insert(0, "id", ids.astype(str).to_numpy())
    return key


def link_files(data: Data, rows: Rows, folder: Path, store: Path, rewritten: set[str]) -> None:
    """Link all further files, those of hidden rows where test's files lie."""
    found = data.attached
    moves: dict[str, str] = {}
    removed: set[str] = set()
    if any(found.train) or any(found.test):
        train, test = data.outside(rows)
        removed = {x.path for r in train for x in found.train[r]}
        removed |= {x.path for r in test for x in found.test[r]}
        removed -= {x.path for r in rows.train for x in found.train[r]}
        removed -= {x.path for r in rows.row[~rows.hidden] for x in found.test[r]}
        for row in rows.row[rows.hidden].tolist():
            for link in found.train[row]:
                path = data.moved_path(row, link)
                if path is not None:
                    moves[path] = link.path
    removed -= {path for path, source in moves.items() if path == source}
    moves = {path: source for path, source in moves.items() if path != source}
    main = {data.c.train_file, data.c.test_file}
    touched = {path.split("/")[0] for path in (*removed, *moves, *rewritten, *main)}
    held = Counter(path.split("/")[0] for path in found.paths)
    for top in {p.split("/")[0] for p in found.paths if "/" in p} - touched:
        # Unless something in it (a packed copy of train) must stay out of sight.
        if held[top] != sum(len(names) for *_, names in os.walk(data.c.data_dir / top)):
            touched.add(top)
    linked = set()
    for path in found.paths:
        top = path.split("/")[0]
        if top in touched or top == path:
            if path not in removed and path not in rewritten:
                loose = top == path
                place(data.c.data_dir / path, folder / path, store / path, loose=loose)
        elif top not in linked:
            # Nothing in this folder moves: programs get it as a whole.
            (folder / top).symlink_to(data.c.data_dir / top)
            linked.add(top)
    for path, source in moves.items():
        place(data.c.data_dir / source, folder / path, store / source)


def write_tables(data: Data, rows: Rows, folder: Path) -> set[str]:
    """Split further tables like the rows they belong to; returns those that were written."""
    train, test = data.outside(rows)
    if not len(train) and not len(test):
        return set()
    written: set[str] = set()
    for table in data.attached.tables:
        written |= _split_table(data, table, rows, folder)
    return written


def _split_table(data: Data, keyed: Keyed, rows: Rows, folder: Path) -> set[str]:
    c, key = data.c, keyed.key
    mine = data.train[key].astype(str)
    theirs = data.test.get(key, pd.Series(dtype=str)).astype(str)
    numeric = bool(pd.to_numeric(pd.concat([mine, theirs]), errors="coerce").notna().all())
    mine, theirs = plain_keys(mine, numeric), plain_keys(theirs, numeric)
    outside, left_out = data.outside(rows)
    kept = {*mine.iloc[rows.train]}
    if len(theirs):
        kept |= {*theirs.iloc[rows.row[~rows.hidden]]}
    gone = {*mine.iloc[outside], *(theirs.iloc[left_out] if len(theirs) else ())} - kept
    new: dict[str, dict[str, None]] = {}
    for row in rows.row[rows.hidden].tolist():
        value = str(data.train[key].iloc[row])
        shown = data.ids[row] if key == c.id_column else data.shown_value(row, key, value)
        new.setdefault(mine.iloc[row], {})[shown] = None
    content = read_text(c.data_dir / keyed.path)
    keys = plain_keys(content[key].astype(str), numeric)
    moved = _renamed(content[keys.isin(set(new))], keys, key, new)
    rest = content[~keys.isin(gone)]
    if keyed.partner:
        write_text(rest, folder / keyed.path)
        other = read_text(c.data_dir / keyed.partner)
        stay = other[~plain_keys(other[key].astype(str), numeric).isin(gone)]
        moved = moved.reindex(columns=other.columns, fill_value="")
        write_text(pd.concat([stay, moved]), folder / keyed.partner)
        return {keyed.path, keyed.partner}
    if keys.isin(set(theirs)).any():
        # Test's rows are in it too: hidden ones stay, under their new names, without labels.
        labels = [x for x in content.columns if x in c.target_columns]
        moved[labels] = ""
        moved = moved[~plain_keys(moved[key].astype(str), numeric).isin(kept)]
        rest = pd.concat([rest, moved])
    write_text(rest, folder / keyed.path)
    return {keyed.path}


def plain_keys(values: pd.Series, numeric: bool) -> pd.Series:
    """Keys that compare equal across tables, however they were spelt (`7`, `007`, `7.0`)."""
    if numeric:
        return pd.to_numeric(values, errors="coerce").astype(float).astype(str)
    return values.str.strip()


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def place(source: Path, target: Path, store: Path, *, loose: bool = False) -> None:
    """Show a file at `target`: copied when small and loose, else as a hard link.

    On another disk it is copied once, to `store`, and linked from there: a symbolic link would
    show programs the file's old name, and the rows beside it.
    """
    try:
        if not loose or source.stat().st_size > COPIED:
            _hard_link(source, target)
            return
    except OSError:
        if not store.exists():
            copy(source, store.with_name(f".{store.name}.tmp"))
            store.with_name(f".{store.name}.tmp").replace(store)
        source = store
        with suppress(OSError):
            _hard_link(source, target)
            return
    copy(source, target)


def _hard_link(source: Path, target: Path) -> None:
    # Folders hold thousands of files: ask for the parent only where it is missing.
    real = os.path.realpath(source) if source.is_symlink() else source
    try:
        os.link(real, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(real, target)


def _renamed(
    rows: pd.DataFrame, keys: pd.Series, key: str, new: dict[str, dict[str, None]]
) -> pd.DataFrame:
    """Rows under their new keys (several where a row was several), in the order of `new`."""
    shown = pd.DataFrame(
        [(old, value, n) for n, (old, values) in enumerate(new.items()) for value in values],
        columns=["old", "new", "order"],
    )
    numbered = rows.copy()
    numbered["\0"], numbered["\1"] = np.arange(len(rows)), keys[rows.index]
    merged = numbered.merge(shown, left_on="\1", right_on="old").sort_values(["order", "new", "\0"])
    merged[key] = merged["new"].to_numpy()
    return merged[list(rows.columns)]
