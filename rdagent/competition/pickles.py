"""What a pickle holds, found out without running any of it.

Unpickling calls whatever the file names. Here every name becomes an inert `Thing` that keeps
what it was given, so nothing is imported, called or built; arrays are passed over.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import pickle
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

LOOKED_AT = 64 * 2**20
"""Bytes of a file that are looked at, unpacked."""
_SECONDS = 3.0
_DEPTH = 16
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_FOUND = 20_000


class Tensor(NamedTuple):
    """An array's description."""

    shape: tuple[int, ...]
    dtype: str


class Thing:
    """Stands for an object of a class that is only known by name."""

    module = name = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Thing:
        self = super().__new__(cls)
        self.args, self.state, self.children = args, None, {}
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    args: tuple[Any, ...]
    state: Any
    children: dict[Any, Any]

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.children[key] = value

    def append(self, value: Any) -> None:
        self.children[len(self.children)] = value

    def extend(self, values: list[Any]) -> None:
        for value in values:
            self.append(value)


class Contents(NamedTuple):
    """What a pickle holds: the class or the keys of the whole, and its tensors by name."""

    kind: str
    tensors: dict[str, Tensor]


def read_pickle(data: bytes) -> Contents:
    """Raises an exception of any kind for what is no pickle, or is cut off."""
    file = _Timed(data)
    value = _Reader(file).load()
    if value == _TORCH_MAGIC:  # torch before 1.6: magic number, version, system, object
        for _ in range(3):
            value = _Reader(file).load()
    found: dict[str, Tensor] = {}
    _walk(value, "", found, set(), 0)
    return Contents(_kind(value), found)


def unpacked(path: Path) -> bytes:
    """The first bytes of a file, decompressed where joblib compressed it."""
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic[:1] == b"\x78":
            return zlib.decompressobj().decompress(file.read(LOOKED_AT), LOOKED_AT)
        for start, library in (
            (b"\x1f\x8b", gzip),
            (b"BZ", bz2),
            (b"\xfd7zXZ", lzma),
            (b"]\0\0", lzma),
        ):
            if magic.startswith(start):
                with library.open(path) as packed:
                    return bytes(packed.read(LOOKED_AT))
        return file.read(LOOKED_AT)


class _Timed(io.BytesIO):
    """Stops being read after some seconds: a pickle may be long."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ends = time.monotonic() + _SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self.ends:
            raise TimeoutError
        return super().read(size)


# The library's own Python version: its subclasses may step over joblib's raw arrays.
_Python: Any = pickle._Unpickler


class _Reader(_Python):  # type: ignore[misc]
    def __init__(self, file: _Timed) -> None:
        super().__init__(file)
        self.source = file
        self.dispatch = dict(_Python.dispatch)
        self.dispatch[pickle.BUILD[0]] = _Reader.load_build

    def find_class(self, module: str, name: str) -> Any:
        return type(str(name)[:100], (Thing,), {"module": str(module), "name": str(name)})

    def get_extension(self, code: int) -> Any:
        raise pickle.UnpicklingError("extension codes name real classes")

    def persistent_load(self, pid: Any) -> Any:
        return pid

    def load_build(self) -> None:
        state = self.stack.pop()
        instance = self.stack[-1]
        if not isinstance(instance, Thing):
            raise pickle.UnpicklingError("state for what has none")
        instance.state = state
        if instance.name.endswith("NumpyArrayWrapper"):
            self.stack[-1] = self._pass_over(state)

    def _pass_over(self, wrapper: dict[str, Any]) -> Any:
        """An array's bytes stand right behind joblib's wrapper of it."""
        dtype = _dtype(wrapper["dtype"])
        shape = tuple(int(n) for n in wrapper["shape"])
        if dtype == "object":
            return _Reader(self.source).load()
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self.source.seek(self.source.read(1)[0], io.SEEK_CUR)
        self.source.seek(math.prod(shape) * _item_size(wrapper["dtype"]), io.SEEK_CUR)
        return Tensor(shape, dtype)


def _walk(value: Any, name: str, found: dict[str, Tensor], seen: set[int], depth: int) -> None:
    tensor = value if isinstance(value, Tensor) else _tensor(value)
    if tensor:
        found[name] = tensor
    if tensor or depth > _DEPTH or id(value) in seen or len(found) >= _MAX_FOUND:
        return
    children: Any = ()
    if isinstance(value, Thing):
        children = [*value.children.items()]
        if isinstance(value.state, dict) and value.name != "OrderedDict":
            # What begins with _ is the library's own (an optimizer's averages), but for modules.
            children += [x for x in value.state.items() if _public(x[0])]
    elif isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = [_step(i, x) for i, x in enumerate(value)]
    else:
        return
    seen.add(id(value))
    for key, child in children:
        inner = isinstance(value, Thing) and key in _MODULE
        part = "" if inner else str(key)[:80]  # as `state_dict` would name it
        _walk(child, ".".join(x for x in (name, part) if x), found, seen, depth + 1)


_MODULE = ("_parameters", "_modules", "_buffers")
"""Where a torch module keeps what it holds."""


def _public(key: Any) -> bool:
    return key in _MODULE or not str(key).startswith("_")


def _step(i: int, value: Any) -> tuple[Any, Any]:
    """A pipeline's (name, step) goes by its name."""
    named = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    return value if named and isinstance(value[1], Thing) else (i, value)


def _tensor(value: Any) -> Tensor | None:
    if not isinstance(value, Thing):
        return None
    args, state = value.args, value.state
    if value.name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
        return args[0] if isinstance(args[0], Tensor) else _tensor(args[0])
    if value.name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"):
        kind = args[6] if value.name.endswith("v3") else args[0][1]
        name = str(getattr(kind, "name", kind)).removesuffix("Storage").lower()
        dtype = _STORAGES.get(name, name)
        return Tensor(tuple(int(n) for n in args[2]), dtype)
    if value.name == "_reconstruct" and isinstance(state, tuple) and len(state) == 5:
        return Tensor(tuple(int(n) for n in state[1]), _dtype(state[2]))
    return None


_STORAGES = {
    "float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8",
}  # fmt: skip
_DTYPES = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


def _dtype(thing: Any) -> str:
    """`f8` of a pickled numpy.dtype -> float64."""
    code = str(thing.args[0])
    if code[:1] in _DTYPES and code[1:].isdigit():
        return f"{_DTYPES[code[0]]}{8 * int(code[1:])}"
    names = {"b1": "bool", "O8": "object", "O": "object"}
    return names.get(code, "record" if code.startswith("V") else code)


def _item_size(thing: Any) -> int:
    code = str(thing.args[0])
    return int(code[1:]) * (4 if code.startswith("U") else 1)


def _kind(value: Any) -> str:
    """The class by its whole name, a pipeline's steps, or a dict's keys and plain values."""
    if isinstance(value, Thing) and value.name != "OrderedDict":
        state = value.state if isinstance(value.state, dict) else {}
        steps = [_entry(*_step(i, x)) for i, x in enumerate(state.get("steps") or [])]
        return f"{value.module}.{value.name}" + (f" of {', '.join(steps[:8])}" if steps else "")
    entries = value.children if isinstance(value, Thing) else value
    if not isinstance(entries, dict):
        return type(value).__name__
    shown = [_entry(key, entries[key]) for key in [*entries][:12]]
    if all(isinstance(x, Tensor) or _tensor(x) for x in entries.values()):
        return "state dict"
    return "dict with " + ", ".join(shown) + (", ..." if len(entries) > 12 else "")


def _entry(key: Any, value: Any) -> str:
    if isinstance(value, bool | int | float | str) or value is None:
        return f"{str(key)[:40]} = {repr(value)[:40]}"
    if isinstance(value, Thing) and value.name != "OrderedDict" and not _tensor(value):
        return f"{str(key)[:40]} ({value.name})"
    return str(key)[:40]
