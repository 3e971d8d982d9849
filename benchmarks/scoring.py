"""How long the host takes to score: one score with its band and one paired comparison.

    python benchmarks/scoring.py [--rows 10000] [--quick]

For each metric, on five folds: our seconds for the score of a new program with its 95 % band
and its comparison with another new one (the draws apart: a run makes them once), beside 200
calls of the plain scikit-learn or scipy metric on repeated rows in the same run, which give
one band and no comparison. `--quick` runs the plain loop 10 times and multiplies by 20. The goal is
0.3 s for ours at 10,000 rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdagent.graders.hidden import HiddenGrader, _MetricScores
from rdagent.metrics import get_metric
from rdagent.records import Competition

CASES = [
    ("accuracy", 30), ("balanced_accuracy", 30), ("f1", 2), ("f1_macro", 30),
    ("f1_weighted", 30), ("mcc", 30), ("quadratic_kappa", 6), ("roc_auc", 2), ("roc_auc", 30),
    ("average_precision", 2), ("log_loss", 2), ("log_loss", 30), ("brier", 30), ("rmse", 0),
    ("rmsle", 0), ("mae", 0), ("medae", 0), ("mape", 0), ("smape", 0), ("r2", 0),
    ("pinball@0.9", 0), ("spearman", 0), ("pearson", 0), ("map@5", 30), ("ndcg@5", 30),
]  # fmt: skip


def game(metric: str, classes: int, n: int) -> tuple[Competition, pd.DataFrame, list[Any]]:
    """A competition, its train table, and two programs' predictions."""
    rng = np.random.default_rng(0)
    needs = get_metric(metric).needs
    task, output = {
        "value": ("regression", "value"),
        "ranking": ("ranking", "label"),
        "label": ("binary" if classes == 2 else "multiclass", "label"),
        "probability": ("binary" if classes == 2 else "multiclass", "probability"),
    }[needs]
    columns: tuple[str, ...] = ("target",)
    names: dict[str, Any] = {}
    if needs == "value":
        y: Any = rng.gamma(2, 2, n)
        frames = [pd.DataFrame({"target": np.abs(y + rng.normal(0, s, n))}) for s in (1, 1.1)]
    else:
        y = rng.integers(0, classes, n)
    if needs == "label":
        frames = [
            pd.DataFrame({"target": np.where(rng.random(n) < q, y, rng.integers(0, classes, n))})
            for q in (0.7, 0.68)
        ]
    elif needs == "ranking":
        lists = [rng.integers(0, classes, (n, 5)).astype(str) for _ in range(2)]
        frames = [pd.DataFrame({"target": [" ".join(row) for row in x]}) for x in lists]
    elif needs == "probability" and classes == 2:
        names = {"target": 1}
        frames = [pd.DataFrame({"target": (y * 0.3 + rng.random(n)) / 1.3}) for _ in range(2)]
    elif needs == "probability":
        columns = tuple(f"p{k}" for k in range(classes))
        names = {f"p{k}": k for k in range(classes)}
        frames = []
        for _ in range(2):
            p = rng.random((n, classes)) + 2 * np.eye(classes)[y]
            frames.append(pd.DataFrame(p / p.sum(axis=1, keepdims=True), columns=list(columns)))
    c = Competition(
        id="speed", description="", data_dir=Path(), train_file="", test_file="",
        task=task, metric=metric, higher_is_better=get_metric(metric).higher_is_better,
        id_column=None, target_columns=("y",), prediction_columns=columns,
        output=output, classes=names, exclusive=len(columns) > 1,
    )  # fmt: skip
    return c, pd.DataFrame({"y": y}), frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="plain loop: 10 of 200 resamples")
    args = parser.parse_args()
    n = args.rows
    table = pd.DataFrame({"row": np.arange(n), "fold": np.arange(n) % 5, "part": "search"})
    print(f"{n} rows, five folds, 200 resamples; seconds")
    print(f"{'metric':<28}{'draws':>8}{'ours':>8}{'plain loop':>12}{'times':>8}")
    slowest = 0.0
    for name, classes in CASES:
        c, train, (a, b) = game(name, classes, n)
        HiddenGrader(c, train, table).score(a.iloc[:500])  # imports are not scoring
        drawn = ours = float("inf")
        for _ in range(3):  # the best of three: other processes take their share
            grader = HiddenGrader(c, train, table)
            start = time.perf_counter()
            weights = grader._weights(np.arange(n))
            drawn = min(drawn, time.perf_counter() - start)
            start = time.perf_counter()
            grader.score(a)
            grader.compare(a, b)
            ours = min(ours, time.perf_counter() - start)
        plain = plain_loop(grader, a, weights, 10 if args.quick else 200)
        slowest = max(slowest, drawn + ours)
        label = f"{name}, {classes} classes" if classes else name
        print(f"{label:<28}{drawn:>8.3f}{ours:>8.3f}{plain:>12.2f}{plain / (drawn + ours):>8.0f}")
    print(f"slowest, draws included: {slowest:.3f} s (goal at 10,000 rows: 0.3 s)")


def plain_loop(grader: HiddenGrader, frame: pd.DataFrame, weights: Any, calls: int) -> float:
    """Seconds of 200 plain values on repeated rows, as the grader takes them over folds."""
    at, judge = np.arange(len(frame)), grader._judge
    assert isinstance(judge, _MetricScores)
    p = judge.predicted(frame.iloc[grader._rows(at)])
    metric = sklearn_auc if judge.metric.name == "roc_auc" else judge.metric.score
    start = time.perf_counter()
    for w in weights[:calls]:
        for fold in [slice(None)] if judge.metric.pooled else grader._slices(at):
            rows = np.repeat(at[fold], w[fold].astype(int))
            metric(judge.y[rows], p[rows])
    return (time.perf_counter() - start) * 200 / calls


def sklearn_auc(y: Any, p: Any) -> float:
    """Ours takes many classes through its vectorised form; here it is to be scikit-learn's."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, p, multi_class="ovr"))


if __name__ == "__main__":
    main()
