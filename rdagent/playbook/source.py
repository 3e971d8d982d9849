"""Pieces of readable source: literals, lists of names, the head of a program and its imports."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rdagent.playbook.shape import Shape
    from rdagent.records import Hypothesis


def literal(value: Any) -> str:
    """A Python literal, strings in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def mapping(items: dict[str, str]) -> str:
    text = ", ".join(f"{literal(k)}: {literal(v)}" for k, v in items.items())
    return _wrapped("{", text, "}")


def names(columns: Iterable[str]) -> str:
    """A list literal; numbered names as a comprehension, long lists over several lines."""
    columns = list(columns)
    found = re.fullmatch(r"(.*?)(\d+)", columns[0]) if len(columns) > 9 else None
    if found:
        prefix, start, width = found.group(1), int(found.group(2)), len(found.group(2))
        for number in ("{i}", f"{{i:0{width}}}"):
            same = [prefix + number.format(i=start + i) for i in range(len(columns))]
            if same == columns and not set('{}"\\').intersection(prefix):
                span = f"{start}, {start + len(columns)}" if start else f"{len(columns)}"
                return f'[f"{prefix}{number}" for i in range({span})]'
    return _wrapped("[", ", ".join(literal(column) for column in columns), "]")


def _wrapped(left: str, text: str, right: str) -> str:
    if len(text) < 76:
        return left + text + right
    # Only breaks between items: a name may hold spaces.
    pieces, lines = re.split(r"(?<=\"), (?=\")", text), [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > 92:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + piece + ","
    return left + "\n" + "\n".join("    " + line for line in lines) + "\n" + right


def assemble(hypothesis: Hypothesis, s: Shape, imports: list[str], body: str) -> str:
    story = f"Why: {hypothesis.reason}"
    run = (
        "    python ./workspace_input/main.py\n\n"
        f"learns from {s.train_file}, keeps what it learnt in workspace_input/models and writes\n"
        "submission.csv. Run again, it finds that and goes straight to prediction."
    )
    lines = [*_fill(hypothesis.statement), "", *_fill(story), "", run]
    head = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    text = f'"""{head}\n"""\n\n{_imports(imports, body)}\n\n{body}\n'
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n\n+(?=(?:def|class|if __name__)\b)", "\n\n\n", text)
    return re.sub(r"\n{4,}", "\n\n\n", text)


def _fill(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 96)


def _imports(lines: list[str], body: str) -> str:
    """Joined and sorted, standard library first; only what the body uses."""
    whole: set[str] = set()
    parts: dict[str, set[str]] = {}
    for line in lines:
        if found := re.match(r"from (\S+) import (.+)", line):
            parts.setdefault(found.group(1), set()).update(found.group(2).split(", "))
        elif line.startswith("import "):
            whole.add(line)

    def used(name: str) -> bool:
        return bool(re.search(rf"\b{re.escape(name.split(' as ')[-1])}\b", body))

    groups: tuple[list[str], list[str]] = ([], [])
    for line in sorted(whole):
        module = line.split()[1]
        if used(line.split()[-1] if " as " in line else module):
            groups[module.split(".")[0] not in sys.stdlib_module_names].append(line)
    for module, found_names in sorted(parts.items()):
        kept = sorted(name for name in found_names if used(name))
        if kept:
            text = f"from {module} import {', '.join(kept)}"
            if len(text) > 100:
                text = f"from {module} import (\n    " + ",\n    ".join(kept) + ",\n)"
            groups[module.split(".")[0] not in sys.stdlib_module_names].append(text)
    return "\n\n".join("\n".join(group) for group in groups if group)
