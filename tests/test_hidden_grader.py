"""The loop's judge: scores on hidden rows, their bands, paired comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from rdagent.errors import GradingError, InvalidSubmissionError, SetupError
from rdagent.graders.hidden import HiddenGrader
from rdagent.metrics import get_metric
from rdagent.records import Competition


def competition(metric: str, **fields: Any) -> Competition:
    higher = True if metric == "grade.py" else get_metric(metric).higher_is_better
    given = {
        "id": "game", "description": "", "data_dir": Path("/nowhere"), "train_file": "train.csv",
        "test_file": "test.csv", "task": "regression", "metric": metric, "output": "value",
        "higher_is_better": higher, "id_column": None, "target_columns": ("y",),
        "prediction_columns": ("y",),
    }  # fmt: skip
    return Competition(**{**given, **fields})


def folds(n: int, count: int = 5, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A shuffled table: every row hidden, three of ten in the final part."""
    rng = np.random.default_rng(seed)
    part = np.where(rng.random(n) < 0.7, "search", "final")
    table = pd.DataFrame({"row": np.arange(n), "fold": np.arange(n) % count, "part": part})
    return table.assign(**columns).sample(frac=1, random_state=seed)


BINARY: dict[str, Any] = {"task": "binary", "output": "probability", "classes": {"y": 1}}


def binary(n: int, signal: float, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    y = np.random.default_rng(0).integers(0, 2, n)
    noise = np.random.default_rng(seed).random(n)
    return y, pd.DataFrame({"y": signal * y + (1 - signal) * noise})


def test_means_over_rows_pool_folds_and_others_average_them() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=100)
    p = pd.DataFrame({"y": y + rng.normal(size=100)})
    table = folds(100)
    grader = HiddenGrader(competition("rmse"), pd.DataFrame({"y": y}), table)
    score = grader.score(p, "all")
    assert score.value == pytest.approx(sk.root_mean_squared_error(y, p["y"]))
    assert score.folds == (0, 1, 2, 3, 4)
    assert (score.source, score.metric, score.higher_is_better) == ("host", "rmse", False)
    y, p = binary(100, 0.2, 1)
    table = folds(100, 3)
    grader = HiddenGrader(competition("roc_auc", **BINARY), pd.DataFrame({"y": y}), table)
    each = [sk.roc_auc_score(y[i::3], p["y"][i::3]) for i in range(3)]
    assert grader.score(p, "all").value == pytest.approx(np.mean(each))
    assert grader.score(p, "all").value != pytest.approx(sk.roc_auc_score(y, p["y"]))


def test_each_part_counts_its_own_rows() -> None:
    y, p = binary(300, 0.3, 1)
    table = folds(300)
    grader = HiddenGrader(competition("log_loss", **BINARY), pd.DataFrame({"y": y}), table)
    before = {part: grader.score(p, part).value for part in ("search", "final", "all")}
    final = table.loc[table["part"] == "final", "row"].to_numpy()
    p.loc[final, "y"] = 0.5
    assert grader.score(p, "search").value == before["search"]
    assert grader.score(p, "final").value == pytest.approx(np.log(2))
    share = len(final) / 300
    assert before["all"] == pytest.approx(share * before["final"] + (1 - share) * before["search"])
    rows = np.concatenate([grader.search_rows(k) for k in range(5)])
    assert set(rows) == set(range(300)) - set(final)
    assert grader.score(p.drop(index=final)).value == before["search"]
    with pytest.raises(GradingError, match="final"):
        grader.score(p.drop(index=final), "final")


def test_rows_that_stay_in_train_are_never_scored() -> None:
    y, p = binary(50, 0.3, 1)
    table = folds(50)
    stays = table["row"] < 10
    table.loc[stays, ["fold", "part"]] = [-1, "train"]
    grader = HiddenGrader(competition("brier", **BINARY), pd.DataFrame({"y": y}), table)
    expected = np.mean((y[10:] - p["y"][10:]) ** 2)
    assert grader.score(p, "all").value == pytest.approx(expected)


def test_band_holds_the_value_and_narrows_with_rows() -> None:
    widths = []
    for n in (200, 5000):
        y, p = binary(n, 0.2, 1)
        c, train = competition("roc_auc", **BINARY), pd.DataFrame({"y": y})
        score = HiddenGrader(c, train, folds(n)).score(p)
        assert score.low is not None and score.high is not None
        assert score.low < score.value < score.high
        widths.append(score.high - score.low)
        assert HiddenGrader(c, train, folds(n)).score(p) == score
        assert HiddenGrader(c, train, folds(n), seed=1).score(p).low != score.low
        plain = HiddenGrader(c, train, folds(n)).score(p, band=False)
        assert (plain.value, plain.low, plain.high) == (score.value, None, None)
    assert widths[1] < widths[0] / 3


def test_bands_cover_the_truth() -> None:
    """Accuracy 0.7 by construction: about 95 of 100 bands hold it."""
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 400)
        p = pd.DataFrame({"y": np.where(rng.random(400) < 0.7, y, 1 - y)})
        c = competition("accuracy", task="binary", output="label")
        score = HiddenGrader(c, pd.DataFrame({"y": y}), folds(400), seed).score(p, "all")
        assert score.low is not None and score.high is not None
        covered += score.low <= 0.7 <= score.high
    assert 88 <= covered <= 99


def test_resamples_keep_the_classes_of_each_fold() -> None:
    """Accuracy of a constant is the share of its class: no draw may change it."""
    y = np.random.default_rng(0).integers(0, 3, 150)
    c = competition("accuracy", task="multiclass", output="label")
    grader = HiddenGrader(c, pd.DataFrame({"y": y}), folds(150))
    score = grader.score(pd.DataFrame({"y": np.ones(150, dtype=int)}), "all")
    assert (score.low, score.high) == pytest.approx((np.mean(y == 1), np.mean(y == 1)))


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "rmse", "spearman"])
def test_equal_programs_tie_and_a_better_one_wins(metric: str) -> None:
    rng = np.random.default_rng(0)
    n, ties, differs = 600, 0, 0
    value = metric in ("rmse", "spearman")
    y = rng.normal(size=n) if value else rng.integers(0, 2, n)
    c = competition(metric, **({} if value else BINARY))
    grader = HiddenGrader(c, pd.DataFrame({"y": y}), folds(n))

    def program(noise: float, seed: int) -> pd.DataFrame:
        draw = np.random.default_rng(seed).normal(0, noise, n)
        return pd.DataFrame({"y": y + draw if value else 1 / (1 + np.exp(-(2 * y - 1 + draw)))})

    for seed in range(40):
        comparison = grader.compare(program(1.5, seed), program(1.5, 1000 + seed))
        ties += comparison.low <= 0 <= comparison.high
        better = grader.compare(program(1.0, seed), program(1.5, 1000 + seed))
        assert better.delta > 0
        differs += better.low > 0
        worse = grader.compare(program(1.5, 1000 + seed), program(1.0, seed))
        assert worse.delta == pytest.approx(-better.delta)
        assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    assert ties >= 34
    assert differs >= 38
    same = grader.compare(program(1, 3), program(1, 3))
    assert (same.delta, same.low, same.high) == (0, 0, 0)


def test_comparison_is_paired() -> None:
    y, p = binary(400, 0.1, 1)
    grader = HiddenGrader(competition("roc_auc", **BINARY), pd.DataFrame({"y": y}), folds(400))
    slightly = p + 0.02 * y[:, None]
    comparison, score = grader.compare(slightly, p), grader.score(p)
    assert score.low is not None and score.high is not None
    assert comparison.low > 0
    assert comparison.high - comparison.low < (score.high - score.low) / 3


def test_comparison_uses_the_rows_both_have() -> None:
    y, p = binary(500, 0.3, 1)
    _, q = binary(500, 0.1, 2)
    table = folds(500)
    grader = HiddenGrader(competition("log_loss", **BINARY), pd.DataFrame({"y": y}), table)
    first = table.loc[table["fold"] == 0, "row"]
    short = p.loc[first].sample(frac=1, random_state=0)
    assert grader.compare(short, q) == grader.compare(p.loc[first], q.loc[first])
    assert grader.compare(short, q) == HiddenGrader(
        competition("log_loss", **BINARY), pd.DataFrame({"y": y}), table
    ).compare(short, q)
    some = p.drop(index=range(0, 500, 7))
    search = table.loc[table["part"] == "search", "row"]
    both = np.array([r for r in sorted(search) if r % 7])
    loss = [sk.log_loss(y[both], f["y"][both]) for f in (p, q)]
    assert grader.compare(some, q).delta == pytest.approx(loss[1] - loss[0])
    assert grader.score(short).folds == (0,)
    with pytest.raises(GradingError):
        grader.compare(p.loc[first], q.drop(index=first))


def test_whole_groups_are_drawn_where_rows_come_in_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 25)
    y = rng.normal(size=1000)
    p = pd.DataFrame({"y": y + np.repeat(rng.normal(size=40), 25)})  # a group errs as one
    c, train = competition("mae"), pd.DataFrame({"y": y})
    table = pd.DataFrame({"row": np.arange(1000), "fold": groups % 5, "part": "search"})
    alone = HiddenGrader(c, train, table).score(p)
    grouped = HiddenGrader(c, train, table.assign(group=groups.astype(str))).score(p)
    assert grouped.value == alone.value
    assert None not in (alone.low, alone.high, grouped.low, grouped.high)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)  # type: ignore[operator]


def rare_classes() -> tuple[np.ndarray, Competition, pd.DataFrame]:
    """212 rows, 30 classes, ten of which have two rows."""
    rng = np.random.default_rng(0)
    y = np.concatenate([np.repeat(np.arange(10), 2), rng.integers(10, 30, 192)])
    columns = tuple(f"p{k}" for k in rng.permutation(30))
    classes = {p: f"c{p[1:]}" for p in columns}
    fields = {"task": "multiclass", "output": "probability", "exclusive": True,
              "prediction_columns": columns, "classes": classes}  # fmt: skip
    p = rng.random((212, 30)) + 0.8 * np.eye(30)[y]
    frame = pd.DataFrame(p / p.sum(axis=1, keepdims=True), columns=[f"p{k}" for k in range(30)])
    return y, competition("log_loss", **fields), frame[list(columns)]


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "average_precision", "brier"])
def test_thirty_classes_of_which_some_have_two_rows(metric: str) -> None:
    y, c, p = rare_classes()
    c = c.model_copy(
        update={"metric": metric, "higher_is_better": get_metric(metric).higher_is_better}
    )
    train = pd.DataFrame({"y": [f"c{k}" for k in y]})
    grader = HiddenGrader(c, train, folds(212))
    score = grader.score(p)
    assert score.low is not None and score.high is not None
    assert np.isfinite([score.value, score.low, score.high]).all()
    assert score.low < score.high
    worse = (p + 1).div((p + 1).sum(axis=1), axis=0) * 0.9 + 0.1 / 30
    comparison = grader.compare(p, worse)
    assert np.isfinite([comparison.delta, comparison.low, comparison.high]).all()
    columns = [f"p{k}" for k in range(30)]
    if metric == "log_loss":
        expected = sk.log_loss(y, p[columns].to_numpy(), labels=range(30))
        assert grader.score(p, "all").value == pytest.approx(expected)
        assert comparison.low > 0
    if metric == "roc_auc":
        each = [
            np.mean([sk.roc_auc_score(y[f::5] == k, p[f"p{k}"][f::5]) for k in set(y[f::5])])
            for f in range(5)
        ]
        assert grader.score(p, "all").value == pytest.approx(np.mean(each))


@pytest.mark.parametrize("metric", ["f1_macro", "balanced_accuracy", "mcc", "accuracy"])
def test_labels_of_thirty_classes(metric: str) -> None:
    y, _, p = rare_classes()
    guess = p.idxmax(axis=1).str.removeprefix("p").astype(int)
    c = competition(metric, task="multiclass", output="label")
    grader = HiddenGrader(c, pd.DataFrame({"y": y}), folds(212))
    score = grader.score(pd.DataFrame({"y": guess}))
    assert score.low is not None and score.high is not None
    assert 0.5 < score.low < score.high <= 1
    assert np.isfinite(grader.compare(pd.DataFrame({"y": guess}), pd.DataFrame({"y": y})).high)


def test_a_perfect_score_is_a_float() -> None:
    y = np.array([0, 1] * 20)
    c = competition("accuracy", task="binary", output="label")
    score = HiddenGrader(c, pd.DataFrame({"y": y}), folds(40)).score(pd.DataFrame({"y": y}))
    assert (score.value, score.low, score.high) == (1, 1, 1)
    assert type(score.value) is float
    reloaded = type(score).model_validate_json(score.model_dump_json())
    assert reloaded == score


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ([0, 1, 1, 0], ["0", "1", "1", "0"]),
        ([0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0]),
        ([0, 1, 1, 0], [False, True, True, False]),
        ([0, 1, 1, 0], ["False", "true", "True", "FALSE"]),
        ([False, True, True, False], ["0", "1", "1", "0"]),
        ([False, True, True, False], ["False", "True", "True", "False"]),
        (["False", "True", "True", "False"], [False, True, True, False]),
        (["no", "yes", "yes", "no"], ["no", "yes", "yes", "no"]),
        (["1", "2", "2", "1"], [1, 2, 2, 1]),
        (["01", "1", "1", "01"], ["01", "1", "1", "01"]),
        ([0.0, 1.0, 1.0, 0.0], [0, 1, 1, 0]),
        ([0.5, 1.5, 1.5, 0.5], ["0.5", "1.5", "1.5", "0.5"]),
        ([-1, 1, 1, -1], ["-1", "1.0", "1", "-1"]),
    ],
)
def test_labels_however_they_are_written(labels: list[Any], written: list[Any]) -> None:
    c = competition("f1", task="binary", output="label")
    grader = HiddenGrader(c, pd.DataFrame({"y": labels}), folds(4, 1))
    assert grader.score(pd.DataFrame({"y": written}), "all").value == 1
    assert grader.score(pd.DataFrame({"y": [written[0]] * 4}), "all").value == 0
    most = [written[1], *written[1:]]  # one false positive: 2 * 2 / (3 + 2)
    assert grader.score(pd.DataFrame({"y": most}), "all").value == pytest.approx(0.8)


def test_unknown_and_missing_labels_are_named() -> None:
    c = competition("accuracy", task="multiclass", output="label")
    grader = HiddenGrader(c, pd.DataFrame({"y": ["a", "b", "c"]}), folds(3, 1))
    with pytest.raises(InvalidSubmissionError, match="'d'"):
        grader.score(pd.DataFrame({"y": ["a", "b", "d"]}), "all")
    with pytest.raises(InvalidSubmissionError, match="y is empty in 1 row"):
        grader.score(pd.DataFrame({"y": ["a", None, "b"]}), "all")
    numbers = HiddenGrader(competition("rmse"), pd.DataFrame({"y": [1.0, 2, 3]}), folds(3, 1))
    with pytest.raises(InvalidSubmissionError, match="finite"):
        numbers.score(pd.DataFrame({"y": [1, np.inf, 2]}), "all")


def test_ratings_keep_their_distances() -> None:
    y = [1, 1, 2, 2, 5, 5, 5, 1, 2, 5]
    p = [1, 2, 2, 5, 5, 2, 5, 1, 1, 5]
    c = competition("quadratic_kappa", task="multiclass", output="label")
    grader = HiddenGrader(c, pd.DataFrame({"y": y}), folds(10, 1))
    expected = sk.cohen_kappa_score(y, p, labels=range(1, 6), weights="quadratic")
    assert grader.score(pd.DataFrame({"y": p}), "all").value == pytest.approx(expected)
    as_text = pd.DataFrame({"y": [str(x) for x in p]})
    assert grader.score(as_text, "all").value == pytest.approx(expected)


def test_probability_of_the_label_that_the_column_stands_for() -> None:
    y = np.array(["e", "p"] * 50)
    p = np.where(y == "e", 0.8, 0.1)
    fields = {"task": "binary", "output": "probability", "classes": {"y": "e"}}
    grader = HiddenGrader(competition("log_loss", **fields), pd.DataFrame({"y": y}), folds(100))
    expected = -(np.log(0.8) + np.log(0.9)) / 2
    assert grader.score(pd.DataFrame({"y": p})).value == pytest.approx(expected, abs=0.02)
    assert grader.score(pd.DataFrame({"y": p}), "all").value == pytest.approx(expected)
    both = {"task": "binary", "output": "probability", "exclusive": True,
            "prediction_columns": ("e", "p"), "classes": {"e": "e", "p": "p"}}  # fmt: skip
    grader = HiddenGrader(competition("log_loss", **both), pd.DataFrame({"y": y}), folds(100))
    frame = pd.DataFrame({"e": p, "p": 1 - p})
    assert grader.score(frame, "all").value == pytest.approx(expected)


def test_several_targets_with_labels_missing() -> None:
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.integers(0, 2, (200, 3)), columns=["a", "b", "c"]).astype(float)
    p = pd.DataFrame(rng.random((200, 3)), columns=["a", "b", "c"])
    fields = {
        "task": "multilabel", "output": "probability", "target_columns": tuple("abc"),
        "prediction_columns": tuple("abc"), "classes": dict.fromkeys("abc", 1),
    }  # fmt: skip
    c = competition("mean columnwise roc_auc", **fields)
    score = HiddenGrader(c, y, folds(200, 1)).score(p, "all")
    expected = np.mean([sk.roc_auc_score(y[k], p[k]) for k in "abc"])
    assert score.value == pytest.approx(expected)
    y.loc[:40, "b"] = np.nan
    score = HiddenGrader(c, y, folds(200, 1)).score(p, "all")
    parts = [sk.roc_auc_score(y[k].dropna(), p[k][y[k].notna()]) for k in "abc"]
    assert score.value == pytest.approx(np.mean(parts))
    assert score.low is not None and score.low < score.value


def test_several_numbers() -> None:
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.normal(size=(90, 2)), columns=["a", "b"])
    p = y + rng.normal(size=(90, 2)) * [1, 3]
    fields = {"target_columns": ("a", "b"), "prediction_columns": ("a", "b")}
    grader = HiddenGrader(competition("mcrmse", **fields), y, folds(90))
    expected = np.mean([sk.root_mean_squared_error(y[k], p[k]) for k in "ab"])
    assert grader.score(p, "all").value == pytest.approx(expected)
    assert grader.compare((p + y) / 2, p).low > 0


def test_ranked_labels() -> None:
    c = competition("map@2", task="ranking", output="label")
    train = pd.DataFrame({"y": [7, 8, 9, 7]})
    p = pd.DataFrame({"y": ["7 8", "9 8", "7 8", "9 9 7"]})
    score = HiddenGrader(c, train, folds(4, 1)).score(p, "all")
    assert score.value == pytest.approx((1 + 0.5) / 4)


def test_folds_with_one_class_are_left_out_of_auc() -> None:
    y, p = binary(100, 0.2, 1)
    y[::5] = 1  # fold 0 has a single class
    grader = HiddenGrader(competition("roc_auc", **BINARY), pd.DataFrame({"y": y}), folds(100))
    each = [sk.roc_auc_score(y[k::5], p["y"][k::5]) for k in range(1, 5)]
    assert grader.score(p, "all").value == pytest.approx(np.mean(each))
    with pytest.raises(GradingError, match="undefined"):
        grader.score(p.loc[::5])


def test_what_cannot_be_scored_says_why() -> None:
    y = np.arange(20.0)
    grader = HiddenGrader(competition("rmsle"), pd.DataFrame({"y": y}), folds(20))
    assert grader.score(pd.DataFrame({"y": y})).value == 0
    with pytest.raises(InvalidSubmissionError, match="clip"):
        grader.score(pd.DataFrame({"y": y - 5}), "all")
    with pytest.raises(SetupError, match="at least 0"):
        HiddenGrader(competition("rmsle"), pd.DataFrame({"y": y - 5}), folds(20))
    with pytest.raises(SetupError, match="f1 measures binary"):
        HiddenGrader(competition("f1"), pd.DataFrame({"y": y}), folds(20))
    unknown = competition("rmse").model_copy(update={"metric": "rsme"})
    with pytest.raises(SetupError, match="did you mean rmse"):
        HiddenGrader(unknown, pd.DataFrame({"y": y}), folds(20))
    with pytest.raises(SetupError, match=r"no eval/game/grade\.py"):
        HiddenGrader(competition("grade.py"), pd.DataFrame({"y": y}), folds(20))


GRADE = """
import csv, json, sys
def column(name):
    with open(name) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "y"], list(rows[0])
    return {r["id"]: float(r["y"]) for r in rows}
true, guess = column("submission_test.csv"), column("submission.csv")
assert list(true) == list(guess)
error = sum(abs(true[k] - guess[k]) for k in true) / len(true)
print("graded", len(true), "rows")
print(json.dumps({"competition_id": sys.argv[1], "score": error EXTRA}))
"""


def own_grader(folder: Path, extra: str = "") -> Competition:
    data, answers = folder / "game", folder / "eval" / "game"
    for path in (data, answers):
        path.mkdir(parents=True, exist_ok=True)
    (answers / "grade.py").write_text(GRADE.replace("EXTRA", extra))
    (data / "sample_submission.csv").write_text("id,y\nt1,0\nt2,0\n")
    return competition(
        "grade.py", higher_is_better=False, data_dir=data, eval_dir=answers, id_column="id",
        sample_file="sample_submission.csv",
    )  # fmt: skip


def test_the_users_own_grader_as_metric(tmp_path: Path) -> None:
    c = own_grader(tmp_path, ', "is_lower_better": True')
    rng = np.random.default_rng(0)
    y = rng.normal(size=120)
    train = pd.DataFrame({"id": [f"r{i}" for i in range(120)], "x": 0, "y": y})
    grader = HiddenGrader(c, train, folds(120))
    p = pd.DataFrame({"y": y + rng.normal(size=120)})
    score = grader.score(p, "all")
    error = np.abs(p["y"] - y)
    assert score.value == pytest.approx(np.mean([error[k::5].mean() for k in range(5)]))
    assert score.low is not None and score.high is not None
    spread = 1.96 * error.std() / np.sqrt(120)
    assert spread / 2 < (score.high - score.low) / 2 < spread * 2
    assert score.metric == "grade.py" and not score.higher_is_better
    better = pd.DataFrame({"y": y + rng.normal(size=120) * 0.3})
    comparison = grader.compare(better, p)
    assert comparison.delta > 0 and comparison.low > 0
    same = grader.compare(p, p)
    assert (same.delta, same.low, same.high) == (0, 0, 0)
    assert grader.compare(p, better.loc[::5]).high < 0
    assert grader.score(p.loc[::5], band=False).folds == (0,)


def test_the_users_own_grader_must_agree_on_the_direction(tmp_path: Path) -> None:
    c = own_grader(tmp_path, ', "is_lower_better": False')
    y = np.arange(30.0)
    train = pd.DataFrame({"id": range(30), "y": y})
    grader = HiddenGrader(c, train, folds(30))
    with pytest.raises(SetupError, match="higher_is_better = true"):
        grader.score(pd.DataFrame({"y": y}), band=False)


def test_the_users_own_grader_sees_labels_in_the_samples_columns(tmp_path: Path) -> None:
    c = own_grader(tmp_path)
    assert c.eval_dir is not None
    (c.data_dir / "sample_submission.csv").write_text("id,EAP,HPL\nt1,0.5,0.5\n")
    (c.eval_dir / "grade.py").write_text(
        "import csv, json\n"
        "rows = list(csv.DictReader(open('submission_test.csv')))\n"
        "assert list(rows[0]) == ['id', 'EAP', 'HPL']\n"
        "assert {(r['EAP'], r['HPL']) for r in rows} <= {('1', '0'), ('0', '1')}\n"
        "assert all((int(r['id']) % 2 == 0) == (r['EAP'] == '1') for r in rows)\n"
        "print(json.dumps({'competition_id': 'game', 'score': 1}))\n"
    )
    c = c.model_copy(
        update={
            "target_columns": ("author",), "prediction_columns": ("EAP", "HPL"),
            "task": "binary", "output": "probability", "exclusive": True,
            "classes": {"EAP": "E. A. Poe", "HPL": "Lovecraft"}, "higher_is_better": True,
        }
    )  # fmt: skip
    authors = ["E. A. Poe", "Lovecraft"] * 20
    train = pd.DataFrame({"id": range(100, 140), "text": "x", "author": authors})
    p = pd.DataFrame({"EAP": [0.5] * 40, "HPL": [0.5] * 40})
    score = HiddenGrader(c, train, folds(40)).score(p)
    assert (score.value, score.low, score.high) == (1, 1, 1)
    assert type(score.value) is float


def test_a_failing_grader_is_named_and_tells_no_label(tmp_path: Path) -> None:
    c = own_grader(tmp_path)
    assert c.eval_dir is not None
    (c.eval_dir / "grade.py").write_text("raise KeyError(open('submission_test.csv').read())\n")
    y = np.arange(30.0)
    grader = HiddenGrader(c, pd.DataFrame({"id": range(30), "y": y}), folds(30))
    with pytest.raises(GradingError, match=r"^grade\.py failed on these predictions$"):
        grader.score(pd.DataFrame({"y": y}), band=False)


def test_the_band_of_few_rows_of_many_classes_is_as_wide_as_chance() -> None:
    """54 rows, ten classes, five folds: about one row a stratum, and still a binomial band."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 54)
    train = pd.DataFrame({"id": range(54), "y": labels})
    table = pd.DataFrame({"row": range(54), "fold": np.arange(54) % 5, "part": "final"})
    right = np.arange(54) % 10 != 0
    predicted = pd.DataFrame({"y": np.where(right, labels, (labels + 1) % 10)})
    c = competition("accuracy", task="multiclass", output="label")
    score = HiddenGrader(c, train, table).score(predicted, "final")
    share = right.mean()
    half = 1.96 * np.sqrt(share * (1 - share) / 54)
    assert score.low is not None and score.high is not None
    assert (score.high - score.low) / 2 == pytest.approx(half, rel=0.25)
