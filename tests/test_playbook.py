"""The playbook: every hypothesis becomes a program that runs, twice, on every kind of data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rdagent.playbook import Playbook
from rdagent.playbook.catalogue import ENTRIES, applicable
from rdagent.playbook.researcher import _facts
from rdagent.playbook.search import configuration, draft_plan
from rdagent.records import (
    Attempt,
    Competition,
    Context,
    Execution,
    Experiment,
    Hypothesis,
    PrevModel,
    Program,
    Sandbox,
    Score,
)

PLAYBOOK = Playbook()


@dataclass
class Data:
    """A competition's tables and what the host would have worked out about them."""

    train: pd.DataFrame
    test: pd.DataFrame
    about: dict[str, Any]
    prev_model: Callable[[Path], str] | None = None
    packages: dict[str, str] = field(default_factory=dict)

    def folder(self, folder: Path) -> Context:
        folder.mkdir(parents=True, exist_ok=True)
        columns = self.about["prediction_columns"]
        sample = self.test[["id"]].assign(**dict.fromkeys(columns, self.about.get("fill", 0)))
        for name, table in (("train", self.train), ("test", self.test)):
            table.to_csv(folder / f"{name}.csv", index=False)
        sample.to_csv(folder / "sample_submission.csv", index=False)
        about = {k: v for k, v in self.about.items() if k != "fill"}
        if self.prev_model is not None:
            home = folder / "prev_model"
            (home / "models").mkdir(parents=True, exist_ok=True)
            checkpoint = self.prev_model(home)
            about["prev_model"] = PrevModel(path=home, code=("main.py",), checkpoint=checkpoint)
        competition = Competition(
            id="some-task", description="", data_dir=folder, train_file="train.csv",
            test_file="test.csv", sample_file="sample_submission.csv", id_column="id", **about,
        )  # fmt: skip
        sandbox = Sandbox(python="3.11", packages=self.packages, cpus=1, memory=2**33)
        return Context(
            competition=competition, train_preview=folder, experiments=(), operator="draft",
            sandbox=sandbox, seconds_left=600, timeout=600, folds=5,
            finetune=self.prev_model is not None,
        )  # fmt: skip


def classes(
    y: str = "y", output: str = "label", metric: str = "accuracy", **more: Any
) -> dict[str, Any]:
    about = {"task": "multiclass", "metric": metric, "higher_is_better": metric != "log_loss"}
    about |= {"target_columns": (y,), "prediction_columns": (y,), "output": output}
    return about | more


def numbers(*y: str, metric: str = "rmse") -> dict[str, Any]:
    return {"task": "regression", "metric": metric, "higher_is_better": False, "output": "value",
            "target_columns": y, "prediction_columns": y}  # fmt: skip


def cut(table: pd.DataFrame, targets: list[str], n_test: int = 40) -> tuple[pd.DataFrame, ...]:
    table.insert(0, "id", np.random.default_rng(5).permutation(len(table)) + 1000)
    return table.iloc[:-n_test], table.iloc[-n_test:].drop(columns=targets)


def table_of(n: int = 200, seed: int = 0, n_classes: int = 2, features: int = 6) -> pd.DataFrame:
    X, y = make_classification(
        n, features, n_informative=4, n_redundant=0, n_classes=n_classes, random_state=seed
    )
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(features)]).assign(y=y)


def numeric() -> Data:
    table = table_of().assign(constant=1.0, row=np.arange(200))
    return Data(*cut(table, ["y"]), classes(output="probability", metric="roc_auc", task="binary",
                                            classes={"y": 1}))  # fmt: skip


def mixed() -> Data:
    """Missing values, categories, many categories, unseen ones, booleans, string labels."""
    rng, table = np.random.default_rng(0), table_of(300, n_classes=3)
    table["y"] = table["y"].map({0: "no", 1: "may be", 2: "yes, sure"})
    table["colour"] = rng.choice(["red", "green", "blue"], 300)
    table["town"] = [f"town {i}" for i in rng.integers(0, 60, 300)]
    table["member"] = rng.random(300) < 0.5
    for column in ("x1", "colour", "town"):
        table.loc[rng.random(300) < 0.1, column] = np.nan
    train, test = cut(table, ["y"])
    test.loc[test.index[0], ["colour", "town"]] = ["violet", "nowhere"]
    return Data(train, test, classes(metric="f1_macro"))


def words() -> Data:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    said = [["good great fine lovely", "bad awful poor sad"][k] for k in y]
    filler = [f"word{i}" for i in range(200)]
    text = [" ".join([*rng.choice(s.split(), 2), *rng.choice(filler, 6)]) for s in said]
    table = pd.DataFrame({"review": text, "length": [len(t) for t in text], "y": y})
    table["y"] = table["y"].astype(bool)
    return Data(*cut(table, ["y"]), classes(task="binary", metric="f1"))


def dates() -> Data:
    rng = np.random.default_rng(0)
    day = pd.Series(pd.date_range("2024-01-01", periods=300, freq="D"))
    y = (
        0.1 * np.arange(300)
        + 5 * np.sin(2 * np.pi * day.dt.day_of_year / 365)
        + rng.normal(0, 1, 300)
    )
    table = pd.DataFrame({"day": day.dt.strftime("%Y-%m-%d"), "x": rng.normal(size=300), "y": y})
    return Data(*cut(table, ["y"]), numbers("y") | {"time_column": "day"})


def pixels(n: int = 240) -> tuple[pd.DataFrame, list[str]]:
    X, y = load_digits(return_X_y=True)
    columns = [f"p{i}{j}" for i in range(8) for j in range(8)]
    return pd.DataFrame(X[:n], columns=columns).assign(y=y[:n]), columns


def images() -> Data:
    return Data(*cut(pixels()[0], ["y"]), classes())


def imbalanced() -> Data:
    X, y = make_classification(400, 8, weights=[0.95], random_state=0)
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)]).assign(y=y)
    return Data(*cut(table, ["y"]), classes(task="binary", metric="f1"))


def skewed() -> Data:
    rng, table = np.random.default_rng(0), table_of(200)
    table["y"] = np.exp(table["x0"] + table["x1"] + rng.normal(0, 0.3, 200))
    return Data(*cut(table, ["y"]), numbers("y", metric="rmsle"))


def absolute() -> Data:
    return Data(*cut(skewed().train.drop(columns="id"), ["y"]), numbers("y", metric="mae"))


def pinball() -> Data:
    return Data(*cut(skewed().train.drop(columns="id"), ["y"]), numbers("y", metric="pinball@0.9"))


def rare_probabilities() -> Data:
    """Thirty classes, some of two rows, a probability column each, log loss."""
    rng, table = np.random.default_rng(0), table_of(300)
    table["y"] = [
        f"k{i:02}"
        for i in np.r_[
            rng.integers(0, 26, 292 - 40), [26, 26, 27, 27, 28, 28, 29, 29], rng.integers(0, 26, 40)
        ]
    ]
    labels = [f"k{i:02}" for i in range(30)]
    about = classes(output="probability", metric="log_loss", exclusive=True, fill=1 / 30)
    about |= {"prediction_columns": tuple(f"p_{k}" for k in labels)}
    return Data(*cut(table, ["y"]), about | {"classes": {f"p_{k}": k for k in labels}})


def multilabel() -> Data:
    table = table_of().rename(columns={"y": "a"})
    table["b"] = (table["x1"] > 0.2).astype(int)
    about = classes(output="probability", metric="mean columnwise roc_auc", task="multilabel")
    return Data(*cut(table, ["a", "b"]), about | {"target_columns": ("a", "b"),
                                                  "prediction_columns": ("a", "b")})  # fmt: skip


def two_numbers() -> Data:
    table = table_of().rename(columns={"y": "a"}).assign(b=lambda t: t.x0 * 2 - t.x2)
    return Data(*cut(table, ["a", "b"]), numbers("a", "b", metric="mcrmse"))


def grades() -> Data:
    """Ordered labels for quadratic kappa, rows in groups."""
    table = table_of(240)
    table["y"] = pd.qcut(table["x0"] + table["x1"], 12, labels=False).astype(int)
    table["who"] = np.arange(240) // 6
    return Data(*cut(table, ["y"]), classes(metric="quadratic_kappa", group_column="who"))


def lists() -> Data:
    table = table_of(240, n_classes=4)
    table["y"] = table["y"].map(lambda k: f"item{k}")
    return Data(
        *cut(table, ["y"]), classes(metric="map@3", task="ranking", fill="item0 item1 item2")
    )


def tiny() -> Data:
    X, y = load_diabetes(return_X_y=True)
    table = pd.DataFrame(X[:100], columns=list("abcdefghij")).assign(y=y[:100])
    return Data(*cut(table, ["y"], 20), numbers("y"))


def network_before() -> Data:
    """A scikit-learn network trained on other pictures."""
    table, columns = pixels(1500)
    old, new = table.iloc[:1200], table.iloc[1200:1440].copy()
    new[columns] = (16 - new[columns]).clip(0, 16)

    def save(home: Path) -> str:
        model = make_pipeline(StandardScaler(), MLPClassifier((48,), max_iter=25, random_state=0))
        joblib.dump(model.fit(old[columns].to_numpy(), old["y"]), home / "models/net.joblib", 3)
        (home / "main.py").write_text("# trains models/net.joblib\n")
        return "models/net.joblib"

    return Data(*cut(new, ["y"]), classes(), save)


def trees_before() -> Data:
    """A dict of a scaler and a forest whose labels are numbers where ours are words."""
    table = table_of(400, n_classes=3)

    def save(home: Path) -> str:
        X, y = table.iloc[:200].drop(columns="y").to_numpy(), table["y"].iloc[:200]
        scaler = StandardScaler().fit(X)
        forest = RandomForestClassifier(20, random_state=0).fit(scaler.transform(X), y)
        joblib.dump({"scaler": scaler, "model": forest}, home / "models/forest.joblib")
        (home / "main.py").write_text("")
        return "models/forest.joblib"

    new = table.iloc[200:].assign(y=table["y"].map(lambda k: f"class {k}")).reset_index(drop=True)
    return Data(*cut(new, ["y"]), classes(), save)


def ridge_before() -> Data:
    data = tiny()

    def save(home: Path) -> str:
        joblib.dump(
            Ridge().fit(data.train[list("abcdefghij")], data.train["y"]), home / "models/r.pkl"
        )
        (home / "main.py").write_text("")
        return "models/r.pkl"

    return Data(data.train, data.test, data.about, save)


DATA = (numeric, mixed, words, dates, images, imbalanced, skewed, absolute, pinball, tiny,
        rare_probabilities, multilabel, two_numbers, grades, lists, network_before, trees_before,
        ridge_before)  # fmt: skip


def programs(context: Context) -> list[tuple[str, Program]]:
    """A program of every catalogue entry that fits."""
    f = _facts(context)
    found = []
    for entry in applicable(f):
        hypothesis = Hypothesis(
            statement=entry.statement, reason=entry.reason, component=entry.component,
            operator="draft", plan=draft_plan(entry, f),
        )  # fmt: skip
        found.append((entry.name, PLAYBOOK.write(context, hypothesis, ())))
    return found


def run(program: Program, work: Path, view: Path, seconds: float = 100) -> Path:
    """Execute a program as the runner would; the submission's path."""
    inside = work / "workspace_input"
    (inside / "models").mkdir(parents=True, exist_ok=True)
    for name, text in program.files.items():
        (inside / name).write_text(text)
    for path in view.iterdir():
        if not (inside / path.name).exists():
            (inside / path.name).symlink_to(path)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DS_SEED": "1", "DS_DEADLINE": str(seconds)}
    done = subprocess.run(
        [sys.executable, "./workspace_input/main.py"],
        cwd=work, env=env, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return work / "submission.csv"


def check(program: Program, context: Context, work: Path) -> float:
    """Run twice, the second time without labels or previous model; the program's own score."""
    c, view = context.competition, context.train_preview
    first = pd.read_csv(run(program, work, view), dtype={"id": str})
    sample = pd.read_csv(view / "sample_submission.csv", dtype={"id": str})
    assert list(first.columns) == list(sample.columns)
    assert list(first["id"]) == list(sample["id"])
    values = first[list(c.prediction_columns)]
    if c.output == "label" and c.task != "ranking":
        train = pd.read_csv(view / "train.csv")
        assert set(values.iloc[:, 0].astype(str)) <= set(train[c.target_columns[0]].astype(str))
        table = pd.read_csv(work / "predictions.csv", dtype={"id": str})
        assert list(table["id"]) == list(first["id"])
        assert np.allclose(table.drop(columns="id").sum(axis=1), 1)
        assert set(table.columns[1:]) == set(train[c.target_columns[0]].astype(str))
    elif c.output != "label":
        assert np.isfinite(values.to_numpy()).all()
        if c.output == "probability":
            assert values.to_numpy().min() >= 0
            assert values.to_numpy().max() <= 1
        if c.exclusive:
            assert np.allclose(values.sum(axis=1), 1, atol=1e-3)
    scores = pd.read_csv(work / "scores.csv", index_col=0)
    assert list(scores.columns) == [c.metric]
    again = work.with_name(work.name + "-again")
    (again / "workspace_input").mkdir(parents=True)
    (work / "workspace_input/models").rename(again / "workspace_input/models")
    shown = again.with_name(again.name + "-view")
    shown.mkdir()
    for name in ("test.csv", "sample_submission.csv"):
        (shown / name).write_bytes((view / name).read_bytes())
    second = pd.read_csv(run(program, again, shown), dtype={"id": str})
    pd.testing.assert_frame_equal(first, second)
    return float(scores.loc["ensemble"].iloc[0])


RUNS = {
    "numeric": ("extra trees",), "mixed": ("boosting", "kernel"),
    "words": ("words by naive Bayes", "topics and columns"),
    "dates": ("Gaussian process",), "images": ("pictures by a kernel",),
    "imbalanced": ("balanced boosting",), "skewed": ("logarithm of the target",),
    "absolute": ("median plane",), "pinball": ("quantile boosting",), "tiny": ("network",),
    "rare_probabilities": ("linear",), "multilabel": ("kernel",), "two_numbers": ("linear",),
    "grades": ("linear",), "lists": ("neighbours",),
    "network_before": ("on top of the previous model",),
    "trees_before": ("fine-tuned",),
    "ridge_before": ("on top of the previous model",),
}  # fmt: skip


@pytest.mark.parametrize("make", DATA, ids=lambda make: make.__name__)
def test_programs_run_twice(make: Callable[[], Data], tmp_path: Path) -> None:
    """The hypotheses that a kind of data calls for: valid, and the same without training."""
    context = make().folder(tmp_path / "view")
    written = dict(programs(context))
    for name in RUNS[make.__name__]:
        check(written[name], context, tmp_path / name)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", DATA, ids=lambda make: make.__name__)
def test_every_program_runs(make: Callable[[], Data], tmp_path: Path) -> None:
    context = make().folder(tmp_path / "view")
    for name, program in programs(context):
        check(program, context, tmp_path / name)


def test_programs_are_clean_source(tmp_path: Path) -> None:
    """Every entry for every kind of data: no undefined, unused or doubly defined name."""
    seen: set[str] = set()
    for make in DATA:
        data = make()
        data.packages = dict.fromkeys(("lightgbm", "xgboost", "catboost", "torch"), "1")
        context = data.folder(tmp_path / make.__name__)
        (tmp_path / "programs" / make.__name__).mkdir(parents=True)
        for name, program in programs(context):
            seen.add(name)
            text = program.files["main.py"]
            compile(text, name, "exec")
            assert text.startswith('"""')
            (tmp_path / "programs" / make.__name__ / f"{name}.py".replace(" ", "_")).write_text(
                text
            )
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E7,E9,W6"]
    found = subprocess.run([*ruff, str(tmp_path / "programs")], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-3000:]
    torch = {"torch model as it is", "fine-tuned torch model"}  # have their own test
    assert {e.name for e in ENTRIES} - seen <= torch | {"power of the target"}


@pytest.mark.parametrize("make", DATA, ids=lambda make: make.__name__)
def test_floor_is_valid_within_seconds(make: Callable[[], Data], tmp_path: Path) -> None:
    context = make().folder(tmp_path / "view")
    hypothesis, program = PLAYBOOK.floor(context)
    assert hypothesis.operator == "draft"
    assert "sklearn" not in program.files["main.py"]
    submission = pd.read_csv(run(program, tmp_path / "work", context.train_preview))
    assert not submission.isna().any().any()
    if context.competition.exclusive:
        assert np.allclose(submission.iloc[:, 1:].sum(axis=1), 1, atol=1e-3)


def played(id: int, hypothesis: Hypothesis, value: float, *parents: int) -> Experiment:
    score = Score(value=value, metric="accuracy", higher_is_better=True)
    attempt = Attempt(program=Program(files={"main.py": ""}), score=score)
    return Experiment(id=id, parents=parents, hypothesis=hypothesis, attempts=(attempt,))


def after(context: Context, *experiments: Experiment, operator: str = "draft") -> Context:
    return context.model_copy(update={"experiments": experiments, "operator": operator})


def test_drafts_differ_and_nothing_repeats(tmp_path: Path) -> None:
    """Forty rounds of drafts and steps: no program twice, families first, JSON-safe plans."""
    context, done = numeric().folder(tmp_path / "view"), []
    for id in range(1, 41):
        parents = (done[0],) if id > 3 else ()
        operator = "improve" if parents else "draft"
        hypothesis = PLAYBOOK.propose(after(context, *done, operator=operator), parents)
        done.append(played(id, hypothesis, 1 / id, *(e.id for e in parents)))
    assert len({configuration(e.hypothesis.plan) for e in done}) == len(done)
    assert len({e.hypothesis.plan["members"][0]["family"] for e in done[:3]}) == 3
    for e in done:
        assert json.loads(json.dumps(e.hypothesis.plan)) == e.hypothesis.plan
        compile(PLAYBOOK.write(context, e.hypothesis, ()).files["main.py"], "main.py", "exec")


def test_a_step_that_helped_is_taken_again(tmp_path: Path) -> None:
    context = numeric().folder(tmp_path / "view")
    start = played(1, PLAYBOOK.propose(context, ()), 0.8)
    first = PLAYBOOK.propose(after(context, start, operator="improve"), (start,))
    move = first.plan["move"]
    lost = played(2, first, 0.7, 1)
    other = PLAYBOOK.propose(after(context, start, lost, operator="improve"), (start,))
    assert other.plan["move"]["parameter"] != move["parameter"]
    # A step that helped goes on in the same direction, as far as its ladder reaches.
    boosting = next(e for e in ENTRIES if e.name == "boosting")
    plan = draft_plan(boosting, _facts(context))
    plan["members"][0]["params"]["features"] = 1.0
    start = played(1, start.hypothesis.model_copy(update={"plan": plan}), 0.6)
    taken, done = [], [start]
    for id in (2, 3, 4):
        context = after(context, *done, operator="improve")
        step = PLAYBOOK.propose(context, (done[-1],))
        done.append(played(id, step, 0.6 + id / 100, id - 1))
        taken.append((step.plan["move"]["parameter"], step.plan["move"]["to"]))
    assert taken == [("features", 0.7), ("features", 0.5), ("features", 0.3)]


def test_merge_blends_parents_and_beats_nothing_by_accident(tmp_path: Path) -> None:
    context, done = mixed().folder(tmp_path / "view"), []
    for id in (1, 2, 3):
        done.append(played(id, PLAYBOOK.propose(after(context, *done), ()), 0.5))
    hypothesis = PLAYBOOK.propose(after(context, *done, operator="merge"), tuple(done[:2]))
    assert hypothesis.operator == "merge"
    assert len(hypothesis.plan["members"]) == 3  # the third is of a family that they lack
    program = PLAYBOOK.write(context, hypothesis, tuple(done[:2]))
    check(program, context, tmp_path / "work")
    scores = pd.read_csv(tmp_path / "work/scores.csv", index_col=0)["f1_macro"]
    assert len(scores) == 4
    assert scores["ensemble"] > scores.min()


def test_finetune_compares_then_trains_on_then_starts_anew(tmp_path: Path) -> None:
    context, done = network_before().folder(tmp_path / "view"), []
    for id in (1, 2, 3):
        done.append(played(id, PLAYBOOK.propose(after(context, *done), ()), 0.5))
    families = [e.hypothesis.plan["members"][0]["family"] for e in done]
    assert families[:2] == ["as_it_is", "finetuned"]
    assert families[2] not in ("as_it_is", "finetuned", "on_top")


def ran(program: Program, execution: Execution) -> Experiment:
    """An experiment whose only program ended like this."""
    idea = Hypothesis(statement="", reason="", component="Model", operator="draft")
    attempt = Attempt(program=program, executions=(execution,))
    return Experiment(id=1, hypothesis=idea, attempts=(attempt,))


def test_repairs(tmp_path: Path) -> None:
    """Ever lighter after limits until nothing is left; another library where one is missing."""
    data = numeric()
    data.packages = {"lightgbm": "4"}
    context = data.folder(tmp_path / "view")
    program = dict(programs(context))["LightGBM"]
    slow = Execution(kind="fold", seconds=9, timed_out=True)
    lengths = []
    while program is not None:
        lengths.append(program)
        program = PLAYBOOK.repair(context, ran(program, slow))
    assert 1 < len(lengths) < 8
    assert len({p.files["main.py"] for p in lengths}) == len(lengths)
    log = "ModuleNotFoundError: No module named 'lightgbm'"
    lost = Execution(kind="debug", seconds=1, exit_code=1, log=log)
    mended = PLAYBOOK.repair(context, ran(lengths[0], lost))
    assert mended is not None
    check(mended, context, tmp_path / "work")
    odd = Execution(kind="debug", seconds=1, exit_code=1, log="ZeroDivisionError")
    assert PLAYBOOK.repair(context, ran(lengths[0], odd)) is None


def test_fine_tuning_beats_the_model_as_it_is(tmp_path: Path) -> None:
    context = network_before().folder(tmp_path / "view")
    written = dict(programs(context))
    before, tuned = (
        check(written[name], context, tmp_path / name)
        for name in ("previous model as it is", "fine-tuned")
    )
    assert tuned > before + 0.1


TORCH = '''"""A network, trained elsewhere."""
import torch
from torch import nn

PIXELS = [f"p{i}{j}" for i in range(8) for j in range(8)]
WIDTH = 32


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, width), nn.ReLU())

    def forward(self, x):
        return self.body(x)


class Net(nn.Module):
    def __init__(self, width, classes=10):
        super().__init__()
        self.block, self.head = Block(width), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.block(x))


def features(table):
    return torch.tensor(table[PIXELS].to_numpy(dtype="float32") / 16)


def main():
    network = Net(WIDTH)
    print(network)


if __name__ == "__main__":
    main()
'''


def test_torch_code_is_taken_over_and_runs(tmp_path: Path) -> None:
    """The class, its parts, its constants and the function that makes its input; nothing else."""

    def save(home: Path) -> str:
        (home / "main.py").write_text(TORCH)
        path = home / "models/net-step-3.pt"
        try:
            import torch
        except ImportError:
            path.write_bytes(b"PK\x03\x04")  # enough to render, not to run
            return "models/net-step-3.pt"
        spaces: dict[str, Any] = {"__name__": "before"}
        exec(TORCH, spaces)
        torch.manual_seed(0)
        torch.save(spaces["Net"](spaces["WIDTH"]).state_dict(), path)
        return "models/net-step-3.pt"

    data = images()
    data.prev_model, data.packages = save, {"torch": "2"}
    context = data.folder(tmp_path / "view")
    written = dict(programs(context))
    text = written["fine-tuned torch model"].files["main.py"]
    for part in ("class Block(", "class Net(", "WIDTH = 32", "their_PIXELS", "their_features(X)"):
        assert part in text
    assert "network = Net(WIDTH)" in text
    assert "print(network)" not in text
    compile(text, "main.py", "exec")
    pytest.importorskip("torch")
    before, tuned = (
        check(written[name], context, tmp_path / name)
        for name in ("torch model as it is", "fine-tuned torch model")
    )
    assert tuned > before


def test_review_says_what_it_means(tmp_path: Path) -> None:
    context = numeric().folder(tmp_path / "view")
    experiment = played(1, PLAYBOOK.propose(context, ()), 0.8)
    assert "0.8" in PLAYBOOK.review(context, experiment).observations
    failed = experiment.model_copy(update={"error": "it was killed"})
    assert "it was killed" in PLAYBOOK.review(context, failed).observations
