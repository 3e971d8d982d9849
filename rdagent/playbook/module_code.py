"""Classes, functions and constants out of the user's code, by syntax tree, never by import.

A fine-tuning program carries the network's class with it, so that a second run needs
`prev_model/` no more.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

OURS = {
    "INPUT", "STATE", "SEED", "CORES", "DEADLINE", "INNER_FOLDS", "CHEAP_ROWS", "SEEDS", "MAX_ROWS",
    "ID", "TARGET", "TARGETS", "POSITIVE", "LABEL_OF", "LABELS", "COLUMN", "COLUMNS", "GROUP",
    "TIME", "NUMERIC", "PIXELS", "CATEGORICAL", "MANY", "TEXT", "DATES", "PARTS", "NUMBERS",
    "MEMBERS", "GRID", "PREVIOUS", "SHAPE", "features", "date_parts", "dense", "for_trees", "guess",
    "tune", "learn", "predict", "answer", "main", "metric", "finish", "tune_finish", "quality",
    "in_time", "inner_folds", "out_of_fold", "write_probabilities", "torch_model", "to_images",
    "FineTunedNetwork", "load_previous", "previous_input", "previous_codes", "by_our_codes",
}  # fmt: skip
"""Names of the program's own; the user's are renamed where they meet them."""

Top = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


def extract(files: list[Path], everything: bool = False) -> tuple[str, str]:
    """(source of what is needed, name of the network class).

    Needed is the last `nn.Module` class that no other one uses, and whatever it names, directly
    or not; with `everything`, all classes and what they name. Empty strings where there is none.
    """
    tops: dict[str, Top] = {}
    imports: list[ast.Import | ast.ImportFrom] = []
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, OSError):
            continue
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imports.append(node)
            for name in _defined(node):
                assert isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign))
                tops.setdefault(name, node)
    classes = [name for name, node in tops.items() if isinstance(node, ast.ClassDef)]
    modules = [name for name in classes if _is_module(tops, name)]
    network = _outermost(tops, modules)
    roots = classes if everything else [network] if network else []
    if not roots:
        return "", ""
    needed = _closure(tops, roots)
    nodes = list(dict.fromkeys(node for name, node in tops.items() if name in needed))
    used = set().union(*(_names(node) for node in nodes))
    lines = [ast.unparse(kept) for node in imports if (kept := _only(node, used, files))]
    clashing = {name: f"their_{name}" for name in needed & OURS}
    text = "\n\n\n".join(ast.unparse(_renamed(node, clashing)) for node in nodes)
    text = re.sub(r"\n\n\n(?=[A-Z_0-9]+ =)", "\n", text)
    return "\n".join([*lines, "", text]).strip(), clashing.get(network, network)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [x.id for target in node.targets for x in ast.walk(target)
                if isinstance(x, ast.Name)]  # fmt: skip
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        return [node.target.id]
    return []


def _is_module(tops: dict[str, Top], name: str) -> bool:
    node = tops.get(name)
    if not isinstance(node, ast.ClassDef):
        return False
    bases = [ast.unparse(base) for base in node.bases]
    return any(b.split(".")[-1] == "Module" or (b != name and _is_module(tops, b)) for b in bases)


def _outermost(tops: dict[str, Top], modules: list[str]) -> str:
    """The network that is no part of another one; the last such."""
    parts = {used for name in modules for used in _closure(tops, [name]) - {name}}
    free = [name for name in modules if name not in parts]
    return (free or modules or [""])[-1]


def _names(node: ast.AST) -> set[str]:
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}


def _closure(tops: dict[str, Top], roots: list[str]) -> set[str]:
    needed: set[str] = set()
    queue = list(roots)
    while queue:
        name = queue.pop()
        if name in tops and name not in needed:
            needed.add(name)
            queue += _names(tops[name])
    return needed


def _only(
    node: ast.Import | ast.ImportFrom, used: set[str], files: list[Path]
) -> ast.Import | ast.ImportFrom | None:
    """The import cut down to names in use; the user's own modules are pasted, not imported."""
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    own = {file.stem for file in files}
    if isinstance(node, ast.ImportFrom) and (node.level or module.split(".")[-1] in own):
        return None
    names = [a for a in node.names if (a.asname or a.name.split(".")[0]) in used]
    if not names:
        return None
    if isinstance(node, ast.ImportFrom):
        return ast.ImportFrom(module=module, names=names, level=0)
    return ast.Import(names=names)


def _renamed(node: Top, names: dict[str, str]) -> ast.AST:
    class Rename(ast.NodeTransformer):
        def visit_Name(self, x: ast.Name) -> ast.AST:
            return ast.copy_location(ast.Name(id=names.get(x.id, x.id), ctx=x.ctx), x)

    copy = Rename().visit(ast.parse(ast.unparse(node)).body[0])
    if isinstance(copy, (ast.ClassDef, ast.FunctionDef)):
        copy.name = names.get(copy.name, copy.name)
    return ast.fix_missing_locations(copy)
