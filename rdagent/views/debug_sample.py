"""The rows of the debug view: chosen by the competition's `sample.py`, else by the host."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdagent.competition import read_train
from rdagent.competition.tables import read_table
from rdagent.errors import SetupError
from rdagent.records import Job
from rdagent.views.data import Data, Rows
from rdagent.views.files import plain_keys

if TYPE_CHECKING:
    from rdagent.interfaces import Runner

SHARE = 0.1
LEAST = 1_000
"""Rows of the debug sample: a tenth of train, and not fewer than these."""
MOST_TEST = 1_000
TIMEOUT = 600.0
"""Seconds that sample.py may take."""

_PROGRAM = '''"""Runs the competition's own sample.py on the data beside it."""

import os
import runpy

os.makedirs("sample", exist_ok=True)
paths = {
    "dataset_path": os.path.abspath("workspace_input"),
    "output_path": os.path.abspath("sample"),
}
runpy.run_path("workspace_input/sample.py", init_globals=paths, run_name="__main__")
'''


def debug_rows(
    data: Data, base: Rows, view: Path, key: pd.DataFrame, runner: Runner, workdir: Path
) -> tuple[Rows | None, str | None]:
    """Rows of the debug view out of those of `base` (shown in `view`), and what to tell the user.

    None: the sample would be everything, so the first fold is the debug run.
    """
    rng = np.random.default_rng([data.seed, 4])
    test = np.sort(rng.permutation(len(base.row))[:MOST_TEST])
    train, note = None, None
    if (data.c.data_dir / "sample.py").is_file():
        train, picked, note = _asked(data, base, view, key, runner, workdir)
        test = picked if picked is not None else test
    if train is None:
        train = _sampled(data, base.train, rng)
        if len(train) == len(base.train):
            return None, note
    return Rows(train, base.hidden[test], base.row[test]), note


def _sampled(data: Data, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tenth, at least `LEAST` rows and two a class, in their order."""
    order = rng.permutation(rows)
    chosen = np.zeros(len(data.train), dtype=bool)
    chosen[order[: max(LEAST, int(np.ceil(len(rows) * SHARE)))]] = True
    if data.c.task in ("binary", "multiclass"):
        for column in data.c.target_columns:
            labels = read_train(data.c)[column].iloc[order]
            chosen[order[(labels.groupby(labels).cumcount() < 2).to_numpy()]] = True
    return np.sort(rows[chosen[rows]])


def _asked(
    data: Data, base: Rows, view: Path, key: pd.DataFrame, runner: Runner, workdir: Path
) -> tuple[np.ndarray | None, np.ndarray | None, str | None]:
    """Rows of train and of the view's test that sample.py chose.

    Only its choice of rows counts: the host writes them itself, so that the debug view keeps
    the user's text, and the files of rows that were left out stay out.
    """
    c = data.c
    shutil.rmtree(workdir, ignore_errors=True)
    inputs = workdir / "workspace_input"
    (inputs / "models").mkdir(parents=True)
    (inputs / "main.py").write_text(_PROGRAM, encoding="utf-8")
    shutil.copyfile(c.data_dir / "sample.py", inputs / "sample.py")
    job = Job(kind="debug", seed=data.seed, view=view, workdir=workdir, timeout=TIMEOUT)
    execution = runner.run(job)
    try:
        if execution.exit_code != 0:
            said = " ".join(execution.log.split())[-200:]
            return None, None, f"sample.py failed, the host made the debug sample: {said}"
        id_column = c.id_column if c.id_column in data.train.columns else None
        train = _rows_of(workdir / "sample", view, c.train_file, id_column)
        id_column = c.id_column if "id" in key else None
        test = _rows_of(workdir / "sample", view, c.test_file, id_column)
        if train is None or not len(train):
            return (
                None,
                test,
                f"sample.py left no rows of {c.train_file}: the host made the debug sample",
            )
        return base.train[train], test if test is not None and len(test) else None, None
    finally:
        shutil.rmtree(workdir, ignore_errors=True)


def _rows_of(sample: Path, view: Path, name: str, id_column: str | None) -> np.ndarray | None:
    """Positions in the view's table `name` of the rows that sample.py wrote; None: unknown."""
    path = sample / name
    try:
        # Written by foreign code: no link may lead the host anywhere else.
        if not stat.S_ISREG(path.lstat().st_mode) or path.resolve() != sample.resolve() / name:
            return None
        if path.stat().st_size > 2 * (view / name).stat().st_size + 4096:
            return None
        ids = (id_column,) if id_column else ()
        whole, part = read_table(view / name, ids), read_table(path, ids)
    except (OSError, SetupError):
        return None
    if id_column and id_column in part and not whole[id_column].duplicated().any():
        numeric = bool(pd.to_numeric(whole[id_column], errors="coerce").notna().all())
        mine = plain_keys(whole[id_column].astype(str), numeric)
        return np.flatnonzero(mine.isin(set(plain_keys(part[id_column].astype(str), numeric))))
    if list(part.columns) != list(whole.columns):
        return None
    one, two = _numbered(whole), _numbered(part)
    found = np.flatnonzero(one.isin(set(two)))
    # A sample that makes rows up cannot be told by its rows.
    return found if len(found) >= 0.9 * len(part) else None


def _numbered(table: pd.DataFrame) -> pd.Series:
    """Hash of each row, with its count among equal ones."""
    plain = table.apply(
        lambda x: x.astype(float) if pd.api.types.is_numeric_dtype(x) else x.astype(str)
    )
    hashes = pd.util.hash_pandas_object(plain, index=False)
    return hashes.astype(str) + "-" + hashes.groupby(hashes).cumcount().astype(str)
