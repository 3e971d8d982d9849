"""A researcher that plays given programs in order, and a small competition for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.errors import RDAgentError
from rdagent.interfaces import Researcher
from rdagent.journal import Journal
from rdagent.llm import Ledger
from rdagent.play import Observer, run
from rdagent.records import Card, Context, Experiment, Feedback, Hypothesis, Program
from rdagent.settings import load_settings

Round = str | BaseException | list[str | BaseException]

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
    """Round n plays `rounds[n - 1]`: a program, or its versions one repair after another.

    An exception in place of a program is raised when it is asked for.
    """

    def __init__(self, *rounds: Round) -> None:
        self.rounds = [list(r) if isinstance(r, list) else [r] for r in rounds]

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        return self._idea(context), _program(FLOOR)

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        return self._idea(context)

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program:
        return _program(self._versions(context)[0])

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        assert experiment.program
        versions = self._versions(context)
        after = versions.index(experiment.program.files["main.py"]) + 1
        return _program(versions[after]) if after < len(versions) else None

    def understand(self, context: Context) -> tuple[Card, tuple[str, ...]] | None:
        return None

    def tune(self, context: Context, experiment: Experiment) -> Program | None:
        return None

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        assert experiment.feedback
        # It claims success whatever happened: arithmetic must not listen.
        return Feedback(accepted=True, observations=f"score {experiment.score}", reason="")

    def _versions(self, context: Context) -> list[str | BaseException]:
        """Of the round that is being played; the floor and a warm-up are not its rounds."""
        return self.rounds[sum(e.id > 0 and not e.warm_up for e in context.experiments)]

    def _idea(self, context: Context) -> Hypothesis:
        return Hypothesis(
            statement=f"idea {len(context.experiments)}",
            reason="scripted",
            component="Model",
            operator=context.operator,
        )


class Model(Scripted):
    """Stands for an LLM: it sums up, tunes, reviews, and fails as LLMs do."""

    def __init__(
        self, *rounds: Round, tuned: dict[int, str | BaseException] | None = None,
        understood: Card | BaseException | None = None, review: BaseException | None = None,
    ) -> None:  # fmt: skip
        super().__init__(*rounds)
        self.tuned, self.understood, self.reviewing = tuned or {}, understood, review
        self.seen: list[Context] = []
        """What it was told when it proposed."""

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        self.seen.append(context)
        if isinstance(error := self._versions(context)[0], BaseException):
            raise error
        return super().propose(context, parents)

    def understand(self, context: Context) -> tuple[Card, tuple[str, ...]] | None:
        if isinstance(self.understood, BaseException):
            raise self.understood
        return (self.understood, ("the data says otherwise",)) if self.understood else None

    def tune(self, context: Context, experiment: Experiment) -> Program | None:
        found = self.tuned.get(context.id)
        return _program(found) if found is not None else None

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        if self.reviewing:
            raise self.reviewing
        return super().review(context, experiment)


class Stock(Scripted):
    """Stands for the playbook: its hypotheses carry a plan, and one day it has no more of them."""

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        if len(_own(context)) >= len(self.rounds):
            raise RDAgentError("the stock is empty")
        plan = {"entry": "stock", "members": []}
        return self._idea(context).model_copy(update={"plan": plan})

    def _versions(self, context: Context) -> list[str | BaseException]:
        return self.rounds[len(_own(context))]


def _own(context: Context) -> list[Experiment]:
    return [e for e in context.experiments if e.hypothesis.plan]


def _program(found: str | BaseException) -> Program:
    if isinstance(found, BaseException):
        raise found
    return Program(files={"main.py": found})


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
    root: Path, *rounds: Round, resume: Path | None = None, loop_n: int | None = None,
    researcher: Researcher | None = None, fallback: Researcher | None = None,
    ledger: Ledger | None = None, observer: Observer | None = None, **settings: object,
) -> tuple[Journal, Path]:  # fmt: skip
    """Play `rounds` on the toy competition below `root` (made if it is not there)."""
    if not (root / "toy").exists():
        make_toy(root)
    flags = {"local_data_path": root, "trace_path": root / "log", **settings}
    return run(
        None if resume else "toy",
        loop_n=(len(rounds) or None) if loop_n is None else loop_n,
        resume=resume,
        settings=load_settings(flags, {}, root / "no.env"),
        researcher=researcher or Scripted(*rounds),
        fallback=fallback,
        ledger=ledger,
        observer=observer,
    )
