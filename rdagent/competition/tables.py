"""One table of a competition folder -> DataFrame, ids as text, faults named by file and line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import warnings
import zipfile
from functools import lru_cache
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from rdagent.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIXES = (
    ".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".parquet", ".jsonl", ".jsonl.gz", ".ndjson",
)  # fmt: skip
"""What counts as a table, in order of preference."""

MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What pandas reads as missing; in ids only the empty field is."""

_CHUNK = 1 << 20


def suffix_of(name: str) -> str | None:
    """The table suffix of a file name (`.csv.gz`), or None where it is no table."""
    lower = name.lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if lower.endswith(s)), None)


def stem_of(name: str) -> str:
    """A table's name in lower case without its suffix."""
    return name[: len(name) - len(suffix_of(name) or "")].lower()


def columns_of(path: Path) -> tuple[str, ...]:
    """Column names; for text tables only the header is read."""
    if "csv" in path.name.lower() or "tsv" in path.name.lower():
        stat = path.stat()
        return _header(path, stat.st_size, stat.st_mtime_ns)
    return tuple(read_table(path).columns)


def read_table(path: Path, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """The whole table with a RangeIndex; columns named in `text` are read as text, untouched.

    Parsed once per version of the file. Raises SetupError naming file and, where known, line.
    """
    stat = path.stat()
    table = _read(path, stat.st_size, stat.st_mtime_ns, text)
    # Without copy-on-write (pandas 2) a caller's edit would reach the cache.
    return table.copy(deep=pd.__version__ < "3")


def names_of(table: pd.DataFrame) -> list[str]:
    """Column names, typed as what they are."""
    return [str(x) for x in table.columns]


def canonical_ids(ids: pd.Series) -> pd.Series:
    """Ids as text that compares equal where a program's CSV reader made `001` a 1 or 7 a 7.0."""
    text = ids.astype("string").str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    if len(ids) and numbers.notna().all() and (numbers.astype(float).abs() < 2**53).all():
        return numbers.astype(float).astype("string")
    return text


@lru_cache(maxsize=32)
def _header(path: Path, size: int, mtime: int) -> tuple[str, ...]:
    _check_bytes(path)
    try:
        # One row is enough, and cheap when a table is large.
        table = pd.read_csv(path, nrows=0, index_col=False, sep=_separator(path))
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise SetupError(_explain(path, error)) from error
    if table.shape[1] == 1:
        _check_separator(path, str(table.columns[0]))
    return tuple(map(str, table.columns))


def _check_separator(path: Path, header: str) -> None:
    """A single column whose name is a whole header: the file has another separator."""
    ours = _separator(path)
    for other, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (",", "commas")):
        if other != ours and other in header:
            wanted = "tabs" if ours == "\t" else "commas"
            raise SetupError(
                f"{path.name} parts its columns by {name}: save it with {wanted} instead"
            )


@lru_cache(maxsize=6)
def _read(path: Path, size: int, mtime: int, text: tuple[str, ...]) -> pd.DataFrame:
    if size == 0:
        raise SetupError(f"{path.name} is empty: put the table's header and rows in it")
    try:
        if path.name.lower().endswith(".parquet"):
            table = _as_text(pd.read_parquet(path), text)
        elif "json" in (suffix_of(path.name) or ""):
            table = _as_text(_read_json_lines(path), text)
        else:
            _check_bytes(path)
            table = _read_csv(path, text)
    except ImportError as error:
        raise SetupError(
            f"{path.name} needs pyarrow: run `pip install pyarrow` or save the table as CSV"
        ) from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, pd.errors.ParserWarning) as error:
        raise SetupError(_explain(path, error)) from error
    table.columns = table.columns.map(str)
    return table.reset_index(drop=True)


def missing_in(columns: Iterable[str], text: Iterable[str]) -> dict[str, Any]:
    """Options of `read_csv` by which `NA` is an id in the columns of `text`, missing elsewhere."""
    values = {x: [""] if x in set(text) else list(MISSING) for x in columns}
    return {"keep_default_na": False, "na_values": values} if text else {}


def _as_text(table: pd.DataFrame, text: tuple[str, ...]) -> pd.DataFrame:
    for column in text:
        if column in table:
            table[column] = table[column].astype("str").where(table[column].notna())
    return table


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def _read_csv(path: Path, text: tuple[str, ...]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A warning here means values beyond the header would be dropped.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table: pd.DataFrame = pd.read_csv(
            path,
            sep=_separator(path),
            dtype=dict.fromkeys(text, str),
            **missing_in(columns_of(path), text),
            index_col=False,
            low_memory=False,
        )
    if len(table) and table.iloc[:, -1].isna().any():
        # The parser pads short rows silently; only then can the last column be missing.
        line = _uneven_line(path, table.shape[1], too_long=False)
        if line:
            raise SetupError(f"{path.name} has too few fields on line {line}: mend that row")
    return table


def _open(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path)  # type: ignore[return-value]
    if name.endswith(".zip"):
        archive = zipfile.ZipFile(path)
        return archive.open(archive.namelist()[0])
    return path.open("rb")


def _check_bytes(path: Path) -> None:
    """Refuse what pandas would read wrongly (NUL bytes) or reject without a line."""
    if path.stat().st_size == 0:
        raise SetupError(f"{path.name} is empty: put the table's header and rows in it")
    lines = 1
    try:
        with _open(path) as file:
            start = file.read(2)
            if start in (b"\xff\xfe", b"\xfe\xff"):
                raise SetupError(f"{path.name} is UTF-16 or UTF-32: save it as UTF-8")
            chunk = start
            while chunk:
                if (at := chunk.find(b"\0")) >= 0:
                    lines += chunk.count(b"\n", 0, at)
                    raise SetupError(
                        f"{path.name} has a NUL byte on line {lines}: save it as text in UTF-8"
                    )
                lines += chunk.count(b"\n")
                chunk = file.read(_CHUNK)
    except (OSError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise SetupError(_explain(path, error)) from error


def _uneven_line(path: Path, width: int, *, too_long: bool) -> int | None:
    """Number of the first line whose fields are more (or fewer) than the header's."""
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=_separator(path))
        for row in islice(reader, 1, 2_000_000):
            # A blank line is no row.
            if row and (len(row) > width if too_long else len(row) < width):
                return reader.line_num
    return None


def _undecodable_line(path: Path) -> int | None:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


def _read_json_lines(path: Path) -> pd.DataFrame:
    rows = []
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip():
                    rows.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise SetupError(
                    f"{path.name} has no JSON object on line {number}: write one a line"
                ) from error
    return pd.DataFrame(rows)


def _explain(path: Path, error: Exception) -> str:
    """One sentence for a table that cannot be read."""
    name, message = path.name, str(error).strip()
    if isinstance(error, UnicodeDecodeError):
        return f"{name} is not UTF-8 on line {_undecodable_line(path)}: save it as UTF-8"
    if isinstance(error, pd.errors.EmptyDataError):
        return f"{name} is empty: put the table's header and rows in it"
    if isinstance(error, gzip.BadGzipFile | zipfile.BadZipFile | EOFError | IndexError):
        return f"{name} is not a readable archive: {message or 'it holds no file'}"
    if "inside string" in message:
        row = int(message.rsplit(" ", 1)[-1]) + 1
        return f"{name} has a quote that is never closed, opened on about line {row}: close it"
    if isinstance(error, pd.errors.ParserError | pd.errors.ParserWarning) and (
        "fields" in message or "Length of header" in message
    ):
        line = _uneven_line(path, len(columns_of(path)), too_long=True)
        return f"{name} has more fields than its header on line {line}: mend that row"
    return f"{name} cannot be read: {message.splitlines()[0] if message else type(error).__name__}"
