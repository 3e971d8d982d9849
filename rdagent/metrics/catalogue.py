"""Metric name -> function, direction, what it needs.

Each metric has its plain value, through scikit-learn or scipy, and a vectorised twin that
gives its value in every bootstrap resample at once (`rdagent.metrics.resampling`).

What y and p hold depends on what the metric needs:
label        y, p: integer class codes from 0 (binary: 1 is positive), (n,)
probability  y: class codes, (n,); p: probability of class 1, (n,), or of each class, (n, classes)
value        y, p: floats, (n,)
ranking      y: sets of relevant labels, (n,) objects; p: lists of labels, best first
Two-dimensional y and p are several targets, a column each: the metric is the mean over the
columns (F1 of indicators follows scikit-learn: macro, micro and weighted over the columns),
without the rows whose label in a column is NaN.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from rdagent.errors import SetupError
from rdagent.metrics import resampling, row_losses
from rdagent.metrics.names import SPELLINGS, find_metric, plain_words
from rdagent.metrics.resampling import Array, Kernel, nanmean, row_mean
from rdagent.metrics.row_losses import squared_logs, squares
from rdagent.records import Output, Task

__all__ = ["METRICS", "Metric", "default_metric", "find_metric", "get_metric"]

Needs = Literal["label", "probability", "value", "ranking"]
Plain = Callable[[Array, Array], float]

CLASSES: tuple[Task, ...] = ("binary", "multiclass", "multilabel")
VALUES: tuple[Task, ...] = ("regression",)


@dataclass(frozen=True)
class Metric:
    """One metric: `score` for the value, `resampled` for its value in each resample."""

    name: str
    higher_is_better: bool
    needs: Needs
    tasks: tuple[Task, ...]
    pooled: bool
    """Mean over rows, or the root of one: rows are pooled over folds. Others average folds."""
    plain: Plain
    kernel: Kernel
    joint: bool = False
    """`plain` and `kernel` take several indicator columns at once (F1)."""

    def score(self, y: Array, p: Array) -> float:
        """The plain value; NaN where it is undefined, such as AUC of a single class."""
        if self._by_column(y, p):
            return float(nanmean([self.score(*column) for column, _ in self._columns(y, p)]))
        if not len(y):
            return float("nan")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # undefined values are NaN, which says it
            return float(self.plain(y, p))

    def resampled(self, y: Array, p: Array, weights: Array) -> Array:
        """Values in B resamples, (B,). weights: (B, n), how often each row was drawn."""
        if self._by_column(y, p):
            columns = self._columns(y, p)
            return nanmean([self.resampled(*c, weights.T[known].T) for c, known in columns])
        if not len(y):
            return np.full(len(weights), np.nan)
        return self.kernel(y, p, weights)

    def _by_column(self, y: Array, p: Array) -> bool:
        return y.ndim == 2 and not (self.joint and max(y.max(), p.max()) <= 1)

    def _columns(self, y: Array, p: Array) -> Iterator[tuple[tuple[Array, Array], Any]]:
        """y and p of each target, and its rows; those without this label (NaN) are left out."""
        for j in range(y.shape[1]):
            known = ~np.isnan(y[:, j]) if y.dtype.kind == "f" else slice(None)
            labels = y[known, j].astype(int) if self.needs == "label" else y[known, j]
            yield (labels, p[known, j]), known


# Plain values.


def _sk(name: str, **options: object) -> Plain:
    """A scikit-learn metric by name, imported when first used (it takes half a second)."""

    def plain(y: Array, p: Array) -> float:
        import sklearn.metrics

        return float(getattr(sklearn.metrics, name)(y, p, **options))

    return plain


def _one_vs_rest(name: str, binary: Plain, kernel: Kernel, negatives_needed: bool) -> Metric:
    """A ranking metric of a class against the others; of several classes the mean.

    scikit-learn takes a millisecond a class and fold, so several classes go through the
    vectorised twin even for the plain value.
    """
    kernel = resampling.one_vs_rest(kernel)

    def plain(y: Array, p: Array) -> float:
        if p.ndim == 2:
            return float(kernel(y, p, np.ones((1, len(y))))[0])
        defined = np.any(y) and not (negatives_needed and np.all(y))
        return binary(y, p) if defined else float("nan")

    return Metric(name, True, "probability", CLASSES, False, plain, kernel)


def _log_loss(y: Array, p: Array) -> float:
    from sklearn.metrics import log_loss

    labels = range(p.shape[1]) if p.ndim == 2 else (0, 1)
    return float(log_loss(y, row_losses.normalised(p), labels=list(labels)))


def _kappa(y: Array, p: Array) -> float:
    from sklearn.metrics import cohen_kappa_score

    if np.array_equal(np.unique(y), np.unique(p)) and len(np.unique(y)) == 1:
        return float("nan")  # one rating everywhere
    labels = list(range(int(max(y.max(), p.max())) + 1))  # a gap in the ratings is a distance
    return float(cohen_kappa_score(y, p, labels=labels, weights="quadratic"))


def _r2(y: Array, p: Array) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, p)) if np.ptp(y) > 0 else float("nan")


def _spearman(y: Array, p: Array) -> float:
    from scipy.stats import spearmanr

    if np.ptp(y) == 0:
        return float("nan")
    return float(spearmanr(y, p).statistic) if np.ptp(p) > 0 else 0.0


def _pearson(y: Array, p: Array) -> float:
    from scipy.stats import pearsonr

    if np.ptp(y) == 0:
        return float("nan")
    return float(pearsonr(y, p).statistic) if np.ptp(p) > 0 else 0.0


def _mean(rows: Callable[[Array, Array], Array]) -> Plain:
    return lambda y, p: float(rows(y, p).mean())


def _row_metric(
    name: str,
    needs: Needs,
    tasks: tuple[Task, ...],
    rows: Callable[[Array, Array], Array],
    plain: Plain | None = None,
    *,
    higher: bool = False,
    root: bool = False,
) -> Metric:
    kernel = row_mean(rows, root)
    return Metric(name, higher, needs, tasks, True, plain or _mean(rows), kernel)


def _pinball(name: str, quantile: float) -> Metric:
    plain = _sk("mean_pinball_loss", alpha=quantile)
    return _row_metric(name, "value", VALUES, row_losses.pinball(quantile), plain)


def _ranking(name: str, k: int) -> Metric:
    gain = row_losses.average_precision_at if name.startswith("map") else row_losses.ndcg_at
    return _row_metric(name, "ranking", ("ranking",), gain(k), higher=True)


def _f1(name: str, average: str, tasks: tuple[Task, ...]) -> Metric:
    plain = _sk("f1_score", average=average, zero_division=0)
    joint = average != "binary"  # scikit-learn has no binary F1 of several columns
    return Metric(name, True, "label", tasks, False, plain, resampling.f1(average), joint)


def _class_metric(name: str, plain: Plain, kernel: Kernel) -> Metric:
    return Metric(name, True, "label", CLASSES, False, plain, kernel)


def _value_metric(name: str, higher: bool, plain: Plain, kernel: Kernel) -> Metric:
    return Metric(name, higher, "value", VALUES, False, plain, kernel)


_BASE = (
    _row_metric(
        "accuracy", "label", CLASSES, lambda y, p: y == p, _sk("accuracy_score"), higher=True
    ),
    _class_metric(
        "balanced_accuracy", _sk("balanced_accuracy_score"), resampling.balanced_accuracy
    ),
    _f1("f1", "binary", ("binary", "multilabel")),
    _f1("f1_macro", "macro", CLASSES),
    _f1("f1_micro", "micro", CLASSES),
    _f1("f1_weighted", "weighted", CLASSES),
    _class_metric("mcc", _sk("matthews_corrcoef"), resampling.mcc),
    _class_metric("quadratic_kappa", _kappa, resampling.quadratic_kappa),
    _one_vs_rest("roc_auc", _sk("roc_auc_score"), resampling.roc_auc, negatives_needed=True),
    _one_vs_rest(
        "average_precision",
        _sk("average_precision_score"),
        resampling.average_precision,
        negatives_needed=False,
    ),
    _row_metric("log_loss", "probability", CLASSES, row_losses.log_losses, _log_loss),
    _row_metric("brier", "probability", CLASSES, row_losses.brier),
    _row_metric("rmse", "value", VALUES, squares, _sk("root_mean_squared_error"), root=True),
    _row_metric(
        "rmsle", "value", VALUES, squared_logs, _sk("root_mean_squared_log_error"), root=True
    ),
    _row_metric("mse", "value", VALUES, squares, _sk("mean_squared_error")),
    _row_metric(
        "mae", "value", VALUES, lambda y, p: np.abs(y - p), _sk("mean_absolute_error")
    ),
    _row_metric("mape", "value", VALUES, row_losses.mape, _sk("mean_absolute_percentage_error")),
    _row_metric("smape", "value", VALUES, row_losses.smape),
    _value_metric(
        "medae", False, _sk("median_absolute_error"), resampling.median_absolute_error
    ),
    _value_metric("r2", True, _r2, resampling.r2),
    _value_metric("spearman", True, _spearman, resampling.spearman),
    _value_metric("pearson", True, _pearson, resampling.pearson),
    _pinball("pinball@0.5", 0.5),
)  # fmt: skip


def _columnwise(metric: Metric, name: str) -> Metric:
    return replace(metric, name=name, joint=False)


def _all_metrics() -> dict[str, Metric]:
    metrics = {m.name: m for m in _BASE}
    metrics["mcrmse"] = _columnwise(metrics["rmse"], "mcrmse")
    for m in _BASE:
        name = f"mean columnwise {m.name}"
        metrics[name] = _columnwise(m, name)
    for m in (_ranking("map", 10**9), _ranking("ndcg", 10**9)):
        metrics[m.name] = m
    return metrics


METRICS: dict[str, Metric] = _all_metrics()
"""By canonical name. `get_metric` also makes pinball@<quantile>, map@<k> and ndcg@<k>."""


def get_metric(name: str) -> Metric:
    """The metric of a name as people write it ("Area under the ROC curve", "QWK").

    Raises SetupError, which lists the names, for one that we lack.
    """
    exact = name.strip().lower()
    found = _known(exact)
    for spelling in () if found else SPELLINGS:
        match = re.fullmatch(rf"(?:the )?{spelling.pattern}(?: metric| score)?", plain_words(name))
        found = match and _known(spelling.canonical(match))
        if found:
            break
    if found:
        return found
    names = [n for n in METRICS if not n.startswith(("mean columnwise", "pinball", "map", "ndcg"))]
    near = difflib.get_close_matches(exact, names, n=1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    raise SetupError(
        f"unknown metric {name!r}{guess}: use one of {', '.join(sorted(names))}, "
        "pinball@0.9, map@5, ndcg@10, or mean columnwise and one of these"
    )


def _known(name: str) -> Metric | None:
    """By canonical name, the parametrised ones included."""
    if name in METRICS:
        return METRICS[name]
    prefix = "mean columnwise "
    if name.startswith(prefix + "pinball@"):
        base = _known(name.removeprefix(prefix))
        return base and _columnwise(base, name)
    match = re.fullmatch(r"(pinball|map|ndcg)@(0?\.\d+|[1-9]\d*)", name)
    if not match:
        return None
    kind, number = match.groups()
    if kind == "pinball":
        return _pinball(name, float(number)) if 0 < float(number) < 1 else None
    return _ranking(name, int(number)) if number.isdigit() else None


def default_metric(task: Task, output: Output) -> str:
    """What to score when the user named no metric."""
    if task == "regression":
        return "rmse"
    if task == "ranking":
        return "map@5"
    if task == "multilabel":
        return "mean columnwise roc_auc" if output == "probability" else "f1_macro"
    if output == "label":
        return "accuracy"
    return "roc_auc" if task == "binary" else "log_loss"
