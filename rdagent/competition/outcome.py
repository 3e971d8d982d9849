"""What the label columns hold and what the submission asks for: task, output, classes, metric."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pandas as pd

from rdagent.errors import SetupError
from rdagent.metrics import default_metric, find_metric, get_metric
from rdagent.records import Label, Output, Task

if TYPE_CHECKING:
    from rdagent.metrics import Metric

_POSITIVE = {"1", "true", "yes", "y", "t", "pos", "positive", "malignant", "fraud", "spam"}
_EVALUATED = re.compile(
    r"(?:evaluated|scored|judged|graded|ranked|measured)\s+(?:on|by|using|with|according to)\s+"
    r"(?:the\s+|a\s+|an\s+)?([^.\n]{3,80})",
    re.I,
)
_SECTION = re.compile(
    r"^#+\s*(?:evaluation|metric|scoring)[^\n]*\n+(?P<text>[^\n#]{3,80})", re.I | re.M
)
_DIRECTION = re.compile(
    r"(?P<low>(lower|smaller) (is|scores? (is|are)) better|minimi[sz]e)"
    r"|(?P<high>(higher|larger|greater) (is|scores? (is|are)) better|maximi[sz]e)",
    re.I,
)  # fmt: skip


@dataclass
class Asked:
    """What `decide` decides from."""

    target: pd.DataFrame
    """Label columns of the labelled rows."""
    predictions: tuple[str, ...]
    sample: pd.DataFrame | None
    """Prediction columns of the user's sample submission."""
    classes: dict[str, Any] | None
    metric: str | None
    higher_is_better: bool | None
    description: str
    has_grader: bool
    notes: list[str] = field(default_factory=list)


@dataclass
class Shape:
    """The form of labels and predictions."""

    task: Task
    output: Output
    predictions: tuple[str, ...]
    classes: dict[str, Label] = field(default_factory=dict)
    exclusive: bool = False
    why: str = ""


def decide(a: Asked) -> dict[str, Any]:
    """Task, output, prediction columns, classes and metric as fields of a Competition."""
    metric, lacking = _named_metric(a)
    shape = _shape(a, metric)
    if metric and metric.name == "f1" and shape.task == "multiclass":
        a.notes.append("Metric: f1 of several classes is read as f1_macro.")
        metric = get_metric("f1_macro")
    misfit = metric and _misfit(metric, shape, a.target.iloc[:, 0])
    if metric and misfit:
        if a.metric:
            raise SetupError(
                f"competition.toml: metric {metric.name} does not fit, {misfit}: "
                "mend that or name another metric"
            )
        a.notes.append(f"The description seems to name {metric.name}, which does not fit: {misfit}")
        metric, shape = None, _shape(a, None)
    a.notes.append(f"Task: {shape.task}, each prediction is a {shape.output} ({shape.why}).")
    name, higher, proxy_for = _choose_metric(a, metric, lacking, shape)
    return {
        "task": shape.task,
        "output": shape.output,
        "prediction_columns": shape.predictions,
        "classes": shape.classes,
        "exclusive": shape.exclusive,
        "metric": name,
        "higher_is_better": higher,
        "metric_proxy_for": proxy_for,
    }


def labels_of(column: pd.Series) -> list[Any]:
    """Distinct labels in order, as Python values; whole numbers read as floats are ints."""
    labels = column.dropna().unique().tolist()
    if labels and all(isinstance(x, float) and x.is_integer() for x in labels):
        # A missing value makes pandas read integer labels as floats.
        labels = [int(x) for x in labels]
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=str)


def match_classes(predictions: tuple[str, ...], labels: list[Any]) -> dict[str, Label] | None:
    """Prediction column -> label where columns are called after labels (`EAP`, `class_3`)."""
    if not 2 <= len(labels) <= len(predictions):
        return None
    texts = {str(label): label for label in labels}
    if set(texts) <= set(predictions):
        # Classes without a labelled row are asked for too; their label is their heading.
        whole = all(isinstance(label, int) for label in labels)
        return {
            p: texts.get(p, int(p) if whole and p.lstrip("-").isdigit() else p) for p in predictions
        }
    if len(labels) != len(predictions):
        return None
    plain = {_plain(text): label for text, label in texts.items()}
    if {_plain(p) for p in predictions} == set(plain):
        return {p: plain[_plain(p)] for p in predictions}
    first = predictions[0]
    for text in texts:
        if not text or text not in first:
            continue
        for before, after in ((first.removesuffix(text), ""), ("", first.removeprefix(text))):
            columns = {before + t + after: label for t, label in texts.items()}
            if set(columns) == set(predictions):
                return {p: columns[p] for p in predictions}
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "_", text.casefold())


def _shape(a: Asked, metric: Metric | None) -> Shape:
    if a.target.shape[1] > 1:
        return _several_targets(a, metric)
    labels = labels_of(a.target.iloc[:, 0])
    if len(a.predictions) > 1:
        classes = _said_classes(a, labels) or match_classes(a.predictions, labels)
        if not classes:
            raise SetupError(
                f"{len(a.predictions)} prediction columns and labels such as "
                f"{labels[:3]} do not pair: name `classes` (column = label) in competition.toml"
            )
        task: Task = "binary" if len(classes) == 2 else "multiclass"
        return Shape(task, "probability", a.predictions, classes, True, "one column a class")
    return _one_column(a, metric, labels)


def _one_column(a: Asked, metric: Metric | None, labels: list[Any]) -> Shape:
    column, predictions = a.target.iloc[:, 0], a.predictions
    needs = metric.needs if metric else None
    kind = _kind(column, labels, a.sample)
    if needs == "ranking":
        return Shape("ranking", "label", predictions, why="lists of labels, best first")
    numbers = _numeric(column) or column.dtype == bool
    if (needs == "value" and numbers) or (kind == "regression" and needs != "label"):
        why = f"{metric.name} needs numbers" if metric and needs == "value" else "many numbers"
        return Shape("regression", "value", predictions, why=why)
    if needs == "label" and kind == "regression":
        kind = "multiclass"
    if kind == "multiclass" and needs == "probability" and a.sample is None:
        columns = tuple(str(x) for x in labels)
        classes = dict(zip(columns, labels, strict=True))
        why = "one column a class, as the metric needs"
        return Shape("multiclass", "probability", columns, classes, True, why)
    # Where nothing says what to submit, a probability says more than a label.
    free = needs is None and (a.sample is None or _fractional(a.sample))
    wants = needs == "probability" or free
    if kind == "binary" and wants:
        said = _said_classes(a, labels)
        classes = said or {predictions[0]: _positive(a, labels)}
        why = f"probability of {next(iter(classes.values()))!r}"
        return Shape("binary", "probability", predictions, classes, why=why)
    why = f"{len(labels)} labels such as {', '.join(map(str, labels[:3]))}"
    return Shape(kind, "label", predictions, why=why)


def _several_targets(a: Asked, metric: Metric | None) -> Shape:
    needs = metric.needs if metric else None
    predictions = a.predictions
    if len(predictions) != a.target.shape[1]:
        raise SetupError(
            f"{a.target.shape[1]} target columns and {len(predictions)} prediction columns do not "
            "pair: name `target` in competition.toml"
        )
    labels = [labels_of(a.target[x]) for x in a.target]
    numbers = all(_numeric(a.target[x]) for x in a.target)
    binary = all(len(x) <= 2 and not any(isinstance(v, float) for v in x) for x in labels)
    if numbers and (needs == "value" or (not binary and needs != "label")):
        return Shape("regression", "value", predictions, why=f"{len(predictions)} numbers a row")
    if binary and needs != "label" and (needs or a.sample is None or _fractional(a.sample)):
        classes = {p: x[-1] for p, x in zip(predictions, labels, strict=True)}
        why = f"{len(predictions)} yes-or-no columns"
        return Shape("multilabel", "probability", predictions, classes, why=why)
    return Shape("multilabel", "label", predictions, why=f"{len(predictions)} label columns")


def _kind(column: pd.Series, labels: list[Any], sample: pd.DataFrame | None) -> Task:
    """binary, multiclass or regression, by the values of one label column."""
    if len(labels) == 2 and not any(isinstance(x, float) for x in labels):
        return "binary"
    if not _numeric(column):
        return "multiclass"
    if any(isinstance(x, float) for x in labels) or _fractional(sample):
        return "regression"
    coded = labels[0] in (0, 1) and labels[-1] - labels[0] + 1 == len(labels) <= 100
    few = len(labels) <= 10 and len(column) >= 5 * len(labels)
    return "multiclass" if (coded and len(column) >= 2 * len(labels)) or few else "regression"


def _numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _fractional(sample: pd.DataFrame | None) -> bool:
    """The sample submission holds numbers that are no whole ones."""
    if sample is None:
        return False
    few = sample.head(1000)
    floats = (few[x] for x in few if pd.api.types.is_float_dtype(few[x]))
    return any(bool(((x % 1).fillna(0) != 0).any()) for x in floats)


def _positive(a: Asked, labels: list[Any]) -> Label:
    named = [x for x in labels if str(x) == a.predictions[0]]
    spoken = [x for x in labels if str(x).casefold() in _POSITIVE]
    if len(named) == 1 or len(spoken) == 1:
        chosen: Label = (named or spoken)[0]
        return chosen
    chosen = labels[-1]
    a.notes.append(
        f"{a.predictions[0]} is taken as the probability of {chosen!r}: "
        "name `classes` in competition.toml if it is the other label."
    )
    return chosen


def _said_classes(a: Asked, labels: list[Any]) -> dict[str, Label] | None:
    """`classes` of competition.toml, checked and in the order of the prediction columns."""
    if not a.classes:
        return None
    texts = {str(x).casefold(): x for x in labels}
    for column, label in a.classes.items():
        if column not in a.predictions:
            near = get_close_matches(column, a.predictions, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {list(a.predictions[:6])}"
            raise SetupError(f"competition.toml: classes has no column {column!r}: {hint}")
        if str(label).casefold() not in texts:
            raise SetupError(
                f"competition.toml: classes gives {column!r} the label {label!r}, "
                f"but the labels are such as {labels[:6]}"
            )
    if missing := [p for p in a.predictions if p not in a.classes]:
        raise SetupError(f"competition.toml: classes lacks the column {missing[0]!r}")
    return {p: texts[str(a.classes[p]).casefold()] for p in a.predictions}


def _named_metric(a: Asked) -> tuple[Metric | None, str | None]:
    """The metric that competition.toml or the description names, or the name of one we lack."""
    if a.metric == "grade.py":
        if not a.has_grader:
            raise SetupError(
                "competition.toml: metric is grade.py, but eval/ has no grade.py for it: "
                "put it there or name another metric"
            )
        return None, a.metric
    if a.metric:
        try:
            known = get_metric(a.metric)
        except SetupError as error:
            if a.has_grader:
                return None, a.metric
            raise SetupError(f"competition.toml: {error}") from error
        a.notes.append(f"Metric: {known.name}, as competition.toml says.")
        return known, None
    found = find_metric(a.description) if a.description else None
    if found:
        a.notes.append(f"Metric: {found}, as the description says.")
        return get_metric(found), None
    told = _SECTION.search(a.description) or _EVALUATED.search(a.description)
    return None, told[told.lastindex or 0].strip() if told else None


_PLURAL = {
    "label": "labels", "probability": "probabilities", "value": "numbers", "ranking": "rankings",
}  # fmt: skip


def _misfit(metric: Metric, shape: Shape, target: pd.Series) -> str | None:
    output = {"ranking": "label"}.get(metric.needs, metric.needs)
    if output != shape.output and not (metric.needs == "label" and shape.task == "regression"):
        if metric.needs == "value" and not _numeric(target):
            other = target[pd.to_numeric(target, errors="coerce").isna() & target.notna()]
            if len(other):
                return f"it needs numbers and {target.name} holds {other.iloc[0]!r}"
        return f"it needs {_PLURAL[metric.needs]} and the submission holds {_PLURAL[shape.output]}"
    if shape.task not in metric.tasks:
        return f"it measures {' or '.join(metric.tasks)}, and this is {shape.task}"
    return None


def _choose_metric(
    a: Asked, metric: Metric | None, lacking: str | None, shape: Shape
) -> tuple[str, bool, str | None]:
    """(name, higher is better, the lacking metric's name when this one stands in for it)."""
    if metric:
        if a.higher_is_better not in (None, metric.higher_is_better):
            raise SetupError(
                f"competition.toml: higher_is_better is wrong for {metric.name}: remove it"
            )
        return metric.name, metric.higher_is_better, None
    if lacking and a.has_grader:
        direction = a.higher_is_better
        if direction is None and (found := _DIRECTION.search(a.description)):
            direction = bool(found["high"])
        if direction is None:
            raise SetupError(
                f"the metric ({lacking}) is graded by grade.py, but nothing says which way is "
                "better: set `higher_is_better` to true or false in competition.toml"
            )
        a.notes.append(f"Metric: grade.py grades ({lacking}).")
        return "grade.py", direction, None
    proxy = get_metric(default_metric(shape.task, shape.output))
    if lacking:
        a.notes.append(f"Metric: {proxy.name} stands in for one that we lack ({lacking}).")
        return proxy.name, proxy.higher_is_better, lacking
    a.notes.append(
        f"Metric: {proxy.name}, since nothing names one; set `metric` in competition.toml."
    )
    return proxy.name, proxy.higher_is_better, None
