"""The files of `prev_model/models` for a prompt: sizes, and the tensors in them."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent.competition.contents import Contents, Tensor, read_contents

if TYPE_CHECKING:
    from rdagent.records import Competition

_SHOWN = 8
"""Numbers of a run that does not go up by one, spelt out."""
_NUMBER = r"(\d+(?:(?:,|\.\.\.)\d+)*)"
"""A number in a name, or a run of them that was put together before."""
_OPTIMIZER = re.compile(r"(optim|scheduler|lr_sched)", re.IGNORECASE)


def list_weights(c: Competition, limit: int = 1500) -> str:
    """Each file below prev_model/models, the latest checkpoint first, in at most `limit` chars.

    Nothing is unpickled, no library is loaded, and of large files only the description is read.
    A file that cannot be read is listed as unreadable. Empty where there is no previous model.
    """
    if c.prev_model is None:
        return ""
    home, checkpoint = c.prev_model.path, c.prev_model.checkpoint
    latest: list[Path] = []
    others: list[Path] = []
    for path in sorted((home / "models").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            inside = path == home / checkpoint or path.is_relative_to(home / checkpoint)
            (latest if inside else others).append(path)
    heads: list[str] = []
    details: list[str] = []
    left = limit
    files = [*latest, *others]
    for n, path in enumerate(files):
        found = _look(str(path), *_stamp(path))
        mark = " (latest checkpoint)" if path in latest else ""
        head = f"{_plain(str(path.relative_to(home)))}{mark}, {found[0]}"
        rest = f"... and {len(files) - n} more files"
        if len(head) + 1 > (left if not heads else left - limit // 2 - len(rest)):
            heads.append(rest)
            details.append("")
            break
        heads.append(head)
        details.append(found[1])
        left -= len(head) + 1
    return _join(heads, details, limit)


def _join(heads: list[str], details: list[str], limit: int) -> str:
    """What is in the files as far as there is room, the first ones first."""
    left = limit - sum(len(x) + 1 for x in heads)
    lines = []
    for head, detail in zip(heads, details, strict=True):
        text = _cut(detail, left - 3)
        lines.append(f"{head}: {text}" if text else head)
        left -= len(text) + 2 if text else 0
    return "\n".join(lines)[:limit]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=64)
def _look(path: str, size: int, _time: int) -> tuple[str, str]:
    """Size and kind of a file, and what is in it."""
    try:
        found = read_contents(Path(path))
    except Exception:  # whatever a broken file does to its reader
        return f"{_size(size)}, unreadable", ""
    return _plain(f"{_size(size)}, {_kind(found)}"), _plain(_inside(found))


def _kind(found: Contents) -> str:
    classes = [
        f"{path}: {name}" if path else name
        for path, name in found.classes.items()
        if not _OPTIMIZER.match(path) and path.count(".") < 2
    ][:6]
    kind = f"{found.kind} of {', '.join(classes)}" if classes else found.kind
    return kind[:250]


def _inside(found: Contents) -> str:
    """`name (shape)`, the commonest dtype once, then values."""
    tensors = [x for x in found.tensors if not _OPTIMIZER.match(x.name)]
    values = [f"{k}={v}" for k, v in found.values.items() if not _OPTIMIZER.match(k)]
    parts = []
    if tensors:
        usual = Counter(x.dtype for x in tensors).most_common(1)[0][0]
        numbers = sum(math.prod(x.shape) for x in tensors)
        parts.append(
            f"{len(tensors)} tensor{'s' * (len(tensors) > 1)} of {numbers:,} numbers, {usual}"
        )
        parts += [
            f"{x.name} {_shape(x.shape)}{'' if x.dtype == usual else ' ' + x.dtype}"
            for x in collapse(tensors)
        ]
    if len(tensors) < len(found.tensors):
        values.insert(0, "the optimizer's state")
    return "; ".join(parts + values)


def collapse(tensors: list[Tensor]) -> list[Tensor]:
    """Runs such as layers.0.weight to layers.11.weight of one shape as `layers.0...11.weight`."""
    most = max((len(re.findall(r"\d+", x.name)) for x in tensors), default=0)
    for place in range(min(most, 4)):
        groups: dict[tuple[str, ...], list[tuple[str, Tensor]]] = {}
        for tensor in tensors:
            words = re.split(_NUMBER, tensor.name)
            number = words[2 * place + 1] if len(words) > 2 * place + 1 else ""
            if number:
                words[2 * place + 1] = "\0"
            key = ("".join(words), str(tensor.shape), tensor.dtype)
            groups.setdefault(key, []).append((number, tensor))
        merged: dict[int, Tensor | None] = {}
        for (name, *_), group in groups.items():
            if text := _run([number for number, _ in group]):
                first = group[0][1]
                merged |= {id(tensor): None for _, tensor in group}
                merged[id(first)] = first._replace(name=name.replace("\0", text))
        kept = [merged.get(id(tensor), tensor) for tensor in tensors]
        tensors = [tensor for tensor in kept if tensor]
    return tensors


def _run(numbers: list[str]) -> str:
    """`0...11` for three numbers or more, `0,3,6` for a few with gaps, nothing otherwise."""
    if len(numbers) < 3 or not all(x.isdigit() for x in numbers):
        return ""
    values = sorted(map(int, numbers))
    if values == list(range(values[0], values[0] + len(values))):
        return f"{values[0]}...{values[-1]}"
    return ",".join(map(str, values)) if len(values) <= _SHOWN else ""


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _size(size: int) -> str:
    for unit, of in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} bytes"


def _cut(text: str, room: int) -> str:
    """The first parts that fit, and how many do not."""
    if len(text) <= room:
        return text
    parts = text.split("; ")
    for shown in range(len(parts) - 1, 0, -1):
        short = f"{'; '.join(parts[:shown])}; ... {len(parts) - shown} more"
        if len(short) <= room:
            return short
    return ""


def _plain(text: str) -> str:
    """Names come from the file: one line, nothing that a terminal or a prompt would act on."""
    return "".join(x if x.isprintable() else "?" for x in text)
