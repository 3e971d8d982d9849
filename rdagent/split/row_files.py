"""Which further files and tables of a competition belong to which rows.

Images, recordings and side tables of a hidden row have to move with it; what cannot be told
apart is named in `Attached.unresolved`, and the competition becomes self-reported.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rdagent.competition.tables import columns_of, stem_of, suffix_of
from rdagent.competition.text_tables import read_text
from rdagent.errors import SetupError

if TYPE_CHECKING:
    import pandas as pd

    from rdagent.records import Competition

HOST_FILES = {
    "competition.toml", "hints.md", "sample.py", "grade.py", "valid.py", "submission_test.csv",
}  # fmt: skip
"""Files of a competition folder that programs never see."""

_TRAINING = re.compile(r"(?<![a-z])(train|training|labels?|targets?|masks?|answers?)(?![a-z])")
_TRAIN = re.compile(r"(?<![a-z])train(?:ing)?(?![a-z])", re.IGNORECASE)
_TEST = re.compile(r"(?<![a-z])test(?:ing)?(?![a-z])", re.IGNORECASE)
_NAMES_FILES = re.compile(r"(^|_)(id|file|filename|image|img|path|audio|video|photo|name)s?(_|$)")
_PROSE = {".md", ".pdf", ".py", ".ipynb", ".html"}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
_OPAQUE = {".npz", ".mat", ".h5", ".hdf5", ".pkl", ".pickle", ".joblib", ".tfrecord", ".tfrecords",
           ".sqlite", ".sqlite3", ".db", ".feather", ".arrow", ".rds", ".rdata"}  # fmt: skip


class Link(NamedTuple):
    """A file that a row names: `path`, whose part number `depth` is the name plus `ending`."""

    path: str
    depth: int
    ending: str
    column: str
    value: str

    @property
    def folder(self) -> str:
        return "/".join(self.path.split("/")[: self.depth])


class Keyed(NamedTuple):
    """A further table whose rows belong to rows of train or test through `key`."""

    path: str
    key: str
    partner: str | None
    """The table of the same shape that holds test's rows; None: there is only this one."""


@dataclass
class Attached:
    """What else lies in a competition folder, and to which rows it belongs."""

    paths: list[str]
    """All further files, relative to the folder, that views may hold."""
    train: list[list[Link]]
    test: list[list[Link]]
    """Links of each row, by position in the train and in the test file."""
    tables: list[Keyed] = field(default_factory=list)
    unresolved: str | None = None
    """Why hidden rows cannot be hidden here; None: they can."""

    @cached_property
    def homes(self) -> set[str]:
        """Folders of the files that test rows name."""
        return {link.folder for links in self.test for link in links}

    @cached_property
    def folders(self) -> set[str]:
        return {folder for path in self.paths for folder in _above(path)}

    def destination(self, folder: str) -> str | None:
        """The folder where files in `folder` go when their row is hidden; None: nowhere."""
        if folder in self.homes:
            return folder
        there = _TRAIN.sub(lambda m: "TEST" if m[0].isupper() else "test", folder)
        while there and there != folder:
            if there in self.folders:
                return there
            # train/cat has no test/cat: classes are what test does not show.
            cut = there.rpartition("/")[0]
            if folder.startswith(cut + "/") or not cut:
                break
            there = cut
        # A folder of its own for test under an unlike name, where no doubt is possible.
        sources = {link.folder for links in self.train for link in links}
        return next(iter(self.homes)) if len(self.homes) == len(sources) == 1 else None


def find_attached(c: Competition) -> Attached:
    """Look through the competition folder; raises nothing on odd files, says so instead."""
    paths = further_files(c)
    if not paths:
        return Attached([], [], [])
    plain = [p for p in paths if not suffix_of(p)]
    if not plain and c.id_column is None:
        train, test = read_text(c.data_dir / c.train_file).iloc[:0], None
    else:
        train, test = read_text(c.data_dir / c.train_file), read_text(c.data_dir / c.test_file)
    names = _index(plain)
    columns = _naming_columns(c, train, names) if names else []
    shown = set(columns) & set(test.columns) if test is not None else set()
    found = Attached(
        paths=paths,
        train=_links(train, columns, names, plain),
        test=_links(test, sorted(shown), names, plain) if test is not None else [],
    )
    _choose_sides(found)
    keys = [
        k
        for k in (*c.id_columns, *columns)
        if k in train.columns and k in shown.union(c.id_columns)
    ]
    found.unresolved = _sort_tables(c, found, keys) or _lost_files(c, found, plain, len(train))
    return found


def further_files(c: Competition) -> list[str]:
    """Files beside train, test and sample that programs may read, sorted; no twins of those."""
    known = {c.train_file, c.test_file, c.sample_file or c.test_file}
    stems = {stem_of(name) for name in known}
    found = []
    for where, folders, names in os.walk(c.data_dir, followlinks=True):
        here = Path(where).relative_to(c.data_dir)
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__")))
        if here == Path():
            folders[:] = [f for f in folders if f != "prev_model"]
        for name in names:
            path = str(here / name)
            # Another form of the same table (train.csv.zip) would hold the labels again.
            twin = path in known or (suffix_of(path) and stem_of(path) in stems)
            packed = (
                Path(path).suffix.lower() in _ARCHIVES and stem_of(path.rsplit(".", 1)[0]) in stems
            )
            if not (name.startswith(".") or name in HOST_FILES or twin or packed):
                found.append(path)
    present = {p for path in found for p in (path, *_above(path))}
    unpacked = {p for p in found if Path(p).suffix.lower() in _ARCHIVES and not suffix_of(p)
                and ({p.rsplit(".", 1)[0], p.split(".", 1)[0]} & present)}  # fmt: skip
    return sorted(set(found) - unpacked)


def file_digests(c: Competition, links: list[list[Link]], shown: set[str]) -> list[bytes]:
    """One digest a row over the content of its files; empty for a row without files."""
    paths = {link.path for row in links for link in row if link.column in shown}
    sizes = {p: (c.data_dir / p).stat().st_size for p in paths}
    shared = Counter(sizes.values())
    digests = {
        p: _digest(c.data_dir / p, s) if shared[s] > 1 else p.encode() for p, s in sizes.items()
    }
    return [b"".join(sorted(digests[x.path] for x in row if x.path in digests)) for row in links]


def _above(path: str) -> list[str]:
    """The folders that hold a path, from the top."""
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def _digest(path: Path, size: int) -> bytes:
    """Beginning, end and size tell recordings and images apart without reading gigabytes."""
    with path.open("rb") as file:
        content = file.read(1 << 16)
        if size > 1 << 17:
            file.seek(-(1 << 16), os.SEEK_END)
        return hashlib.blake2b(content + file.read(1 << 16) + str(size).encode()).digest()


def _index(paths: list[str]) -> dict[str, list[tuple[str, int, str]]]:
    """Name -> where it occurs as file name, stem or folder: (path to there, depth, ending)."""
    names: dict[str, dict[tuple[str, int, str], None]] = defaultdict(dict)
    for path in paths:
        *folders, name = path.split("/")
        depth = len(folders)
        for key in {name, name.rsplit(".", 1)[0], name.split(".", 1)[0]} - {""}:
            names[key][path, depth, name[len(key) :]] = None
        for d, folder in enumerate(folders):
            names[folder]["/".join(folders[: d + 1]), d, ""] = None
    return {key: list(places) for key, places in names.items()}


def _match(value: str, names: dict[str, list[tuple[str, int, str]]]) -> list[tuple[str, int, str]]:
    value = value.strip().replace("\\", "/").removeprefix("./")
    places = names.get(value.rsplit("/", 1)[-1], ()) if value else ()
    if "/" not in value:
        return list(places)
    return [
        p for p in places if f"/{p[0][: len(p[0]) - len(p[2])]}".endswith("/" + value.lstrip("/"))
    ]


def _naming_columns(
    c: Competition, train: pd.DataFrame, names: dict[str, list[tuple[str, int, str]]]
) -> list[str]:
    """Columns whose values name files: nearly all of a sample of their values do."""
    found = []
    for column in train.columns:
        values = train[column].astype(str)
        values = values[values != ""]
        sample = values.iloc[np.linspace(0, len(values) - 1, min(len(values), 200)).astype(int)]
        distinct = sample.nunique()
        if (
            distinct < min(2, len(train))
            or sum(bool(_match(v, names)) for v in set(sample)) < 0.9 * distinct
        ):
            continue
        # Ages from 1 to 80 are no names of 1.png to 80.png, and `cat` is a class, not a file.
        named = column == c.id_column or _NAMES_FILES.search(column.lower())
        if named or (distinct > len(sample) / 2 and not sample.str.fullmatch(r"[\d.-]+").all()):
            found.append(column)
    return found


def _links(
    rows: pd.DataFrame,
    columns: list[str],
    names: dict[str, list[tuple[str, int, str]]],
    paths: list[str],
) -> list[list[Link]]:
    links: list[list[Link]] = [[] for _ in range(len(rows))]
    below: dict[str, list[str]] = defaultdict(list)
    for path in paths if columns else ():
        for folder in _above(path):
            below[folder].append(path)
    for column in columns:
        known: dict[str, list[Link]] = {}
        for n, value in enumerate(rows[column].astype(str)):
            if value not in known:
                known[value] = [
                    Link(path, depth, ending, column, value)
                    for place, depth, ending in _match(value, names)
                    for path in below.get(place, [place])
                ]
            links[n] += known[value]
    # What many rows name (a station's file) is a shared resource, not a part of the row.
    users = Counter(path for row in links for path in {link.path for link in row})
    most = most_alike(len(rows))
    return [[link for link in row if users[link.path] <= most] for row in links]


def _choose_sides(found: Attached) -> None:
    """Where train and test use the same names, each row keeps the files of its own side."""
    both = {link.value for row in found.train for link in row}
    found.train = [[x for x in row if not _TEST.search(x.folder)] or row for row in found.train]
    for n, row in enumerate(found.test):
        links = [x for x in row if not _TRAIN.search(x.folder)] or row
        own = [x for x in links if _TEST.search(x.folder)]
        found.test[n] = own if own and any(x.value in both for x in own) else links


def most_alike(rows: int) -> int:
    """How many rows may count as copies of each other; more are just few distinct values."""
    return max(10, rows // 100)


def _sort_tables(c: Competition, found: Attached, keys: list[str]) -> str | None:
    """Fill `found.tables`; a reason where a table shows labels that cannot be hidden."""
    tables = [p for p in found.paths if suffix_of(p)]
    stems = {stem_of(p): p for p in tables}
    partners = set()
    for path in tables:
        try:
            columns = columns_of(c.data_dir / path)
        except SetupError as error:
            return f"further table {error}"
        key = next((k for k in keys if k in columns), None)
        training = bool(_TRAINING.search(path.lower()))
        labels = set(columns) & set(c.target_columns)
        if key:
            twin = stems.get(_TRAIN.sub("test", stem_of(path)))
            partner = twin if twin != path else None
            if partner and key not in columns_of(c.data_dir / partner):
                return f"{partner} lacks the column {key} of {path}"
            partners |= {partner}
            found.tables.append(Keyed(path, key, partner))
        elif labels and "submission" not in path.lower():
            return f"{path} holds {', '.join(sorted(labels))} but no column that names train's rows"
        elif training:
            return f"{path} belongs to train's rows, but no column of it names them"
    found.tables = [t for t in found.tables if t.path not in partners]
    return None


def _lost_files(c: Competition, found: Attached, plain: list[str], rows: int) -> str | None:
    """A file that belongs to train's rows by its name or form, while no row names it."""
    used = {link.path for side in (found.train, found.test) for row in side for link in row}
    homes = {link.folder for side in (found.train, found.test) for row in side for link in row}
    for path in plain:
        suffix = Path(path).suffix.lower()
        if suffix in _PROSE or path in used or any(h and path.startswith(h + "/") for h in homes):
            continue
        if suffix in _ARCHIVES:
            return f"{path} is an archive whose rows cannot be told apart: unpack it"
        if suffix in _OPAQUE:
            return f"{path} may hold train's rows, which cannot be told apart inside it"
        if suffix == ".npy" and _length(c.data_dir / path) in (rows, rows + len(found.test)):
            return f"{path} holds train's rows by position, which cannot be moved"
        if _TRAINING.search(path.lower()):
            return f"{path} belongs to train's rows, but no column of {c.train_file} names it"
    return None


def _length(path: Path) -> int | None:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError):
        return None
    return int(array.shape[0]) if array.ndim else None
