"""Metrics as lines of code that programs carry, so that they need nothing but scikit-learn.

`y` are class codes (labels) or numbers; `p` is what `finish` makes of a prediction: class codes
where the metric takes labels, else a probability column a class, or numbers.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class MetricCode(NamedTuple):
    """Lines of a function body and the imports they need."""

    body: str
    imports: tuple[str, ...] = ()
    higher: bool = False
    proxy: bool = False


def _sk(name: str, call: str) -> MetricCode:
    return MetricCode(f"return {name}({call})", (f"from sklearn.metrics import {name}",), True)


def _by_class(name: str) -> MetricCode:
    body = (
        f"if p.shape[1] == 2:\n    return {name}(y, p[:, 1])\n"
        f"return np.mean([{name}(y == k, p[:, k]) for k in np.unique(y)])"
    )
    return MetricCode(body, (f"from sklearn.metrics import {name}",), True)


_LABELS = {
    "accuracy": MetricCode("return np.mean(y == p)", higher=True),
    "balanced_accuracy": _sk("balanced_accuracy_score", "y, p"),
    "f1": _sk("f1_score", "y, p, zero_division=0"),
    "f1_macro": _sk("f1_score", 'y, p, average="macro", zero_division=0'),
    "f1_micro": _sk("f1_score", 'y, p, average="micro", zero_division=0'),
    "f1_weighted": _sk("f1_score", 'y, p, average="weighted", zero_division=0'),
    "mcc": _sk("matthews_corrcoef", "y, p"),
    "quadratic_kappa": _sk("cohen_kappa_score", 'y, p, weights="quadratic"'),
}
_PROBABILITIES = {
    "roc_auc": _by_class("roc_auc_score"),
    "average_precision": _by_class("average_precision_score"),
    "log_loss": MetricCode("return -np.mean(np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)))"),
    "brier": MetricCode(
        "loss = ((p - (y[:, None] == np.arange(p.shape[1]))) ** 2).sum(axis=1).mean()\n"
        "return loss / 2 if p.shape[1] == 2 else loss"
    ),
}
_VALUES = {
    "rmse": MetricCode("return np.sqrt(np.mean((y - p) ** 2))"),
    "mse": MetricCode("return np.mean((y - p) ** 2)"),
    "rmsle": MetricCode("return np.sqrt(np.mean((np.log1p(y) - np.log1p(np.maximum(p, 0))) ** 2))"),
    "mae": MetricCode("return np.mean(np.abs(y - p))"),
    "medae": MetricCode("return np.median(np.abs(y - p))"),
    "mape": MetricCode("return np.mean(np.abs(y - p) / np.maximum(np.abs(y), 1e-12))"),
    "smape": MetricCode("return 200 * np.mean(np.abs(y - p) / np.maximum(abs(y) + abs(p), 1e-12))"),
    "r2": MetricCode("return 1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2)", higher=True),
    "spearman": MetricCode(
        "return spearmanr(y, p).statistic", ("from scipy.stats import spearmanr",), True
    ),
    "pearson": MetricCode("return np.corrcoef(y, p)[0, 1]", higher=True),
}
_KIND = {
    "label": (_LABELS, "accuracy"),
    "probability": (_PROBABILITIES, "log_loss"),
    "value": (_VALUES, "rmse"),
}


def metric_code(name: str, kind: str) -> MetricCode:
    """Code of a metric (canonical name) for `label`, `probability`, `value` or `list`.

    A metric without code here is stood in for by the kind's most usual one, marked `proxy`.
    """
    base = base_name(name)
    if kind == "list":
        gain = "1 / np.log2(1 + place)" if base == "ndcg" else "1 / place"
        body = (
            "place = 1 + (p > p[np.arange(len(y)), y][:, None]).sum(axis=1)\n"
            f"return np.mean(np.where(place <= {{k}}, {gain}, 0))"
        )
        return MetricCode(body, higher=True)
    if base == "pinball":
        q = quantile(name)
        return MetricCode(f"return np.mean(np.maximum({q} * (y - p), ({q} - 1) * (y - p)))")
    table, usual = _KIND[kind]
    return table[base] if base in table else table[usual]._replace(proxy=True)


def base_name(name: str) -> str:
    """`mean columnwise rmse` -> rmse, `map@5` -> map; targets are handled one by one."""
    base = re.sub(r"^mean columnwise ", "", name.lower().strip())
    return "rmse" if base == "mcrmse" else base.split("@")[0]


def quantile(name: str) -> float:
    """Of a pinball loss; one half where the name says none."""
    at = re.search(r"@(0?\.\d+)", name)
    return float(at.group(1)) if at else 0.5
