"""What an experiment taught: the LLM explains what arithmetic has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from rdagent import memory
from rdagent.excerpts import quote, relevant
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
    parents = [p for p in context.experiments if p.id in e.parents and p.program]
    code, how = e.program.files["main.py"], str(e.hypothesis.plan.get("how", ""))
    runs, said = e.attempts[e.attempt].executions, outcome(context, e)
    log = runs[-1].log if runs else ""
    fixed = FIXED + len(said + e.hypothesis.statement + e.hypothesis.reason)
    room = desk.shares(context, fixed, lessons=3, change=4, output=2)
    change = ""
    if len(parents) == 1 and parents[0].program:
        change = memory.diff(parents[0].program.files["main.py"], code)
    reply = desk.ask(
        "review", context, Review, id=e.id, operator=e.hypothesis.operator,
        parents=", ".join(map(str, e.parents)), hypothesis=e.hypothesis, outcome=said,
        lessons=memory.lessons(context.experiments, min(room["lessons"], 1000)),
        change=memory.cut(change, min(room["change"], 1500)),
        plan=memory.cut(how, room["change"]),
        output=memory.cut(quote(relevant(log, code, 600)), room["output"]) if log.strip() else "",
    )  # fmt: skip
    known = {x.id for x in context.experiments if x.feedback and x.feedback.lesson}
    return Feedback(
        accepted=bool(e.feedback and e.feedback.accepted),
        observations=memory.clip(reply.observations, 300),
        reason=memory.clip(reply.reason, 300),
        lesson=memory.clip(reply.lesson, 240),
        confirms=tuple(sorted(known & set(reply.confirms))),
        refutes=tuple(sorted(known & set(reply.refutes))),
        suggestion=memory.clip(reply.suggestion, 240),
    )


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
    failures = [a.error for a in e.attempts[: e.attempt] if a.error]
    if failures:
        lines.append(f"It took {len(failures)} repairs; first: {memory.clip(failures[0], 160)}")
    return "\n".join(lines + [f"Doubt: {mark}" for mark in e.marks][:2])
