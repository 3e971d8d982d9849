"""What a view holds, row by row: tables rewritten, further files linked under their new names."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdagent.competition import read_sample, read_train
from rdagent.row_files import Attached, Keyed, Link, find_attached
from rdagent.split import Split, time_of
from rdagent.text_tables import fresh_like, read_text, write_text

if TYPE_CHECKING:
    from rdagent.records import Competition

COPIED = 16 * 2**20
"""Bytes up to which a loose file is copied: a careless program cannot spoil the user's own."""


@dataclass(frozen=True)
class Rows:
    """Which rows a view shows."""

    train: np.ndarray
    """Positions in train, in order."""
    hidden: np.ndarray
    """Whether each row of the view's test is a hidden one."""
    row: np.ndarray
    """Its position in train (hidden) or in the real test."""


class Data:
    """A competition's files with what hidden rows are called in views."""

    def __init__(self, c: Competition, split: Split, table: pd.DataFrame, seed: int) -> None:
        self.c, self.split, self.table, self.seed = c, split, table, seed
        self.train = read_text(c.data_dir / c.train_file)
        self.test = read_text(c.data_dir / c.test_file)
        self.attached: Attached = find_attached(c)

    @cached_property
    def time(self) -> np.ndarray | None:
        return time_of(read_train(self.c), self.c) if self.split.scheme == "time" else None

    @cached_property
    def hideable(self) -> np.ndarray:
        """Positions of rows that some fold hides, in time order where there is one."""
        rows = self.table["row"].to_numpy()[self.table["fold"].to_numpy() >= 0]
        return rows if self.time is None else rows[np.argsort(self.time[rows], kind="stable")]

    @cached_property
    def ids(self) -> dict[int, str]:
        """Id of each hideable row as views show it."""
        id_column = self.c.id_column
        if id_column not in self.test.columns:
            return {}
        held = self.train[id_column].astype(str) if id_column in self.train.columns else None
        if held is not None and not self.split.fresh_ids:
            return dict(zip(self.hideable.tolist(), held.to_numpy()[self.hideable], strict=True))
        rng = np.random.default_rng([self.seed, 1])
        like = self.test[id_column].astype(str)
        taken = held if held is not None else ()
        fresh = fresh_like(like, taken, len(self.hideable), rng, self.time is not None)
        return dict(zip(self.hideable.tolist(), fresh, strict=True))

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """(path column, value in train) -> last part of the value that views show instead."""
        names: dict[tuple[str, str], str] = {}
        moved: dict[str, dict[str, None]] = {}
        rows = [link for row in self.hideable for link in self.attached.train[row]]
        for link in rows if self.attached.train else ():
            moved.setdefault(link.column, {})[link.value] = None
        for column, values in sorted(moved.items()):
            if column == self.c.id_column or column not in self.test.columns:
                continue
            homes = {
                (x.folder, self.attached.destination(x.folder)) for x in rows if x.column == column
            }
            if not self.split.fresh_names and all(a == b for a, b in homes):
                continue
            rng = np.random.default_rng([self.seed, 2, len(names)])
            stems = [_stem(v) for v in self.test[column].astype(str)]
            taken = [_stem(v) for v in self.train[column].astype(str)]
            fresh = fresh_like(stems, taken, len(values), rng, ordered=False)
            for value, name in zip(values, fresh, strict=True):
                names[column, value] = name + _last(value).removeprefix(_stem(value))
        return names

    @cached_property
    def _value_folders(self) -> dict[str, str]:
        """Folder of test files -> how test's values spell it."""
        spelt = Counter(
            (link.folder, link.value.rpartition("/")[0])
            for row in self.attached.test
            for link in row
        )
        return {folder: text for (folder, text), _ in reversed(spelt.most_common())}

    def moved_path(self, row: int, link: Link) -> str | None:
        """Where the file of a hidden row lies in views; None: nowhere, only train has such."""
        home = self.attached.destination(link.folder)
        if link.column not in self.test.columns or home is None:
            return None
        parts = link.path.split("/")[link.depth :]
        if link.column == self.c.id_column:
            parts[0] = _last(self.ids[row]) + link.ending
        elif (link.column, link.value) in self.names:
            parts[0] = self.names[link.column, link.value] + link.ending
        return "/".join([home, *parts] if home else parts)

    def shown_value(self, row: int, column: str, value: str) -> str:
        """What a hidden row shows in a path column of test."""
        link = next((x for x in self.attached.train[row] if x.column == column), None)
        if link is None:
            return value
        folder = value.rpartition("/")[0]
        home = self.attached.destination(link.folder)
        folder = self._value_folders.get(home or "", folder) if home != link.folder else folder
        last = self.names.get((column, value), _last(value))
        return f"{folder}/{last}" if folder else last

    def test_table(self, rows: Rows) -> pd.DataFrame:
        """The view's test: hidden rows in test's columns, without anything that only train has."""
        c, train, test = self.c, self.train, self.test
        links = {link.column for row in self.attached.train for link in row}
        dropped = {*c.target_columns, *c.prediction_columns}
        if c.test_file == c.sample_file:
            dropped = set()
        hidden = rows.row[rows.hidden]
        columns = {}
        for column in (x for x in test.columns if x not in dropped):
            shown: Any
            if column == c.id_column:
                shown = [self.ids[row] for row in hidden]
            elif column in links and column in train.columns:
                values = train[column].to_numpy()[hidden]
                shown = [
                    self.shown_value(r, column, str(v)) for r, v in zip(hidden, values, strict=True)
                ]
            elif column in train.columns and column not in c.target_columns:
                shown = train[column].to_numpy()[hidden]
            else:
                shown = _constant(test[column], only=c.test_file != c.sample_file)
            whole = np.empty(len(rows.row), dtype=object)
            whole[~rows.hidden] = test[column].to_numpy()[rows.row[~rows.hidden]]
            whole[rows.hidden] = shown
            same = len(hidden) == 0 or test[column].dtype == train.get(column, test[column]).dtype
            columns[column] = pd.Series(whole).astype(test[column].dtype if same else object)
        return pd.DataFrame(columns)

    def sample_table(self, rows: Rows, ids: pd.Series | None) -> pd.DataFrame:
        """The sample submission in the order of the view's test; hidden rows get its constant."""
        c = self.c
        if c.sample_file:
            sample = read_text(c.data_dir / c.sample_file)
        else:
            sample = read_sample(c).astype(str)
        place = rows.row.copy()
        if c.id_column in sample.columns and c.id_column in self.test.columns:
            known = pd.Index(sample[c.id_column].astype(str))
            mine = pd.Index(self.test[c.id_column].astype(str))
            place = known.drop_duplicates().get_indexer(mine)[np.where(rows.hidden, 0, rows.row)]
        place = np.where(rows.hidden | (place >= len(sample)), -1, place)
        columns = {}
        for column in sample.columns:
            values = sample[column].to_numpy(object)
            whole = np.where(place >= 0, values[place], _constant(sample[column], only=False))
            columns[column] = ids if column == c.id_column and ids is not None else whole
        return pd.DataFrame(columns).astype(sample.dtypes.to_dict(), errors="ignore")

    def write(self, rows: Rows, folder: Path, store: Path, finetune: bool) -> pd.DataFrame:
        """Fill `folder` with the view of `rows`; returns its key."""
        c = self.c
        whole = len(rows.train) == len(self.train) and not rows.hidden.any()
        test = self.test_table(rows)
        if whole:
            copy(c.data_dir / c.train_file, folder / c.train_file)
        else:
            write_text(self.train.iloc[rows.train], folder / c.train_file)
        if whole and list(test.columns) == list(self.test.columns) and len(test) == len(self.test):
            copy(c.data_dir / c.test_file, folder / c.test_file)
        else:
            write_text(test, folder / c.test_file)
        ids = test[c.id_column] if c.id_column in test.columns else None
        if c.test_file != c.sample_file:
            sample = self.sample_table(rows, ids)
            write_text(sample, folder / (c.sample_file or "sample_submission.csv"))
        rewritten = self._write_tables(rows, folder)
        self._link_files(rows, folder, store, rewritten)
        if finetune and c.prev_model:
            (folder / "prev_model").symlink_to(c.prev_model.path)
        key = pd.DataFrame({"source": np.where(rows.hidden, "train", "test"), "row": rows.row})
        if ids is not None:
            key.insert(0, "id", ids.astype(str).to_numpy())
        return key

    def _outside(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Positions in train and test that do not stand as such in the view."""
        train = np.setdiff1d(np.arange(len(self.train)), rows.train)
        return train, np.setdiff1d(np.arange(len(self.test)), rows.row[~rows.hidden])

    def _link_files(self, rows: Rows, folder: Path, store: Path, rewritten: set[str]) -> None:
        """Link all further files, those of hidden rows where test's files lie."""
        found = self.attached
        moves: dict[str, str] = {}
        removed: set[str] = set()
        if any(found.train) or any(found.test):
            train, test = self._outside(rows)
            removed = {x.path for r in train for x in found.train[r]}
            removed |= {x.path for r in test for x in found.test[r]}
            removed -= {x.path for r in rows.train for x in found.train[r]}
            removed -= {x.path for r in rows.row[~rows.hidden] for x in found.test[r]}
            for row in rows.row[rows.hidden].tolist():
                for link in found.train[row]:
                    path = self.moved_path(row, link)
                    if path is not None:
                        moves[path] = link.path
        removed -= {path for path, source in moves.items() if path == source}
        moves = {path: source for path, source in moves.items() if path != source}
        main = {self.c.train_file, self.c.test_file}
        touched = {path.split("/")[0] for path in (*removed, *moves, *rewritten, *main)}
        held = Counter(path.split("/")[0] for path in found.paths)
        for top in {p.split("/")[0] for p in found.paths if "/" in p} - touched:
            # Unless something in it (a packed copy of train) must stay out of sight.
            if held[top] != sum(len(names) for *_, names in os.walk(self.c.data_dir / top)):
                touched.add(top)
        linked = set()
        for path in found.paths:
            top = path.split("/")[0]
            if top in touched or top == path:
                if path not in removed and path not in rewritten:
                    loose = top == path
                    link(self.c.data_dir / path, folder / path, store / path, loose=loose)
            elif top not in linked:
                # Nothing in this folder moves: programs get it as a whole.
                (folder / top).symlink_to(self.c.data_dir / top)
                linked.add(top)
        for path, source in moves.items():
            link(self.c.data_dir / source, folder / path, store / source)

    def _write_tables(self, rows: Rows, folder: Path) -> set[str]:
        """Split further tables like the rows they belong to; returns those that were written."""
        train, test = self._outside(rows)
        if not len(train) and not len(test):
            return set()
        written: set[str] = set()
        for table in self.attached.tables:
            written |= self._split_table(table, rows, folder)
        return written

    def _split_table(self, keyed: Keyed, rows: Rows, folder: Path) -> set[str]:
        c, key = self.c, keyed.key
        mine, theirs = (
            self.train[key].astype(str),
            self.test.get(key, pd.Series(dtype=str)).astype(str),
        )
        numeric = bool(pd.to_numeric(pd.concat([mine, theirs]), errors="coerce").notna().all())
        mine, theirs = plain_keys(mine, numeric), plain_keys(theirs, numeric)
        outside, left_out = self._outside(rows)
        kept = {*mine.iloc[rows.train]}
        if len(theirs):
            kept |= {*theirs.iloc[rows.row[~rows.hidden]]}
        gone = {*mine.iloc[outside], *(theirs.iloc[left_out] if len(theirs) else ())} - kept
        new: dict[str, dict[str, None]] = {}
        for row in rows.row[rows.hidden].tolist():
            value = str(self.train[key].iloc[row])
            shown = self.ids[row] if key == c.id_column else self.shown_value(row, key, value)
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


def link(source: Path, target: Path, store: Path, *, loose: bool = False) -> None:
    """Show a file at `target`: copied when small and loose, else as a hard link.

    On another disk it is copied once, to `store`, and linked from there: a symbolic link would
    show programs the file's old name, and the rows beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    real = Path(os.path.realpath(source)) if source.is_symlink() else source
    if loose and real.stat().st_size <= COPIED:
        copy(real, target)
        return
    try:
        os.link(real, target)
    except OSError:
        if not store.exists():
            copy(real, store.with_name(f".{store.name}.tmp"))
            store.with_name(f".{store.name}.tmp").replace(store)
        try:
            os.link(store, target)
        except OSError:
            shutil.copyfile(store, target)


def _renamed(
    rows: pd.DataFrame, keys: pd.Series, key: str, new: dict[str, dict[str, None]]
) -> pd.DataFrame:
    """Rows under their new keys (several where a row was several), in the order of `new`."""
    shown = pd.DataFrame(
        [(old, value, n) for n, (old, values) in enumerate(new.items()) for value in values],
        columns=["old", "new", "order"],
    )
    place = rows.copy()
    place["\0"], place["\1"] = np.arange(len(rows)), keys[rows.index]
    merged = place.merge(shown, left_on="\1", right_on="old").sort_values(["order", "new", "\0"])
    merged[key] = merged["new"].to_numpy()
    return merged[list(rows.columns)]


def _constant(values: pd.Series, *, only: bool) -> Any:
    """The value that all rows share; else the most common one, or with `only` none."""
    counts = values.value_counts()
    if len(counts) == 0 or (only and len(counts) > 1):
        return "" if values.dtype == object or pd.api.types.is_string_dtype(values) else None
    return counts.index[0]


def _last(value: str) -> str:
    return value.rpartition("/")[2]


def _stem(value: str) -> str:
    name = _last(value)
    return name.rpartition(".")[0] if "." in name.strip(".") else name
