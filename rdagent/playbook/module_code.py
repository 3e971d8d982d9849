"""Classes, functions and constants out of the user's code, by syntax tree, never by import.

A fine-tuning program carries the network's class with it, so that a second run needs
`prev_model/` no more.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

_OURS = """
    INPUT STATE SEED CORES DEADLINE INNER_FOLDS CHEAP_ROWS SEEDS MAX_ROWS ID TARGET TARGETS
    POSITIVE LABEL_OF LABELS COLUMN COLUMNS GROUP TIME NUMERIC PIXELS CATEGORICAL MANY TEXT DATES
    PARTS NUMBERS MEMBERS GRID PREVIOUS SHAPE NO_KNOB MOVES features date_parts dense for_trees
    guess tune learn predict answer main metric finish tune_finish quality in_time inner_folds
    out_of_fold hill_climb blend_weights write_probabilities Shifted SoftSVC Boosted AsItIs
    FineTuned PreviousView TunedNetwork load_network to_input as_logits last_layer load_previous
    previous_input previous_codes by_our_codes tuned_network
"""
OURS = set(_OURS.split())
"""Names of the program's own; the user's are renamed where they meet them."""

Top = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


class Extracted(NamedTuple):
    """What a program takes over from the user's code; empty where there is nothing."""

    imports: tuple[str, ...] = ()
    source: str = ""
    network: str = ""
    """The call that makes the network, such as `DigitNet()`."""
    prepare: str = ""
    """A function from the table to the network's input."""


def extract(files: list[Path], everything: bool = False) -> Extracted:
    """The code that loading and using the user's model needs.

    Needed is the last `nn.Module` class that no other one uses, the function that makes its
    input, and whatever they name, directly or not; with `everything`, all classes.
    """
    tops, imports, calls = _read(files)
    classes = [name for name, node in tops.items() if isinstance(node, ast.ClassDef)]
    network = _outermost(tops, [name for name in classes if _is_module(tops, name)])
    roots = classes if everything else [network] if network else []
    if not roots:
        return Extracted()
    prepare = _preparing(tops)
    call = next((c for c in calls if _plain_call(c, network, tops)), None)
    needed = _closure(tops, [*roots, *([prepare] if prepare else [])])
    needed |= _closure(tops, sorted(_names(call))) if call else set()
    nodes = list(dict.fromkeys(node for name, node in tops.items() if name in needed))
    used = {name for node in nodes for name in _names(node)}
    lines = tuple(ast.unparse(kept) for node in imports if (kept := _only(node, used, files)))
    clashing = {name: f"their_{name}" for name in needed & OURS}
    text = "\n\n\n".join(ast.unparse(_renamed(node, clashing)) for node in nodes)
    text = re.sub(r"\n\n\n(?=[A-Z_0-9]+ =)", "\n", text)
    made = ast.unparse(_renamed(ast.Expr(call), clashing)) if call else f"{network}()"
    return Extracted(lines, text, made if network else "", clashing.get(prepare, prepare))


def _read(
    files: list[Path],
) -> tuple[dict[str, Top], list[ast.Import | ast.ImportFrom], list[ast.Call]]:
    """Top-level definitions, imports and every call of the user's files."""
    tops: dict[str, Top] = {}
    imports: list[ast.Import | ast.ImportFrom] = []
    calls: list[ast.Call] = []
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, OSError):
            continue
        calls += [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imports.append(node)
            elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)):
                for name in _defined(node):
                    tops.setdefault(name, node)
    return tops, imports, calls


def _preparing(tops: dict[str, Top]) -> str:
    """A function of one table that gives a tensor (or an array)."""
    for name, node in tops.items():
        if not isinstance(node, ast.FunctionDef):
            continue
        wanted = node.args.args[: len(node.args.args) - len(node.args.defaults)]
        kind = ast.unparse(wanted[0].annotation) if wanted and wanted[0].annotation else ""
        gives = ast.unparse(node.returns) if node.returns else ""
        table = "DataFrame" in kind or (
            bool(wanted) and not kind and wanted[0].arg in ("table", "frame", "df", "data", "X")
        )
        array = gives.split(".")[-1] in ("Tensor", "ndarray") or bool(
            not gives and re.match(r"(to_|prepare|preprocess|make_(input|features)|features)", name)
        )
        if len(wanted) == 1 and table and array:
            return name
    return ""


def _plain_call(call: ast.Call, network: str, tops: dict[str, Top]) -> bool:
    """Makes the network from literals and constants alone."""
    made = isinstance(call.func, ast.Name) and call.func.id == network
    return made and all(
        name == network or isinstance(tops.get(name), (ast.Assign, ast.AnnAssign))
        for name in _names(call)
    )


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


def _renamed(node: Top | ast.Expr, names: dict[str, str]) -> ast.stmt:
    class Rename(ast.NodeTransformer):
        def visit_Name(self, x: ast.Name) -> ast.AST:
            return ast.copy_location(ast.Name(id=names.get(x.id, x.id), ctx=x.ctx), x)

    copy: ast.stmt = Rename().visit(ast.parse(ast.unparse(node)).body[0])
    if isinstance(copy, (ast.ClassDef, ast.FunctionDef)):
        copy.name = names.get(copy.name, copy.name)
    return ast.fix_missing_locations(copy)
