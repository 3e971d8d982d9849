"""What stands behind the loop: small protocols, one method each where possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import BaseModel

from rdagent.records import (
    Card,
    Context,
    Execution,
    Experiment,
    Feedback,
    Hypothesis,
    Job,
    Operator,
    Program,
    Sandbox,
    Score,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rdagent.journal import Journal

T = TypeVar("T", bound=BaseModel)


class Researcher(Protocol):
    """Has ideas and turns them into programs."""

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        """Round 0: a program that cannot fail, for a valid submission within seconds."""
        ...

    def understand(self, context: Context) -> tuple[Card, tuple[str, ...]] | None:
        """Once a run: the competition in its own words, and where the data said otherwise."""
        ...

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis: ...

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program: ...

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        """The last attempt's program mended, or None to give the experiment up."""
        ...

    def tune(self, context: Context, experiment: Experiment) -> Program | None:
        """A variant of a program that scored well, for the time that is left; None: no idea."""
        ...

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        """Explain an outcome; `accepted` is already decided and must be passed on."""
        ...


class LLM(Protocol):
    """One structured question, one typed answer."""

    def ask(
        self,
        prompt_name: str,
        messages: list[dict[str, str]],
        reply: type[T],
        *,
        experiment: int | None = None,
        check: Callable[[T], str | None] = lambda reply: None,
    ) -> T:
        """The answer to `messages` as a `reply`.

        Args:
            prompt_name: the file in `prompts/` that asks; chooses the model and counts the cost.
            reply: how the text is read: a model with a classmethod `read(text)` reads it
                itself (code, patches), any other is JSON.
            experiment: whose round pays.
            check: says in a sentence why a reply that could be read is still no use.

        Raises:
            ReplyError: no usable answer after several tries; fails one experiment.
            ProviderError: the provider is gone, refuses us, or does not know the model.
            LimitError: the run's money or tokens are used up.
        """
        ...


class Runner(Protocol):
    """Runs a job in isolation and says what happened; a program's failure never raises."""

    @property
    def warning(self) -> str | None:
        """One sentence where programs run without isolation, else None."""
        ...

    def run(self, job: Job) -> Execution: ...

    def probe(self) -> Sandbox:
        """What programs find inside; raises SetupError when nothing can run here."""
        ...


class Grader(Protocol):
    """Grades a submission after the fact, on answers that the loop never sees."""

    def grade(self, submission: Path) -> Score | None: ...


class Policy(Protocol):
    """Which experiments to extend next, and how: a pure function of the journal."""

    def choose(self, journal: Journal) -> tuple[Operator, tuple[int, ...]]: ...
