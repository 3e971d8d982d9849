"""A researcher that plays given programs in order, and a small competition for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.journal import Journal
from rdagent.play import run
from rdagent.records import Context, Experiment, Feedback, Hypothesis, Program
from rdagent.settings import load_settings

HONEST = """
import csv, json
from pathlib import Path
inputs = Path("workspace_input")
model = inputs / "models" / "shares.json"

def rows(name):
    with (inputs / name).open(newline="") as file:
        return list(csv.DictReader(file))

test = rows("test.csv")
if not model.exists():
    counts = {}
    for r in rows("train.csv"):
        counts.setdefault(r["kind"], []).append(int(r["y"]))
    model.write_text(json.dumps({k: sum(v) / len(v) for k, v in counts.items()}))
shares = json.loads(model.read_text())
out = {r["id"]: shares.get(r["kind"], 0.5) for r in test}
"""
"""Predicts the class share of each kind; ends before it writes. Only the standard library,
so that a test plays many executions in a second."""

WRITE = """
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["id", "y"], *out.items()])
"""

FLOOR = """
import shutil
shutil.copy("workspace_input/sample_submission.csv", "submission.csv")
"""


class Scripted:
    """Round n plays `rounds[n - 1]`: a program, or its versions one repair after another."""

    def __init__(self, *rounds: str | list[str]) -> None:
        self.rounds = [[r] if isinstance(r, str) else r for r in rounds]

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        return self._idea(context), Program(files={"main.py": FLOOR})

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        return self._idea(context)

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program:
        return Program(files={"main.py": self.rounds[len(context.experiments) - 1][0]})

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        assert experiment.program
        versions = self.rounds[len(context.experiments) - 1]
        after = versions.index(experiment.program.files["main.py"]) + 1
        return Program(files={"main.py": versions[after]}) if after < len(versions) else None

    def understand(self, context: Context) -> None:
        return None

    def tune(self, context: Context, experiment: Experiment) -> None:
        return None

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        assert experiment.feedback
        # It claims success whatever happened: arithmetic must not listen.
        return Feedback(accepted=True, observations=f"score {experiment.score}", reason="")

    def _idea(self, context: Context) -> Hypothesis:
        return Hypothesis(
            statement=f"idea {len(context.experiments)}",
            reason="scripted",
            component="Model",
            operator=context.operator,
        )


def make_toy(root: Path, rows: int = 300) -> Path:
    """Binary, AUC; `kind` tells the label with noise, `x` does not. Answers in `eval/toy`."""
    rng = np.random.default_rng(5)
    total = rows + 100
    kind = rng.integers(0, 6, total)
    y = (rng.random(total) < 0.15 + 0.14 * kind).astype(int)
    frame = pd.DataFrame({"id": rng.permutation(total) + 1000, "kind": kind})
    frame["x"] = rng.normal(size=total).round(5)
    frame["y"] = y
    folder, answers = root / "toy", root / "eval" / "toy"
    folder.mkdir(parents=True)
    answers.mkdir(parents=True)
    train, test = frame[:rows], frame[rows:]
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="y").to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(y=0.5).to_csv(folder / "sample_submission.csv", index=False)
    test[["id", "y"]].to_csv(answers / "submission_test.csv", index=False)
    (folder / "competition.toml").write_text('metric = "roc_auc"\n')
    return folder


def play_toy(
    root: Path, *rounds: str | list[str], resume: Path | None = None, loop_n: int | None = None,
    **settings: object,
) -> tuple[Journal, Path]:  # fmt: skip
    """Play `rounds` on the toy competition below `root` (made if it is not there)."""
    if not (root / "toy").exists():
        make_toy(root)
    flags = {"local_data_path": root, "trace_path": root / "log", **settings}
    return run(
        None if resume else "toy",
        loop_n=loop_n or len(rounds),
        resume=resume,
        settings=load_settings(flags, {}, root / "no.env"),
        researcher=Scripted(*rounds),
    )
