"""What the data has: column kinds, labels and the target's look, read from the debug view.

Everything here is written into programs as plain lists, so that a reader sees at once which
columns a program treats how. Only the view's files are read, once (cached by path and time).
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from rdagent.records import Record

if TYPE_CHECKING:
    from rdagent.records import Competition, Context

PREVIEW_ROWS = 20_000
"""Rows of the debug view that are looked at."""
MANY_CATEGORIES = 25
"""Above so many different values a category is target-encoded, not one-hot."""

Frame = pd.DataFrame
Columns = tuple[str, ...]


class Shape(Record):
    """What a program has to be written for."""

    problem: Literal["class", "value", "list"]
    """A label or its probability, a number, or a ranked list of labels."""
    train_file: str
    test_file: str
    sample_file: str
    separator: str = ","
    rows: int
    """Labelled rows in a full run, estimated (a debug view holds a tenth)."""
    numeric: Columns = ()
    categorical: Columns = ()
    many: Columns = ()
    """Categories of so many values that they are target-encoded."""
    text: Columns = ()
    dates: Columns = ()
    missing: bool = False
    image: tuple[int, int, int] | None = None
    """Height, width and channels where the numeric columns are pixels in row order."""
    pixel_max: float = 1.0
    labels: Columns = ()
    """Labels as the train file spells them; empty for numbers."""
    positive: str | None = None
    """The label whose probability a single prediction column holds."""
    label_of: dict[str, str] = {}
    """Prediction column -> label as the train file spells it."""
    one_hot: bool = False
    """Several target columns of which exactly one is 1."""
    ordered: bool = False
    """Labels are whole numbers whose order may mean something."""
    minority: float = 1.0
    """Share of the rarest class times the number of classes; 1 is balanced."""
    skewed: bool = False
    nonnegative: bool = False
    integer: bool = False
    list_length: int = 1
    """Labels a ranked list holds."""


def read_shape(context: Context) -> Shape:
    """Work out the shape of the data in `context.train_preview`."""
    c, folder = context.competition, context.train_preview
    files = [folder / c.train_file, folder / c.test_file, folder / sample_name(c)]
    stamps = tuple((str(path), path.stat().st_mtime_ns) for path in files)
    return _shape(stamps, c.model_dump_json(), folder.name)


def sample_name(c: Competition) -> str:
    """The sample submission's name in every view (the host makes one where there is none)."""
    return c.sample_file or "sample_submission.csv"


@lru_cache(maxsize=32)
def _shape(stamps: tuple[tuple[str, int], ...], competition: str, view: str) -> Shape:
    from rdagent.records import Competition

    c = Competition.model_validate_json(competition)
    train_path, test_path, sample_path = (Path(path) for path, _ in stamps)
    separator = "\t" if ".tsv" in train_path.suffixes else ","
    train, test = (_read(path, separator) for path in (train_path, test_path))
    facts: dict[str, Any] = {"train_file": c.train_file, "test_file": c.test_file}
    facts |= {"sample_file": sample_name(c), "separator": separator}
    facts["rows"] = len(train) * (10 if view == "debug" else 1)
    facts |= _column_kinds(c, train, test) | _targets(c, train, train_path, separator)
    if facts["problem"] == "list":
        first = pd.read_csv(sample_path, nrows=1, dtype=str).iloc[0]
        facts["list_length"] = len(str(first[c.prediction_columns[0]]).split())
        at = re.search(r"@(\d+)", c.metric)
        facts["list_length"] = int(at.group(1)) if at else facts["list_length"]
    return Shape(**facts)


def _read(path: Path, separator: str, **options: Any) -> Frame:
    table: Frame = pd.read_csv(path, sep=separator, nrows=PREVIEW_ROWS, low_memory=False, **options)
    return table


def _column_kinds(c: Competition, train: Frame, test: Frame) -> dict[str, Any]:
    """Sort the columns that train and test share into kinds; ids and constants fall out."""
    not_features = {*c.id_columns, *c.target_columns, c.group_column}
    shared = [str(k) for k in train.columns if k in test.columns and k not in not_features]
    kinds: dict[str, list[str]] = {k: [] for k in ("numeric", "categorical", "many", "text")}
    kinds |= {"dates": [], "constant": [], "nothing": []}
    for column in shared:
        kinds[_kind(train[column], test[column])].append(column)
    kinds.pop("nothing")
    constant = set(kinds.pop("constant"))
    # Dead pixels keep a picture square, and a previous model wants every column it knew.
    whole = [k for k in shared if k in constant or k in kinds["numeric"]]
    image = _image(train, whole)
    if image:
        kinds["numeric"] = image[1]
    elif c.prev_model is not None:
        kinds["numeric"] = whole
    used = [column for columns in kinds.values() for column in columns]
    missing = bool(train[used].isna().any().any() or test[used].isna().any().any())
    found: dict[str, Any] = {kind: tuple(columns) for kind, columns in kinds.items()}
    if image:
        found["pixel_max"] = float(train[image[1]].to_numpy().max()) or 1.0
    return found | {"missing": missing, "image": image[0] if image else None}


def _kind(train: pd.Series[Any], test: pd.Series[Any]) -> str:
    both = pd.concat([train, test], ignore_index=True)
    known = both.dropna()
    different = known.nunique()
    if different == 0 or (different == 1 and len(known) == len(both)):
        number = different and pd.api.types.is_numeric_dtype(both)
        return "constant" if number and not pd.api.types.is_bool_dtype(both) else "nothing"
    numeric = pd.api.types.is_numeric_dtype(train) and pd.api.types.is_numeric_dtype(test)
    if numeric and not pd.api.types.is_bool_dtype(both):
        return "nothing" if _row_number(train) else "numeric"
    words = known.astype(str)
    if _are_dates(words):
        return "dates"
    spaces = words.str.count(r"\s+").mean()
    if spaces >= 3 and different > 0.3 * len(known):
        return "text"
    if different > 0.95 * len(known) and len(known) > 50:
        return "text" if spaces >= 1.5 else "nothing"  # a name or a path of its own a row
    return "many" if different > MANY_CATEGORIES else "categorical"


def _row_number(column: pd.Series[Any]) -> bool:
    """Whole numbers, each once, nearly without gaps: an index rather than a measurement."""
    if not pd.api.types.is_integer_dtype(column) or len(column) < 50:
        return False
    return bool(column.is_unique and column.is_monotonic_increasing)


def _are_dates(words: pd.Series[str]) -> bool:
    head = words.iloc[:: max(1, len(words) // 200)]
    looks = head.str.contains(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2} [A-Za-z]{3,9} \d{4}")
    if looks.mean() < 0.95:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = pd.to_datetime(head, errors="coerce", format="mixed", utc=True)
    return bool(parsed.notna().mean() > 0.95)


def _image(train: Frame, numeric: list[str]) -> tuple[tuple[int, int, int], list[str]] | None:
    """Pixels: numbered columns that fill a square and whose neighbours look alike."""
    groups: dict[str, list[str]] = {}
    for column in numeric:
        groups.setdefault(re.sub(r"\d+", "#", column), []).append(column)
    if not groups:
        return None
    columns = max(groups.values(), key=len)
    for channels in (1, 3):
        side = round((len(columns) / channels) ** 0.5)
        if side >= 6 and side * side * channels == len(columns) and len(columns) == len(numeric):
            break
    else:
        return None
    columns = sorted(columns, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    pixels = train[columns].iloc[:2000].to_numpy(dtype=float)
    if np.isnan(pixels).any():
        return None
    pixels = pixels - pixels.mean(axis=0)
    pixels /= pixels.std(axis=0) + 1e-9
    like = np.abs(pixels.T @ pixels) / len(pixels)
    step = channels if channels == 3 else 1
    neighbours = float(np.diagonal(like, step).mean())
    anyone = float((like.sum() - np.trace(like)) / (like.size - len(like)))
    return ((side, side, channels), columns) if neighbours > 1.5 * anyone + 0.05 else None


def _targets(c: Competition, train: Frame, path: Path, separator: str) -> dict[str, Any]:
    """The target's kind, labels as the file spells them, balance and skew."""
    known = train[list(c.target_columns)].dropna()
    if c.task == "ranking" and c.output == "label":
        problem = "list"
    elif c.task in ("regression", "ranking") or c.output == "value":
        return _number_target(known)
    else:
        problem = "class"
    spelt = _read(path, separator, dtype=str, usecols=list(c.target_columns))[known.columns]
    facts: dict[str, Any] = {"problem": problem}
    if c.output == "probability" and len(c.target_columns) > 1 and c.exclusive:
        if not known.isin([0, 1]).all().all() or not (known.sum(axis=1) == 1).all():
            return _number_target(known)  # soft labels: regressed, clipped, normalised
        facts["one_hot"] = True
        facts["label_of"] = dict(zip(c.prediction_columns, c.target_columns, strict=False))
        return facts | {"labels": c.target_columns}
    column = c.target_columns[0]
    spelling = spelt[column].dropna().drop_duplicates()
    labels = sorted(spelling, key=_natural)
    shares = spelt[column].value_counts(normalize=True)
    facts |= {"labels": tuple(labels), "minority": float(shares.min() * len(shares))}
    facts["ordered"] = all(re.fullmatch(r"-?\d+(\.0)?", label) for label in labels)
    if c.output == "probability":
        by_value = dict(zip(train.loc[spelling.index, column], spelling, strict=True))
        by_text = {str(value): text for value, text in by_value.items()}
        label_of = {
            name: str(by_value.get(label, by_text.get(str(label), label)))
            for name, label in c.classes.items()
        }
        single = len(c.prediction_columns) == 1 or len(c.target_columns) > 1
        positive = label_of.get(c.prediction_columns[0], labels[-1]) if single else None
        facts |= {"label_of": label_of, "positive": positive}
    return facts


def _number_target(known: Frame) -> dict[str, Any]:
    values = known.to_numpy(dtype=float)
    first = values[:, 0] - values[:, 0].mean()
    skew = float((first**3).mean() / ((first**2).mean() ** 1.5 + 1e-12))
    nonnegative = bool(values.min() >= 0)
    skewed = nonnegative and abs(skew) > 1.0
    integer = bool((values == np.round(values)).all())
    return {"problem": "value", "nonnegative": nonnegative, "skewed": skewed, "integer": integer}


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers by value, words by spelling."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
