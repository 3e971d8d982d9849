"""The agent, on one screen: propose, write, run, repair, review; then deliver."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rdagent.deliver import deliver_folds, deliver_last
from rdagent.errors import RDAgentError, SetupError
from rdagent.evaluate import Evaluation, Evaluator
from rdagent.events import (
    AnyEvent,
    Executed,
    ExperimentFinished,
    ExperimentStarted,
    Noted,
    Proposed,
    RunFinished,
    Written,
)
from rdagent.gates import suspicious
from rdagent.interfaces import Policy, Researcher
from rdagent.journal import SEARCH_SHARE, Journal, JournalWriter, finish
from rdagent.records import (
    Attempt,
    Competition,
    Context,
    Cost,
    Execution,
    Experiment,
    Feedback,
    Operator,
    Sandbox,
)
from rdagent.runs import RunFolder

LOG_KEPT = 1000
"""Characters kept of the log of an execution that ended well; all of it is in `output.log`."""


@dataclass
class Agent:
    """Plays one run. Everything it decides is in the journal before it acts on it."""

    folder: RunFolder
    competition: Competition
    writer: JournalWriter
    researcher: Researcher
    policy: Policy
    evaluator: Evaluator
    sandbox: Sandbox
    max_attempts: int = 10
    finetune: bool = False
    seed: int = 0
    interrupted: bool = field(default=False, init=False)

    @property
    def journal(self) -> Journal:
        return self.writer.journal

    def append(self, event: AnyEvent) -> None:
        self.writer.append(event)

    def note(self, kind: str, text: str) -> None:
        self.append(Noted.model_validate({"kind": kind, "text": text}))

    def play(self) -> Journal:
        """Search until a limit or Ctrl-C, then deliver; a second Ctrl-C goes through."""
        try:
            if not self.journal.finished:
                self.floor()
            self.catch_up()
            while (reason := self.limit_reached()) is None:
                self.round(*self.policy.choose(self.journal.for_search()))
        except KeyboardInterrupt:
            if not self.journal.finished:
                raise  # there is nothing to deliver yet
            self.interrupted = True
            reason = "stopped by the user"
            self.evaluator.stage("stopping: delivering the best so far (Ctrl-C again: at once)")
        deliver_last(self)
        self.append(RunFinished(reason=reason))
        return self.journal

    def limit_reached(self) -> str | None:
        """Why no further round starts; None while one may."""
        budget = self.journal.budget
        if budget.loop_n is not None and self.journal.rounds >= budget.loop_n:
            return f"{self.journal.rounds} of {budget.loop_n} rounds played"
        # What even the baseline took: anything else started now could not end in time.
        least = self.journal.finished[0].cost.seconds
        if self.search_seconds_left() <= least:
            return "the time for search is used"
        return None

    def seconds_left(self) -> float:
        """Of the whole run."""
        return self.journal.budget.timeout - self.writer.elapsed

    def search_seconds_left(self) -> float:
        """Of the search; what remains after it is for choice, refit and delivery."""
        return SEARCH_SHARE * self.journal.budget.timeout - self.writer.elapsed

    def floor(self) -> None:
        """Round 0: a program that cannot fail, so that a valid submission exists at once."""
        started, context = time.monotonic(), self.context("draft")
        self.append(ExperimentStarted(id=0, operator="draft"))
        hypothesis, program = self.researcher.floor(context)
        self.append(Proposed(id=0, hypothesis=hypothesis))
        self.append(Written(id=0, program=program))
        result = self.evaluate(0, 0)
        executions = self.journal.experiments[0].attempts[-1].executions
        if failed := next((e for e in executions if e.error), None):
            raise SetupError(
                f"even the baseline program fails here ({failed.error}): "
                f"see `rdagent doctor`. Its last words: {' '.join(failed.log.split())[-300:]}"
            )
        if not self.folder.submission(0).exists():
            timeout = self.journal.budget.timeout
            raise SetupError(f"{timeout:g} s are too short even for the baseline: raise --timeout")
        if result.error:  # a constant has no rank correlation, and its submission is valid
            result.marks.append(f"no score: {result.error}")
            result.error = None
        self.finish(0, result, started, context)

    def catch_up(self) -> None:
        """Deliver a best that the agent was killed before it could deliver."""
        best = self.journal.best()
        last = self.journal.deliveries[-1] if self.journal.deliveries else None
        if best and (last is None or (last.experiment < best.id and last.kind != "refit")):
            deliver_folds(self, best)

    def round(self, operator: Operator, parents: tuple[int, ...]) -> None:
        """One experiment: an idea becomes a program, which is repaired until it runs."""
        id, started = self.journal.next_id, time.monotonic()
        self.append(ExperimentStarted(id=id, operator=operator, parents=parents))
        context = self.context(operator)
        origin = tuple(self.journal.experiments[p] for p in parents)
        result = Evaluation()
        try:
            self.evaluator.stage("proposing")
            hypothesis = self.researcher.propose(context, origin)
            self.append(Proposed(id=id, hypothesis=hypothesis))
            self.evaluator.stage("writing the program")
            program = self.researcher.write(context, hypothesis, origin)
            for attempt in range(self.max_attempts):
                self.append(Written(id=id, program=program))
                result = self.evaluate(id, attempt)
                if result.error is None or self.search_seconds_left() <= 0:
                    break
                self.evaluator.stage("repairing")
                tried = self.journal.experiments[id].attempts
                last = tried[-1].model_copy(update={"problem": result.error})
                mended = self.researcher.repair(context, program, last)
                if mended is None or any(mended == a.program for a in tried):
                    break
                program = mended
        except (SetupError, OSError):
            raise  # a broken machine
        except Exception as error:  # a failed experiment is data, also one that broke its author
            known = isinstance(error, RDAgentError)
            result = Evaluation(error=str(error) if known else f"{type(error).__name__}: {error}")
        self.finish(id, result, started, context)

    def evaluate(self, id: int, attempt: int) -> Evaluation:
        best = self.journal.best()
        tried: Attempt = self.journal.experiments[id].attempts[attempt]
        return self.evaluator.evaluate(
            id, attempt, tried.program,
            best=best.id if best else None,
            record=lambda execution: self.append(Executed(id=id, execution=trim(execution))),
            seconds_left=self.search_seconds_left,
        )  # fmt: skip

    def finish(self, id: int, result: Evaluation, started: float, context: Context) -> Experiment:
        """Arithmetic decides, the researcher explains; a new best is delivered at once."""
        best, marks = self.journal.best(), list(result.marks)
        accepted = result.error is None and self.better(result, best)
        if accepted and result.score is not None:
            # Any model leaps over the floor: only programs that learnt something compare.
            before = best.score if best is not None and best.id else None
            mark = suspicious(before, result.score)
            marks += [mark] if mark else []
        experiment = self.journal.experiments[id]
        programs = sum(e.seconds for a in experiment.attempts for e in a.executions)
        event = ExperimentFinished(
            id=id, score=result.score, comparison=result.comparison, error=result.error,
            feedback=Feedback(accepted=accepted, observations="", reason=""), marks=tuple(marks),
            cost=Cost(seconds=round(time.monotonic() - started, 3), programs=round(programs, 3)),
        )  # fmt: skip
        feedback = self.researcher.review(context, finish(experiment, event))
        feedback = feedback.model_copy(update={"accepted": accepted})  # arithmetic, not opinion
        self.append(event.model_copy(update={"feedback": feedback}))
        if accepted:
            deliver_folds(self, self.journal.experiments[id])
        return self.journal.experiments[id]

    def better(self, result: Evaluation, best: Experiment | None) -> bool:
        if best is None or best.score is None or result.score is None:
            return best is None or result.score is not None
        if result.comparison is not None:
            return result.comparison.delta > 0
        sign = 1 if result.score.higher_is_better else -1
        return (result.score.value - best.score.value) * sign > 0

    def context(self, operator: Operator) -> Context:
        """What the researcher may know; nothing of the final part is in it."""
        journal, views = self.journal, self.evaluator.views
        seen = views.get("debug", self.evaluator.fold_views[0])
        hints = (n.text for n in journal.notes if n.kind in ("hint", "steered after grading"))
        return Context(
            competition=self.competition,
            train_preview=seen.path,
            experiments=journal.finished,
            operator=operator,
            sandbox=self.sandbox,
            progress=journal.progress,
            seconds_left=max(self.search_seconds_left(), 0.0),
            timeout=self.evaluator.full_timeout,
            folds=len(self.evaluator.fold_views),
            finetune=self.finetune,
            hints=tuple(hints),
            seed=self.seed,
        )  # fmt: skip


def trim(execution: Execution) -> Execution:
    """What the journal keeps of an execution: of a good one, only its last words."""
    if execution.error or len(execution.log) <= LOG_KEPT:
        return execution
    return execution.model_copy(update={"log": "..." + execution.log[-LOG_KEPT:]})
