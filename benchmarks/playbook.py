"""How good the playbook is: against a linear model, gradient boosting, FLAML and AutoGluon.

    python benchmarks/playbook.py [--loop-n 8] [--data NAME ...] [--quick]

For each data set (those bundled with scikit-learn, generated ones, our examples), the test
score of every system, its difference to a default HistGradientBoosting (positive: better) with
the 95 % band of paired bootstrap resamples of the test rows, and its seconds. The playbook is
played as a user plays it: `python -m rdagent.data_science` (`rdagent.finetune` where there is a
prev_model) on a folder without answers. FLAML and AutoGluon, where installed, get the seconds
that the playbook took. Errors and losses are shown with a minus sign, so that higher is better.

`--quick`: two rounds and 400 rows of the generated data.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playbook_data import NAMES, Data, load
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RESAMPLES = 500


@dataclass
class Result:
    system: str
    predictions: np.ndarray | None
    """(test rows, prediction columns); None: it failed."""
    seconds: float
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop-n", type=int, help="rounds of the playbook (8; quick: 2)")
    parser.add_argument("--data", nargs="+", metavar="NAME", choices=NAMES, default=None,
                        help=f"data sets (all that work here): {', '.join(NAMES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="two rounds, small generated data")
    options = parser.parse_args()
    rounds = options.loop_n if options.loop_n is not None else 2 if options.quick else 8
    torch = importlib.util.find_spec("torch")
    names = options.data or [x for x in NAMES if torch or x != "digits-torch"]

    print(f"{'data':<21}{'metric':<10}{'system':<11}{'score':>9}{'vs boosting [95 % band]':>30}"
          f"{'seconds':>9}")  # fmt: skip
    standing: dict[str, list[str]] = {}
    for name in names:
        data = load(name, options.quick)
        results = play(data, rounds)
        base = next(r.predictions for r in results if r.system == "boosting")
        for result in results:
            verdict = show(data, result, base)
            standing.setdefault(result.system, []).append(verdict)
        print(flush=True)
    for system, verdicts in standing.items():
        if system != "boosting":
            counts = ", ".join(f"{verdicts.count(x)} {x}" for x in ("better", "equal", "worse"))
            failed = f", {verdicts.count('failed')} failed" if "failed" in verdicts else ""
            print(f"{system} against boosting: {counts} (beyond the band){failed}")


def play(data: Data, rounds: int) -> list[Result]:
    """All systems on one data set, the playbook first: its seconds are the others' budget."""
    results = [attempt("playbook", lambda: playbook(data, rounds))]
    budget = max(results[0].seconds, 10.0)
    systems: dict[str, Callable[[], np.ndarray]] = {
        "linear": lambda: fit_predict(data, linear_model(data)),
        "boosting": lambda: fit_predict(data, boosting(data)),
    }
    if importlib.util.find_spec("flaml"):
        systems["flaml"] = lambda: flaml(data, budget)
    if importlib.util.find_spec("autogluon"):
        systems["autogluon"] = lambda: autogluon(data, budget)
    return results + [attempt(name, system) for name, system in systems.items()]


def attempt(system: str, predict: Callable[[], np.ndarray]) -> Result:
    """A system that fails costs its row, not the benchmark."""
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictions, note = predict(), ""
    except Exception as error:
        lines = str(error).strip().splitlines()
        predictions, note = None, lines[-1][:150] if lines else type(error).__name__
    return Result(system, predictions, time.perf_counter() - started, note)


def show(data: Data, result: Result, base: np.ndarray | None) -> str:
    """Print one row; gives better, equal, worse (beyond the band) or failed."""
    head = f"{data.name:<21}{data.metric:<10}{result.system:<11}"
    if result.predictions is None:
        print(f"{head}{'failed':>9}{'':>30}{result.seconds:>9.1f}  {result.note}")
        return "failed"
    value = f"{data.score(result.predictions):>9.4f}"
    if base is None or result.system == "boosting":
        print(f"{head}{value}{'':>30}{result.seconds:>9.1f}")
        return "equal"
    delta, low, high = paired_band(data, result.predictions, base)
    print(f"{head}{value}{f'{delta:+.4f} [{low:+.4f}, {high:+.4f}]':>30}{result.seconds:>9.1f}")
    return "better" if low > 0 else "worse" if high < 0 else "equal"


def paired_band(data: Data, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Difference of scores and its 95 % band over resamples of the same test rows."""
    rng = np.random.default_rng(0)
    deltas = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(a), len(a))
        if data.classification and data.truth.iloc[rows, 0].nunique() < 2:
            continue
        deltas.append(data.score(a, rows) - data.score(b, rows))
    low, high = np.quantile(deltas, [0.025, 0.975])
    return data.score(a) - data.score(b), float(low), float(high)


# ---------------------------------------------------------------- systems


def playbook(data: Data, rounds: int) -> np.ndarray:
    """Play a run in a temporary place and read what it delivered."""
    with tempfile.TemporaryDirectory(prefix="playbook-") as folder:
        root = Path(folder)
        data.write(root / "data")
        command = (
            "finetune" if (root / "data" / data.name / "prev_model").is_dir() else "data_science"
        )
        dropped = ("DS_", "CHAT_MODEL", "WORKSPACE_PATH")
        env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        env |= {"DS_LOCAL_DATA_PATH": str(root / "data"), "LOG_TRACE_PATH": str(root / "log")}
        done = subprocess.run(
            [sys.executable, "-m", f"rdagent.{command}", "--competition", data.name,
             "--loop-n", str(rounds)],
            env=env, cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        delivered = list((root / "log").glob("*/best/submission.csv"))
        if done.returncode or not delivered:
            raise RuntimeError(done.stderr.strip() or done.stdout.strip() or "nothing delivered")
        submission = pd.read_csv(delivered[0]).set_index("id")
    return submission.loc[data.test["id"], data.columns].to_numpy()


def prepare(data: Data) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and categories for those that take no text and no dates, the same for all."""
    train, test = data.train[data.features].copy(), data.test[data.features].copy()
    for column in data.features:
        if pd.api.types.is_numeric_dtype(train[column]):
            continue
        if column == "date":
            for part in (train, test):
                date = pd.to_datetime(part.pop(column))
                part["day"] = (date - pd.Timestamp("2000-01-01")).dt.days
                part["weekday"], part["day_of_year"] = date.dt.dayofweek, date.dt.dayofyear
        elif train[column].str.count(" ").mean() > 2:
            words = TfidfVectorizer(max_features=300).fit(train[column])
            named = [f"word_{w}" for w in words.get_feature_names_out()]
            train, test = (
                part.drop(columns=column).assign(
                    **dict(zip(named, words.transform(part[column]).toarray().T, strict=True))
                )
                for part in (train, test)
            )
        else:
            # HistGradientBoosting takes at most 255 levels.
            levels = train[column].value_counts().index[:250]
            for part in (train, test):
                part[column] = pd.Categorical(part[column], categories=levels)
    return train, test


def linear_model(data: Data) -> Any:
    """Ridge (its strength chosen by cross-validation) or logistic regression."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
    )
    if data.classification:
        return make_pipeline(columns, LogisticRegression(max_iter=2000))
    return make_pipeline(columns, RidgeCV(np.logspace(-2, 3, 16)))


def boosting(data: Data) -> Any:
    """HistGradientBoosting with its defaults."""
    if data.classification:
        return HistGradientBoostingClassifier(random_state=0)
    model = HistGradientBoostingRegressor(random_state=0)
    return model if len(data.targets) == 1 else MultiOutputRegressor(model)


def fit_predict(data: Data, model: Any) -> np.ndarray:
    train, test = prepare(data)
    truth = data.train[data.targets].to_numpy()
    model.fit(train, truth if len(data.targets) > 1 else truth[:, 0])
    return predict(data, model, test)


def predict(data: Data, model: Any, test: pd.DataFrame) -> np.ndarray:
    """(test rows, prediction columns) of a fitted model in scikit-learn's manner."""
    if data.metric in ("roc_auc", "log_loss"):
        probabilities = np.asarray(model.predict_proba(test))
        return probabilities[:, 1:] if data.metric == "roc_auc" else probabilities
    return np.asarray(model.predict(test)).reshape(len(test), -1)


def flaml(data: Data, seconds: float) -> np.ndarray:
    """FLAML on the prepared table; one model a target."""
    from flaml import AutoML

    train, test = prepare(data)
    metric = "rmse" if data.metric == "mcrmse" else data.metric
    parts = []
    for target in data.targets:
        model = AutoML()
        model.fit(
            X_train=train, y_train=data.train[target].to_numpy(), metric=metric, verbose=0, seed=0,
            task="classification" if data.classification else "regression",
            time_budget=seconds / len(data.targets),
        )  # fmt: skip
        parts.append(predict(data, model, test))
    return np.hstack(parts)


def autogluon(data: Data, seconds: float) -> np.ndarray:
    """AutoGluon on the table as it is; one model a target."""
    from autogluon.tabular import TabularPredictor

    names = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error"}
    metric = names.get(data.metric.removeprefix("mc"), data.metric)
    parts = []
    for target in data.targets:
        with tempfile.TemporaryDirectory(prefix="autogluon-") as folder:
            model = TabularPredictor(target, eval_metric=metric, path=folder, verbosity=0)
            model.fit(data.train[[*data.features, target]], time_limit=seconds / len(data.targets))
            if data.metric in ("roc_auc", "log_loss"):
                found = model.predict_proba(data.test[data.features])
                found.columns = found.columns.astype(str)
                part = found[data.columns if data.metric == "log_loss" else ["1"]].to_numpy()
            else:
                part = model.predict(data.test[data.features]).to_numpy()[:, None]
        parts.append(part)
    return np.hstack(parts)


if __name__ == "__main__":
    main()
