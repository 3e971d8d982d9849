"""Prompts of every example and operator, rendered: what a reviewer reads, and the test compares.

python tests/golden.py      writes tests/golden/ anew
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdagent.competition import examples_dir, load_competition, read_test, read_train
from rdagent.interfaces import T
from rdagent.llm.replies import read
from rdagent.prompts import Prompts
from rdagent.records import (
    Attempt,
    Card,
    Comparison,
    Context,
    Cost,
    Execution,
    Experiment,
    Feedback,
    Hypothesis,
    Operator,
    Program,
    Sandbox,
    Score,
)
from rdagent.researcher import PromptedResearcher

FOLDER = Path(__file__).parent / "golden"
EXAMPLES = {
    "breast-cancer": False,
    "diabetes-progression": False,
    "digits-finetune": True,
    "digits-torch": True,
}
"""Example -> played by finetune."""
OPERATORS: dict[Operator, tuple[int, ...]] = {
    "draft": (), "improve": (2,), "debug": (3,), "merge": (2, 4),
}  # fmt: skip
PROGRAM = """import os
import pandas as pd

train = pd.read_csv("workspace_input/train.csv")
print("rows", len(train), "seed", os.environ["DS_SEED"])
pd.read_csv("workspace_input/sample_submission.csv").to_csv("submission.csv", index=False)
"""
PATCHED = PROGRAM.replace('"rows"', '"train rows"')
CARD = Card(
    task="what the label is, from the readings of one sample",
    data="a row is one sample; all columns are numbers of like scale, some missing",
    metric="rewards the right order of the predictions",
    submission="one number a row",
    traps=("the columns differ in scale between train and test",),
)
REPLIES = {
    "understand": '{"task": "t", "data": "d", "metric": "m", "submission": "s"}',
    "propose": '{"hypotheses": [{"statement": "A forest of deep trees fits this data.", '
    '"plan": "Fit 500 trees.", "ratings": {}}]}',
    "write": "It works.\n```python\nsubmission = 'submission.csv'\n```",
    "review": '{"observations": "o", "reason": "r"}',
    "tune": "NOTHING",
}


class Captured:
    """An LLM that keeps every question and answers by prompt name."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[dict[str, str]]]] = []

    def ask(
        self, prompt_name: str, messages: list[dict[str, str]], reply: type[T], *,
        experiment: int | None = None, check: Callable[[T], str | None] = lambda reply: None,
    ) -> T:  # fmt: skip
        self.asked.append((prompt_name, messages))
        name = prompt_name.replace("repair_full", "repair").replace("repair", "write")
        return read(REPLIES[name], reply)


def hypothesis(n: int, operator: Operator = "draft") -> Hypothesis:
    return Hypothesis(
        statement=f"Hypothesis {n}: trees on ranks err less than trees on raw values.",
        reason="Scales differ between rows.", component="FeatureEng", operator=operator,
        plan={"how": "Replace each column by its rank. Fit boosted trees.", "complexity": "simple",
              "others": [f"Idea {n}b: a linear model on logarithms would do as well."]},
    )  # fmt: skip


def experiment(n: int, context: Context, **fields: Any) -> Experiment:
    """A finished one that scored, unless `fields` say otherwise."""
    c, sign = context.competition, 1 if context.competition.higher_is_better else -1
    value = 0.5 + 0.05 * n * sign
    score = Score(
        value=value, metric=c.metric, higher_is_better=c.higher_is_better,
        low=value - 0.03, high=value + 0.03, folds=(0, 1, 2, 3, 4),
    )  # fmt: skip
    runs = tuple(
        Execution(kind="fold", fold=k, exit_code=0, seconds=1.5, log="rows 140 seed 0\n")
        for k in range(5)
    )
    failed = Attempt(
        program=Program(files={"main.py": PROGRAM.replace("train.csv", "trian.csv")}),
        executions=(
            Execution(
                kind="debug",
                exit_code=1,
                seconds=0.7,
                error="ended with exit code 1",
                log=TRACEBACK,
            ),
        ),
    )
    good = Attempt(program=Program(files={"main.py": PROGRAM}), executions=runs, score=score)
    given: dict[str, Any] = {
        "id": n, "hypothesis": hypothesis(n), "attempts": (failed, good),
        "feedback": Feedback(
            accepted=n < 4, observations="Better on all folds.", reason="Ranks remove the scale.",
            lesson=f"Lesson of {n}: ranks help trees here.", confirms=(1,) if n == 4 else (),
            suggestion=f"Suggestion of {n}: more trees with a lower learning rate.",
        ),
        "comparison": Comparison(delta=0.01, low=-0.02, high=0.04),
        "cost": Cost(seconds=9.0, programs=7.5),
    }  # fmt: skip
    return Experiment(**(given | fields))


TRACEBACK = """loading
Traceback (most recent call last):
  File "/w/workspace_input/main.py", line 4, in <module>
    train = pd.read_csv("workspace_input/trian.csv")
  File "/usr/lib/python3/site-packages/pandas/io/parsers/readers.py", line 948, in read_csv
    return _read(filepath_or_buffer, kwds)
FileNotFoundError: [Errno 2] No such file or directory: 'workspace_input/trian.csv'
"""


def example(name: str, operator: Operator, rounds: int = 5, **fields: Any) -> Context:
    """A context in the middle of a run on an example."""
    c = load_competition(name, examples_dir(), finetune=EXAMPLES[name])
    context = Context(
        id=rounds, competition=c, card=CARD, train_preview=c.data_dir,
        rows=len(read_train(c)), test_rows=len(read_test(c)), sampled=False,
        env={"DS_CPUS": "2", "DS_MEMORY": str(6 * 2**30), "DS_GPUS": ""},
        experiments=(), operator=operator, progress=0.4, seconds_left=5000, timeout=600, folds=5,
        finetune=EXAMPLES[name], hints=("Pixels of one row belong together.",),
        sandbox=Sandbox(
            python="3.11.7", cpus=2, memory=8 * 2**30,
            packages={"numpy": "2.4.6", "pandas": "3.1.1", "scikit-learn": "1.9.1"},
        ),
    )  # fmt: skip
    done = [experiment(n, context, warm_up=0 < n < 3) for n in range(rounds)]
    if rounds > 3:
        done[3] = experiment(
            3, context, error="debug run: ended with exit code 1",
            attempts=done[3].attempts[:1], feedback=None, comparison=None,
        )  # fmt: skip
    return context.model_copy(update={"experiments": tuple(done), **fields})


def round_of(context: Context, parents: tuple[int, ...]) -> list[tuple[str, list[dict[str, str]]]]:
    """Every question that a round with this operator may ask."""
    llm = Captured()
    researcher = PromptedResearcher(llm, Prompts())
    origin = tuple(context.experiments[p] for p in parents)
    if context.operator == "draft":
        researcher.understand(context.model_copy(update={"card": None}))
    idea = researcher.propose(context, origin)
    researcher.write(context, idea, origin)
    if context.operator == "improve":
        flying = experiment(
            context.id, context, hypothesis=idea, parents=parents, feedback=None, comparison=None
        )
        failed, good = flying.attempts
        full = good.model_copy(
            update={"executions": (
                good.executions[0].model_copy(update={"kind": "debug", "fold": None}),
                failed.executions[0].model_copy(update={"kind": "fold", "fold": 0}),
            ), "score": None}
        )  # fmt: skip
        researcher.repair(context, flying.model_copy(update={"attempts": (failed,)}))
        researcher.repair(context, flying.model_copy(update={"attempts": (failed, full)}))
        researcher.tune(context, flying)
    done = experiment(context.id, context, hypothesis=idea, parents=parents)
    patched = done.attempts[1].model_copy(update={"program": Program(files={"main.py": PATCHED})})
    researcher.review(context, done.model_copy(update={"attempts": (patched,)}))
    return llm.asked


def page(name: str, operator: Operator) -> str:
    """The questions of a round, the system message once."""
    asked = round_of(example(name, operator), OPERATORS[operator])
    parts, shown = [], ""
    for prompt, (system, user) in asked:
        if system["content"] != shown:
            shown = system["content"]
            parts.append(f"<<< system of {prompt} and what follows >>>\n\n{shown}")
        parts.append(f"<<< {prompt} >>>\n\n{user['content']}")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in EXAMPLES:
        for operator in OPERATORS:
            (FOLDER / f"{name}-{operator}.md").write_text(page(name, operator), encoding="utf-8")


if __name__ == "__main__":
    main()
