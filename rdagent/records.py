"""Frozen data types that the stages exchange and the journal stores.

Every record is immutable and rejects unknown fields, so a journal line that this
version does not understand fails loudly instead of losing data.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Label = str | int | float | bool
Task = Literal["binary", "multiclass", "multilabel", "regression", "ranking"]
Output = Literal["label", "probability", "value"]
Operator = Literal["draft", "improve", "debug", "merge"]
Kind = Literal["debug", "fold", "rerun", "proof", "refit", "predict"]


class Record(BaseModel):
    """Base of all records: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PrevModel(Record):
    """The model a user already has (`prev_model/` in the competition folder)."""

    path: Path
    code: tuple[str, ...]
    """Python files, relative to `path`, `main.py` first where it exists."""
    checkpoint: str
    """Latest checkpoint, relative to `path` (such as `models/step-200.pt`)."""
    trained_on_train: Literal["yes", "no", "unknown"] = "unknown"


class Competition(Record):
    """A competition folder, understood. Paths are absolute and never journaled."""

    id: str
    description: str
    data_dir: Path
    train_file: str
    """Labelled rows, relative to `data_dir`."""
    test_file: str
    sample_file: str | None = None
    """Sample submission, relative to `data_dir`; None: the host makes one."""
    task: Task
    metric: str
    """A name of `metrics.METRICS`, or `grade.py` for the user's own grader."""
    higher_is_better: bool
    id_column: str | None
    """Column of test and submission that names a row; None: rows pair by position."""
    target_columns: tuple[str, ...]
    """Label columns of train."""
    prediction_columns: tuple[str, ...]
    """Columns of the submission that the program fills, in order."""
    output: Output
    classes: dict[str, Label] = {}
    """Prediction column -> the label whose probability it holds (output `probability`)."""
    exclusive: bool = False
    """Probabilities of one row sum to one (one column a class)."""
    group_column: str | None = None
    time_column: str | None = None
    notes: tuple[str, ...] = ()
    """What was inferred and why, a sentence each; printed and recorded."""
    metric_proxy_for: str | None = None
    """The metric's own name when a proxy stands in for one that we lack."""
    prev_model: PrevModel | None = None
    eval_dir: Path | None = None
    """Folder of the answers; None where there is none."""

    @property
    def id_columns(self) -> tuple[str, ...]:
        return (self.id_column,) if self.id_column else ()


class Hypothesis(Record):
    """What an experiment tries, and why."""

    statement: str
    reason: str
    component: str
    """DataLoadSpec, FeatureEng, Model, Ensemble or Workflow."""
    operator: Operator
    plan: dict[str, Any] = {}
    """What the researcher itself wants to remember (JSON values only)."""


class Program(Record):
    """Source files by path relative to `workspace_input/`; `main.py` is run."""

    files: dict[str, str]

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{name!r} lies outside workspace_input/")
        if "main.py" not in files:
            raise ValueError("a program needs a main.py")
        return files


class Resources(Record):
    """What a job may use."""

    cpus: int = Field(default=1, ge=1)
    memory: int = Field(default=8 * 2**30, ge=1)
    """Bytes over the whole process tree."""
    processes: int = Field(default=256, ge=1)
    disk: int = Field(default=20 * 2**30, ge=1)
    """Bytes the program may write below its workspace and its /tmp."""
    gpus: tuple[str, ...] = ()


class Job(Record):
    """One execution to be: the same contract for every runner."""

    kind: Kind
    fold: int | None = None
    seed: int = 0
    """Told to the program as DS_SEED."""
    command: tuple[str, ...] = ("python", "./workspace_input/main.py")
    """`python` as first word means the runner's own interpreter."""
    view: Path
    """Host-made folder; each top-level entry appears read-only in `workspace_input/`."""
    workdir: Path
    """Fresh folder holding `workspace_input/` with the program's files and an empty `models/`."""
    timeout: float = Field(gt=0)
    """Seconds until the whole process tree is killed; SIGTERM comes 10 s earlier."""
    env: dict[str, str] = {}
    resources: Resources = Resources()


class Execution(Record):
    """What happened when a program ran."""

    kind: Kind
    fold: int | None = None
    seed: int = 0
    exit_code: int | None = None
    """None: it did not end by itself (killed at a limit)."""
    seconds: float
    timed_out: bool = False
    terminated: bool = False
    """Our SIGTERM reached it before its limit: a valid submission counts, marked so."""
    limit: str | None = None
    """The limit that ended it other than time: memory, processes or disk."""
    peak_memory: int = 0
    """Bytes."""
    log: str = ""
    """Head and tail of its output; the whole (capped) output lies in `output.log`."""
    protected: bool = True
    """False: it ran without isolation."""
    error: str | None = None
    """Why its outcome cannot be used (contract, leak scan, limit); None: usable."""


class Score(Record):
    """A measured value and, where resampled, its 95 % band."""

    value: float
    metric: str
    higher_is_better: bool
    source: Literal["host", "self-reported", "test"] = "host"
    low: float | None = None
    high: float | None = None
    folds: tuple[int, ...] = ()
    """Folds whose hidden rows it covers."""


class Comparison(Record):
    """Paired difference of two programs on the same rows; positive: the first is better."""

    delta: float
    low: float
    high: float
    """2.5 % and 97.5 % quantiles of the paired resamples."""


class Attempt(Record):
    """One version of a program and its executions."""

    program: Program
    executions: tuple[Execution, ...] = ()
    score: Score | None = None
    """On the search rows."""
    problem: str | None = None
    """Why predictions that are valid could not be scored; told to a repair."""

    @property
    def error(self) -> str | None:
        return next((e.error for e in self.executions if e.error), self.problem)


class Feedback(Record):
    """What an experiment taught. `accepted` is arithmetic: it beat the best before it."""

    accepted: bool
    observations: str
    reason: str
    lesson: str = ""
    """What holds beyond this experiment; numbered by its id, empty where it taught nothing new."""
    confirms: tuple[int, ...] = ()
    """Lessons, by number, for which it is further evidence."""
    refutes: tuple[int, ...] = ()
    """Lessons, by number, against which it is evidence."""
    suggestion: str = ""
    """What to try next on this line."""


class Cost(Record):
    """What an experiment used."""

    seconds: float = 0.0
    """Wall-clock, programs included."""
    programs: float = 0.0
    """Seconds inside programs."""
    tokens: int = 0
    money: float | None = 0.0
    """US dollars; None: nobody knows the price."""


class Experiment(Record):
    """One round: a hypothesis, its attempts, what came of it. Round 0 is the floor."""

    id: int
    parents: tuple[int, ...] = ()
    """None, one, several: a draft, an improvement (or repair), a merge."""
    hypothesis: Hypothesis
    attempts: tuple[Attempt, ...] = ()
    feedback: Feedback | None = None
    error: str | None = None
    """Why it failed as a whole; None while running and when it scored."""
    marks: tuple[str, ...] = ()
    """Doubts shown beside the score: unprotected, stopped by SIGTERM, suspicious jump ..."""
    comparison: Comparison | None = None
    """Against the best before it."""
    cost: Cost = Cost()
    warm_up: bool = False
    """Played by the playbook before the first question to an LLM; counts as part of round 0."""
    chosen: int | None = None
    """Index of the attempt that counts, where it is not the last (tuned in vain)."""

    @property
    def attempt(self) -> int:
        """Index of the attempt that counts."""
        return len(self.attempts) - 1 if self.chosen is None else self.chosen

    @property
    def score(self) -> Score | None:
        return self.attempts[self.attempt].score if self.attempts and not self.error else None

    @property
    def program(self) -> Program | None:
        return self.attempts[self.attempt].program if self.attempts else None


class Sandbox(Record):
    """What programs find where they run, probed once."""

    python: str
    """Version, such as 3.11.7."""
    packages: dict[str, str]
    """Distribution name (lower case) -> version."""
    cpus: int
    memory: int
    gpus: tuple[str, ...] = ()
    protected: bool = True


class Card(Record):
    """A competition as the LLM understood it, in a few words a field."""

    task: str
    data: str
    metric: str
    submission: str
    traps: tuple[str, ...] = ()
    """What may go wrong with this data, a sentence each."""


class Context(Record):
    """What a researcher may know when it proposes or writes. No final-part score is in it."""

    id: int = 0
    """The experiment that is being made."""
    competition: Competition
    card: Card | None = None
    train_preview: Path
    """Folder of the debug view: the only data a researcher reads."""
    rows: int = 0
    """Labelled rows of the competition; 0: not known."""
    test_rows: int = 0
    env: dict[str, str] = {}
    """What programs are told by environment variables: DS_CPUS, DS_MEMORY, DS_GPUS ..."""
    hidden: bool = True
    """The host scores rows that it hid; False: a program's own `scores.csv` is its score."""
    sampled: bool = True
    """Programs run on a small sample first; False: the first fold is their first run."""
    experiments: tuple[Experiment, ...]
    """Finished ones, by id."""
    operator: Operator
    sandbox: Sandbox
    progress: float = 0.0
    """Used share of the search budget, 0 to 1."""
    seconds_left: float
    timeout: float
    """Seconds one full run of a program may take, all folds together."""
    folds: int
    finetune: bool = False
    hints: tuple[str, ...] = ()
    seed: int = 0
