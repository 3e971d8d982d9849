"""Tables written into a program's source: labels that were copied instead of learnt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rdagent.competition import read_test, read_train
from rdagent.competition.inference import labels_of
from rdagent.competition.tables import columns_of
from rdagent.records import Competition

_MAX_ELEMENTS = 500
"""Literals in one collection; stop words and feature lists stay below."""
_MAX_LABELS = 100
"""Labels in one list: nobody writes a hundred of ten classes by hand."""
_MAX_LITERALS = 5000
"""Literals in all collections of a file together, nested ones counted at each level."""
_MAX_BLOB = 2000
"""Characters of a string that is all code letters, such as base64."""

_BLOB = re.compile(rf"[A-Za-z0-9+/=_\-\s]{{{_MAX_BLOB},}}")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?![\w.])", re.I)


def collection_reason(tree: ast.Module, c: Competition) -> str | None:
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes) and len(node.value) > _MAX_BLOB:
                return f"holds {len(node.value)} bytes as a literal: it must learn from the data"
            if isinstance(node.value, int) and abs(node.value) > 10**300:
                return "holds an integer of more than 300 digits: it must learn from the data"
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            values = list(_constants(node))
            total += len(values)
            if len(values) > _MAX_LABELS and (reason := _table_reason(node, values, c)):
                return reason
    if total > _MAX_LITERALS:
        return f"holds {total} literals in its collections: it must learn from the data"
    return None


def _table_reason(node: ast.expr, values: list[object], c: Competition) -> str | None:
    """Whether a long collection looks like rows of a table and not like a list of names."""
    labels = _labels(c)
    names = {*columns_of(c.data_dir / c.train_file), *(labels if c.output != "value" else ())}
    different = set(values)
    if different <= names and len(different) == len(values):
        return None
    if len(values) > _MAX_ELEMENTS:
        return f"holds a table of {len(values)} literals: it must learn from the data"
    if isinstance(node, ast.Dict):
        keys = {str(k.value) for k in node.keys if isinstance(k, ast.Constant)}
        if c.id_column and len(keys & set(read_test(c)[c.id_column])) > _MAX_LABELS:
            return f"holds a table of {len(keys)} test ids: it must learn from the data"
        return None
    targets = set(map(_rounded, labels))
    known = sum(_rounded(value) in targets for value in values)
    if c.output == "value" and known > 0.8 * len(values) and len(different) > _MAX_LABELS / 2:
        return f"holds a list of {known} target values: it must learn from the data"
    if c.output != "value" and different <= labels and len(values) >= 3 * len(different):
        return f"holds a list of {len(values)} labels: it must learn from the data"
    return None


def _constants(node: ast.expr) -> Iterator[object]:
    """Literals of a collection and the collections in it; of a dict, its values."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from _constants(element)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _constants(value)
    elif isinstance(node, ast.UnaryOp):
        yield from _constants(node.operand)
    elif isinstance(node, ast.Constant):
        yield node.value


def _rounded(value: object) -> object:
    """Numbers as they survive a CSV file and a lost sign."""
    return f"{abs(value):.6g}" if isinstance(value, int | float) else value


def _labels(c: Competition) -> set[object]:
    train = read_train(c)
    return {x for name in c.target_columns for x in labels_of(train[name])}


def text_table_reason(text: str, c: Competition) -> str | None:
    """A table or an encoded file, written as text."""
    if len(text) > _MAX_BLOB and _BLOB.search(text) and not _prose(text):
        return f"holds an encoded text of {len(text)} characters: it must learn from the data"
    if len(text) > _MAX_ELEMENTS and len(_NUMBER.findall(text)) > _MAX_ELEMENTS:
        return f"holds a text with more than {_MAX_ELEMENTS} numbers: it must learn from the data"
    if len(text) > 2 * _MAX_LABELS and c.output != "value" and _all_labels(text, c):
        return "holds a text of labels: it must learn from the data"
    return None


def _prose(text: str) -> bool:
    """Words, not code: no stretch without a space is longer than a word can be."""
    return max(map(len, re.split(r"\s+", text))) < 60


def _all_labels(text: str, c: Competition) -> bool:
    words = re.split(r"[\s,;|]+", text.strip())
    labels = set(map(str, _labels(c)))
    if len(words) == 1 and all(len(x) == 1 for x in labels):
        words = list(text.strip())
    return len(words) >= max(_MAX_LABELS, 3 * len(set(words))) and set(words) <= labels
