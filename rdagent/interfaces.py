"""What stands behind the loop: small protocols, one method each where possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import BaseModel

from rdagent.records import (
    Attempt,
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
    from pathlib import Path

    from rdagent.journal import Journal

T = TypeVar("T", bound=BaseModel)


class Researcher(Protocol):
    """Has ideas and turns them into programs."""

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        """Round 0: a program that cannot fail, for a valid submission within seconds."""
        ...

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis: ...

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program: ...

    def repair(self, context: Context, program: Program, attempt: Attempt) -> Program | None:
        """A mended program, or None to give the experiment up."""
        ...

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        """Explain an outcome; `accepted` is already decided and must be passed on."""
        ...


class LLM(Protocol):
    """One structured question, one typed answer."""

    def ask(self, prompt_name: str, messages: list[dict[str, str]], reply: type[T]) -> T: ...


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
