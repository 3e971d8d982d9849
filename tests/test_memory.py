"""What a run remembers, and which idea it picks."""

from __future__ import annotations

import json
from collections.abc import Callable

from golden import PROGRAM, example, experiment

from rdagent import memory
from rdagent.interfaces import T
from rdagent.llm.replies import read
from rdagent.prompts import Prompts
from rdagent.records import Attempt, Context, Execution, Experiment, Program
from rdagent.researcher import PromptedResearcher


def version(n: int, log: str = "") -> Attempt:
    error = "debug run: ended with exit code 1" if log else None
    run = Execution(kind="debug", seconds=1, exit_code=1 if log else 0, error=error, log=log)
    return Attempt(program=Program(files={"main.py": f"{PROGRAM}value = {n}\n"}), executions=(run,))


def failing(context: Context, *versions: Attempt) -> tuple[Experiment, ...]:
    return (experiment(1, context, attempts=versions),)


def test_an_error_counts_as_mended_only_when_it_is_gone() -> None:
    context = example("breast-cancer", "draft")
    key, shape = "KeyError: 'mean'\n", "ValueError: shapes differ\n"
    again = failing(context, version(1, key), version(2, key), version(3, shape), version(4))
    mended = memory.mended(again)
    assert sorted((m.error, "value = 3" in m.after) for m in mended) == [
        ("KeyError: 'mean'", True), ("ValueError: shapes differ", False),
    ]  # fmt: skip
    told = memory.mended_like(again, "KeyError: 'other'", 400)
    assert "value = 3" in told and "ValueError" not in told
    assert memory.mended_like(again, "MemoryError", 400) == ""


def test_errors_of_libraries_are_told_by_name() -> None:
    context = example("breast-cancer", "draft")
    log = "sklearn.exceptions.NotFittedError: This model is not fitted yet.\n"
    (e,) = failing(context, version(1, log))
    assert "NotFittedError" in memory.last_error(e)


def test_a_history_names_what_it_shows_and_siblings_are_the_rest() -> None:
    context = example("breast-cancer", "draft", rounds=12)
    text, shown = memory.history(context.experiments, 700)
    assert 3 <= len(shown) < 11 and f"{max(shown)} (draft)" in text
    rest = memory.siblings(context.experiments, (), shown, 5000)
    listed = {int(line.split()[1]) for line in rest.splitlines()}
    assert listed == {e.id for e in context.experiments if e.id} - shown


class Proposes:
    """An LLM with three ideas: the first was tried already, the last is rated best."""

    def __init__(self, tried: str) -> None:
        self.tried = tried

    def ask(
        self, prompt_name: str, messages: list[dict[str, str]], reply: type[T], *,
        experiment: int | None = None, check: Callable[[T], str | None] = lambda reply: None,
    ) -> T:  # fmt: skip
        ideas = [
            {"statement": statement, "plan": "Fit it as usual.", "ratings": dict.fromkeys(
                ("alignment", "impact", "novelty", "feasibility"), rated) | {"risk": 1}}
            for statement, rated in (
                (self.tried, 10), ("Splines bend where lines cannot.", 5),
                ("Kernels see neighbours in all columns.", 8))
        ]  # fmt: skip
        return read(json.dumps({"hypotheses": ideas}), reply)


def test_the_best_rated_idea_that_is_new_is_picked_each_time() -> None:
    context = example("breast-cancer", "draft")
    llm = Proposes(context.experiments[2].hypothesis.statement)
    picked = [PromptedResearcher(llm, Prompts()).propose(context, ()) for _ in range(3)]
    assert {p.statement for p in picked} == {"Kernels see neighbours in all columns."}
    assert picked[0].plan["others"] == ["Splines bend where lines cannot."]
