"""What `events.jsonl` holds: a frozen type for each kind of event.

To record something new, add a type here and say in `Journal.apply` what it changes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rdagent.records import (
    Card,
    Comparison,
    Cost,
    Execution,
    Feedback,
    Hypothesis,
    Operator,
    Program,
    Record,
    Sandbox,
    Score,
)


class Event(Record):
    """Base of all events. `elapsed` counts active seconds of the run over all its resumes."""

    at: str = ""
    elapsed: float = 0.0
    looks: tuple[float, ...] = ()
    """What the agent saw when it looked at the clock since the event before: a replay shows it
    the same, so that it decides the same."""


class Budget(Record):
    """What a run may use."""

    loop_n: int | None = None
    """Rounds of the whole run, round 0 not counted; None: until the time is used."""
    timeout: float = 12 * 3600
    """Seconds of the whole run, delivery included."""
    max_cost: float | None = None
    """US dollars for the LLM over the whole run."""
    max_tokens: int | None = None
    """Tokens, in and out, over the whole run."""


class RunStarted(Event):
    type: Literal["run_started"] = "run_started"
    competition: dict[str, Any]
    """The Competition without its paths."""
    split: dict[str, Any]
    budget: Budget
    sandbox: Sandbox | None = None
    """What programs found where they ran."""


class RunResumed(Event):
    type: Literal["run_resumed"] = "run_resumed"
    budget: Budget


class Noted(Event):
    """A sentence worth keeping: a warning, a hint (`steered after grading`), a decision."""

    type: Literal["noted"] = "noted"
    kind: Literal["warning", "hint", "steered after grading", "decision"]
    text: str


class Understood(Event):
    """What the LLM makes of the competition, asked once."""

    type: Literal["understood"] = "understood"
    card: Card


class ExperimentStarted(Event):
    type: Literal["experiment_started"] = "experiment_started"
    id: int
    operator: Operator
    parents: tuple[int, ...] = ()
    warm_up: bool = False


class Proposed(Event):
    type: Literal["proposed"] = "proposed"
    id: int
    hypothesis: Hypothesis


class Written(Event):
    type: Literal["written"] = "written"
    id: int
    program: Program


class Executed(Event):
    type: Literal["executed"] = "executed"
    id: int
    execution: Execution


class Scored(Event):
    """The last attempt's score on the search rows, before anybody decided whether it counts."""

    type: Literal["scored"] = "scored"
    id: int
    score: Score


class ExperimentFinished(Event):
    type: Literal["experiment_finished"] = "experiment_finished"
    id: int
    score: Score | None = None
    comparison: Comparison | None = None
    feedback: Feedback
    error: str | None = None
    marks: tuple[str, ...] = ()
    cost: Cost
    chosen: int | None = None
    """Index of the attempt that counts, where it is not the last."""


class Finalist(Record):
    """A candidate of the last choice, measured on all hidden rows."""

    experiment: int
    value: float
    """On all hidden rows; the mean of both seeds where it was run again."""
    rerun: bool = False


class Chosen(Event):
    type: Literal["chosen"] = "chosen"
    experiment: int
    finalists: tuple[Finalist, ...]
    score: Score | None
    """On the final part, which nothing else has seen; None where no rows were hidden."""


class Delivered(Event):
    """`best/` now holds this."""

    type: Literal["delivered"] = "delivered"
    n: int
    experiment: int
    kind: Literal["floor", "members", "refit"]
    """members: the mean (or vote) of the fold models; refit: one model on all labelled rows."""
    score: Score | None = None
    reason: str = ""


class RunFinished(Event):
    type: Literal["run_finished"] = "run_finished"
    reason: str


AnyEvent = Annotated[
    RunStarted
    | RunResumed
    | Noted
    | Understood
    | ExperimentStarted
    | Proposed
    | Written
    | Executed
    | Scored
    | ExperimentFinished
    | Chosen
    | Delivered
    | RunFinished,
    Field(discriminator="type"),
]
