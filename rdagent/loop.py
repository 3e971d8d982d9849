"""The agent, on one screen: propose, write, run, repair, review; then deliver."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdagent.deliver import deliver_folds, deliver_last
from rdagent.errors import LimitError, ProviderError, ReplyError, SetupError
from rdagent.evaluate import Evaluation, Evaluator
from rdagent.events import AnyEvent, ExperimentFinished, Noted, Proposed, RunFinished, Understood
from rdagent.gates import suspicious
from rdagent.interfaces import Policy, Researcher
from rdagent.journal import SEARCH_SHARE, Journal, JournalWriter, finish
from rdagent.players import Players, said
from rdagent.records import Competition, Context, Cost, Experiment, Feedback, Operator, Sandbox
from rdagent.rounds import Round, ahead
from rdagent.runs import RunFolder

HINTS = "hints.md: "
"""How a note begins that holds the content of that file; the last such one counts."""

STOPPED = "stopped by the user"


@dataclass
class Agent:
    """Plays one run. Everything it decides is in the journal before it acts on it."""

    folder: RunFolder
    competition: Competition
    writer: JournalWriter
    players: Players
    policy: Policy
    evaluator: Evaluator
    sandbox: Sandbox
    max_attempts: int = 10
    max_full_repairs: int = 3
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
            self.warm_up()
            self.understand()
            while (reason := self.limit_reached()) is None:
                choice = self.players.choose(self.policy, self.journal)
                self.round(self.players.now, *choice)
        except KeyboardInterrupt:
            if not self.journal.finished:
                raise  # there is nothing to deliver yet
            self.interrupted = True
            reason = STOPPED
            self.evaluator.stage("stopping: delivering the best so far (Ctrl-C again: at once)")
        deliver_last(self)
        self.append(RunFinished(reason=reason))
        return self.journal

    def limit_reached(self) -> str | None:
        """Why no further round starts; None while one may."""
        budget, rounds = self.journal.budget, self.journal.rounds
        if budget.loop_n is not None and rounds >= budget.loop_n:
            return f"{rounds} of {budget.loop_n} rounds played"
        return self.players.limit_reached() or self.time_used()

    def time_used(self) -> str | None:
        """Why nothing can be started that would end in time; None while something can."""
        # What even the baseline took: anything else started now could not end in time.
        least = self.journal.finished[0].cost.seconds
        return "the time for search is used" if self.search_seconds_left() <= least else None

    def seconds_left(self) -> float:
        """Of the whole run."""
        return self.journal.budget.timeout - self.writer.elapsed

    def search_seconds_left(self) -> float:
        """Of the search; what remains after it is for choice, refit and delivery."""
        return SEARCH_SHARE * self.journal.budget.timeout - self.writer.elapsed

    def floor(self) -> None:
        """Round 0: a program that cannot fail, so that a valid submission exists at once."""
        played = Round(self, self.players.fallback or self.players.researcher, "draft")
        hypothesis, program = played.researcher.floor(self.context("draft"))
        self.append(Proposed(id=0, hypothesis=hypothesis))
        result = played.result = played.attempt(program, None)
        if failed := next((e for e in played.experiment.attempts[-1].executions if e.error), None):
            raise SetupError(
                f"even the baseline program fails here ({failed.error}): "
                f"see `rdagent doctor`. Its last words: {' '.join(failed.log.split())[-300:]}"
            )
        if result.test is None:
            timeout = self.journal.budget.timeout
            raise SetupError(f"{timeout:g} s are too short even for the baseline: raise --timeout")
        if result.error:  # a constant has no rank correlation, and its submission is valid
            result.marks.append(f"no score: {result.error}")
            result.error = None
        self.finish(played)

    def catch_up(self) -> None:
        """Deliver a best that the agent was killed before it could deliver."""
        best = self.journal.best()
        last = self.journal.deliveries[-1] if self.journal.deliveries else None
        if best and (last is None or (last.experiment < best.id and last.kind != "refit")):
            deliver_folds(self, best)

    def warm_up(self) -> None:
        """The playbook's drafts: something to beat before the first question to an LLM."""
        if self.players.fallback is None or self.journal.rounds or self.journal.card:
            return
        done = sum(e.warm_up for e in self.journal.finished)
        for _ in range(done, self.players.drafts):
            if self.time_used():
                return
            self.round(self.players.fallback, "draft", (), warm_up=True)

    def understand(self) -> None:
        """Once a run, before the first idea; without it the run goes on."""
        if self.journal.card or self.limit_reached():
            return
        self.evaluator.stage("understanding the competition")
        try:
            found = self.players.researcher.understand(self.context("draft"))
        except (SetupError, OSError):
            raise
        except Exception as error:
            self.heed(error, empty=False)
            if not isinstance(error, ProviderError | LimitError):
                self.note("warning", f"The competition was not summed up: {said(error)}")
            return
        if found:
            self.append(Understood(card=found[0]))
            for text in found[1]:
                self.note("decision", text)

    def round(
        self, player: Researcher, operator: Operator, parents: tuple[int, ...], *,
        warm_up: bool = False,
    ) -> None:  # fmt: skip
        """One experiment: an idea becomes a program, which is repaired until it runs."""
        played = Round(self, player, operator, parents, warm_up=warm_up)
        played.play()
        trouble, error = played.trouble, played.result.error
        if not (error and self.players.in_vain(trouble, proposed=played.proposed)):
            self.finish(played)
        trouble = played.trouble  # a review may have brought some
        if isinstance(trouble, KeyboardInterrupt | SetupError):
            raise trouble
        idle = error is not None and not played.experiment.attempts
        if player is not self.players.fallback:
            unusable = error is not None and isinstance(trouble, ReplyError)
            self.heed(trouble, empty=idle or unusable)
        elif self.players.gone:
            endless = self.journal.budget.loop_n is None
            self.players.stood_in(error if idle else None, endless=endless)

    def heed(self, trouble: BaseException | None, *, empty: bool) -> None:
        """What came of asking the LLM, for the rounds to come."""
        self.players.refuse_setup(trouble, self.folder.path)
        gone = self.players.gone
        warning = self.players.heed(trouble, empty=empty)
        if warning and self.limit_reached() is None:
            self.note("warning", warning)
        if gone and not self.players.gone:
            self.understand()  # it may have been gone when it was first asked

    def finish(self, played: Round) -> Experiment:
        """Arithmetic decides, the researcher explains; a new best is delivered at once."""
        result, best, marks = played.result, self.journal.best(), list(played.result.marks)
        accepted = result.error is None and self.better(result, best)
        if accepted and result.score is not None:
            # Any model leaps over the floor: only programs that learnt something compare.
            before = best.score if best is not None and best.id else None
            mark = suspicious(before, result.score)
            marks += [mark] if mark else []
        self.evaluator.stored.save(played.id, result.hidden, result.test)
        event = ExperimentFinished(
            id=played.id, score=result.score, comparison=result.comparison, error=result.error,
            feedback=Feedback(accepted=accepted, observations="", reason=""), marks=tuple(marks),
            cost=self.cost(played), chosen=played.chosen,
        )  # fmt: skip
        feedback = self.review(played, finish(played.experiment, event))
        feedback = feedback.model_copy(update={"accepted": accepted})  # arithmetic, not opinion
        self.append(event.model_copy(update={"feedback": feedback, "cost": self.cost(played)}))
        if accepted:
            deliver_folds(self, played.experiment)
        return played.experiment

    def review(self, played: Round, experiment: Experiment) -> Feedback:
        """What it taught; nothing where the LLM cannot say."""
        silent = (LimitError, ProviderError, SetupError, KeyboardInterrupt)
        if not isinstance(played.trouble, silent):
            try:
                self.evaluator.stage("reviewing")
                return played.researcher.review(self.context(played.operator), experiment)
            except OSError:
                raise
            except (Exception, KeyboardInterrupt) as error:  # its score shall not be lost
                played.trouble = played.trouble or error
        reason = f"Nobody reviewed it: {said(played.trouble)}"
        return Feedback(accepted=False, observations="", reason=reason)

    def cost(self, played: Round) -> Cost:
        """So far: time, and what the LLM took."""
        executions = [e for a in played.experiment.attempts for e in a.executions]
        ledger = self.players.ledger
        used = ledger.spent(played.id) if ledger else None
        return Cost(
            seconds=round(self.writer.elapsed - played.started, 3),
            programs=round(sum(e.seconds for e in executions), 3),
            tokens=used.input + used.output if used else 0,
            money=used.money if used else 0.0,
        )

    def better(self, result: Evaluation, best: Experiment | None) -> bool:
        if best is None or best.score is None or result.score is None:
            return best is None or result.score is not None
        if result.comparison is not None:
            return result.comparison.delta > 0
        return ahead(result.score, best.score)

    def context(self, operator: Operator) -> Context:
        """What the researcher may know; nothing of the final part is in it."""
        journal, views = self.journal, self.evaluator.views
        seen = views.get("debug", self.evaluator.fold_views[0])
        return Context(
            id=journal.next_id,
            competition=self.competition,
            card=journal.card,
            train_preview=seen.path,
            rows=len(self.evaluator.table),
            test_rows=self.evaluator.test_rows,
            env=self.evaluator.env,
            hidden=self.evaluator.grader is not None,
            sampled="debug" in views,
            experiments=journal.finished,
            operator=operator,
            sandbox=self.sandbox,
            progress=journal.progress,
            seconds_left=max(self.search_seconds_left(), 0.0),
            timeout=self.evaluator.full_timeout,
            folds=len(self.evaluator.fold_views),
            finetune=self.finetune,
            hints=hints(journal),
            seed=self.seed,
        )  # fmt: skip


def hints(journal: Journal) -> tuple[str, ...]:
    """The user's advice: every hint, and `hints.md` as it is now."""
    kinds = ("hint", "steered after grading")
    texts = [note.text for note in journal.notes if note.kind in kinds]
    files = [text.removeprefix(HINTS) for text in texts if text.startswith(HINTS)]
    given = [text for text in texts if not text.startswith(HINTS)]
    return tuple(text for text in (*files[-1:], *given) if text)
