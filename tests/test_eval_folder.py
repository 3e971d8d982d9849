"""Test scores after the fact: the user's grade.py and valid.py, or the metric on the answers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import sklearn.metrics as sk

from rdagent.competition import load_competition
from rdagent.errors import GradingError
from rdagent.graders.eval_folder import EvalFolderGrader
from rdagent.graders.script import run_script
from rdagent.records import Score


def play(root: Path, toml: str = "", **tables: pd.DataFrame) -> None:
    """A competition `game` below root; the table `answers` goes to eval/."""
    for name, table in tables.items():
        folder = root / ("eval/game" if name == "answers" else "game")
        folder.mkdir(parents=True, exist_ok=True)
        file = "submission_test" if name == "answers" else name
        table.to_csv(folder / f"{file}.csv", index=False)
    (root / "game" / "competition.toml").write_text(toml)


def grade(root: Path, submission: pd.DataFrame) -> Score | None:
    path = root / "mine.csv"
    submission.to_csv(path, index=False)
    return EvalFolderGrader(competition=load_competition("game", root)).grade(path)


def script(root: Path, name: str, text: str) -> None:
    (root / "eval" / "game").mkdir(parents=True, exist_ok=True)
    (root / "eval" / "game" / name).write_text(text)


@pytest.fixture
def numbers(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """Regression by RMSE, ids r0 to r39; returns root and a submission."""
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"id": [f"t{i}" for i in range(60)], "x": rng.normal(size=60)})
    train["y"] = train["x"] + rng.normal(size=60)
    test = pd.DataFrame({"id": [f"r{i}" for i in range(40)], "x": rng.normal(size=40)})
    answers = pd.DataFrame({"id": test["id"], "y": rng.normal(size=40)})
    sample = pd.DataFrame({"id": test["id"], "y": 0.5})
    play(tmp_path, 'metric = "rmse"', train=train, test=test, answers=answers,
         sample_submission=sample)  # fmt: skip
    return tmp_path, sample.assign(y=answers["y"] + rng.normal(size=40))


def expected(root: Path, submission: pd.DataFrame) -> float:
    answers = pd.read_csv(root / "eval/game/submission_test.csv")
    return float(sk.root_mean_squared_error(answers["y"], submission["y"]))


def test_metric_on_answers_pairs_by_id(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    score = grade(root, submission.sample(frac=1, random_state=0))
    assert score is not None
    assert score.value == pytest.approx(expected(root, submission))
    assert (score.source, score.metric, score.higher_is_better) == ("test", "rmse", False)


def test_no_answers_no_score(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    script(root, "grade.py", "raise SystemExit('never run')")
    (root / "eval/game/submission_test.csv").unlink()
    assert grade(root, submission) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.iloc[2:], "lacks 2 of 40 rows, such as id 'r0'"),
        (lambda s: pd.concat([s, s.iloc[:1]]), "id 'r0' twice"),
        (lambda s: s.rename(columns={"y": "z"}), "no column 'y'"),
        (lambda s: s.rename(columns={"id": "key"}), "no column 'id'"),
        (lambda s: s.assign(y=["a", *s["y"][1:]]), "'a', which is no finite number"),
        (lambda s: s.assign(y=[None, *s["y"][1:]]), "no finite number"),
    ],
)
def test_a_bad_submission_is_refused(
    numbers: tuple[Path, pd.DataFrame], change: object, reason: str
) -> None:
    root, submission = numbers
    with pytest.raises(GradingError, match=reason) as caught:
        grade(root, change(submission))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_answers_without_the_label_are_named(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    answers = root / "eval/game/submission_test.csv"
    pd.read_csv(answers).rename(columns={"y": "truth"}).to_csv(answers, index=False)
    with pytest.raises(GradingError, match="has neither y nor the columns of the submission"):
        grade(root, submission)


def test_missing_submission(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, _ = numbers
    with pytest.raises(GradingError, match=r"1\.csv is missing"):
        EvalFolderGrader(competition=load_competition("game", root)).grade(root / "1.csv")


@pytest.mark.parametrize("form", ["labels", "columns"])
def test_answers_as_labels_or_as_one_column_a_class(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["EAP", "HPL", "MWS"])
    text = [f"it was night {i}" for i in range(60)]
    train = pd.DataFrame({"id": range(60), "text": text, "author": names[np.arange(60) % 3]})
    test = pd.DataFrame({"id": range(100, 130), "text": text[:30]})
    p = rng.random((30, 3)) + 0.1
    p /= p.sum(axis=1, keepdims=True)
    # in an order of their own: a label must find its column
    submission = pd.DataFrame(p, columns=["MWS", "EAP", "HPL"])
    submission.insert(0, "id", test["id"])
    y = names[rng.integers(0, 3, 30)]
    answers = pd.DataFrame({"id": test["id"], "author": y})
    if form == "columns":
        hot = {k: (y == k).astype(int) for k in ("MWS", "EAP", "HPL")}
        answers = pd.DataFrame({"id": test["id"], **hot})
    play(tmp_path, 'metric = "log_loss"', train=train, test=test, answers=answers,
         sample_submission=submission.assign(MWS=1 / 3, EAP=1 / 3, HPL=1 / 3))  # fmt: skip
    score = grade(tmp_path, submission)
    assert score is not None
    value = sk.log_loss(y, submission[["EAP", "HPL", "MWS"]].to_numpy(), labels=names)
    assert score.value == pytest.approx(value)


@pytest.mark.parametrize("form", ["labels", "indicators"])
def test_binary_answers_as_labels_or_as_zeros_and_ones(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    kind = np.array(["edible", "toxic"])[rng.integers(0, 2, 80)]
    train = pd.DataFrame({"id": range(80), "x": rng.random(80), "kind": kind})
    test = pd.DataFrame({"id": range(80, 120), "x": rng.random(40)})
    y = rng.integers(0, 2, 40)
    labels = np.array(["edible", "toxic"])[y]
    answers = pd.DataFrame({"id": test["id"], "kind": labels if form == "labels" else y})
    sample = pd.DataFrame({"id": test["id"], "kind": 0.5})
    toml = 'metric = "roc_auc"\n[classes]\nkind = "toxic"\n'
    play(tmp_path, toml, train=train, test=test, answers=answers, sample_submission=sample)
    submission = sample.assign(kind=rng.random(40) + y)
    submission["kind"] /= 2
    score = grade(tmp_path, submission)
    assert score is not None and score.higher_is_better
    assert score.value == pytest.approx(sk.roc_auc_score(y, submission["kind"]))


def test_labels_that_train_lacks_still_count(tmp_path: Path) -> None:
    train = pd.DataFrame({"id": range(40), "x": range(40), "y": [*"abc", "d"] * 10})
    test = pd.DataFrame({"id": range(40, 50), "x": range(10)})
    answers = pd.DataFrame({"id": test["id"], "y": [*"abcdz"] * 2})
    sample = pd.DataFrame({"id": test["id"], "y": "a"})
    play(tmp_path, 'metric = "accuracy"', train=train, test=test, answers=answers,
         sample_submission=sample)  # fmt: skip
    score = grade(tmp_path, sample.assign(y=[*"abcda"] * 2))
    assert score is not None and score.value == pytest.approx(0.8)


JSON = "import json, sys\nprint({})\n"


@pytest.mark.parametrize(
    "printed",
    [
        "json.dumps({'competition_id': sys.argv[1], 'score': 3})",
        "'warming up {1, 2}\\n' + json.dumps({'competition_id': 'x', 'score': 3.0}) + ' done {}'",
        "json.dumps({'score': 3, 'competition_id': 'x', 'more': {'a': [1]}}, indent=2)",
        "'{\"progress\": 1}\\n' + json.dumps({'competition_id': 'x', 'score': 3}) + '\\n{not json'",
        "json.dumps({'competition_id': 'x', 'score': 1}) + json.dumps("
        "{'competition_id': 'x', 'score': 3})",
    ],
)
def test_grade_py_may_print_text_around_its_json(
    numbers: tuple[Path, pd.DataFrame], printed: str
) -> None:
    root, submission = numbers
    script(root, "grade.py", JSON.format(printed))
    score = grade(root, submission)
    assert score is not None
    assert score.value == 3 and type(score.value) is float
    assert (score.source, score.higher_is_better) == ("test", False)


def test_grade_py_says_which_way_is_better(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    report = "{'competition_id': 'x', 'score': 3, 'is_lower_better': False}"
    script(root, "grade.py", JSON.format(f"json.dumps({report})"))
    score = grade(root, submission)
    assert score is not None and score.higher_is_better


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print('all good')", "must print a JSON object .* it said: all good"),
        ("", "it said: nothing"),
        ('print(\'{"competition_id": "x"}\')', "must print a JSON object"),
        ("print('{\"score\": 1}')", "no competition_id"),
        ('print(\'{"competition_id": "x", "score": NaN}\')', "score nan"),
        ('print(\'{"competition_id": "x", "score": null}\')', "score None"),
        ('print(\'{"competition_id": "x", "score": true}\')', "score True"),
        ('print(\'{"competition_id": "x", "score": "0.5"}\')', "score '0.5'"),
        ('print(\'{"competition_id": "x", "score": 1e999}\')', "score inf"),
        ("raise ValueError('no such\\ncolumn')", "exit code 1: column"),
        ('print(\'{"competition_id": "x", "score": 1}\'); raise SystemExit(3)', "exit code 3"),
    ],
)
def test_a_grade_py_without_a_score_is_a_grading_error(
    numbers: tuple[Path, pd.DataFrame], text: str, reason: str
) -> None:
    root, submission = numbers
    script(root, "grade.py", text)
    with pytest.raises(GradingError, match=reason) as caught:
        grade(root, submission)
    assert "\n" not in str(caught.value)


def test_valid_py_is_asked_first(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    script(root, "grade.py", JSON.format("json.dumps({'competition_id': 'x', 'score': 3})"))
    script(root, "valid.py", "print('checking')\nprint('row 7 is negative')\nraise SystemExit(1)")
    with pytest.raises(GradingError, match=r"valid\.py refuses the submission: row 7 is negative$"):
        grade(root, submission)
    script(root, "valid.py", "import os\nassert os.path.exists('submission.csv')\nprint('fine')")
    score = grade(root, submission)
    assert score is not None and score.value == 3
    (root / "eval/game/grade.py").unlink()
    script(root, "valid.py", "raise AssertionError('wrong header')")
    with pytest.raises(GradingError, match="AssertionError: wrong header"):
        grade(root, submission)


def test_scripts_run_alone_with_nothing_of_ours(numbers: tuple[Path, pd.DataFrame]) -> None:
    """No file beside them, none of our environment, no module from where they run."""
    root, submission = numbers
    script(root, "csv.py", "raise RuntimeError('shadowed')")
    script(root, "secret.txt", "answers")
    text = (
        "import csv, json, os, sys\n"
        "seen = {'files': sorted(os.listdir()), 'env': sorted(os.environ), 'path': sys.path,\n"
        "        'here': os.getcwd(), 'stdin': sys.stdin.read()}\n"
        "print(json.dumps({'competition_id': sys.argv[1], 'score': 0, **seen}))\n"
    )
    script(root, "grade.py", text)
    answers = root / "eval/game/submission_test.csv"
    submission.to_csv(root / "mine.csv", index=False)
    report = run_script(root / "eval/game/grade.py", "game", answers, root / "mine.csv")
    assert report["competition_id"] == "game"
    assert report["files"] == ["grade.py", "submission.csv", "submission_test.csv"]
    assert "PYTEST_CURRENT_TEST" not in report["env"]
    assert not set(report["path"]) & {"", report["here"], str(root / "eval/game")}
    assert not Path(report["here"]).exists()


def test_a_slow_script_is_killed_with_all_it_started(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    pid = root / "child.pid"
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    script(root, "grade.py", text)
    submission.to_csv(root / "mine.csv", index=False)
    paths = (root / "eval/game/submission_test.csv", root / "mine.csv")
    start = time.monotonic()
    with pytest.raises(GradingError, match=r"grade\.py ran longer than 2 s"):
        run_script(root / "eval/game/grade.py", "game", *paths, timeout=2)
    assert time.monotonic() - start < 10
    child = int(pid.read_text())
    for _ in range(50):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the script's child lives on")


def test_a_child_that_keeps_the_output_open_does_not_hold_us(
    numbers: tuple[Path, pd.DataFrame],
) -> None:
    root, submission = numbers
    script(
        root,
        "grade.py",
        "import json, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('x' * 3_000_000)\n"
        "print(json.dumps({'competition_id': 'game', 'score': 2}))\n",
    )
    start = time.monotonic()
    score = grade(root, submission)
    assert score is not None and score.value == 2
    assert time.monotonic() - start < 10


def test_scores_survive_json(numbers: tuple[Path, pd.DataFrame]) -> None:
    root, submission = numbers
    score = grade(root, submission)
    assert score is not None
    assert Score.model_validate(json.loads(score.model_dump_json())) == score
