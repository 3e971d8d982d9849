"""Groups and time: columns that say train and test were not split at random."""

from __future__ import annotations

import math
import re
import warnings

import pandas as pd

from rdagent.errors import SetupError

_TIME_NAME = re.compile(
    r"(^|[_\W])(date|time|datetime|timestamp|ts|year|month|week|day|hour|quarter|period)([_\W]|$)",
    re.I,
)
_DATE = re.compile(
    r"^\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]|$)"
)
_MIN_GROUPS = 5


def times(column: pd.Series) -> pd.Series | None:
    """A time column as numbers that grow with time (NaN: missing); None where it is no time."""
    if pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.astype("int64").astype(float).where(column.notna())
    text = column.dropna().astype(str)
    if not len(text) or not text.head(50).str.match(_DATE).all():
        return None
    start = text.str.extract(r"^\s*(\d+)([-/.])")
    iso = text.str.match(r"\s*\d{4}-\d\d-\d\d").all()
    # 25/12/2023 shows that the day comes first; dots are written so.
    day_first = bool(
        (start[1] == ".").all()
        or (start[0].str.len().le(2).all() and (start[0].astype(int).max() > 12))
    )
    with warnings.catch_warnings():
        # pandas warns where it has to guess the format row by row.
        warnings.simplefilter("ignore")
        best = pd.to_datetime(
            column,
            errors="coerce",
            utc=True,
            dayfirst=day_first,
            format="ISO8601" if iso else "mixed",
        )
    if best.notna().sum() < 0.99 * len(text):
        return None
    seconds: pd.Series = (best - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return seconds


def find_time(
    train: pd.DataFrame,
    test: pd.DataFrame,
    features: list[str],
    said: str | None,
    notes: list[str],
) -> str | None:
    """The column by which test begins after train ends; `said` (competition.toml) decides."""
    if said:
        values = times(train[said])
        if values is None or values.isna().all():
            raise SetupError(
                f"competition.toml: time {said!r} holds neither numbers nor dates, "
                f"such as {train[said].dropna().head(1).tolist()}"
            )
        return said
    for name in features:
        if pd.api.types.is_numeric_dtype(train[name]) and not _TIME_NAME.search(_spaced(name)):
            continue
        before, after = times(train[name]), times(test[name])
        if before is None or after is None or before.nunique() < _MIN_GROUPS:
            continue
        if after.min() > before.max():
            notes.append(f"Time: test begins after train ends by {name}.")
            return name
    return None


def _spaced(name: str) -> str:
    """`saleDate` as `sale_Date`, so that its words can be seen."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def find_group(
    train: pd.DataFrame,
    test: pd.DataFrame,
    features: list[str],
    said: str | None,
    notes: list[str],
) -> str | None:
    """A repeated integer or string column none of whose train values comes in test."""
    if said:
        return said
    found: list[tuple[int, str]] = []
    for name in features:
        column = train[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_float_dtype(column):
            continue
        counts = column.value_counts()
        rows = int(counts.sum())
        if len(counts) < _MIN_GROUPS or rows < 0.5 * len(column) or times_like(column):
            continue
        shared = 1 - int((counts == 1).sum()) / rows
        others = test[name].dropna()
        # Chance that a random split leaves no value on both sides: must be negligible.
        if shared < 0.5 or len(others) * -math.log(max(1 - shared, 1e-9)) < 7:
            continue
        if not others.isin(counts.index).any():
            found.append((len(counts), name))
    if not found:
        return None
    groups, name = min(found)
    notes.append(f"Group: no {name} of train ({groups} of them) comes in test.")
    return name


def times_like(column: pd.Series) -> bool:
    """Dates as text: disjoint days are time, not groups."""
    return not pd.api.types.is_numeric_dtype(column) and times(column) is not None
