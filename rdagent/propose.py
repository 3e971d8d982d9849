"""The next hypothesis: the LLM names challenges and rates ideas, the host picks one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from rdagent import memory
from rdagent.briefing import describe, previous_model, quoted, source, time_left
from rdagent.records import Hypothesis

if TYPE_CHECKING:
    from rdagent.briefing import Desk
    from rdagent.records import Context, Experiment

Complexity = Literal["simple", "normal", "ambitious"]
Component = Literal["DataLoadSpec", "FeatureEng", "Model", "Ensemble", "Workflow"]

WEIGHTS = {"alignment": 0.2, "impact": 0.4, "novelty": 0.2, "feasibility": 0.1}
"""Of the ratings; what is missing to 1 counts against risk."""
HINTS = 1_000
"""Characters of the user's advice that every proposal reads."""
FIXED = 1_750
"""Characters of the question that are always there: instructions, form, headings, time."""
EARLY = 0.25
"""Share of the search until which proposals start from the task, then from the results."""


class Challenge(BaseModel):
    statement: str
    evidence: str = ""


class Ratings(BaseModel):
    """From 1 to 10; 10 is good but for risk."""

    alignment: float = Field(5, ge=0, le=10)
    impact: float = Field(5, ge=0, le=10)
    novelty: float = Field(5, ge=0, le=10)
    feasibility: float = Field(5, ge=0, le=10)
    risk: float = Field(5, ge=0, le=10)

    @property
    def worth(self) -> float:
        """Weighted mean, 0 to 10."""
        good = sum(getattr(self, name) * weight for name, weight in WEIGHTS.items())
        return float(good + (1 - sum(WEIGHTS.values())) * (10 - self.risk))


class Idea(BaseModel):
    challenge: int = 1
    statement: str = Field(min_length=8)
    reason: str = ""
    component: Component = "Model"
    plan: str = Field(min_length=8)
    ratings: Ratings


class Proposal(BaseModel):
    """The reply."""

    challenges: list[Challenge] = []
    hypotheses: list[Idea] = Field(min_length=1)


def propose(desk: Desk, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
    """One hypothesis for the operator of `context`, picked reproducibly: the best by weight.

    Raises what `LLM.ask` raises.
    """
    done, operator = context.experiments, context.operator
    tried = [(e.id, e.hypothesis.statement) for e in done if e.id and not e.error]

    def fresh(reply: Proposal) -> list[Idea]:
        return [i for i in reply.hypotheses
                if not any(memory.similar(i.statement, said) for _, said in tried)]  # fmt: skip

    def check(reply: Proposal) -> str | None:
        if fresh(reply):
            return None
        return "every hypothesis repeats one that was tried already: propose other ones"

    cue, previous, hints = complexity(context), previous_model(context), advice(context)
    fixed = FIXED + len(previous) + len(hints)
    near = {"siblings": 1, "parents": 3} if parents else {"siblings": 1}
    room = desk.shares(context, fixed, history=4, lessons=3, lines=1, untried=1, **near)
    history, shown = memory.history(done, room["history"])
    ids = tuple(p.id for p in parents)
    reply = desk.ask(
        "propose", context, Proposal, check, operator=operator, early=context.progress < EARLY,
        complexity=cue, previous=previous, time=time_left(context), hints=hints, history=history,
        lines=memory.lines(done, room["lines"]),
        siblings=memory.siblings(done, ids, shown, room["siblings"]),
        lessons=memory.lessons(done, room["lessons"]),
        untried=memory.untried(done, room["untried"]),
        parents=[
            _parent(p, room["parents"] // len(parents), code=operator != "merge") for p in parents
        ],
    )  # fmt: skip
    ideas = sorted(fresh(reply), key=lambda i: i.ratings.worth, reverse=True)
    best = ideas[0]
    number = best.challenge - 1
    challenge = reply.challenges[number].statement if 0 <= number < len(reply.challenges) else ""
    return Hypothesis(
        statement=memory.clip(best.statement, 300),
        reason=memory.clip(best.reason, 300),
        component=best.component,
        operator=operator,
        plan={
            "how": memory.clip(best.plan, 900),
            "challenge": memory.clip(challenge, 300),
            "ratings": best.ratings.model_dump(),
            "complexity": cue,
            "others": [memory.clip(i.statement, 200) for i in ideas[1:3]],
        },
    )


def advice(context: Context) -> str:
    """The user's hints, the newest first; what is longer than `HINTS` is cut, and says so."""
    text = "\n".join(f"* {hint.strip()}" for hint in reversed(context.hints))
    return memory.cut(text, HINTS)


def complexity(context: Context) -> Complexity:
    """How far a proposal may reach: drafts grow one after another, all else with the run."""
    if context.operator == "debug":
        return "simple"
    if context.operator == "draft":
        drafts = sum(1 for e in context.experiments if e.id and not e.parents and not e.warm_up)
        cues: tuple[Complexity, ...] = ("simple", "normal", "ambitious")
        return cues[min(drafts, 2)]
    if context.progress < EARLY:
        return "simple"
    return "normal" if context.progress < 0.65 else "ambitious"


def _parent(e: Experiment, room: int, *, code: bool) -> dict[str, object]:
    how = "" if code else str(e.hypothesis.plan.get("how", ""))
    runs = e.attempts[e.attempt].executions if e.attempts else ()
    log = runs[-1].log if runs and code else ""
    return {
        "id": e.id,
        "statement": memory.clip(e.hypothesis.statement, room // 4),
        "outcome": describe(e, room // 3),
        "how": memory.clip(how, room // 3) if room > 300 else "",
        "output": quoted(log, source(e), room // 3) if room > 600 else "",
        "code": source(e) if code else "",
    }
