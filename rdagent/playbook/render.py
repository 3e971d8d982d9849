"""A plan and the shape of the data -> a complete `main.py`.

Templates are Python with Jinja; what stands above a `# ---` line are imports, which are joined,
sorted and cut down to what the program uses.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdagent.playbook.metric_code import base_name, metric_code, quantile
from rdagent.playbook.previous import Previous
from rdagent.records import Hypothesis, Program

if TYPE_CHECKING:
    from collections.abc import Iterable

    import jinja2

    from rdagent.playbook.shape import Shape
    from rdagent.records import Competition

Plan = dict[str, Any]
CUT = "# ---\n"
CHEAP_ROWS = 20_000
TREES = {"boosting", "extra_trees", "forest", "lightgbm", "xgboost", "catboost"}
DENSE = {"linear", "kernel", "gaussian_process", "neighbours", "network", "on_top"}
CORES = {"extra_trees", "forest", "lightgbm", "xgboost", "catboost"}
PREVIOUS = {"as_it_is", "finetuned", "on_top"}
TOPICS = {"kernel", "neighbours", "network", "gaussian_process"}
_ALWAYS = ("from functools import partial", "from itertools import combinations",
           "from sklearn.preprocessing import StandardScaler",
           "from sklearn.preprocessing import QuantileTransformer",
           "from sklearn.preprocessing import PolynomialFeatures",
           "from sklearn.preprocessing import PowerTransformer",
           "from sklearn.preprocessing import FunctionTransformer",
           "from sklearn.compose import TransformedTargetRegressor",
           "from sklearn.pipeline import make_pipeline",
           "from sklearn.model_selection import KFold",
           "from sklearn.model_selection import GroupKFold",
           "from sklearn.model_selection import StratifiedKFold",
           "from sklearn.model_selection import TimeSeriesSplit")  # fmt: skip
_SCALE = {
    "standard": "StandardScaler()",
    "quantile": 'QuantileTransformer(n_quantiles=100, output_distribution="normal")',
    "none": '"passthrough"',
}
_TARGET = {
    "standard": "StandardScaler()",
    "power": "PowerTransformer()",
    "log": "make_pipeline(FunctionTransformer(np.log1p, np.expm1), StandardScaler())",
}


def render(c: Competition, s: Shape, hypothesis: Hypothesis, previous: Previous | None) -> Program:
    """The program of `hypothesis.plan`; its `plan.json` is what `repair` starts from."""
    plan = hypothesis.plan
    facts = _facts(c, s, plan) | {"previous": previous}
    blocks, families = [], [m["family"] for m in plan["members"]]
    facts["topics"] = bool(s.text) and bool(TOPICS.intersection(families))
    for name, users in (("previous", PREVIOUS), ("trees", TREES), ("dense", DENSE)):
        if users.intersection(families):
            blocks.append(_block(f"members/{name}", facts))
    if any(m["params"].get("shifts") for m in plan["members"]):
        blocks.append(_block("members/shifted", facts))
    for i, m in enumerate(plan["members"]):
        mine = {"m": m, "p": m["params"], "first_of_family": m["family"] not in families[:i]}
        mine |= {"wrap": _wrapper(s, m["params"]), "dense": lambda p: _dense(s, p)}
        blocks.append(_block(f"members/{m['family']}", facts | mine))
    imports = [line for block in blocks for line in block[0]] + list(facts["metric"].imports)
    facts["members"] = "\n\n\n".join(code for _, code in blocks)
    main_imports, body = _block("main", facts)
    source = _assemble(hypothesis, s, [*main_imports, *imports, *_ALWAYS], body)
    note = {"hypothesis": hypothesis.model_dump(mode="json")}
    return Program(files={"main.py": source, "plan.json": json.dumps(note, indent=1)})


def render_floor(c: Competition, s: Shape, hypothesis: Hypothesis) -> Program:
    """The program that cannot fail: one constant a column."""
    facts = _facts(c, s, {"members": []})
    base = base_name(c.metric)
    centre = "median()" if base in ("mae", "medae", "smape", "mape", "rmsle") else "mean()"
    centre = f"quantile({quantile(c.metric)})" if base == "pinball" else centre
    imports, body = _block("floor", facts | {"centre": centre})
    return Program(files={"main.py": _assemble(hypothesis, s, imports, body)})


def _facts(c: Competition, s: Shape, plan: Plan) -> dict[str, Any]:
    """What every template may ask."""
    targets = ("rdagent_class",) if s.one_hot else c.target_columns
    needs = "value" if s.problem == "value" else "list" if s.problem == "list" else c.output
    code = metric_code(c.metric, needs)
    code = code._replace(body=code.body.replace("{k}", str(s.list_length)))
    mode = _finish_mode(c, s)
    members = plan["members"]
    time = c.time_column if c.time_column in (*s.numeric, *s.dates) else None
    return {
        "c": c, "s": s, "id": c.id_column, "targets": targets, "columns": c.prediction_columns,
        "output": c.output, "group": c.group_column, "time": None if c.group_column else time,
        "metric": code, "mode": mode, "knobbed": mode in ("threshold", "prior", "cuts", "temperature"),
        "plan_members": members, "cores": any(m["family"] in CORES for m in members),
        "pixel_max": s.pixel_max, "inner_folds": plan.get("inner_folds", 3), "cheap_rows": CHEAP_ROWS,
        "seeds": plan.get("seeds", 1), "max_rows": plan.get("max_rows"),
        "ratios": plan.get("ratios", False), "row_stats": plan.get("row_stats", False),
        "numbers": _numbers(s, plan), "has_numbers": _numbers(s, plan) != "[]",
        "categorical_at": "list(range(len(NUMBERS), len(NUMBERS + CATEGORICAL)))"
        if s.categorical else "",
        "target_type": "continuous" if s.problem == "value"
        else "binary" if len(s.labels) == 2 else "multiclass",
        "sep": ', sep="\\t"' if s.separator == "\t" else "",
        "labels": [f"not {s.positive}", s.positive] if s.positive is not None else sorted(
            s.labels, key=float if s.ordered else str),
    }  # fmt: skip


def _finish_mode(c: Competition, s: Shape) -> str:
    """How predictions become answers, as the metric wants it."""
    base = base_name(c.metric)
    if s.problem != "class":
        return "plain"
    if c.output == "probability":
        return "temperature" if base in ("log_loss", "brier") else "plain"
    if base == "quadratic_kappa" and s.ordered and len(s.labels) > 2:
        return "cuts"
    if base in ("accuracy", "f1_micro", "grade.py"):
        return "argmax"
    return "threshold" if len(s.labels) == 2 else "prior"


def _numbers(s: Shape, plan: Plan) -> str:
    parts = []
    if s.numeric:
        parts.append("PIXELS" if s.image else "NUMERIC")
    if s.dates:
        parts.append('[f"{date}_{part}" for date in DATES for part in PARTS]')
    if plan.get("row_stats"):
        stats = ["row_mean", "row_std", "row_max", "row_min"] + ["row_missing"] * s.missing
        parts.append(json.dumps(stats))
    if plan.get("ratios"):
        parts.append('[f"{a}{sign}{b}" for a, b in combinations(NUMERIC, 2) for sign in "*/"]')
    return " + ".join(parts) or "[]"


def _wrapper(s: Shape, params: Plan) -> Any:
    """Puts moved pictures or a transformed target around a pipeline."""

    def wrap(pipeline: str) -> str:
        if params.get("shifts"):
            pipeline = f"Shifted({pipeline}, moves={params['shifts']})"
        transformer = _TARGET.get(params.get("target", "plain"))
        if s.problem != "value" or transformer is None:
            return pipeline
        return f"TransformedTargetRegressor({pipeline}, transformer={transformer})"

    return wrap


def _dense(s: Shape, params: Plan) -> str:
    """The call that prepares columns for a distance-measuring model."""
    steps = [_SCALE[params.get("scale", "standard")]]
    if params.get("interactions"):
        steps.append("PolynomialFeatures(2, include_bias=False)")
        steps.append("StandardScaler()")
    if s.text and "topics" in params:
        steps.append(f"topics={params['topics']}")
    return f"dense({', '.join(steps)})"


def grid(member: Plan) -> str:
    """Every combination of the parameters that hold several values."""
    lists = {k: v for k, v in member["params"].items() if isinstance(v, list)}
    combinations = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    return json.dumps(combinations).replace("true", "True").replace("false", "False")


def _block(name: str, facts: dict[str, Any]) -> tuple[list[str], str]:
    """A rendered template as import lines and code."""
    text = _environment().get_template(f"{name}.jinja").render(**facts)
    head, _, body = text.partition(CUT)
    return [line for line in head.splitlines() if line.strip()], body.strip("\n")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    first = lambda value: value[0] if isinstance(value, list) else value  # noqa: E731
    environment.globals |= {
        "py": _literal, "names": names, "mapping": _mapping, "grid": grid, "first": first
    }  # fmt: skip
    return environment


def _literal(value: Any) -> str:
    """A Python literal, strings in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _mapping(items: dict[str, str]) -> str:
    text = ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in items.items())
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
    return _wrapped("[", ", ".join(_literal(column) for column in columns), "]")


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


def _assemble(hypothesis: Hypothesis, s: Shape, imports: list[str], body: str) -> str:
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
    used = lambda name: re.search(rf"\b{re.escape(name.split(' as ')[-1])}\b", body)  # noqa: E731
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
