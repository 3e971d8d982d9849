"""The last choice: the best few meet on all hidden rows, near ties under another seed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from rdagent.errors import GradingError, InvalidSubmissionError
from rdagent.events import Chosen, Executed, Finalist
from rdagent.records import Experiment, Score

if TYPE_CHECKING:
    import pandas as pd

    from rdagent.graders.hidden import HiddenGrader
    from rdagent.loop import Agent

FINALISTS = 3
"""Experiments that meet on all hidden rows."""
SAFETY = 5.0
"""Seconds kept for writing the delivery itself."""


def choose(agent: Agent) -> Experiment | None:
    """The experiment to deliver, with its score on the final part; None: nothing scored."""
    finalists = agent.journal.ranked()[:FINALISTS]
    grader = agent.evaluator.grader
    if not finalists:
        return None
    if grader is None:
        agent.append(Chosen(experiment=finalists[0].id, finalists=(), score=finalists[0].score))
        return finalists[0]
    agent.evaluator.stage("last choice on all hidden rows")
    hidden = {e.id: agent.evaluator.stored.hidden(e.id) for e in finalists}
    scores = {e.id: _score(grader, hidden[e.id], "all") for e in finalists}
    values = {id: score.value if score else math.nan for id, score in scores.items()}
    order = sorted(finalists, key=lambda e: _key(agent, values[e.id]), reverse=True)
    tied = [e for e in order[1:] if _near(grader, hidden[order[0].id], hidden[e.id])]
    again = {e.id: _rerun_value(agent, e) for e in (order[0], *tied)} if tied else {}
    both = bool(again) and None not in again.values()
    for id, value in again.items():
        if both and value is not None:  # a mean over two seeds beats one only if all have it
            values[id] = (values[id] + value) / 2
    best = max(order, key=lambda e: _key(agent, values[e.id]))
    agent.append(
        Chosen(
            experiment=best.id,
            finalists=tuple(
                Finalist(experiment=e.id, value=values[e.id], rerun=both and e.id in again)
                for e in order
                if math.isfinite(values[e.id])
            ),
            score=_score(grader, hidden[best.id], "final"),
        )
    )
    return best


def _key(agent: Agent, value: float) -> float:
    """Higher is better; undefined is worst."""
    sign = 1 if agent.competition.higher_is_better else -1
    return value * sign if math.isfinite(value) else -math.inf


def _score(
    grader: HiddenGrader, hidden: pd.DataFrame, part: Literal["final", "all"]
) -> Score | None:
    """None where the metric is undefined, such as the AUC of a part with one class."""
    try:
        return grader.score(hidden, part, band=part == "final")
    except (GradingError, InvalidSubmissionError):
        return None


def _near(grader: HiddenGrader, first: pd.DataFrame, second: pd.DataFrame) -> bool:
    try:
        return grader.compare(first, second, "all").low <= 0
    except (GradingError, InvalidSubmissionError):
        return False


def _rerun_value(agent: Agent, experiment: Experiment) -> float | None:
    """Value on all hidden rows under another seed; None when time is short or it failed."""
    hidden = rerun(agent, experiment)
    grader = agent.evaluator.grader
    score = None if hidden is None or grader is None else _score(grader, hidden, "all")
    return score.value if score else None


def rerun(agent: Agent, experiment: Experiment) -> pd.DataFrame | None:
    """Hidden predictions under another seed, in at most twice the time of the first; or None."""
    executions = experiment.attempts[experiment.attempt].executions
    folds = [e.seconds for e in executions if e.kind == "fold"]
    left = agent.seconds_left() - SAFETY
    if agent.interrupted or sum(folds) > left / 4:
        return None
    refit = 1.5 * max(folds, default=0.0)
    end = agent.writer.elapsed + min(2 * sum(folds) + 5, left - refit)
    assert experiment.program is not None
    again, hidden = agent.evaluator.rerun(
        experiment.id,
        experiment.attempt,
        experiment.program,
        lambda: end - agent.writer.elapsed,
    )
    for execution in again:
        agent.append(Executed(id=experiment.id, execution=execution))
    return hidden
