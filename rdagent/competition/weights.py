"""The weights below prev_model/models, listed for a prompt: names, shapes, sizes.

Nothing is unpickled and no library is asked to load anything: only headers are read.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rdagent.competition.pickles import LOOKED_AT, Contents, Tensor, read_pickle, unpacked
from rdagent.records import Competition

_MAX_FILES = 12
_MAX_TEXT = 20 * 2**20
_KINDS = {
    ".h5": "HDF5", ".hdf5": "HDF5", ".keras": "Keras archive", ".onnx": "ONNX",
    ".cbm": "CatBoost", ".ubj": "XGBoost", ".gguf": "GGUF",
}  # fmt: skip
_NAMED = re.compile(rb"(?:sklearn|lightgbm|xgboost|catboost|torch)(?:\.\w+){0,6}")


def list_weights(c: Competition, limit: int = 1500) -> str:
    """Each file below prev_model/models, the latest checkpoint first, at most `limit` characters.

    Paths are relative to prev_model. Empty where there is no previous model.
    """
    if c.prev_model is None:
        return ""
    home, latest = c.prev_model.path, c.prev_model.path / c.prev_model.checkpoint
    files = [p for p in sorted((home / "models").rglob("*")) if p.is_file()]
    if latest.is_file() and latest not in files:
        files.append(latest)
    files = [p for p in files if "__pycache__" not in p.parts and not p.name.startswith(".")]
    files.sort(key=lambda p: not p.is_relative_to(latest))
    heads, bodies = [], []
    for path in files[:_MAX_FILES]:
        mark = ", latest checkpoint" if path.is_relative_to(latest) else ""
        kind, tensors = _contents(path, path.stat().st_mtime_ns)
        body = _listed(tensors)
        if body and body in bodies:
            kind, body = f"{kind}, the same tensors as above", []
        name = str(path.relative_to(home))
        heads.append(_plain(f"{name[-120:]} ({_size(path)}{mark}): {kind}", 400))
        bodies.append(body)
    if len(files) > _MAX_FILES:
        heads.append(f"and {len(files) - _MAX_FILES} more files")
        bodies.append([])
    return _fitted(heads, bodies, limit)


@lru_cache(maxsize=64)
def _contents(path: Path, _time: int) -> Contents:
    """What one file holds; never an exception."""
    if path.suffix.lower() in _KINDS:
        return Contents(f"{_KINDS[path.suffix.lower()]} (not looked into)", {})
    try:
        with path.open("rb") as file:
            start = file.read(16)
        for fits, read in _READERS:
            if fits(path, start):
                kind, tensors = read(path)
                total = sum(math.prod(x.shape) for x in tensors.values())
                count = f", {len(tensors)} tensors, {total:,} values" if tensors else ""
                return Contents(kind + count, tensors)
        return Contents("unknown format", {})
    except Exception:  # broken or hostile files fail in any way: pickles, zips, headers
        return Contents("unreadable", {})


def _safetensors(path: Path) -> Contents:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, _MAX_TEXT)))
    found = {
        name: Tensor(tuple(int(n) for n in entry["shape"]), str(entry["dtype"]).lower())
        for name, entry in header.items()
        if name != "__metadata__"
    }
    return Contents("safetensors", found)


def _numpy(path: Path) -> Contents:
    with path.open("rb") as file:
        return Contents("numpy array", {"array": _array_header(file)})


def _array_header(file: Any) -> Tensor:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return Tensor(tuple(shape), str(dtype))


def _archive(path: Path) -> Contents:
    """torch's zip: one pickle that names the tensors; numpy's: one file an array."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        arrays = [name for name in names if name.endswith(".npy")]
        if arrays:
            found = {}
            for name in arrays[:5000]:
                with archive.open(name) as file:
                    found[name.removesuffix(".npy")] = _array_header(file)
            return Contents("numpy archive", found)
        data = [name for name in names if name.split("/")[-1] == "data.pkl"]
        if not data:
            return Contents("zip archive", {})
        with archive.open(data[0]) as file:
            kind, tensors = read_pickle(file.read(LOOKED_AT))
    return Contents(f"torch {kind}", tensors)


def _pickle(path: Path) -> Contents:
    data = unpacked(path)
    try:
        kind, tensors = read_pickle(data)
        return Contents(f"pickle of {kind}", tensors)
    except Exception:  # cut off, or of a kind that cannot be followed: its names stand in it
        names = dict.fromkeys(x.decode() for x in _NAMED.findall(data[: 4 * 2**20]))
        if not names:
            raise
        return Contents("pickle that names " + ", ".join([*names][:8]), {})


def _text(path: Path) -> Contents:
    with path.open("rb") as file:
        text = file.read(_MAX_TEXT).decode("utf-8", "replace")
    first = text.split("\n", 1)[0].strip()
    if first == "tree":  # LightGBM
        head = dict(x.split("=", 1) for x in text[:100_000].split("\n")[1:40] if "=" in x)
        trees = text.count("\nTree=")
        keys = ("objective", "num_class", "max_feature_idx")
        said = ", ".join(f"{key} {head[key][:60]}" for key in keys if key in head)
        return Contents(f"LightGBM text, {trees} trees, {said}", {})
    if first.startswith("{"):
        return Contents(_json(text), {})
    return Contents(f"text that begins {first[:80]!r}", {})


def _json(text: str) -> str:
    value = json.loads(text)
    learner = value.get("learner")
    if not isinstance(learner, dict):
        return f"JSON {json.dumps(value)[:200]}"
    about = learner.get("learner_model_param", {})
    trees = learner.get("gradient_booster", {}).get("model", {}).get("trees", [])
    objective = learner.get("objective", {}).get("name", "?")
    return (
        f"XGBoost JSON, {len(trees)} trees, objective {objective}, "
        f"num_class {about.get('num_class', '?')}, num_feature {about.get('num_feature', '?')}"
    )


_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_PACKED = (b"\x80", *_ZLIB, b"\x1f\x8b", b"BZh", b"\xfd7z", b"]\0\0")
_READERS: tuple[tuple[Callable[[Path, bytes], bool], Callable[[Path], Contents]], ...] = (
    (lambda path, _: path.suffix.lower() == ".safetensors", _safetensors),
    (lambda _, start: start.startswith(b"\x93NUMPY"), _numpy),
    (lambda _, start: start.startswith(b"PK"), _archive),
    (lambda _, start: start.startswith(_PACKED), _pickle),
    (lambda path, start: path.suffix.lower() in (".txt", ".json", ".model", ".md", ".yaml")
     and b"\0" not in start, _text),
)  # fmt: skip


def _listed(tensors: dict[str, Tensor]) -> list[str]:
    """A line a tensor; `layer.0.weight` to `layer.11.weight` of one shape are one line."""
    runs: dict[tuple[str, Tensor], list[list[int]]] = {}
    for name, tensor in tensors.items():
        name = name.replace("#", "_")
        numbers = [int(x[:9]) for x in re.findall(r"\d+", name)]
        runs.setdefault((re.sub(r"\d+", "#", name), tensor), []).append(numbers)
    lines = []
    for (name, tensor), rows in runs.items():
        spans = [_span(x) for x in zip(*rows, strict=True)]
        shown = "".join(a + b for a, b in zip(name.split("#"), [*spans, ""], strict=False))
        count = f" ({len(rows)} of them)" if len(rows) > 1 else ""
        lines.append(_plain(f"  {shown} {tensor.dtype} {[*tensor.shape]}{count}", 160))
    return lines


def _span(numbers: tuple[int, ...]) -> str:
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first}-{last}"


def _fitted(heads: list[str], bodies: list[list[str]], limit: int) -> str:
    """Every file's first line before any tensor, tensors in order while they fit."""
    shown: list[list[str]] = []
    left = limit + 1
    for head in heads:
        if len(head) + 1 > left:
            break
        shown.append([head])
        left -= len(head) + 1
    for lines, body in zip(shown, bodies, strict=False):
        for i, line in enumerate(body):
            more = f"  and {len(body) - i} more lines of tensors"
            if len(line) + len(more) + 2 > left:
                if len(more) + 1 <= left:
                    lines.append(more)
                    left -= len(more) + 1
                break
            lines.append(line)
            left -= len(line) + 1
    return "\n".join(line for lines in shown for line in lines)


def _plain(text: str, limit: int) -> str:
    """One line of printable characters."""
    text = "".join(x if x.isprintable() else " " for x in text)
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
