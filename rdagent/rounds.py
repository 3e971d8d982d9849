"""One round: an idea becomes a program, repaired until it runs, tuned where that may pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdagent.errors import SetupError
from rdagent.evaluate import Evaluation
from rdagent.events import Executed, ExperimentStarted, Proposed, Scored, Written
from rdagent.players import said
from rdagent.records import Execution, Experiment, Operator, Program, Score

if TYPE_CHECKING:
    import pandas as pd

    from rdagent.interfaces import Researcher
    from rdagent.loop import Agent

LOG_KEPT = 1000
"""Characters kept of the log of an execution that ended well; all of it is in `output.log`."""
TUNED_BELOW = 1 / 3
"""Share of its limit that a full run may have taken for a tuned one to be worth its time."""


class Round:
    """An experiment under way. Everything that happens is in the journal as it happens."""

    def __init__(
        self, agent: Agent, researcher: Researcher, operator: Operator,
        parents: tuple[int, ...] = (), *, warm_up: bool = False,
    ) -> None:  # fmt: skip
        self.agent, self.researcher = agent, researcher
        self.operator: Operator = operator
        self.id, self.started = agent.journal.next_id, agent.writer.elapsed
        self.result = Evaluation()
        """Of the attempt that counts."""
        self.chosen: int | None = None
        """Index of that attempt, where it is not the last."""
        self.trouble: BaseException | None = None
        """What its researcher raised, if anything."""
        self.proposed = False
        self._parents = tuple(agent.journal.experiments[p] for p in parents)
        self._warm_up = warm_up
        best = agent.journal.best()
        with_folds = best is not None and agent.evaluator.grader is not None
        self._rival = agent.evaluator.stored.hidden(best.id) if best and with_folds else None
        agent.append(
            ExperimentStarted(id=self.id, operator=operator, parents=parents, warm_up=warm_up)
        )

    @property
    def experiment(self) -> Experiment:
        return self.agent.journal.experiments[self.id]

    def play(self) -> None:
        """From the idea to the attempt that counts. Raises only for a broken machine."""
        try:
            self.evolve(self._first())
        except (SetupError, OSError):
            raise
        except Exception as error:  # a failed experiment is data, also one that broke its author
            self.trouble, self.result = error, Evaluation(error=said(error))
            return
        if self._worth_tuning():
            self._tune()

    def _first(self) -> Program:
        agent = self.agent
        context = agent.context(self.operator)
        agent.evaluator.stage("proposing")
        hypothesis = self.researcher.propose(context, self._parents)
        agent.append(Proposed(id=self.id, hypothesis=hypothesis))
        self.proposed = True
        agent.evaluator.stage("writing the program")
        return self.researcher.write(context, hypothesis, self._parents)

    def evolve(self, program: Program) -> None:
        """Run it; as long as it fails and tries are left, mend it and run it again."""
        agent, early, late = self.agent, 0, 0
        while True:
            self.result = self.attempt(program, self._rival)
            if self.result.error is None or agent.search_seconds_left() <= 0:
                return
            early, late = early + (not self.result.full), late + self.result.full
            if early >= agent.max_attempts or late > agent.max_full_repairs:
                return
            agent.evaluator.stage("repairing")
            *before, last = self.experiment.attempts
            last = last.model_copy(update={"problem": self.result.error})
            asked = self.experiment.model_copy(update={"attempts": (*before, last)})
            mended = self.researcher.repair(agent.context(self.operator), asked)
            if mended is None or self._known(mended):
                return
            program = mended

    def attempt(self, program: Program, rival: pd.DataFrame | None) -> Evaluation:
        """One version of the program: run, scored, not yet judged."""
        agent = self.agent
        agent.append(Written(id=self.id, program=program))
        result = agent.evaluator.evaluate(
            self.id, len(self.experiment.attempts) - 1, program, rival,
            record=lambda execution: agent.append(Executed(id=self.id, execution=trim(execution))),
            seconds_left=agent.search_seconds_left,
        )  # fmt: skip
        if result.score is not None and result.error is None:
            agent.append(Scored(id=self.id, score=result.score))
        return result

    def _known(self, program: Program) -> bool:
        return any(program == attempt.program for attempt in self.experiment.attempts)

    def _worth_tuning(self) -> bool:
        """It scored well and quickly, and the search has time for two more such runs."""
        agent, result = self.agent, self.result
        if self._warm_up or result.error or result.score is None:
            return False
        took = sum(e.seconds for e in self.experiment.attempts[-1].executions)
        if took >= TUNED_BELOW * agent.evaluator.full_timeout:
            return False
        if agent.search_seconds_left() <= 2 * took:
            return False
        within = result.comparison is not None and result.comparison.high >= 0
        return within or agent.better(result, agent.journal.best())

    def _tune(self) -> None:
        """One variant in the time that is left; it counts only where it is better.

        Whatever becomes of it, the program that scored stays.
        """
        agent, index = self.agent, len(self.experiment.attempts) - 1
        try:
            agent.evaluator.stage("tuning")
            program = self.researcher.tune(agent.context(self.operator), self.experiment)
            if program is None or self._known(program):
                return
            self.chosen = index  # until the tuned one has shown more
            tuned = self.attempt(program, self.result.hidden if agent.evaluator.grader else None)
        except OSError:
            raise
        except (Exception, KeyboardInterrupt) as error:  # what it scored shall not be lost
            self.trouble = error
            return
        if self._better(tuned, self.result):
            if self._rival is not None and tuned.hidden is not None:
                tuned.comparison = agent.evaluator.compare(tuned.hidden, self._rival)
            self.chosen, self.result = None, tuned

    def _better(self, tuned: Evaluation, first: Evaluation) -> bool:
        """Paired, where there are hidden rows to compare on."""
        if tuned.error or tuned.score is None or first.score is None:
            return False
        if tuned.comparison is not None:
            return tuned.comparison.delta > 0
        return tuned.score.folds == first.score.folds and ahead(tuned.score, first.score)


def ahead(score: Score, other: Score) -> bool:
    """Whether the value is the better one."""
    sign = 1 if score.higher_is_better else -1
    return (score.value - other.value) * sign > 0


def trim(execution: Execution) -> Execution:
    """What the journal keeps of an execution: of a good one, only its last words."""
    if execution.error or len(execution.log) <= LOG_KEPT:
        return execution
    return execution.model_copy(update={"log": "..." + execution.log[-LOG_KEPT:]})
