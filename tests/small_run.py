"""A competition of 60 rows and a researcher with three ideas: runs that take seconds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from rdagent.records import Context, Experiment, Feedback, Hypothesis, Program
from rdagent.settings import load_settings

PROGRAM = """
import csv, json
from pathlib import Path

inputs = Path("workspace_input")
model = inputs / "models" / "line.json"

def rows(name):
    with (inputs / name).open(newline="") as file:
        return list(csv.DictReader(file))

if model.exists():
    print("found the model")
    slope, level = json.loads(model.read_text())
else:
    train = rows("train.csv")
    x, y = [float(r["x"]) for r in train], [float(r["y"]) for r in train]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    assert len(train) < LIMIT, "too many rows for me"
    slope = SLOPE
    level = my - slope * mx
    model.write_text(json.dumps([slope, level]))
with open("submission.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "y"])
    for r in rows("test.csv"):
        out.writerow([r["id"], slope * float(r["x"]) + level])
"""
FIT = "sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)"


class ThreeIdeas:
    """The mean; a straight line; a program that crashes; after that the line again.

    Programs refuse to train on `limit` rows or more: 60 makes the refit fail.
    """

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        return _idea("predict the mean"), self._program("0.0")

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        crash = len(context.experiments) == 2
        return _idea("divide by zero" if crash else "fit a line [as /usual/]")

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program:
        return self._program("1 / 0" if "zero" in hypothesis.statement else FIT)

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        return None

    def understand(self, context: Context) -> None:
        return None

    def tune(self, context: Context, experiment: Experiment) -> None:
        return None

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        assert experiment.feedback
        return experiment.feedback.model_copy(update={"observations": "seen", "reason": "so"})

    def _program(self, slope: str) -> Program:
        text = PROGRAM.replace("SLOPE", slope).replace("LIMIT", str(self.limit))
        return Program(files={"main.py": text})


def _idea(statement: str) -> Hypothesis:
    return Hypothesis(statement=statement, reason="why not", component="Model", operator="draft")


def make_competition(root: Path, name: str = "tiny") -> Path:
    """A straight line with noise: train, test, sample, and the answers below `eval/`."""
    random.seed(7)
    folder, answers = root / name, root / "eval" / name
    folder.mkdir(parents=True)
    answers.mkdir(parents=True)
    x = [round(random.uniform(0, 10), 3) for _ in range(80)]
    y = [round(3 * v + random.gauss(0, 1), 3) for v in x]
    lines = [f"{n + 100},{a},{b}" for n, (a, b) in enumerate(zip(x, y, strict=True))]
    _write(folder / "train.csv", "id,x,y", lines[:60])
    _write(folder / "test.csv", "id,x", [line.rpartition(",")[0] for line in lines[60:]])
    _write(folder / "sample_submission.csv", "id,y", [f"{n},0.5" for n in range(160, 180)])
    _write(answers / "submission_test.csv", "id,y", [f"{n},{y[n - 100]}" for n in range(160, 180)])
    (folder / "competition.toml").write_text('metric = "rmse"\n')
    return folder


def _write(path: Path, header: str, lines: list[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def play(
    root: Path, log: Path, rounds: int = 2, competition: str = "tiny", limit: int = 1000
) -> Path:
    """Play `rounds` after round 0; returns the run folder."""
    from rdagent.play import run

    settings = load_settings({"local_data_path": root, "trace_path": log}, {}, log / ".env")
    _, folder = run(competition, loop_n=rounds, settings=settings, researcher=ThreeIdeas(limit))
    return folder


def command(*words: object, cwd: Path, **env: object) -> subprocess.CompletedProcess[str]:
    """A command of rdagent as a user runs it: `command("rdagent.mle_summary", "show", log)`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DS_", "LOG_", "WORKSPACE_"))}
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**kept, "COLUMNS": "240", **{k: str(v) for k, v in env.items()}},
        timeout=120,
    )
