"""The folders that programs see: train without hidden rows, test with them, files alike.

A view holds no label of a hidden row and no trace of where it came from. Beside each view lie
host-only files: its key (which row is which) and a marker that says the view is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdagent.competition import read_sample
from rdagent.competition.tables import columns_of, suffix_of
from rdagent.competition.text_tables import read_text, write_text
from rdagent.errors import SetupError
from rdagent.interfaces import Runner
from rdagent.records import Competition, Record
from rdagent.split import Split, write_private
from rdagent.split.row_files import further_files
from rdagent.views.data import Data, Rows
from rdagent.views.debug_sample import debug_rows
from rdagent.views.files import place, write_view

VERSION = 1
"""Raised when views look different than before, so that old ones are rebuilt."""


class View(Record):
    """One folder that programs see."""

    name: str
    """`debug`, `fold-0` ..., `full`, or `predict`."""
    path: Path
    fold: int | None = None
    note: str | None = None
    """What the user should know about how it was made."""
    train_rows: int | None = None
    """Labelled rows in it; None in views of older versions."""


def build_views(
    c: Competition,
    split: Split,
    table: pd.DataFrame,
    folder: Path,
    *,
    runner: Runner,
    finetune: bool,
    seed: int = 0,
) -> dict[str, View]:
    """Make the views of a split in `folder`, or take those that are there complete.

    Always `full` (everything that is labelled, the real test alone), `fold-<n>` for each fold,
    and `debug` unless it would hold all of the first fold's train.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _fingerprint(c, split, table, seed, finetune)
    loaded: list[Data] = []

    def data() -> Data:
        if not loaded:
            loaded.append(Data(c, split, table, seed))
        return loaded[0]

    def make(
        name: str, fold: int | None, choose: Callable[[], tuple[Rows | None, str | None]]
    ) -> None:
        done = _complete(folder, name, state)
        if done is None:
            rows, note = choose()
            done = {"state": state, "note": note, "absent": rows is None}
            done["train_rows"] = None if rows is None else len(rows.train)
            _build(data, rows, folder, name, finetune)
            (folder / f"{name}.json").write_text(json.dumps(done) + "\n", encoding="utf-8")
        if not done["absent"]:
            views[name] = View(
                name=name, path=folder / name, fold=fold,
                note=done["note"], train_rows=done.get("train_rows"),
            )  # fmt: skip

    views: dict[str, View] = {}
    for n in range(split.folds):
        make(f"fold-{n}", n, lambda n=n: (fold_rows(data(), n), None))  # type: ignore[misc]
    make("full", None, lambda: (full_rows(data()), None))
    base = views["fold-0" if split.folds else "full"]

    def debug() -> tuple[Rows | None, str | None]:
        rows = fold_rows(data(), 0) if split.folds else full_rows(data())
        return debug_rows(data(), rows, base.path, read_key(base), runner, folder / ".debug-sample")

    make("debug", None, debug)
    return views


def read_key(view: View) -> pd.DataFrame:
    """One line per row of the view's test, in order: id (as text), source, row.

    source: `train` for a hidden row, `test` for a real one; row: its position in that file.
    """
    return pd.read_csv(
        view.path.with_name(f"{view.name}.key.csv"),
        dtype={"id": str, "source": str}, keep_default_na=False,
    )  # fmt: skip


def predict_view(c: Competition, data: Path, folder: Path) -> View:
    """A view of new rows: the test table in `data`, further files, a sample submission, no train.

    Raises SetupError where `data` holds no table of rows to predict.
    """
    source = _new_rows(c, data)
    test = read_text(source)
    if c.id_column and c.id_column not in test.columns:
        raise SetupError(f"{source.name} has no column {c.id_column}: each row needs its id")
    if test.empty:
        raise SetupError(f"{source.name} holds no rows to predict: put some in it")
    if c.id_column and (empty := test[c.id_column].astype(str).str.strip() == "").any():
        row = int(empty.to_numpy().argmax()) + 1
        raise SetupError(f"{source.name} has no {c.id_column} in row {row}: each row needs its id")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = _fresh(folder / ".predict.tmp")
    dropped = {*c.target_columns, *c.prediction_columns}
    test = test[[x for x in test.columns if x not in dropped]]
    key = pd.DataFrame({"source": "test", "row": np.arange(len(test))})
    sample = pd.DataFrame(index=test.index)
    if c.id_column:
        key.insert(0, "id", test[c.id_column].astype(str))
        sample[c.id_column] = test[c.id_column]
    for column, value in _constants(c).items():
        sample[column] = value
    # A competition without a test table has its ids in the sample submission.
    write_text(sample if c.test_file == c.sample_file else test, temporary / c.test_file)
    if c.test_file != c.sample_file:
        write_text(sample, temporary / (c.sample_file or "sample_submission.csv"))
    there = c.model_copy(update={"data_dir": data.absolute()})
    for path in further_files(there):
        if not (data / path).is_file():
            raise SetupError(f"{path} in {data} is no file and no folder: remove it")
        if data / path != source:
            store = folder / ".store" / path
            place(there.data_dir / path, temporary / path, store, loose="/" not in path)
    _finish(temporary, folder, "predict", key)
    return View(name="predict", path=folder / "predict")


def fold_rows(data: Data, fold: int) -> Rows:
    """What programs see of one fold: its rows are hidden among those of the test."""
    folds = data.table["fold"].to_numpy()
    hidden = data.table["row"].to_numpy()[folds == fold]
    test = np.arange(len(data.test))
    train = np.setdiff1d(np.arange(len(data.train)), hidden)
    if data.time is not None:
        # Successive: nothing from the hidden block's time or later is there to train on.
        train = train[data.time[train] < data.time[hidden].min()]
        hidden = hidden[np.argsort(data.time[hidden], kind="stable")]
        is_hidden = np.arange(len(hidden) + len(test)) < len(hidden)
    else:
        rng = np.random.default_rng([data.seed, 3, fold])
        hidden = rng.permutation(hidden)
        is_hidden = rng.permutation(np.arange(len(hidden) + len(test)) < len(hidden))
    row = np.empty(len(is_hidden), dtype=int)
    row[is_hidden], row[~is_hidden] = hidden, test
    return Rows(train, is_hidden, row)


def full_rows(data: Data) -> Rows:
    """All rows of train, and the real test alone."""
    test = np.arange(len(data.test))
    return Rows(np.arange(len(data.train)), np.zeros(len(test), dtype=bool), test)


def _build(
    data: Callable[[], Data], rows: Rows | None, folder: Path, name: str, finetune: bool
) -> None:
    (folder / f"{name}.json").unlink(missing_ok=True)
    temporary = _fresh(folder / f".{name}.tmp")
    if rows is None:
        temporary.rmdir()
        shutil.rmtree(folder / name, ignore_errors=True)
        return
    key = write_view(data(), rows, temporary, folder / ".store", finetune)
    _finish(temporary, folder, name, key)


def _finish(temporary: Path, folder: Path, name: str, key: pd.DataFrame) -> None:
    """Put a whole view in its place."""
    write_private(folder / f"{name}.key.csv", key.to_csv(index=False, lineterminator="\n"))
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    temporary.rename(folder / name)


def _fresh(folder: Path) -> Path:
    """An empty folder, whatever an interrupted build left there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _complete(folder: Path, name: str, state: str) -> dict[str, object] | None:
    """The marker of a view that was built to the end from the same data, else None."""
    try:
        marker = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = (folder / name).is_dir() and (folder / f"{name}.key.csv").is_file()
    if marker.get("state") == state and (whole or marker.get("absent")):
        return dict(marker)
    return None


def _fingerprint(
    c: Competition, split: Split, table: pd.DataFrame, seed: int, finetune: bool
) -> str:
    """Changes with everything that views are made of."""
    parts = [VERSION, c.model_dump_json(), split.model_dump_json(), seed, finetune]
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    for name in (c.train_file, c.test_file, c.sample_file, "sample.py"):
        path = c.data_dir / name if name else None
        if path and path.is_file():
            stat = path.stat()
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _new_rows(c: Competition, data: Path) -> Path:
    """The table in `data` whose rows are to be predicted."""
    if not data.is_dir():
        raise SetupError(f"there is no folder {data}: give the folder that holds {c.test_file}")
    if (data / c.test_file).is_file():
        return data / c.test_file
    tables = sorted(p for p in data.iterdir() if p.is_file() and suffix_of(p.name))
    named = [p for p in tables if "test" in p.name.lower()] or tables
    fitting = [p for p in named if set(c.id_columns) <= set(columns_of(p))]
    if len(fitting) != 1:
        raise SetupError(
            f"{data} holds no {c.test_file}: put the rows to predict there under that name"
        )
    return fitting[0]


def _constants(c: Competition) -> dict[str, Any]:
    """What a sample submission says for every row, by prediction column."""
    if (c.data_dir / (c.sample_file or c.train_file)).is_file():
        sample = read_sample(c)
        return {x: sample[x].mode().iloc[0] for x in c.prediction_columns}
    label = next(iter(c.classes.values()), 0)
    even = 1 / len(c.prediction_columns) if c.exclusive else 0.5
    value = {"label": label, "probability": even, "value": 0.0}[c.output]
    return dict.fromkeys(c.prediction_columns, value)
