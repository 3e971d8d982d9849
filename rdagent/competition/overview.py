"""What a data scientist wants to see of a competition folder at a glance, and its fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rdagent.competition.hints import HINTS
from rdagent.competition.tables import names_of, read_table, suffix_of
from rdagent.records import Competition

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGE = 50 * 2**20
"""Bytes from which a file counts by name and size alone."""
_MANY = 200
"""Files of a folder from which it counts as one entry."""
_ROWS = 20_000
"""Rows that a preview looks at."""


def preview(c: Competition, max_chars: int = 6000) -> str:
    """Markdown about the tables, the target and the other files; never an absolute path.

    `c.data_dir` may be any folder of the same layout, such as a view.
    """
    parts = [_asked(c)]
    for name, title in ((c.train_file, "train"), (c.test_file, "test")):
        table = read_table(c.data_dir / name, c.id_columns)
        parts.append(f"## {name} ({title}): {len(table):,} rows, {table.shape[1]} columns")
        if title == "train":
            parts += [_target(c, table), _columns(c, table, max_chars // 2)]
        else:
            train = read_table(c.data_dir / c.train_file, c.id_columns)
            parts.append(_differences(c, train, table))
    if c.sample_file:
        sample = read_table(c.data_dir / c.sample_file, c.id_columns).head(3)
        lines = sample.iloc[:, :12].to_csv(index=False).strip()
        parts.append(f"## {c.sample_file} (sample submission), first rows\n{_cut(lines, 600)}")
    parts.append(_other_files(c))
    return _cut("\n\n".join(p for p in parts if p), max_chars)


def content_hashes(c: Competition) -> dict[str, str]:
    """Relative path -> fingerprint of every file, to tell whether the data changed.

    Tables and files up to 50 MB by content, larger ones by size; a folder of more than 200
    files is one entry (`images/`) over names and sizes. `prev_model/` counts in finetune only.
    """
    tables = {c.train_file, c.test_file, c.sample_file}
    hashes: dict[str, str] = {}
    for folder, names in _folders(c):
        paths = [c.data_dir / folder / name for name in names]
        loose = [p for p in paths if _relative(c, p) not in tables]
        if len(loose) > _MANY:
            listing = "\n".join(f"{p.name} {p.stat().st_size}" for p in loose)
            digest = hashlib.blake2b(listing.encode(), digest_size=16).hexdigest()
            hashes[f"{folder}/"] = f"files:{digest}"
            paths = [p for p in paths if p not in set(loose)]
        for path in paths:
            size, name = path.stat().st_size, _relative(c, path)
            if size > _LARGE and not suffix_of(name):
                hashes[name] = f"size:{size}"
            else:
                with path.open("rb") as file:
                    hashes[name] = hashlib.file_digest(file, _blake).hexdigest()
    return dict(sorted(hashes.items()))


def _blake() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _relative(c: Competition, path: Path) -> str:
    return path.relative_to(c.data_dir).as_posix()


def _folders(c: Competition) -> Iterator[tuple[str, list[str]]]:
    """(folder relative to the competition's, sorted file names), without hidden files and hints."""
    for where, folders, names in os.walk(c.data_dir):
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith((".", "__pycache__")) and (f != "prev_model" or c.prev_model)
        )
        relative = Path(where).relative_to(c.data_dir).as_posix()
        hints = HINTS if relative == "." else None  # advice may change while a run goes on
        yield relative, sorted(n for n in names if not n.startswith(".") and n != hints)


def _asked(c: Competition) -> str:
    columns = _names(c.prediction_columns)
    lines = [
        f"Task: {c.task}; metric: {c.metric} "
        f"({'higher' if c.higher_is_better else 'lower'} is better).",
        f"Target in train: {_names(c.target_columns)}. "
        f"The submission holds {f'{c.id_column} and ' if c.id_column else ''}{columns} "
        f"({c.output}{', each row sums to one' if c.exclusive else ''}).",
    ]
    if c.id_column is None:
        lines.append("There is no id column: rows pair by position.")
    if c.group_column:
        lines.append(f"Rows come in groups ({c.group_column}); test has other groups than train.")
    if c.time_column:
        lines.append(f"Rows are in time ({c.time_column}); test comes after train.")
    return "\n".join(lines)


def _target(c: Competition, train: pd.DataFrame) -> str:
    lines = []
    for name in c.target_columns[:12]:
        column = train[name].dropna()
        if c.output == "value":
            column = column.astype(float)
            shown = ", ".join(f"{column.quantile(q):.4g}" for q in (0, 0.25, 0.5, 0.75, 1))
            mean, sd, skew = column.agg(["mean", "std", "skew"]).tolist()
            spread = f"mean {mean:.4g}, sd {sd:.4g}, skew {skew:.2g}"
            lines.append(f"Target {name}: min, quartiles, max {shown}; {spread}")
        else:
            counts = column.value_counts()
            labels, rows = [str(x) for x in counts.index], counts.tolist()
            most = list(zip(labels, rows, strict=True))[:12]
            shown = ", ".join(f"{label}: {n} ({n / len(column):.1%})" for label, n in most)
            more = (
                f" and {len(counts) - 12} more, fewest {counts.min()}" if len(counts) > 12 else ""
            )
            lines.append(f"Target {name}, {len(counts)} labels: {shown}{more}")
    if len(c.target_columns) > 12:
        lines.append(f"... and {len(c.target_columns) - 12} more targets")
    return "\n".join(lines)


def _columns(c: Competition, train: pd.DataFrame, max_chars: int) -> str:
    """One line a column; columns alike in name and kind (pixel_0 ...) share one."""
    rows = train if len(train) <= _ROWS else train.sample(_ROWS, random_state=0)
    lines: list[str] = []
    runs: dict[tuple[str, str], list[str]] = {}
    for name in names_of(train):
        if name not in c.target_columns and name != c.id_column:
            stem = name.rstrip("0123456789")
            runs.setdefault((stem, _kind(rows[name])), []).append(name)
    for (_, kind), names in runs.items():
        if len(names) > 6:
            block = rows[names]
            missing = float(block.isna().to_numpy().mean())
            span = f", from {block.min().min():.4g} to {block.max().max():.4g}"
            lines.append(
                f"- {names[0]} ... {names[-1]} ({len(names)} columns): {kind}"
                f"{span if 'number' in kind or kind == 'integer' else ''}{_share(missing)}"
            )
        else:
            lines += [f"- {name}: {_described(rows[name], kind)}" for name in names]
    shown: list[str] = []
    for position, line in enumerate(lines):
        if sum(map(len, shown)) + len(line) > max_chars:
            shown.append(f"- ... and {len(lines) - position} more lines of columns")
            break
        shown.append(line)
    return "\n".join(shown)


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if pd.api.types.is_integer_dtype(column):
        return "integer"
    if pd.api.types.is_numeric_dtype(column):
        return "number"
    text = column.dropna().astype(str)
    if len(text) and text.str.len().mean() > 50:
        return "long text"
    return "text"


def _described(column: pd.Series, kind: str) -> str:
    filled = column.dropna()
    distinct = filled.nunique()
    missing = _share(float(column.isna().mean()))
    if not len(filled):
        return f"empty{missing}"
    if kind in ("integer", "number"):
        span = f"from {filled.min():.6g} to {filled.max():.6g}, median {filled.median():.6g}"
        return f"{kind}, {distinct} distinct, {span}{missing}"
    examples = ", ".join(_cut(repr(str(x)), 60) for x in filled.value_counts().index[:3])
    return f"{kind}, {distinct} distinct, such as {examples}{missing}"


def _share(missing: float) -> str:
    return f", {missing:.1%} missing" if missing else ""


def _differences(c: Competition, train: pd.DataFrame, test: pd.DataFrame) -> str:
    only_train = [x for x in names_of(train) if x not in test and x not in c.target_columns]
    only_test = [x for x in names_of(test) if x not in train and x not in c.prediction_columns]
    lines = ["The columns of train without the target." if not only_train + only_test else ""]
    lines += [f"Only train has {_names(only_train)}." if only_train else ""]
    lines += [f"Only test has {_names(only_test)}." if only_test else ""]
    full = [x for x in names_of(test) if x in train and not train[x].isna().any()]
    gaps = [x for x in full if test[x].isna().any()]
    lines += [f"Missing values in test alone: {_names(gaps)}." if gaps else ""]
    return "\n".join(x for x in lines if x)


def _other_files(c: Competition) -> str:
    known = {c.train_file, c.test_file, c.sample_file, "description.md", "competition.toml"}
    lines = []
    for folder, names in _folders(c):
        paths = [Path(folder) / name for name in names]
        rest = [p for p in paths if p.as_posix() not in known]
        if len(rest) > 5:
            kinds = Counter(p.suffix.lower() or "no suffix" for p in rest).most_common(4)
            counts = ", ".join(f"{n} {suffix}" for suffix, n in kinds)
            lines.append(f"- {folder}/: {len(rest)} files ({counts}), such as {rest[0].name}")
        else:
            lines += [f"- {p.as_posix()} ({_size(c.data_dir / p)})" for p in rest]
        if len(lines) > 40:
            lines.append("- ...")
            break
    return "## Other files\n" + "\n".join(lines) if lines else ""


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size / 1024:.1f} KB"


def _names(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - 4)] + " ..."
