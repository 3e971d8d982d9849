"""What lies in a file of weights: tensors by name, values, classes. No code in it is run.

The first bytes say what a file is; its ending may lie.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rdagent.competition.pickles import MOST_BYTES, Pickle, Thing, dtype_of

_MOST_PARTS = 20_000
_DEEPEST = 12
_LONGEST = 60
"""Characters of a value that is shown."""
_HEADER = 16 * 2**20
"""Bytes of a safetensors header at most."""
_ENDS = 256 * 1024
"""Bytes that are looked at of a text, at its beginning and its end."""
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # torch before 1.6: several pickles one after the other
_STORAGE = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool",
}  # fmt: skip
_LETTERS = {"f": "float", "i": "int", "u": "uint", "c": "complex", "F": "float", "I": "int",
            "U": "uint", "BF": "bfloat"}  # fmt: skip
"""numpy's letters (bytes follow) and safetensors' (bits follow)."""
_HOLDERS = ("_modules", "_parameters", "_buffers")
"""Where a torch module keeps its parts; they are no part of a parameter's name."""
_SECRET = re.compile(r"key|token|secret|passw", re.IGNORECASE)
_XGBOOST = rb'%s"?\s*(?::\s*"?|SL.{8})([\w.:]+)'
"""A value of an XGBoost model, in JSON and in UBJSON."""


class Tensor(NamedTuple):
    """A tensor or array, without its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass
class Contents:
    """What was found in one file."""

    kind: str = ""
    tensors: list[Tensor] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    parts: int = 0

    def add(self, value: Any, path: str = "", depth: int = 0) -> None:
        """Take over what `value` holds; pickles may hold themselves, so both ways are bounded."""
        self.parts += 1
        if self.parts > _MOST_PARTS or depth > _DEEPEST:
            return
        if tensor := _tensor(value):
            self.tensors.append(Tensor(path, *tensor))
        elif isinstance(value, Thing) and value.name.endswith("multiarray.scalar"):
            pass  # a number that numpy packed
        elif isinstance(value, Thing):
            self.classes[path] = value.name.rpartition(".")[2]
            state = value.state[0] if isinstance(value.state, tuple) and value.state else None
            for part in (value.state, state, value.items):
                if isinstance(part, dict):
                    self._add_items(part, path, depth, private=False)
        elif isinstance(value, dict):
            self._add_items(value, path, depth, private=True)
        elif isinstance(value, (list, tuple)):
            self._add_list(value, path, depth)
        elif isinstance(value, (str, int, float)) and value is not True and value is not False:
            self._add_value(str(value), path)

    def _add_items(self, items: dict[Any, Any], path: str, depth: int, private: bool) -> None:
        for key, value in items.items():
            name = str(key)[:80]
            if name.startswith("_") and not private and name not in _HOLDERS:
                continue
            if isinstance(key, str) and f"{key}_" in items:  # scikit-learn's fitted counterpart
                continue
            inner = path if name in _HOLDERS else f"{path}.{name}".lstrip(".")
            self.add(value, inner, depth + 1)

    def _add_value(self, text: str, path: str) -> None:
        if len(text) <= _LONGEST and not _SECRET.search(path):
            self.values[path] = text

    def _add_list(self, values: list[Any] | tuple[Any, ...], path: str, depth: int) -> None:
        first = values[0] if values else None
        if all(isinstance(x, (int, float, str, type(None))) for x in values[:50]):
            text = f"({', '.join(map(str, values[:9]))})"
            self._add_value(text if len(values) < 9 else f"{len(values)} values", path)
        elif isinstance(first, Thing) and len(values) > 3 and not _tensor(first):
            name = first.name.rpartition(".")[2]
            if name != "scalar":
                self.values[path] = f"{len(values)} x {name}"
        else:
            for n, value in enumerate(values):
                name, inner = str(n), value
                # Steps of a pipeline and the like: (name, estimator, ...).
                if isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str):
                    name, inner = value[0][:80], value[1]
                self.add(inner, f"{path}.{name}".lstrip(".").removeprefix("steps."), depth + 1)


def read_contents(path: Path) -> Contents:
    """What a file holds. Raises anything where it is broken: callers say `unreadable`."""
    with path.open("rb") as file:
        magic = file.read(16)
        file.seek(0)
        if magic.startswith(b"PK"):
            return _read_zip(file)
        if magic.startswith(b"\x93NUMPY"):
            return Contents("numpy array", [_npy(file, "array")])
        if magic[8:9] == b"{" and 2 <= int.from_bytes(magic[:8], "little") <= _HEADER:
            return _read_safetensors(file)
        if magic.startswith(b"\x89HDF"):
            return Contents("HDF5")
        if magic.startswith(b"CBM1"):
            return Contents("CatBoost model")
        if magic.startswith((b"tree\n", b"tree\r\n")):
            return _read_lightgbm(file)
        if magic.lstrip()[:1] == b"{":
            return _read_json(file)
        if magic.startswith(b"\x80") or (unpacked := _unpacked(file, magic)) is None:
            return _read_pickle(file)
        return _read_pickle(unpacked)


def _unpacked(file: BinaryIO, magic: bytes) -> BinaryIO | None:
    """The first bytes of a file that joblib compressed; None where it did not."""
    if magic.startswith(b"\x78"):
        packed = file.read(MOST_BYTES)
        return io.BytesIO(zlib.decompressobj().decompress(packed, MOST_BYTES))
    if magic.startswith(b"\x1f\x8b"):
        return io.BytesIO(gzip.GzipFile(fileobj=file).read(MOST_BYTES))
    if magic.startswith(b"BZh"):
        return io.BytesIO(bz2.BZ2File(file).read(MOST_BYTES))
    if magic.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return io.BytesIO(lzma.LZMAFile(file).read(MOST_BYTES))
    return None


def _read_pickle(file: BinaryIO, kind: str = "pickle") -> Contents:
    pickle = Pickle(file)
    try:
        value = pickle.load()
        if value == _TORCH_MAGIC:
            kind, value = "torch", [pickle.load() for _ in range(3)][-1]
    except Exception:
        if not pickle.names:
            raise
        seen = ", ".join(dict.fromkeys(pickle.names[:3]))
        return Contents(f"{kind} that is broken or too large to read; begins with {seen}")
    found = Contents(kind)
    found.add(value)
    if not (found.tensors or found.classes or found.values):
        raise ValueError("nothing in it")
    return found


def _read_zip(file: BinaryIO) -> Contents:
    """torch saves zip archives, and so does numpy."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        for name in names:
            if name == "data.pkl" or name.endswith("/data.pkl"):
                with archive.open(name) as member:
                    return _read_pickle(member, "torch")  # type: ignore[arg-type]
        found = Contents("numpy arrays")
        for name in [x for x in names if x.endswith(".npy")][:_MOST_PARTS]:
            with archive.open(name) as member:
                found.tensors.append(_npy(member, name.removesuffix(".npy")))
        return found if found.tensors else Contents(f"archive of {', '.join(names[:5])}")


def _npy(file: Any, name: str) -> Tensor:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return Tensor(name, shape, str(dtype))


def _read_safetensors(file: BinaryIO) -> Contents:
    size = int.from_bytes(file.read(8), "little")
    text = file.read(size)
    if len(text) < size:
        raise ValueError("it is cut off")
    header = json.loads(text)
    found = Contents("safetensors")
    found.add(header.pop("__metadata__", {}))
    found.tensors = [
        Tensor(name, tuple(map(int, x["shape"])), _spelled(str(x["dtype"])))
        for name, x in header.items()
    ]
    return found


def _read_lightgbm(file: BinaryIO) -> Contents:
    head = file.read(_ENDS).decode("utf-8", "replace").split("\n\n")[0]
    said = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    values = {k: said[k] for k in ("objective", "num_class") if k in said}
    if said.get("max_feature_idx", "").isdigit():
        values["features"] = str(int(said["max_feature_idx"]) + 1)
    if "tree_sizes" in said:
        values["trees"] = str(len(said["tree_sizes"].split()))
    return Contents("LightGBM model", values=values)


def _read_json(file: BinaryIO) -> Contents:
    """XGBoost's models (JSON, UBJSON) by their beginning and end, configurations whole."""
    text = file.read(_ENDS)
    if b"learner" in text[:100] or b"gradient_booster" in text:
        size = file.seek(0, 2)
        file.seek(max(size - _ENDS, min(len(text), size)))
        text += file.read()
        named = {"objective": b'objective"?[:{L"].{0,24}?name', "features": b"num_feature",
                 "classes": b"num_class", "trees": b"num_trees"}  # fmt: skip
        found = {k: re.search(_XGBOOST % v, text, re.DOTALL) for k, v in named.items()}
        return Contents(
            "XGBoost model",
            values={k: m[1].decode().removesuffix("L") for k, m in found.items() if m},
        )
    contents = Contents("JSON")
    contents.add(json.loads(text))
    return contents


def _tensor(value: Any) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype where a pickled object is a tensor or an array."""
    if not isinstance(value, Thing):
        return None
    name, args = value.name.rpartition(".")[2], value.args
    if value.name.startswith("torch._utils._rebuild_") and isinstance(args, tuple) and args:
        if _is_storage(args[0]) and len(args) > 2:
            return _shape(args[2]), _torch_dtype(args)
        return _tensor(args[0])  # a parameter is a tensor with a flag
    if name == "NumpyArrayWrapper" and isinstance(value.state, dict):
        return _shape(value.state.get("shape")), _numpy_dtype(value.state.get("dtype"))
    if name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        return _shape(value.state[1]), _numpy_dtype(value.state[2])
    if name == "_frombuffer" and isinstance(args, tuple) and len(args) > 2:
        return _shape(args[2]), _numpy_dtype(args[1])
    return None


def _is_storage(value: Any) -> bool:
    about = value.args if isinstance(value, Thing) and value.name == "persistent" else ()
    return isinstance(about, tuple) and len(about) > 4 and about[0] == "storage"


def _torch_dtype(args: tuple[Any, ...]) -> str:
    named = [x.name for x in args if isinstance(x, Thing) and x.name.startswith("torch.")]
    kind = args[0].args[1]
    storage = (
        kind.name.rpartition(".")[2].removesuffix("Storage") if isinstance(kind, Thing) else ""
    )
    return _STORAGE.get(storage) or (named[-1].removeprefix("torch.") if named else "?")


def _numpy_dtype(value: Any) -> str:
    try:
        letter, size = dtype_of(value)
    except ValueError:
        return "?"
    if letter in "fiuc":
        return f"{_LETTERS[letter]}{8 * size}"
    return {"b": "bool", "O": "object", "U": "text"}.get(letter, letter)


def _spelled(dtype: str) -> str:
    """safetensors' `F32` and `BF16` as everybody else writes them."""
    match = re.fullmatch(r"(BF|F|I|U)(\d+)", dtype)
    return _LETTERS[match[1]] + match[2] if match else dtype.lower()


def _shape(value: Any) -> tuple[int, ...]:
    value = value.args[0] if isinstance(value, Thing) and value.args else value  # torch.Size
    return tuple(x for x in value if isinstance(x, int)) if isinstance(value, tuple) else ()
