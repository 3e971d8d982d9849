"""Competition folders for tests of splits and views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdagent.records import Competition


def competition(folder: Path, **fields: Any) -> Competition:
    """A competition in `folder`, as it would be understood; regression of `y` unless told."""
    sample = "sample_submission.csv" if (folder / "sample_submission.csv").exists() else None
    given: dict[str, Any] = {
        "id": folder.name, "description": "", "data_dir": folder, "train_file": "train.csv",
        "test_file": "test.csv", "sample_file": sample, "task": "regression", "metric": "rmse",
        "higher_is_better": False, "id_column": "id", "target_columns": ("y",),
        "prediction_columns": ("y",), "output": "value",
    }  # fmt: skip
    given.update(fields)
    return Competition(**given)


def write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def classes(
    folder: Path, rows: int = 300, tests: int = 80, kinds: int = 3, **fields: Any
) -> Competition:
    """Numbers and a class; unique features, ids without order."""
    rng = np.random.default_rng(7)
    ids = rng.permutation(rows + tests) + 1000
    x = rng.normal(size=(rows + tests, 3)).round(6)
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    table.insert(0, "id", ids)
    train = table[:rows].assign(y=[f"k{n}" for n in rng.integers(0, kinds, rows)])
    write(train, folder / "train.csv")
    write(table[rows:], folder / "test.csv")
    write(table[rows:][["id"]].assign(y="k0"), folder / "sample_submission.csv")
    given = {"task": "multiclass" if kinds > 2 else "binary", "metric": "accuracy",
             "higher_is_better": True, "output": "label"}  # fmt: skip
    return competition(folder, **(given | fields))
