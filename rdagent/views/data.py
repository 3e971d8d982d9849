"""What a view shows of each row: its id, values and file names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdagent.competition import read_sample, read_train
from rdagent.competition.text_tables import fresh_like, read_text
from rdagent.split import Split, time_of
from rdagent.split.row_files import Attached, Link, find_attached

if TYPE_CHECKING:
    from rdagent.records import Competition


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

    def outside(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Positions in train and test that do not stand as such in the view."""
        train = np.setdiff1d(np.arange(len(self.train)), rows.train)
        return train, np.setdiff1d(np.arange(len(self.test)), rows.row[~rows.hidden])


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
