"""The greedy policy: drafts, then the best, other lines when it stalls, a merge near the end."""

from rdagent.events import Budget, ExperimentFinished, ExperimentStarted, RunStarted, Written
from rdagent.journal import Journal
from rdagent.policies import GreedyPolicy
from rdagent.records import Cost, Feedback, Operator, Program, Score


def journal(loop_n: int | None = None) -> Journal:
    journal = Journal()
    budget = Budget(loop_n=loop_n, timeout=1000)
    journal.apply(RunStarted(competition={"id": "toy"}, split={}, budget=budget))
    add(journal, "draft", (), 0.1)  # the floor
    return journal


def add(
    journal: Journal, operator: Operator, parents: tuple[int, ...], value: float | None,
    *, warm_up: bool = False,
) -> None:  # fmt: skip
    id, best = journal.next_id, journal.best()
    score = value and Score(value=value, metric="auc", higher_is_better=True, folds=(0, 1))
    better = value is not None and (not best or not best.score or value > best.score.value)
    journal.apply(ExperimentStarted(id=id, operator=operator, parents=parents, warm_up=warm_up))
    journal.apply(Written(id=id, program=Program(files={"main.py": ""})))
    feedback = Feedback(accepted=better, observations="", reason="")
    error = None if value is not None else "failed"
    journal.apply(
        ExperimentFinished(id=id, score=score or None, error=error, feedback=feedback, cost=Cost())
    )


def step(policy: GreedyPolicy, journal: Journal, value: float | None) -> Operator:
    operator, parents = policy.choose(journal)
    add(journal, operator, parents, value)
    return operator


def test_five_rounds_are_three_drafts_an_improvement_and_a_merge() -> None:
    policy, run = GreedyPolicy(), journal(loop_n=5)
    operators = [step(policy, run, value) for value in (0.5, 0.8, 0.6, 0.85)]
    assert operators == ["draft", "draft", "draft", "improve"]
    assert run.experiments[4].parents == (2,)
    assert policy.choose(run) == ("merge", (4, 3, 1))  # not 2, of which 4 is a child


def test_without_anything_that_works_it_drafts_again() -> None:
    policy, run = GreedyPolicy(), journal(loop_n=6)
    assert [step(policy, run, None) for _ in range(6)] == ["draft"] * 6


def test_a_stalled_best_gives_other_lines_and_new_drafts_their_turn() -> None:
    policy, run = GreedyPolicy(), journal()
    for value in (0.9, 0.5, 0.6):
        step(policy, run, value)
    chosen = []
    for _ in range(8):
        operator, parents = policy.choose(run)
        chosen.append((operator, parents))
        add(run, operator, parents, 0.2)
    operators = [operator for operator, _ in chosen]
    assert operators.count("draft") >= 2 and "improve" in operators
    assert len({parents for operator, parents in chosen if operator == "improve"}) >= 2


def test_the_same_journal_gives_the_same_choice() -> None:
    policy, run = GreedyPolicy(), journal(loop_n=9)
    for value in (0.5, 0.7, 0.6, 0.65):
        step(policy, run, value)
    assert policy.choose(run) == policy.choose(run.snapshot()) == GreedyPolicy().choose(run)


def test_a_merge_is_not_repeated_with_the_same_lines() -> None:
    policy, run = GreedyPolicy(), journal(loop_n=20)
    for value in (0.5, 0.7, 0.6):
        step(policy, run, value)
    while run.progress < policy.merge_at:
        step(policy, run, 0.2)
    assert step(policy, run, 0.3) == "merge"
    assert policy.choose(run)[0] != "merge"


def test_the_warm_up_gives_lines_to_improve_but_takes_no_draft_away() -> None:
    policy, run = GreedyPolicy(), journal(loop_n=5)
    for value in (0.7, 0.9):
        add(run, "draft", (), value, warm_up=True)
    assert [step(policy, run, value) for value in (0.5, 0.6, 0.55)] == ["draft"] * 3
    assert policy.choose(run) == ("improve", (2,))
    add(run, "improve", (2,), 0.8)
    assert policy.choose(run) == ("merge", (2, 1, 4)) and run.rounds == 4


def test_a_round_that_failed_is_mended_once_where_that_is_asked_for() -> None:
    policy, run = GreedyPolicy(debug_depth=1), journal()
    add(run, "draft", (), None)
    assert GreedyPolicy().choose(run) == ("draft", ())
    assert policy.choose(run) == ("debug", (1,))
    add(run, "debug", (1,), None)
    assert policy.choose(run) == ("draft", ())
    assert GreedyPolicy(debug_depth=2).choose(run) == ("debug", (2,))
    add(run, "draft", (), 0.7)
    assert policy.choose(run) == ("draft", ())


def test_a_round_without_a_program_and_the_warm_up_are_not_mended() -> None:
    policy, run = GreedyPolicy(debug_depth=1), journal()
    add(run, "draft", (), None, warm_up=True)
    assert policy.choose(run) == ("draft", ())
    run.apply(ExperimentStarted(id=2, operator="draft"))
    gone = Feedback(accepted=False, observations="", reason="")
    run.apply(ExperimentFinished(id=2, error="no reply", feedback=gone, cost=Cost()))
    assert policy.choose(run) == ("draft", ())
