"""A plan and the shape of the data -> a complete `main.py`.

Templates are Python with Jinja; what stands above a `# ---` line are imports, which are joined,
sorted and cut down to what the program uses.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdagent.playbook.metric_code import base_name, metric_code, quantile
from rdagent.playbook.previous import Previous
from rdagent.playbook.source import assemble, literal, mapping, names
from rdagent.records import Hypothesis, Program

if TYPE_CHECKING:
    import jinja2

    from rdagent.playbook.shape import Shape
    from rdagent.records import Competition

Plan = dict[str, Any]
CUT = "# ---\n"
CHEAP_ROWS = 20_000
KNOBBED = {"threshold", "prior", "cuts", "temperature"}
"""Ways from predictions to answers that have something to tune."""
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
    facts["fixed_labels"] = bool({*PREVIOUS, "torch"}.intersection(families))
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
    source = assemble(hypothesis, s, [*main_imports, *imports, *_ALWAYS], body)
    note = {"hypothesis": hypothesis.model_dump(mode="json")}
    return Program(files={"main.py": source, "plan.json": json.dumps(note, indent=1)})


def render_floor(c: Competition, s: Shape, hypothesis: Hypothesis) -> Program:
    """The program that cannot fail: one constant a column."""
    facts = _facts(c, s, {"members": []})
    base = base_name(c.metric)
    centre = "median()" if base in ("mae", "medae", "smape", "mape", "rmsle") else "mean()"
    centre = f"quantile({quantile(c.metric)})" if base == "pinball" else centre
    imports, body = _block("floor", facts | {"centre": centre})
    return Program(files={"main.py": assemble(hypothesis, s, imports, body)})


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
        "metric": code, "mode": mode, "knobbed": mode in KNOBBED,
        "plan_members": members, "cores": any(m["family"] in CORES for m in members),
        "pixel_max": s.pixel_max, "cheap_rows": CHEAP_ROWS,
        "inner_folds": plan.get("inner_folds", 3),
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


def grid(member: Plan) -> list[str]:
    """Every combination of the parameters that hold several values, as source."""
    lists = {k: v for k, v in member["params"].items() if isinstance(v, list)}
    combinations = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    return [json.dumps(x).replace("true", "True").replace("false", "False") for x in combinations]


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
        "py": literal, "names": names, "mapping": mapping, "grid": grid, "first": first
    }  # fmt: skip
    return environment
