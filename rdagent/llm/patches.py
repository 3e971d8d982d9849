"""SEARCH/REPLACE blocks: found in a reply, applied to a program."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

_MAX_BLOCKS = 50
"""More than that is a whole program in disguise."""
_SHOWN = 12
"""Lines of the program quoted where a block was not found."""
_START = re.compile(
    r"^[ \t]*(?:<{5,9}|-{5,9}) ?(?:SEARCH|ORIGINAL|FIND|HEAD)\b[^\n]*$", re.I | re.M
)
_MIDDLE = re.compile(r"^[ \t]*={5,9}(?: ?REPLACE)?[ \t]*$", re.I | re.M)
_END = re.compile(
    r"^[ \t]*(?:>{5,9}|\+{5,9})(?: ?(?:REPLACE|UPDATED|NEW|END)\b[^\n]*)?[ \t]*$", re.I | re.M
)
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})")
_LEFT_OUT = re.compile(
    r"^[ \t]*(?:#[ \t\-=(\[<]*(?:(?:\.{3}|…)[ \t)\]]*$"
    r"|(?:\.{3}|…).*\b(?:code|rest|unchanged|same|existing|remain\w*|previous|before|omitted)\b.*"
    r"|(?:\w+ ){0,3}?(?:rest|remainder|remaining(?: part)?)(?: of)? (?:the |your |my )?"
    r"(?:code|program|script|main\.py|functions?|pipeline|implementation)\b"
    r"(?:.*(?:unchanged|same|as (?:before|above)|identical|here|goes|\.{3}|…).*|\W*$)"
    r"|(?:the )?(?:rest|everything else|all else|other code|code)(?: (?:is|are|remains?|stays?))?"
    r" (?:unchanged|the same|same as|as before|omitted)\b.*"
    r"|(?:your|previous|existing|original|same|other)(?: \w+)? code"
    r"(?: (?:is|remains?))? (?:here|goes|unchanged|as before|as above|continues|the same)\b.*"
    r"|(?:existing|previous|same|unchanged) (?:code|as (?:before|above))\W*$)"
    r"|\.{3}[ \t]*(?:#.*)?$|(?:…|\[\.{3}\])[ \t]*$)", re.I | re.M
)  # fmt: skip
"""A comment or a bare ellipsis that stands for code."""


class Patch(BaseModel):
    """One replacement of lines."""

    model_config = ConfigDict(frozen=True)

    search: str
    replace: str


class Found(NamedTuple):
    """Blocks of a reply, and the character where the first one begins."""

    patches: tuple[Patch, ...]
    start: int


def find_patches(text: str) -> Found | None:
    """SEARCH/REPLACE blocks of a reply, fenced or not, in order; None: it has none.

    Raises:
        ValueError: a block has no middle or no end, or an empty SEARCH.
    """
    found = first = _START.search(text)
    if not first:
        return None
    patches: list[Patch] = []
    while found:
        number = len(patches) + 1
        if number > _MAX_BLOCKS:
            raise ValueError(
                f"more than {_MAX_BLOCKS} SEARCH/REPLACE blocks: give the whole program"
            )
        start = found.end() + 1
        middle = _MIDDLE.search(text, start)
        after = _START.search(text, start)
        if not middle or (after and after.start() < middle.start()):
            raise ValueError(f"block {number} has no ======= line between SEARCH and REPLACE")
        end = _END.search(text, middle.end())
        if not end or (after and after.start() < end.start()):
            raise ValueError(f"block {number} does not end with a >>>>>>> REPLACE line")
        patches.append(
            Patch(
                search=_section(text[start : middle.start()]),
                replace=_section(text[middle.end() + 1 : end.start()]),
            )
        )
        _check(patches[-1], number)
        found = after
    return Found(tuple(patches), first.start())


def left_out(code: str) -> str | None:
    """The line that stands for code that is not there ("# rest unchanged"), if any."""
    for found in _LEFT_OUT.finditer(code):
        line = found[0].strip()
        if line == "..." and found[0][0] in " \t":
            continue  # the body of an empty function or class
        return line[:100]
    return None


def apply(patches: tuple[Patch, ...], source: str) -> str:
    """The program with the blocks applied, in order; line ends become \\n.

    A block fits where its lines stand exactly once; blanks at line ends and a uniform shift
    of the indentation are forgiven.

    Raises:
        ValueError: which block does not fit and why, with the closest lines of the program.
    """
    source = source.replace("\r\n", "\n")
    lines = source.split("\n")
    for number, patch in enumerate(patches, 1):
        lines = _applied(patch, lines, f"block {number}" if len(patches) > 1 else "the block")
    return "\n".join(lines)


def _section(text: str) -> str:
    """Lines between two markers, without a fence around them and blank lines at the edges."""
    lines = [line.rstrip() for line in text.split("\n")]
    for _ in range(2):  # blank lines, the fence, blank lines inside it
        while lines and not lines[0].strip():
            lines.pop(0)
        while lines and not lines[-1].strip():
            lines.pop()
        if len(lines) > 1 and _FENCE.match(lines[0]) and _FENCE.match(lines[-1]):
            lines = lines[1:-1]
    return "\n".join(lines)


def _check(patch: Patch, number: int) -> None:
    if not patch.search:
        raise ValueError(
            f"block {number} has an empty SEARCH: name the lines to replace, "
            "and to add lines repeat the line before them in both parts"
        )
    missing = left_out(patch.replace)
    if missing and missing not in patch.search:
        raise ValueError(
            f"block {number} leaves code out ({missing!r}): REPLACE must hold every line "
            "that is to stand there"
        )
    missing = left_out(patch.search)
    if missing and missing.strip("# ").startswith(("...", "…")):
        raise ValueError(
            f"block {number} has {missing!r} in its SEARCH: repeat the lines as they stand in the "
            "program, or use two blocks"
        )


def _applied(patch: Patch, lines: list[str], name: str) -> list[str]:
    search, replace = patch.search.split("\n"), patch.replace.split("\n")
    if not patch.replace:
        replace = []
    for key in (str, str.rstrip, _tight):
        places = _places([key(x) for x in search], [key(x) for x in lines])
        if key is _tight:
            places = [i for i in places if _shift(search, lines[i : i + len(search)]) is not None]
        if len(places) > 1:
            where = ", ".join(str(i + 1) for i in places[:5])
            raise ValueError(
                f"{name}: its SEARCH fits {len(places)} places (lines {where}): "
                "repeat more of the lines around it so that only one fits"
            )
        if places:
            at = places[0]
            old = lines[at : at + len(search)]
            if key is _tight:
                replace = _moved(replace, _shift(search, old) or 0, old)
            return [*lines[:at], *replace, *lines[at + len(search) :]]
    part = _within_line(patch, lines)
    if part is not None:
        return part
    raise ValueError(f"{name}: its SEARCH is not in the program. {_closest(search, lines)}")


def _tight(line: str) -> str:
    return line.strip()


def _places(search: list[str], lines: list[str]) -> list[int]:
    return [
        i
        for i in range(len(lines) - len(search) + 1)
        if lines[i] == search[0] and lines[i : i + len(search)] == search
    ]


def _indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def _shift(search: list[str], lines: list[str]) -> int | None:
    """Columns by which the program stands further right; None: not by the same everywhere."""
    shifts = {_indent(b) - _indent(a) for a, b in zip(search, lines, strict=True) if a.strip()}
    return shifts.pop() if len(shifts) == 1 else None


def _moved(new: list[str], shift: int, old: list[str]) -> list[str]:
    """Lines shifted by so many columns, indented with tabs where the old ones are."""
    tabs = any(x.startswith("\t") for x in old)
    moved = []
    for line in new:
        columns = max(0, _indent(line) + shift) if line.strip() else 0
        lead = "\t" * (columns // 4) + " " * (columns % 4) if tabs else " " * columns
        moved.append(lead + line.lstrip())
    return moved


def _within_line(patch: Patch, lines: list[str]) -> list[str] | None:
    """A SEARCH that is part of one line, found once."""
    text = "\n".join(lines)
    if "\n" in patch.search or len(patch.search.strip()) < 8 or text.count(patch.search) != 1:
        return None
    return text.replace(patch.search, patch.replace).split("\n")


def _closest(search: list[str], lines: list[str]) -> str:
    """The lines of the program that look most like the SEARCH, as they stand."""
    wanted = {x.strip() for x in search if len(x.strip()) > 3}
    hits = [int(x.strip() in wanted) for x in lines]
    size = min(len(search), len(lines))
    at, best, count = 0, 0, sum(hits[:size])
    for i in range(len(lines) - size + 1):
        if count > best:
            at, best = i, count
        if i + size < len(lines):
            count += hits[i + size] - hits[i]
    if not best:
        longest = max(search, key=lambda x: len(x.strip())).strip()[:200]
        stripped = [x.strip()[:200] for x in lines]
        near = difflib.get_close_matches(longest, dict.fromkeys(stripped), 1, 0.5)
        if not near:
            return "Repeat lines of the program exactly, or give the whole program"
        at = max(0, stripped.index(near[0]) - [x.strip()[:200] for x in search].index(longest))
    shown = [x[:200] for x in lines[at : at + min(size, _SHOWN)]]
    return "The closest lines of the program are:\n" + "\n".join(shown)
