"""Data sets of the playbook benchmark: scikit-learn's own, generated ones, our examples."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)

from rdagent.competition import examples_dir

HIGHER_IS_BETTER = {"roc_auc", "accuracy"}


@dataclass
class Data:
    """A data set, split: `train` holds id, features and targets, `test` only id and features."""

    name: str
    metric: str
    train: pd.DataFrame
    test: pd.DataFrame
    truth: pd.DataFrame
    """Targets of the test rows, in test's order."""
    folder: Path | None = None
    """A competition folder that is there already."""

    @property
    def targets(self) -> list[str]:
        return list(self.truth.columns)

    @property
    def classification(self) -> bool:
        return self.metric in ("roc_auc", "log_loss", "accuracy")

    @property
    def columns(self) -> list[str]:
        """Prediction columns of a submission: one a class for the log loss, else the targets."""
        if self.metric != "log_loss":
            return self.targets
        return [str(x) for x in sorted(self.train[self.targets[0]].unique())]

    @property
    def features(self) -> list[str]:
        return [x for x in self.test.columns if x != "id"]

    def score(self, predictions: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        """Metric on test rows; `predictions` (rows, prediction columns). Higher is better."""
        truth, p = self.truth.to_numpy()[rows], predictions[rows]
        if self.metric == "roc_auc":
            return float(roc_auc_score(truth[:, 0].astype(int), p[:, 0].astype(float)))
        if self.metric == "accuracy":
            return float(accuracy_score(truth[:, 0].astype(str), p[:, 0].astype(str)))
        p = p.astype(float)
        if self.metric == "log_loss":
            p = p / p.sum(axis=1, keepdims=True)
            return -float(log_loss(truth[:, 0].astype(str), p, labels=self.columns))
        error = mean_absolute_error if self.metric == "mae" else root_mean_squared_error
        return -float(error(truth.astype(float), p))

    def write(self, root: Path) -> None:
        """Lay out `root/<name>/` as a user's competition folder; answers stay out of it."""
        if self.folder:
            shutil.copytree(self.folder, root / self.name)
            return
        folder = root / self.name
        folder.mkdir(parents=True)
        self.train.to_csv(folder / "train.csv", index=False)
        self.test.to_csv(folder / "test.csv", index=False)
        sample = self.test[["id"]].copy()
        for column in self.columns:
            sample[column] = 0 if self.metric == "accuracy" else 1 / len(self.columns)
        sample.to_csv(folder / "sample_submission.csv", index=False)
        (folder / "competition.toml").write_text(f'metric = "{self.metric}"\n')


def deal(
    name: str, metric: str, table: pd.DataFrame, targets: list[str], train: int, seed: int = 0
) -> Data:
    """Shuffle the rows (unless there is a date), number them, hide the targets of the rest."""
    rng = np.random.default_rng(seed)
    if "date" not in table:
        table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    table.insert(0, "id", rng.permutation(np.arange(1, 5 * len(table)))[: len(table)])
    test = table.iloc[train:].reset_index(drop=True)
    return Data(name, metric, table.iloc[:train], test.drop(columns=targets), test[targets])


# ---------------------------------------------------------------- bundled with scikit-learn


def bundled(name: str) -> Data:
    metric, targets = {
        "iris": ("log_loss", ["species"]),
        "wine": ("log_loss", ["cultivar"]),
        "digits": ("accuracy", ["digit"]),
        "breast_cancer": ("roc_auc", ["benign"]),
        "diabetes": ("rmse", ["progression"]),
        "linnerud": ("mcrmse", ["weight", "waist", "pulse"]),
    }[name]
    bunch = getattr(datasets, f"load_{name}")()
    table = pd.DataFrame(bunch.data, columns=[x.replace(" ", "_") for x in bunch.feature_names])
    values = bunch.target.reshape(len(table), -1)
    if metric == "log_loss":
        values = bunch.target_names[values]
    table[targets] = values
    return deal(name, metric, table, targets, train=int(len(table) * 0.6))


# ---------------------------------------------------------------- generated


def linear(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    X = rng.normal(0, 1, (rows, 20))
    y = X @ rng.normal(0, 1, 20) + rng.normal(0, 2, rows)
    return pd.DataFrame(X).add_prefix("x").assign(y=y.round(4)), "rmse"


def interactions(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    X = rng.normal(0, 1, (rows, 12))
    logit = 2 * X[:, 0] * X[:, 1] + 1.5 * np.sign(X[:, 2]) * X[:, 3] + np.abs(X[:, 4]) - 0.8
    y = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame(X).add_prefix("x").assign(y=y.astype(int)), "roc_auc"


def categories(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    """Three columns of 300, 80 and 20 levels, the frequent ones far more frequent."""
    table, y = pd.DataFrame(), 50 + rng.normal(0, 3, rows)
    for column, levels in (("shop", 300), ("brand", 80), ("colour", 20)):
        share = 1 / np.arange(1, levels + 1) ** 0.7
        level = rng.choice(levels, rows, p=share / share.sum())
        table[column] = [f"{column}_{i:03d}" for i in level]
        y = y + rng.normal(0, 4, levels)[level]
    size = rng.exponential(1, rows)
    return table.assign(size=size.round(3), y=(y + 3 * np.log1p(size)).round(3)), "mae"


def text(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    """Reviews of made-up words, of which some are kinder than others; and a number."""
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = np.array(["".join(rng.choice(syllables, 2)) for _ in range(400)])
    mood = rng.normal(0, 1, 400) * (rng.random(400) < 0.3)
    share = 1 / np.arange(1, 401) ** 0.6
    said = [rng.choice(400, rng.integers(8, 30), p=share / share.sum()) for _ in range(rows)]
    price = rng.gamma(2, 10, rows)
    logit = np.array([mood[s].sum() for s in said]) - 0.02 * (price - 20)
    y = rng.random(rows) < 1 / (1 + np.exp(-logit))
    reviews = [" ".join(words[s]) for s in said]
    table = pd.DataFrame({"review": reviews, "price": price.round(2), "liked": y.astype(int)})
    return table, "roc_auc"


def time(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    """Daily sales of two shops: trend, week, year, promotions; test follows train."""
    days = np.repeat(np.arange(rows // 2), 2)
    shop, promotion = np.tile(np.arange(2), rows // 2), rng.random(len(days)) < 0.2
    date = pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D")
    y = 50 + 0.03 * days + 10 * np.sin(2 * np.pi * days / 365) + 6 * (date.dayofweek >= 5)
    y = y + np.array([0, 8])[shop] + 9 * promotion + rng.normal(0, 4, len(days))
    names = np.array(["north", "south"])[shop]
    columns = {"date": date.strftime("%Y-%m-%d"), "shop": names, "promotion": promotion.astype(int)}
    return pd.DataFrame(columns).assign(sales=np.round(y, 2)), "rmse"


GENERATED: dict[str, Callable[[int, np.random.Generator], tuple[pd.DataFrame, str]]] = {
    "linear": linear,
    "interactions": interactions,
    "categories": categories,
    "text": text,
    "time": time,
}


def generated(name: str, quick: bool) -> Data:
    """1,500 train rows and as many test rows; 400 when quick."""
    rows = 400 if quick else 1500
    rng = np.random.default_rng([7, *name.encode()])
    table, metric = GENERATED[name](2 * rows, rng)
    return deal(name, metric, table, [table.columns[-1]], train=rows)


# ---------------------------------------------------------------- our examples


def example(name: str) -> Data:
    folder = examples_dir() / name
    train, test = (pd.read_csv(folder / f"{part}.csv") for part in ("train", "test"))
    answers = pd.read_csv(examples_dir() / "eval" / name / "submission_test.csv")
    truth = answers.set_index("id").loc[test["id"]].reset_index(drop=True)
    metric = {"breast-cancer": "roc_auc", "diabetes-progression": "rmse"}.get(name, "accuracy")
    return Data(name, metric, train, test, truth, folder)


BUNDLED = ["iris", "wine", "digits", "breast_cancer", "diabetes", "linnerud"]
EXAMPLES = ["breast-cancer", "diabetes-progression", "digits-finetune", "digits-torch"]
NAMES = [*BUNDLED, *GENERATED, *EXAMPLES]


def load(name: str, quick: bool) -> Data:
    """The data set called `name`, one of NAMES."""
    if name in BUNDLED:
        return bundled(name)
    return generated(name, quick) if name in GENERATED else example(name)
