"""What a program and its submission must pass before anybody believes them."""

from __future__ import annotations

import csv
import io
import os
import stat
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdagent.competition import read_sample, read_train
from rdagent.competition.inference import labels_of
from rdagent.competition.tables import canonical_ids, missing_in, names_of
from rdagent.errors import InvalidSubmissionError
from rdagent.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rdagent.records import Competition, Score

_SUM_TOLERANCE = 1e-3
_LARGEST = 1e100
"""Numbers beyond it would overflow when squared and summed."""


def read_submission(path: Path, c: Competition, key: pd.DataFrame) -> pd.DataFrame:
    """Prediction columns of `path` in the order of `key`, checked; RangeIndex.

    Labels come back with train's own type, exclusive probabilities renormalised. Raises
    InvalidSubmissionError with one sentence that tells the coder what to mend.
    """
    name = path.name
    data = _read_bytes(path, 50 * len(key) * (40 + 25 * len(c.prediction_columns)) + 10 * 2**20)
    header = _check_header(data, c, name)
    table = _parse(data, header, c, name)
    ids = key["id" if "id" in key else c.id_column].astype(str) if c.id_column else None
    _check_rows(table, ids, len(key), c, name)
    predictions = table[list(c.prediction_columns)]
    if c.output == "label":
        return _check_labels(predictions, c, ids)
    return _check_numbers(predictions, c, ids)


def _read_bytes(path: Path, limit: int) -> bytes:
    """The file's bytes; never follows a link, waits on a pipe or reads beyond `limit`."""
    name = path.name
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise InvalidSubmissionError(
            f"there is no {name}: the program must write it in its working directory"
        ) from None
    except OSError as error:
        raise InvalidSubmissionError(
            f"{name} is not a regular file ({error.strerror}): write it with to_csv"
        ) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InvalidSubmissionError(f"{name} is not a regular file: write it with to_csv")
    with os.fdopen(handle, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidSubmissionError(
            f"{name} is larger than {limit / 2**20:.0f} MB: one row for each row of the test file"
        )
    if b"\0" in data:
        raise InvalidSubmissionError(f"{name} holds NUL bytes: write it as plain CSV in UTF-8")
    return data


def _check_header(data: bytes, c: Competition, name: str) -> list[str]:
    first = data[: 2**20].lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    try:
        header = next(csv.reader([first.decode().rstrip("\r")]), [])
    except (UnicodeDecodeError, csv.Error):
        raise InvalidSubmissionError(
            f"the first line of {name} is no CSV header in UTF-8: write it with to_csv"
        ) from None
    if not header:
        raise InvalidSubmissionError(f"{name} is empty: write a header and one row a test row")
    wanted = [*c.id_columns, *c.prediction_columns]
    if missing := [x for x in wanted if x not in header]:
        raise InvalidSubmissionError(
            f"{name} lacks the column {missing[0]!r}: it must have {_some(wanted)}, "
            f"and it has {_some(header)}"
        )
    # Further keys of the user's own sample submission may be repeated.
    allowed = set(wanted) | (set(names_of(read_sample(c))) if c.sample_file else set())
    if extra := [x for x in header if x not in allowed]:
        index = extra[0] == "" or extra[0].startswith("Unnamed")
        hint = "write it with index=False" if index else f"it must have only {_some(wanted)}"
        raise InvalidSubmissionError(f"{name} has the extra column {extra[0]!r}: {hint}")
    if len(set(header)) < len(header):
        raise InvalidSubmissionError(f"{name} has a column twice: it must have {_some(wanted)}")
    return header


def _parse(data: bytes, header: list[str], c: Competition, name: str) -> pd.DataFrame:
    keys = [x for x in header if x not in c.prediction_columns]

    def parse(kind: type) -> pd.DataFrame:
        kinds = {x: kind if x in c.prediction_columns else str for x in header}
        with warnings.catch_warnings():
            # A warning here means that a row has more values than the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table: pd.DataFrame = pd.read_csv(
                io.BytesIO(data), dtype=kinds, index_col=False, **missing_in(header, keys)
            )
            return table

    try:
        if c.output != "label":
            try:
                return parse(float)
            except pd.errors.ParserError:
                raise
            except (ValueError, OverflowError):
                pass  # a cell is no number: read as text, so that it can be quoted
        return parse(str)
    except (ValueError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else "it is no CSV"
        raise InvalidSubmissionError(f"{name} cannot be read: {reason}") from None


def _check_rows(
    table: pd.DataFrame, ids: pd.Series | None, rows: int, c: Competition, name: str
) -> None:
    """The rows must be those of the view's test file, in its order."""
    if ids is None:
        if len(table) != rows:
            raise InvalidSubmissionError(
                f"{name} has {len(table)} rows, but the test file has {rows}: "
                "predict every row of it, in its order"
            )
        return
    theirs = table[c.id_column]
    if len(theirs) == rows and (theirs.to_numpy(object) == ids.to_numpy(object)).all():
        return
    if theirs.isna().any():
        row = int(theirs.isna().to_numpy().argmax())
        raise InvalidSubmissionError(f"{name} has no {c.id_column} in row {row + 1}")
    ours, theirs = canonical_ids(ids), canonical_ids(theirs)
    if ours.tolist() == theirs.tolist():
        return
    if twice := theirs[theirs.duplicated()].index.tolist():
        shown = table[c.id_column].iloc[twice[0]]
        raise InvalidSubmissionError(f"{name} has the {c.id_column} {shown!r} more than once")
    missing, extra = ~ours.isin(theirs), ~theirs.isin(ours)
    if missing.any():
        raise InvalidSubmissionError(
            f"{name} lacks {int(missing.sum())} of {rows} rows of the test file, "
            f"first {c.id_column} {ids.iloc[int(missing.to_numpy().argmax())]!r}"
        )
    if extra.any():
        shown = table[c.id_column].iloc[int(extra.to_numpy().argmax())]
        raise InvalidSubmissionError(
            f"{name} has {int(extra.sum())} rows that are not in the test file, "
            f"first {c.id_column} {shown!r}"
        )
    row = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    raise InvalidSubmissionError(
        f"{name} is not in the order of the test file: row {row + 1} has {c.id_column} "
        f"{table[c.id_column].iloc[row]!r} where {ids.iloc[row]!r} belongs"
    )


def _row(position: int, c: Competition, ids: pd.Series | None) -> str:
    return f"row {position + 1}" if ids is None else f"{c.id_column} {ids.iloc[position]!r}"


def _check_numbers(table: pd.DataFrame, c: Competition, ids: pd.Series | None) -> pd.DataFrame:
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            numbers = pd.to_numeric(table[name], errors="coerce").astype(float)
            bad = (numbers.isna() & table[name].notna()).to_numpy()
            if bad.any():
                where = int(bad.argmax())
                raise InvalidSubmissionError(
                    f"{name} is no number for {_row(where, c, ids)}: {_cell(table[name][where])}"
                )
            table = table.assign(**{str(name): numbers})
    values = table.to_numpy(float)
    _refuse(np.isnan(values), table, c, ids, "is missing")
    _refuse(~np.isfinite(values), table, c, ids, "is infinite")
    if c.output == "value":
        _refuse(np.abs(values) > _LARGEST, table, c, ids, "is too large to be scored")
        if "rmsle" in c.metric:
            _refuse(values < 0, table, c, ids, "is below 0, which rmsle cannot score")
        return table
    _refuse(values < -1e-9, table, c, ids, "is below 0, but has to be a probability")
    _refuse(values > 1 + 1e-9, table, c, ids, "is above 1, but has to be a probability")
    values = values.clip(0, 1)
    if c.exclusive:
        total = values.sum(axis=1, keepdims=True)
        wrong = np.abs(total[:, 0] - 1) > _SUM_TOLERANCE
        if wrong.any():
            where = int(wrong.argmax())
            raise InvalidSubmissionError(
                f"the probabilities of {_row(where, c, ids)} sum to {total[where, 0]:.6g}: "
                "those of one row must sum to 1"
            )
        values = values / total
    return pd.DataFrame(values, columns=table.columns)


def _refuse(
    bad: np.ndarray[Any, np.dtype[np.bool_]],
    table: pd.DataFrame,
    c: Competition,
    ids: pd.Series | None,
    what: str,
) -> None:
    if bad.any():
        row, column = np.unravel_index(int(bad.argmax()), bad.shape)
        more = f" ({int(bad.any(axis=1).sum())} such rows)"
        where = _row(int(row), c, ids)
        raise InvalidSubmissionError(f"{names_of(table)[int(column)]} of {where} {what}{more}")


def _check_labels(table: pd.DataFrame, c: Competition, ids: pd.Series | None) -> pd.DataFrame:
    train = read_train(c)
    columns: dict[str, pd.Series] = {}
    for position, name in enumerate(c.prediction_columns):
        cells = table[name]
        if cells.isna().any():
            where = int(cells.isna().to_numpy().argmax())
            raise InvalidSubmissionError(f"{name} of {_row(where, c, ids)} is missing")
        labels = labels_of(train[c.target_columns[min(position, len(c.target_columns) - 1)]])
        known = {spelling: label for label in labels for spelling in _spellings(label)}
        known |= {str(label): label for label in labels}
        if c.task == "ranking":
            spaced = any(" " in str(label) for label in labels)
            wrong = [not x.split() or not (spaced or known.keys() >= set(x.split())) for x in cells]
            found = cells
        else:
            found = pd.Series([known.get(x, known.get(x.strip().lower())) for x in cells])
            wrong = found.isna().tolist()
        if any(wrong):
            where = wrong.index(True)
            raise InvalidSubmissionError(
                f"{name} of {_row(where, c, ids)} is {_cell(cells[where])}, which is no label "
                f"of train: use {_some(labels)}"
            )
        columns[name] = found
    return pd.DataFrame(columns)


def _spellings(label: Any) -> list[str]:
    """How else a program's CSV writer may spell a label: 1.0 for 1, true or 1 for True."""
    if isinstance(label, bool):
        return [str(label).lower(), str(int(label)), str(float(label))]
    if isinstance(label, int | float):
        return [str(float(label))]
    return []


def _cell(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:36] + " ..."


def _some(names: Sequence[object]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(_cell(x) for x in names[:6]) + more


def suspicious(best: Score | None, score: Score) -> str | None:
    """A mark for a score too good to be true, else None; scores are marked, never refused.

    `best`: the best before it among programs that learnt something; None where only the
    constant floor came before, since any model leaps over that.
    """
    if score.metric not in METRICS:
        return None  # the scale of the user's own grader is unknown
    error = 1 - score.value if score.higher_is_better else score.value
    if error <= 1e-9:
        return "suspicious: a perfect score"
    if best is None or best.metric != score.metric:
        return None
    before = 1 - best.value if best.higher_is_better else best.value
    bands = [s.high - s.low for s in (best, score) if s.low is not None and s.high is not None]
    gain = before - error
    if bands and gain > 10 * max(bands) and error < before / 3:
        return f"suspicious: {gain / max(max(bands), 1e-12):.0f} bands better than the best before"
    if error < before / 10 and (not score.higher_is_better or error < 0.05):
        return f"suspicious: a {before / error:.0f} times smaller error than the best before"
    return None
