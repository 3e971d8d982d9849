"""The researcher that needs no LLM: it reads the data, the catalogue and the scores so far."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from rdagent.errors import RDAgentError
from rdagent.playbook.catalogue import Facts, facts_of
from rdagent.playbook.previous import read_previous
from rdagent.playbook.render import render, render_floor
from rdagent.playbook.repairs import lighter, without_package
from rdagent.playbook.search import (
    merge_plan,
    next_draft,
    next_move,
    others_worth_blending,
    plan_of,
)
from rdagent.playbook.shape import read_shape
from rdagent.records import Feedback, Hypothesis, Program

if TYPE_CHECKING:
    from rdagent.records import Context, Experiment, Operator


class Playbook(BaseModel):
    """A Kaggle player's habits as a catalogue: drafts, single steps, blends.

    All methods are functions of their arguments; what it wants to remember is in
    `Hypothesis.plan`, so that a run resumes from its journal alone.
    """

    kind: Literal["playbook"] = "playbook"

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        """Round 0: one constant a column, which is valid and takes no second."""
        c, s = context.competition, read_shape(context)
        what = {"value": "typical value", "list": "most frequent labels"}.get(s.problem, "shares")
        hypothesis = Hypothesis(
            statement=f"A constant: the {what} of the training rows.",
            reason="A valid submission within seconds, and what every model has to beat.",
            component="Workflow",
            operator="draft",
            plan={"entry": "floor"},
        )
        return hypothesis, render_floor(c, s, hypothesis)

    def understand(self, context: Context) -> None:
        """It reads the data itself, each time anew."""

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        """The next thing to try. Raises RDAgentError when everything it knows was tried."""
        f, done = _facts(context), context.experiments
        ours = tuple(p for p in parents if plan_of(p))
        if context.operator == "merge" and len(ours) > 1 and (found := _merge(ours, _ranked(done))):
            return found
        if ours and context.operator != "draft":
            for parent in (*ours, *_ranked(done)):
                if step := next_move(f, parent, done):
                    return _improve(context, parent, *step)
        if draft := next_draft(f, done):
            entry, plan = draft
            return Hypothesis(
                statement=entry.statement, reason=_with_data(entry.reason, f),
                component=entry.component, operator="draft", plan=plan,
            )  # fmt: skip
        for parent in _ranked(done):
            if step := next_move(f, parent, done):
                return _improve(context, parent, *step)
        raise RDAgentError("the playbook has tried everything it knows on this data")

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program:
        """The complete program of a hypothesis that `propose` made."""
        if "members" not in hypothesis.plan:
            raise RDAgentError("the playbook writes only what it proposed itself")
        previous = read_previous(context.competition) if context.finetune else None
        return render(context.competition, read_shape(context), hypothesis, previous)

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        """A lighter program after a limit, another library where one is missing; else None."""
        attempt = experiment.attempts[-1]
        if "plan.json" not in attempt.program.files or not attempt.executions:
            return None
        hypothesis = Hypothesis(**json.loads(attempt.program.files["plan.json"])["hypothesis"])
        run = attempt.executions[-1]
        log = f"{run.log}\n{run.error or ''}"
        heavy = "MemoryError" in log or "make it lighter" in log
        plan: dict[str, Any] | None = None
        if run.timed_out or run.terminated or run.limit or heavy:
            plan = lighter(hypothesis.plan, _facts(context).s)
        elif "ModuleNotFoundError" in log:
            plan = without_package(hypothesis.plan, log)
        if plan is None:
            return None
        return self.write(context, hypothesis.model_copy(update={"plan": plan}), ())

    def tune(self, context: Context, experiment: Experiment) -> None:
        """Its programs search for their parameters themselves."""

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        """What the score says, in plain sentences."""
        accepted = bool(experiment.feedback and experiment.feedback.accepted)
        score = experiment.score
        if score is None:
            why = experiment.error or "no score"
            return Feedback(
                accepted=accepted,
                observations=f"It failed: {why}.",
                reason="Nothing is learnt about the hypothesis; another one comes next.",
            )
        band = (
            f" (95 % band {score.low:.5g} to {score.high:.5g})"
            if score.low is not None and score.high is not None
            else ""
        )
        seen = f"{score.metric} {score.value:.5g}{band}."
        compared = experiment.comparison
        if compared is not None:
            seen += (
                f" Against the best before it {compared.delta:+.4g}"
                f" ({compared.low:+.4g} to {compared.high:+.4g}; positive is better)."
            )
        return Feedback(accepted=accepted, observations=seen, reason=_lesson(experiment, accepted))


def _facts(context: Context) -> Facts:
    previous = read_previous(context.competition) if context.finetune else None
    return facts_of(context, read_shape(context), previous)


def _ranked(experiments: tuple[Experiment, ...]) -> list[Experiment]:
    """The playbook's scored experiments, best first."""
    scored = [(e.score, e) for e in experiments if plan_of(e) and e.score is not None]
    scored.sort(key=lambda x: x[0].value * (-1 if x[0].higher_is_better else 1))
    return [e for _, e in scored]


def _merge(parents: tuple[Experiment, ...], ranked: list[Experiment]) -> Hypothesis | None:
    """A blend of the parents, and of the best of other families: variety is what blends need."""
    plan = merge_plan((*parents, *others_worth_blending(parents, ranked)))
    if plan is None:
        return None
    members = ", ".join(m["name"].replace("_", " ") for m in plan["members"])
    return Hypothesis(
        statement=f"A blend of {members} errs less than each of them.",
        reason="Models of different kinds err on different rows; weights come from "
        "cross-validation, and the plain mean is kept unless they beat it.",
        component="Ensemble",
        operator="merge",
        plan=plan,
    )


def _improve(context: Context, parent: Experiment, plan: dict[str, Any], text: str) -> Hypothesis:
    operator: Operator = "improve" if context.operator != "merge" else "merge"
    gained = parent.score.value if parent.score else float("nan")
    return Hypothesis(
        statement=f"{text} ({plan['entry']}).",
        reason=f"One step from experiment {parent.id} ({context.competition.metric} {gained:.5g}), "
        "everything else as there, so that the difference is the step's.",
        component="Ensemble" if plan["move"]["parameter"] == "seeds" else "Model",
        operator=operator,
        plan=plan,
    )


def _with_data(reason: str, f: Facts) -> str:
    """The reason with what it was chosen for."""
    s = f.s
    kinds = {"pixels" if s.image else "numeric": s.numeric, "categorical": s.categorical}
    kinds |= {"many-valued": s.many, "text": s.text, "date": s.dates}
    found = ", ".join(f"{len(columns)} {kind}" for kind, columns in kinds.items() if columns)
    missing = ", some missing" if s.missing else ""
    return f"{reason} Seen here: about {s.rows} rows; columns: {found}{missing}; {f.c.metric}."


def _lesson(experiment: Experiment, accepted: bool) -> str:
    move = experiment.hypothesis.plan.get("move")
    compared = experiment.comparison
    if compared is None:
        return "It is what the next ones have to beat."
    clear = compared.low > 0 or compared.high < 0
    if accepted:
        sure = "clearly better" if clear else "better, though within chance"
        ahead = "the same direction is tried further" if move else "it is tuned next"
        return f"It is {sure}: {ahead}."
    sure = "clearly worse" if clear else "not better beyond chance"
    ahead = "other steps come first" if move else "it may still add to a blend"
    return f"It is {sure} than the best: {ahead}."
