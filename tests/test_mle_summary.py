"""Test scores after the fact: every round, every run, and nothing carried over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_run import command, make_competition, play

from rdagent.mle_summary import grade

GRADER = """
import json, sys
rows = open("submission.csv").read().splitlines()
values = [float(line.split(",")[1]) for line in rows[1:]]
if max(values) - min(values) < 1e-9:
    sys.exit("constant submissions are an insult")
print("some chatter")
print(json.dumps({"competition_id": sys.argv[1], "score": len(values)}))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with one competition, log/ with one run of it: mean, line, crash."""
    base = tmp_path_factory.mktemp("made")
    make_competition(base / "data")
    play(base / "data", base / "log", rounds=2)
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "b", symlinks=True)
    return tmp_path / "b"


def summary(base: Path, action: str = "grade", folder: str = "log") -> Any:
    done = command(
        "rdagent.mle_summary", action, folder, cwd=base, DS_LOCAL_DATA_PATH=base / "data"
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def grades(run: Path) -> dict[Any, Any]:
    lines = [json.loads(line) for line in (run / "grades.jsonl").read_text().splitlines()]
    return {line["graded"]: line for line in lines}


def only_run(base: Path) -> Path:
    (run,) = (base / "log").glob("*/")
    return run


def rmse(base: Path, submission: Path) -> float:
    truth = pd.read_csv(base / "data/eval/tiny/submission_test.csv", index_col="id")["y"]
    mine = pd.read_csv(submission, index_col="id")["y"]
    return float(((truth - mine) ** 2).mean() ** 0.5)


def test_every_round_and_the_delivery_are_graded(base: Path) -> None:
    screen, run = summary(base), only_run(base)
    found = grades(run)
    assert list(found) == [0, 1, "delivery"]
    for graded, line in found.items():
        file = run / line["submission"]
        assert line["score"] == pytest.approx(rmse(base, file)), graded
        assert (line["error"], line["metric"], line["higher_is_better"]) == (None, "rmse", False)
        assert len(line["hash"]) == 64 and line["graded_at"].endswith("+00:00")
    assert found[1]["score"] < found[0]["score"] / 3
    assert "fit a line [as /usual/]" in screen
    assert "divide by zero" in screen and "failed: fold-0" in screen
    assert f"{found[0]['score']:.5g}" in screen and f"{found['delivery']['score']:.5g}" in screen


def test_the_summary_files_say_the_same(base: Path) -> None:
    grade(base / "log", base / "data")
    found = grades(only_run(base))
    (row,) = json.loads((base / "log/summary.json").read_text())
    expected = {
        "run": only_run(base).name,
        "competition": "tiny",
        "problem": None,
        "rounds": 3,
        "valid_submissions": 2,
        "failed_rounds": 1,
        "failed_gradings": 0,
        "best_round": 1,
        "best_test": found[1]["score"],
        "delivery": "refit of round 1",
        "delivery_test": found["delivery"]["score"],
    }
    assert {name: row[name] for name in expected} == expected
    assert row["best_low"] < row["best_score"] < row["best_high"]
    assert [line["graded"] for line in row["lines"]] == [0, 1, 2, "delivery"]
    table = pd.read_csv(base / "log/summary.csv")
    assert table.loc[0, "delivery_test"] == pytest.approx(row["delivery_test"])
    assert table.loc[0, "best_round"] == 1


def test_a_failed_grading_says_why_and_carries_nothing_over(base: Path) -> None:
    grade(base / "log", base / "data")
    run = only_run(base)
    before = grades(run)
    lines = (run / "submissions/1.csv").read_text().splitlines()
    (run / "submissions/1.csv").write_text("\n".join(lines[:-1]) + "\n")
    (run / "submissions/0.csv").unlink()
    screen, after = summary(base), grades(run)
    assert after[0]["score"] is None and after[0]["error"] == "submissions/0.csv is missing"
    assert after[1]["score"] is None and after[1]["error"]
    assert after["delivery"]["score"] == before["delivery"]["score"]
    assert "failed: submissions/0.csv is missing" in screen
    assert f"failed: {after[1]['error']}"[:40] in screen
    (row,) = json.loads((base / "log/summary.json").read_text())
    assert (row["best_test"], row["failed_gradings"], row["valid_submissions"]) == (None, 2, 1)


def test_the_users_own_grader_grades_and_its_failure_is_told(base: Path) -> None:
    (base / "data/eval/tiny/grade.py").write_text(GRADER)
    screen, found = summary(base), grades(only_run(base))
    assert found[1]["score"] == 20
    assert found[0]["score"] is None and "an insult" in found[0]["error"]
    assert "1 grading" in screen


def test_broken_runs_are_listed_and_do_not_stop_the_others(base: Path) -> None:
    run = only_run(base)
    log = base / "log"
    for name in ("empty", "torn", "garbled", "lost"):
        shutil.copytree(run, log / name, symlinks=True)
    (log / "empty/events.jsonl").write_text("")
    with (log / "torn/events.jsonl").open("a") as file:
        file.write('{"type": "experiment_finis')
    events = (log / "garbled/events.jsonl").read_text().splitlines()
    (log / "garbled/events.jsonl").write_text("\n".join([*events, "\0garbage", ""]))
    (log / "lost/events.jsonl").unlink()
    screen = summary(base)
    rows = {r["run"]: r for r in json.loads((log / "summary.json").read_text())}
    assert set(rows) == {run.name, "empty", "torn", "garbled", "lost"}
    assert rows["torn"]["delivery_test"] == rows[run.name]["delivery_test"]
    assert rows["torn"]["problem"] is None
    assert rows["garbled"]["delivery_test"] == rows[run.name]["delivery_test"]
    assert f"line {len(events) + 1} is left out" in rows["garbled"]["problem"]
    assert "events.jsonl" in rows["empty"]["problem"] and rows["empty"]["rounds"] == 0
    assert "events.jsonl" in rows["lost"]["problem"]
    assert all(name in screen for name in rows)


def test_a_run_without_answers_or_competition_is_listed_so(base: Path) -> None:
    run = only_run(base)
    (base / "data/eval/tiny/submission_test.csv").unlink()
    (row,) = grade(base / "log", base / "data")
    assert row.problem and "no answers" in row.problem
    shutil.rmtree(base / "data/eval")
    assert "no answers" in summary(base)
    (base / "data/tiny").rename(base / "data/renamed")
    assert "there is no competition tiny" in summary(base)
    assert not (run / "grades.jsonl").exists()
    (known,) = json.loads((base / "log/summary.json").read_text())
    assert known["best_round"] == 1 and known["best_test"] is None


def test_show_prints_what_was_graded_and_writes_nothing(base: Path) -> None:
    assert summary(base, "show").count("not graded") >= 3
    run = only_run(base)
    assert not (run / "grades.jsonl").exists() and not (base / "log/summary.json").exists()
    graded = summary(base)
    assert summary(base, "show") == graded
    # A delivery that changed since is not shown with its old score.
    with (run / "best/submission.csv").open("a") as file:
        file.write("\n")
    shown = summary(base, "show").splitlines()
    assert "not graded" in next(line for line in shown if "delivery" in line and "refit" in line)
    assert "not graded" not in next(line for line in shown if "predict the mean" in line)


def test_a_single_run_may_be_named(base: Path) -> None:
    run = only_run(base)
    grade(run, base / "data")
    (row,) = json.loads((run / "summary.json").read_text())
    assert row["run"] == run.name
    assert summary(run, "show", ".").count(run.name) == 2


def test_what_a_program_leaves_in_its_workspace_is_no_run(base: Path) -> None:
    run = only_run(base)
    (run / "workspaces/1/0/fold-0/run.json").write_text("{}")
    (run / "workspaces/1/0/fold-0/events.jsonl").write_text("")
    assert len(grade(base / "log", base / "data")) == 1


def test_no_run_is_one_sentence(tmp_path: Path) -> None:
    for folder, words in {
        ".": "there is no run in .",
        "absent": "there is no folder absent",
    }.items():
        done = command("rdagent", "mle_summary", "grade", folder, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{words}: give the folder that holds the runs\n"
    assert list(tmp_path.iterdir()) == []
