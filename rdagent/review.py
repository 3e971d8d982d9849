"""What an experiment taught: the LLM explains what arithmetic has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from rdagent import memory
from rdagent.briefing import quoted
from rdagent.excerpts import quote
from rdagent.records import Feedback

if TYPE_CHECKING:
    from rdagent.briefing import Desk
    from rdagent.records import Context, Experiment

FIXED = 1_450
"""Characters of the question that are always there."""


class Review(BaseModel):
    """The reply."""

    observations: str
    reason: str
    lesson: str = ""
    confirms: list[int] = []
    refutes: list[int] = []
    suggestion: str = ""


def review(desk: Desk, context: Context, experiment: Experiment) -> Feedback:
    """Feedback on an experiment that scored; one that failed is told without a question."""
    e = experiment
    if e.score is None or e.program is None:
        return plain(e)
    code, how = e.program.files["main.py"], str(e.hypothesis.plan.get("how", ""))
    runs, said, ran = e.attempts[e.attempt].executions, outcome(context, e), history(e)
    log = runs[-1].log if runs else ""
    origin, before = _origin(context, e)
    fixed = FIXED + len(said + ran + e.hypothesis.statement + e.hypothesis.reason)
    room = desk.shares(context, fixed, lessons=3, change=3, plan=3, output=2)
    change = memory.diff(before, code) if before else ""
    reply = desk.ask(
        "review", context, Review, id=e.id, operator=e.hypothesis.operator, ran=ran,
        parents=", ".join(map(str, e.parents)), hypothesis=e.hypothesis, outcome=said,
        lessons=memory.lessons(context.experiments, min(room["lessons"], 1000)),
        change=memory.cut(change, min(room["change"], 1500)), changed_from=origin,
        plan=memory.cut(how, room["plan"]),
        run=f"of fold {runs[-1].fold}" if runs and runs[-1].fold is not None else "of its run",
        output=quoted(log, code, min(room["output"], 700)),
    )  # fmt: skip
    known = {x.id for x in context.experiments if x.feedback and x.feedback.lesson}
    return Feedback(
        accepted=bool(e.feedback and e.feedback.accepted),
        observations=memory.clip(reply.observations, 300),
        reason=memory.clip(reply.reason, 300),
        lesson=memory.clip(reply.lesson, 180),
        confirms=tuple(sorted(known & set(reply.confirms))),
        refutes=tuple(sorted(known & set(reply.refutes))),
        suggestion=memory.clip(reply.suggestion, 180),
    )


def _origin(context: Context, e: Experiment) -> tuple[str, str]:
    """What the program that counts grew out of, and that text: its parent, or its first version."""
    parents = [p for p in context.experiments if p.id in e.parents and p.program]
    if len(parents) == 1 and parents[0].program:
        return f"experiment {parents[0].id}", parents[0].program.files["main.py"]
    if e.attempt > 0:
        return "its first version", e.attempts[0].program.files["main.py"]
    return "", ""


def history(e: Experiment) -> str:
    """How the program that counts came about: repairs, and what became of tuning."""
    failures = [memory.error_of(a) for a in e.attempts[: e.attempt] if a.error]
    told = []
    if failures:
        told.append(f"Repaired {len(failures)} times; first error: {memory.clip(failures[0], 120)}")
    before = e.attempts[e.attempt - 1].score if e.attempt > 0 else None
    if before is not None:
        told.append(f"This is the tuned variant; before tuning it had {before.value:.5g}.")
    if e.chosen is not None:
        last = e.attempts[-1]
        got = f"scored {last.score.value:.5g}" if last.score else "failed"
        told.append(f"A tuned variant {got} and does not count.")
    return quote("\n".join(told)) if told else ""


def plain(e: Experiment) -> Feedback:
    """What the host knows, where nobody was asked."""
    accepted = bool(e.feedback and e.feedback.accepted)
    if e.error:
        said = f"It failed after {len(e.attempts)} versions: {memory.clip(e.error, 250)}"
        return Feedback(accepted=accepted, observations=said, reason="Nothing was learned.")
    return Feedback(accepted=accepted, observations=memory.outcome(e), reason="")


def outcome(context: Context, e: Experiment) -> str:
    """What the host measured, a line each."""
    lines = [memory.outcome(e)]
    for parent in context.experiments:
        if parent.id in e.parents:
            lines.append(f"Parent {parent.id}: {memory.outcome(parent)}")
    better = "higher" if e.score and e.score.higher_is_better else "lower"
    lines.append(f"{better} is better; brackets are 95 % bands from resampled rows.")
    return "\n".join(lines + [f"Doubt: {mark}" for mark in e.marks][:2])
