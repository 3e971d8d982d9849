"""JSON objects in a model's reply: fenced or not, between prose, in Python's spelling, cut off."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

_MAX_TEXT = 200_000
"""Characters looked at: no answer of ours is longer, and repairing garbage is slow."""
_MAX_STARTS = 40
"""Braces tried as the beginning of an object; prose rarely holds more."""
_FENCED = re.compile(
    r"^[ \t]*(?:`{3,}+|~{3,}+)[^\n`~]*\n(.*?)(?:^[ \t]*(?:`{3}|~{3})|\Z)", re.M | re.S
)
_DECODER = json.JSONDecoder(strict=False)  # raw line breaks in strings are a common slip
_BROKEN = (ValueError, SyntaxError, RecursionError, MemoryError)
_MAX_REPAIRED = 20_000
_MAX_BRACKETS = 300
"""Repair takes quadratic time on brackets that match badly; no answer of ours has more."""


def objects(text: str) -> Iterator[Any]:
    """Every object or list that the text may mean, the likeliest first; none may fit."""
    text = text[:_MAX_TEXT]
    yield from _strict(text)
    for piece in _pieces(text):
        for parse in (_python, _repaired):
            value = parse(piece)
            if isinstance(value, dict | list) and value:
                yield value


def _strict(text: str) -> Iterator[Any]:
    """Objects that are JSON as they stand, in order."""
    position = 0
    for _ in range(_MAX_STARTS):
        found = re.compile(r"[{\[]").search(text, position)
        if not found:
            return
        try:
            value, position = _DECODER.raw_decode(text, found.start())
        except _BROKEN:
            position = found.end()
            continue
        if isinstance(value, dict) or any(isinstance(x, dict) for x in value):
            yield value


def _pieces(text: str) -> Iterator[str]:
    """Parts of the text that an object may stand in, each once."""
    first, last = text.find("{"), text.rfind("}")
    fenced = [found[1].strip() for found in islice(_FENCED.finditer(text), 8)]
    listed = re.search(r"\[\s*\{", text)
    pieces = [x for x in fenced if x.startswith(("{", "["))]
    if listed and listed.start() < first:
        pieces.append(text[listed.start() :])
    if first >= 0:
        cut_off = text[last + 1 :].lstrip().startswith((",", "]", '"'))
        pieces.append(text[first:] if cut_off or last < first else text[first : last + 1])
        pieces.append(text[first:])
    yield from dict.fromkeys(pieces)


def _python(text: str) -> Any:
    """A Python literal: True, None, single quotes with apostrophes inside double ones."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in it are none of the user's business
            return ast.literal_eval(text.strip())
    except (*_BROKEN, TypeError):
        return None


def _repaired(text: str) -> Any:
    from json_repair import repair_json

    if len(text) > _MAX_REPAIRED or text.count("{") + text.count("[") > _MAX_BRACKETS:
        return None
    try:
        return repair_json(text, return_objects=True)
    except Exception:  # a parser of garbage may fail in any way; then this is no JSON
        return None
