"""What a pickle holds, read without unpickling it.

Unpickling runs whatever code the file names. This reader imports and calls nothing: classes and
functions stay names (`Thing`), and only plain containers are ever built. It reads torch's,
joblib's and Python's own pickles.
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_BYTES = 64 * 2**20
"""What is read of one pickle; arrays that joblib wrote beside it are skipped, not read."""
_MOST_PARTS = 500_000
_VALUES = ("INT", "LONG", "FLOAT", "STRING", "UNICODE", "BIN", "SHORT_BIN", "BYTEARRAY")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_DICTS = ("collections.OrderedDict", "collections.defaultdict", "builtins.dict")
_DTYPE = re.compile(r"[<>|=]?([a-zA-Z])(\d*)")


@dataclass(eq=False)
class Thing:
    """An object of a class that is not loaded, or the class or function itself."""

    name: str
    """Module and name, such as `torch._utils._rebuild_tensor_v2`."""
    args: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class Pickle:
    """One pickle in an open file; `load` gives its content, `names` what it would have loaded."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = _Bounded(file, MOST_BYTES)
        self.names: list[str] = []
        self._left = _MOST_PARTS
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The next pickle of the file. Raises ValueError and others where it is broken."""
        self._stack, self._marked, self._memo = [], [], {}
        for operation, argument, _ in pickletools.genops(self._file):  # type: ignore[arg-type]
            self._left -= 1
            if self._left < 0:
                raise ValueError("too many parts")
            if operation.name == "STOP":
                break
            self._step(operation.name, argument)
        return self._stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name == "MARK":
            self._marked.append(stack)
            self._stack = []
        elif name in ("TUPLE", "LIST", "FROZENSET", "DICT"):
            found = self._since_mark()
            self._stack.append(tuple(found) if name == "TUPLE" else found)
            if name == "DICT":
                self._stack[-1] = {}
                self._set(found)
        elif name in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = stack[-1]
        elif name.startswith(_VALUES) and not name.endswith("PERSID"):
            stack.append(argument)
        else:
            self._make(name, argument)

    def _fill(self, name: str) -> None:
        """Put what lies on the stack into the container below it."""
        single = {"APPEND": 1, "SETITEM": 2}.get(name)
        if single:
            found = self._stack[-single:]
            del self._stack[-single:]
        else:
            found = self._since_mark()
        if name.startswith("SET"):
            self._set(found)
        elif isinstance(self._stack[-1], list):
            self._stack[-1].extend(found)
        else:  # a class of its own that is a list
            self._set([x for pair in enumerate(found) for x in pair])

    def _set(self, found: list[Any]) -> None:
        target = self._stack[-1]
        items = target.items if isinstance(target, Thing) else target
        for key, value in zip(found[::2], found[1::2], strict=True):
            # The hash of nested tuples may take for ever.
            plain = key is None or isinstance(key, (str, int, float, bytes))
            items[key if plain else f"#{len(items)}"] = value

    def _make(self, name: str, argument: Any) -> None:
        """Objects: what would be loaded or called is noted by name."""
        stack = self._stack
        if name == "GLOBAL":
            stack.append(self._named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            module, attribute = stack[-2:]
            stack[-2:] = [self._named(module, attribute)]
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
            taken = 3 if name == "NEWOBJ_EX" else 2
            called, args = stack[-taken:][:2]
            stack[-taken:] = [_called(called, args)]
        elif name in ("OBJ", "INST"):
            found = self._since_mark()
            called = found.pop(0) if name == "OBJ" else self._named(*argument.split(" ", 1))
            self._stack.append(_called(called, tuple(found)))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Thing):
                stack[-1].state = state
                if stack[-1].name.endswith(".NumpyArrayWrapper"):
                    self._skip_array(state)
        elif name in ("PERSID", "BINPERSID"):
            stack.append(Thing("persistent", argument if name == "PERSID" else stack.pop()))
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._since_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "NEXT_BUFFER" or name.startswith("EXT"):
            stack.append(Thing(name.lower()))
        elif name not in ("PROTO", "FRAME", "READONLY_BUFFER"):
            raise ValueError(f"{name} is unknown")

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._marked.pop()
        return found

    def _named(self, module: Any, attribute: Any) -> Thing:
        name = f"{module}.{attribute}"[:200]
        self.names.append(name)
        return Thing(name)

    def _skip_array(self, state: Any) -> None:
        """joblib writes an array's numbers after its description; those are stepped over."""
        letter, size = dtype_of(state["dtype"])
        if letter == "O":
            inner = (self._stack, self._marked, self._memo)
            self.load()
            self._stack, self._marked, self._memo = inner
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._file.skip(self._file.read(1)[0])
        self._file.skip(math.prod(map(int, state["shape"])) * size)


def dtype_of(value: Any) -> tuple[str, int]:
    """Letter and bytes of a `numpy.dtype`. Raises ValueError where `value` is none."""
    if isinstance(value, Thing) and value.name == "numpy.dtype" and value.args:
        match = _DTYPE.fullmatch(str(value.args[0]))
        if match:
            return match[1], int(match[2] or 1) * (4 if match[1] == "U" else 1)
    raise ValueError("no dtype")


def _called(called: Any, args: Any) -> Any:
    if not isinstance(called, Thing):
        return Thing("unknown")
    first = args[0] if isinstance(args, tuple) and args else None
    if called.name == "copy_reg._reconstructor" and isinstance(first, Thing):
        return Thing(first.name)
    return {} if called.name in _DICTS else Thing(called.name, args)


class _Bounded:
    """A file of which no more than so many bytes are read, whatever lengths it claims."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise ValueError("it is too large")
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise ValueError("it is too large")
        return line

    def skip(self, size: int) -> None:
        self._file.seek(size, 1)
