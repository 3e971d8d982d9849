"""Tables as the user wrote them: every value as its text, written back unchanged.

Views rewrite tables; an id `007` or a price `1.50` must not become 7 or 1.5 on the way.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdagent.competition.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_text(path: Path) -> pd.DataFrame:
    """The whole table, CSV values as their exact text; rows as in `tables.read_table`."""
    separator = _separator(path)
    if separator is None:
        return read_table(path)
    return pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, na_filter=False, index_col=False
    )


def write_text(table: pd.DataFrame, path: Path) -> None:
    """Write `table` in the format that its name says; the same table gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, separator = path.name.lower(), _separator(path)
    if name.endswith(".parquet"):
        table.to_parquet(path, index=False)
        return
    if separator is None:
        content = table.to_json(orient="records", lines=True, force_ascii=False).encode()
    else:
        text = io.StringIO()
        table.to_csv(text, index=False, sep=separator, lineterminator="\n")
        content = text.getvalue().encode()
    if name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    if name.endswith(".zip"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            # A fixed date: rebuilt views are byte-identical.
            archive.writestr(zipfile.ZipInfo(path.name[:-4], (1980, 1, 1, 0, 0, 0)), content)
        content = packed.getvalue()
    path.write_bytes(content)


def fresh_like(
    like: Iterable[str], taken: Iterable[str], count: int, rng: np.random.Generator, ordered: bool
) -> list[str]:
    """`count` new values of the same kind as `like` (ints stay ints) that are not in `taken`.

    Their order is random and tells nothing, unless `ordered` asks for increasing ones.
    """
    like, known = list(like), set(taken)
    known |= set(like)
    endings = {PurePosixPath(value).suffix for value in like}
    if len(endings) == 1 and re.search("[A-Za-z]", ending := endings.pop()):
        # File names keep their ending, whatever digits it holds (.mp4, .h5).
        bare = [v.removesuffix(ending) for v in like]
        values = fresh_like(bare, (v.removesuffix(ending) for v in known), count, rng, ordered)
        return [value + ending for value in values]
    order = np.arange(count) if ordered else rng.permutation(count)
    parts = [re.fullmatch(r"(\D*)(\d+)(\.0|\D*)", value) for value in like]
    shapes = {(m[1] if m[1] != "-" else "", m[3]) for m in parts if m}
    if like and all(parts) and len(shapes) == 1:
        ((before, after),) = shapes
        width = max((len(m[2]) for m in parts if m and m[2].startswith("0")), default=0)
        same = (re.fullmatch(re.escape(before) + r"(\d+)" + re.escape(after), v) for v in known)
        numbers = [int(m[1]) for m in same if m]
        # Ids that skip the used range, so that a number cannot be taken for an old one.
        first = max([*numbers, 0]) + 1
        return [f"{before}{str(first + n).zfill(width)}{after}" for n in order]
    made: dict[str, None] = {}
    while len(made) < count:
        value = rng.bytes(6).hex()
        if value not in known:
            made[value] = None
    return sorted(made) if ordered else list(made)


def _separator(path: Path) -> str | None:
    name = path.name.lower()
    if ".tsv" in name:
        return "\t"
    return "," if ".csv" in name else None
