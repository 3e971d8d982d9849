"""Leak scan of a program's source.

The sandbox keeps the answers out of reach; this scan finds what it cannot: labels that came
along in the source or in an installed package. It reads syntax trees, and ordinary programs
pass: data-set modules are refused by what is used of them, paths by where they lead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from rdagent.gates.literals import collection_reason, text_table_reason
from rdagent.records import Competition, Program

_OPEN = {
    "sklearn.datasets": re.compile(r"make_\w+|(load|dump)_svmlight_files?|load_files"),
    "torchvision.datasets": re.compile(r"ImageFolder|DatasetFolder|VisionDataset|folder|utils"),
}
"""Modules with bundled or fetched data of which some names are ordinary tools."""
_SHUT = (
    "statsmodels.datasets", "statsmodels.api.datasets", "scipy.datasets", "keras.datasets",
    "tensorflow.keras.datasets", "tensorflow_datasets", "torchtext.datasets", "torchaudio.datasets",
    "plotly.data", "plotly.express.data", "bokeh.sampledata", "shap.datasets", "mlxtend.data",
    "vega_datasets", "pydataset", "openml", "ucimlrepo", "catboost.datasets", "lifelines.datasets",
    "imblearn.datasets.fetch_datasets", "pmlb", "rdagent", "seaborn.load_dataset",
    "seaborn.get_dataset_names", "sklearn.datasets.data",
)  # fmt: skip
_LOADERS = re.compile(
    r"(load_(iris|digits|wine|breast_cancer|diabetes|linnerud|sample_images?|boston)"
    r"|fetch_(california_housing|covtype|kddcup99|lfw_(pairs|people)|olivetti_faces|openml|rcv1"
    r"|species_distributions|20newsgroups(_vectorized)?|file))"
)
_BUNDLED_FILES = re.compile(
    r"(iris|wine_data|breast_cancer|digits|diabetes_(data_raw|target)|linnerud_\w+|boston\w*)"
    r"\.csv(\.gz)?"
)
_PLAIN_PROC = re.compile(r"/proc/(cpuinfo|meminfo|stat|loadavg|uptime|self/(status|statm|stat))")
_INSIDE = {
    "submission.csv", "predictions.csv", "scores.csv", "workspace_input", "models", "input", "data",
}  # fmt: skip
"""What `../` may lead to for a program that stands in workspace_input."""
_JOINS = {"join", "joinpath", "Path", "PurePath", "PosixPath"}


def scan_program(program: Program, c: Competition) -> str | None:
    """Why a program is refused as leaking, in one sentence; None where nothing is found."""
    for name, source in sorted(program.files.items()):
        reason = _scan_source(source, c) if name.endswith(".py") else _text_reason(source, c)
        if reason:
            return f"{name} {reason}"
    return None


def _scan_source(source: str, c: Competition) -> str | None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # it cannot run either
    try:
        return (
            _dataset_reason(tree)
            or collection_reason(tree, c)
            or _path_reason(tree)
            or next((r for x in _strings(tree) if (r := _string_reason(x, c))), None)
            or next(
                (r for x in _documentation(tree, source) if (r := text_table_reason(x, c))), None
            )
        )
    except RecursionError:
        return "nests expressions too deeply to be read: write them flat"


# Data sets that come with packages.


def _dataset_reason(tree: ast.Module) -> str | None:
    names = _imported(tree)
    for module in names.values():
        if reason := _module_reason(module):
            return reason
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
            if (node.module or "") in _OPEN:
                return f"imports everything of {node.module}: import the names it uses"
        elif isinstance(node, ast.Attribute):
            dotted = _dotted(node, names)
            if reason := _module_reason(dotted):
                return reason
            if node.attr in ("__file__", "__path__") and dotted.split(".")[0] in (
                "sklearn", "seaborn", "statsmodels",
            ):  # fmt: skip
                return f"looks for the files of {dotted.split('.')[0]}: use the given data only"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            of = _dotted(node.args[0], names) if node.args else ""
            if node.func.id in ("getattr", "vars", "dir") and of in (*_OPEN, *_SHUT):
                return f"reaches into {of}: use the given data only"
    return None


def _imported(tree: ast.Module) -> dict[str, str]:
    """Name in the program -> dotted name of what it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                names[alias.asname or whole] = whole
                names[f" {alias.name}"] = alias.name  # `import sklearn.datasets.data` counts too
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def _module_reason(dotted: str) -> str | None:
    for module in _SHUT:
        if dotted == module or dotted.startswith(f"{module}."):
            return f"uses {module}: it may use the given data only"
    for module, tools in _OPEN.items():
        if dotted.startswith(f"{module}."):
            used = dotted.removeprefix(f"{module}.").split(".")[0]
            if used not in ("*", "__name__") and not tools.fullmatch(used):
                return f"loads a data set ({module}.{used}): it may use the given data only"
    return None


# Strings and paths.


def _documentation(tree: ast.Module, source: str) -> Iterator[str]:
    """Docstrings and comments: they may name anything, but are no place for a table."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    yield "\n".join(line for line in source.splitlines() if line.lstrip().startswith("#"))


def _strings(tree: ast.Module) -> Iterator[str]:
    """String literals, docstrings left out, those that are added or joined as one."""
    documentation = {
        id(n.value)
        for n in ast.walk(tree)
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if id(node) not in documentation and isinstance(node, ast.expr):
            text = _folded(node)
            if text:
                yield text


def _folded(node: ast.expr) -> str | None:
    """The text of an expression as far as it is literal; unknown parts read `*`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
        sides = [_folded(node.left), _folded(node.right)]
        if sides == [None, None]:
            return None
        return ("/" if isinstance(node.op, ast.Div) else "").join(x or "*" for x in sides)
    if isinstance(node, ast.JoinedStr):
        return "".join(_folded(x) or "*" for x in node.values)
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in _JOINS and node.args:
            parts = [_folded(x) for x in node.args]
            return "/".join(x or "*" for x in parts) if any(parts) else None
    return None


def _string_reason(text: str, c: Competition) -> str | None:
    if reason := _text_reason(text, c):
        return reason
    if _LOADERS.fullmatch(text):
        return f"names {text}: it may use the given data only"
    name = PurePosixPath(text).name if len(text) < 4096 else ""
    if _BUNDLED_FILES.fullmatch(name) and not any(c.data_dir.rglob(name)):
        return f"reads {name} of a package: it may use the given data only"
    return _leads_out(text) if len(text) < 4096 else None


def _text_reason(text: str, c: Competition) -> str | None:
    """What no string and no further file of a program may hold."""
    if "submission_test" in text:
        return "names submission_test, the answers: it may use the given data only"
    if re.search(r"sklearn[./]datasets[./]data|site-packages", text):
        return "looks into installed packages: it may use the given data only"
    if re.search(r"sklearn\.datasets", text) and re.search(_LOADERS, text):
        return "loads a data set of scikit-learn: it may use the given data only"
    if text == "sklearn.datasets":
        return "imports sklearn.datasets by name: it may use the given data only"
    if re.search(r"(^|[/\\\s\"'])folds\.csv|\.key\.csv|ds_data_example", text):
        return "names a file of the host: it may use the given data only"
    return text_table_reason(text, c)


def _leads_out(text: str) -> str | None:
    """Whether a path leads out of the workspace, to the answers or into /proc."""
    path = text.replace("\\", "/")
    if re.match(r"(file:/*)?/proc(/|$)", path) and not _PLAIN_PROC.fullmatch(path):
        return f"reads {text[:60]}: it may use the given data only"
    parts = [p for p in path.split("/") if p not in ("", ".")]
    if not parts or any(" " in p and p.strip() in ("..", "") for p in parts):
        return None
    depth, lowest = 0, 0
    for part in parts:
        depth += -1 if part == ".." else 1
        lowest = min(lowest, depth)
    beyond = parts[1:2] if parts[0] == ".." else []
    if lowest < -1 or (lowest == -1 and beyond and beyond[0] not in _INSIDE | {"*"}):
        return f"leaves the workspace ({text[:60]}): read from ./workspace_input"
    if "eval" in parts[:-1] and (path.startswith("/") or ".." in parts):
        return f"looks for the answers ({text[:60]}): read from ./workspace_input"
    return None


def _path_reason(tree: ast.Module) -> str | None:
    """`.parent` and `dirname` chains that climb out of the workspace."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "pardir":
            return "uses os.pardir: read from ./workspace_input"
        if isinstance(node, ast.expr):
            steps, root = _climb(node)
            if steps > {"__file__": 2, "cwd": 0}.get(root, 99):
                return "climbs out of the workspace: read from ./workspace_input"
    return None


def _climb(node: ast.expr) -> tuple[int, str]:
    """(levels up, from `__file__` or `cwd`) of a chain of parent, parents[n] and dirname."""
    if isinstance(node, ast.Name):
        return 0, node.id
    if isinstance(node, ast.Attribute):
        steps, root = _climb(node.value)
        return steps + (node.attr == "parent"), root
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        index = node.slice.value if isinstance(node.slice, ast.Constant) else 0
        if node.value.attr == "parents" and isinstance(index, int):
            steps, root = _climb(node.value.value)
            return steps + index + 1, root
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in ("cwd", "getcwd"):
            return 0, "cwd"
        if called in ("resolve", "absolute") and isinstance(node.func, ast.Attribute):
            return _climb(node.func.value)
        if node.args and called in ("dirname", "abspath", "realpath", "Path", "str"):
            steps, root = _climb(node.args[0])
            return steps + (called == "dirname"), root
    return 0, ""
