"""The run's memory: `events.jsonl` on disk, `Journal` in memory.

The file is the truth: append-only, one writer, one write per event; a `Journal` is what
the events fold to, and nothing else. Opening a run drops an incomplete last line.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from rdagent.errors import SetupError
from rdagent.events import (
    AnyEvent,
    Budget,
    Chosen,
    Delivered,
    Executed,
    ExperimentFinished,
    ExperimentStarted,
    Noted,
    Proposed,
    RunFinished,
    RunResumed,
    RunStarted,
    Scored,
    Understood,
    Written,
)
from rdagent.records import Attempt, Card, Experiment, Hypothesis

FORMAT = 1
"""Version of the run folder; a folder of a newer one is refused."""

SEARCH_SHARE = 0.8
"""Share of the time that search may use; the rest is kept for choice, refit and delivery."""


_EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
_DURABLE = (RunStarted, RunResumed, ExperimentFinished, Chosen, Delivered, RunFinished)


class Journal:
    """State of a run, folded from its events; every step costs the same at any length."""

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.budget = Budget()
        self.experiments: dict[int, Experiment] = {}
        self.deliveries: list[Delivered] = []
        self.chosen: Chosen | None = None
        self.notes: list[Noted] = []
        self.card: Card | None = None
        self.ended: str | None = None
        self.elapsed = 0.0
        self.program_seconds = 0.0
        self.problems: list[str] = []
        """What a reader could not read, a sentence each."""
        self._finished: list[Experiment] = []
        self._best: Experiment | None = None

    def apply(self, event: AnyEvent) -> None:
        """Fold one event into the state."""
        self.elapsed = max(self.elapsed, event.elapsed)
        match event:
            case RunStarted():
                self.started, self.budget = event, event.budget
            case RunResumed():
                self.budget, self.ended = event.budget, None
            case Noted():
                self.notes.append(event)
            case Understood():
                self.card = event.card
            case ExperimentStarted():
                # A start of a known id means it was in flight when the agent died: anew.
                self.experiments[event.id] = Experiment(
                    id=event.id,
                    parents=event.parents,
                    hypothesis=Hypothesis(
                        statement="", reason="", component="", operator=event.operator
                    ),
                    warm_up=event.warm_up,
                )
            case Proposed():
                self._update(event.id, hypothesis=event.hypothesis)
            case Written():
                attempts = self.experiments[event.id].attempts
                self._update(event.id, attempts=(*attempts, Attempt(program=event.program)))
            case Executed():
                self.program_seconds += event.execution.seconds
                counts = self.experiments[event.id]  # once it ended, the attempt that counts
                executions = counts.attempts[counts.attempt].executions
                self._attempt(event.id, executions=(*executions, event.execution))
            case Scored():
                self._attempt(event.id, score=event.score)
            case ExperimentFinished():
                self._finish(event)
            case Chosen():
                self.chosen = event
            case Delivered():
                self.deliveries.append(event)
            case RunFinished():
                self.ended = event.reason

    def _update(self, id: int, **fields: Any) -> None:
        self.experiments[id] = self.experiments[id].model_copy(update=fields)

    def _attempt(self, id: int, **fields: Any) -> None:
        """Change the attempt that counts: the last one while the experiment runs."""
        experiment = self.experiments[id]
        attempts = list(experiment.attempts)
        attempts[experiment.attempt] = attempts[experiment.attempt].model_copy(update=fields)
        self._update(id, attempts=tuple(attempts))

    def _finish(self, event: ExperimentFinished) -> None:
        experiment = finish(self.experiments[event.id], event)
        self.experiments[event.id] = experiment
        self._finished.append(experiment)
        if event.feedback.accepted:
            self._best = experiment

    @property
    def competition_id(self) -> str | None:
        return str(self.started.competition["id"]) if self.started else None

    @property
    def finished(self) -> tuple[Experiment, ...]:
        """Experiments that ended, well or badly, in that order; round 0 first."""
        return tuple(self._finished)

    @property
    def rounds(self) -> int:
        """Finished rounds; round 0, the floor and the warm-up, does not count."""
        return sum(1 for e in self._finished if e.id > 0 and not e.warm_up)

    @property
    def next_id(self) -> int:
        """Ids are given in order; the one in flight when the agent died is used again."""
        return len(self._finished)

    @property
    def progress(self) -> float:
        """Used share of the search budget, 0 to 1."""
        by_time = self.elapsed / (SEARCH_SHARE * self.budget.timeout)
        by_rounds = self.rounds / self.budget.loop_n if self.budget.loop_n else 0.0
        return min(1.0, max(by_time, by_rounds))

    def best(self) -> Experiment | None:
        """The last experiment that beat the best before it."""
        return self._best

    def ranked(self) -> list[Experiment]:
        """Scored experiments on as many folds as the best, best first."""
        if self._best is None or self._best.score is None:
            return []
        folds, sign = self._best.score.folds, 1 if self._best.score.higher_is_better else -1
        scored = [
            (e.score.value * sign, -e.id, e)
            for e in self._finished
            if e.score is not None and e.score.folds == folds and e.score.value == e.score.value
        ]
        return [e for _, _, e in sorted(scored, key=lambda s: s[:2], reverse=True)]

    def for_search(self) -> Journal:
        """A snapshot for policies: without what the final part said in a last choice before."""
        copy = self.snapshot()
        copy.chosen, copy.deliveries = None, []
        return copy

    def only(self, experiments: list[Experiment], loop_n: int | None) -> Journal:
        """A snapshot for policies that knows these experiments alone, and a limit of its own."""
        copy = self.for_search()
        copy._finished = experiments
        copy.budget = self.budget.model_copy(update={"loop_n": loop_n})
        return copy

    def snapshot(self) -> Journal:
        """An independent copy that later events do not change (records are frozen)."""
        copy = Journal()
        copy.__dict__.update(self.__dict__)
        for name in ("experiments", "deliveries", "notes", "problems", "_finished"):
            setattr(copy, name, type(getattr(self, name))(getattr(self, name)))
        return copy


def finish(experiment: Experiment, event: ExperimentFinished) -> Experiment:
    """The experiment as it is once `event` ended it."""
    names = ("feedback", "error", "marks", "comparison", "cost", "chosen")
    ended = experiment.model_copy(update={name: getattr(event, name) for name in names})
    if not ended.attempts or not event.score:
        return ended
    attempts = list(ended.attempts)
    attempts[ended.attempt] = attempts[ended.attempt].model_copy(update={"score": event.score})
    return ended.model_copy(update={"attempts": tuple(attempts)})


class Clock(Protocol):
    """Tells a replay the time of the run that it repeats."""

    def look(self) -> float:
        """Active seconds of the run."""
        ...

    def stamp(self, event: AnyEvent) -> float:
        """The same for an event that is about to be written."""
        ...


class JournalWriter:
    """The one writer of a run's `events.jsonl`."""

    def __init__(
        self, run: Path, observe: Callable[[AnyEvent, Journal], None] | None = None,
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """Open (or create) the journal below `run`.

        Raises SetupError if another agent writes it or a line of it cannot be read.
        """
        path = run / "events.jsonl"
        self._observe = observe
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise SetupError(f"{run} is being written by another agent: stop that one") from None
        self.journal = load(run)
        if self.journal.problems:
            os.close(self._fd)
            raise SetupError(
                f"{run.name} cannot go on without what a line says: {self.journal.problems[0]}; "
                "mend that line, or start a new run"
            )
        os.ftruncate(self._fd, _complete_bytes(path))
        os.lseek(self._fd, 0, os.SEEK_END)
        self._elapsed_before = self.journal.elapsed
        self._since = time.monotonic()
        self._clock, self._looks = clock, list[float]()

    @property
    def elapsed(self) -> float:
        """Active seconds of the run, over all its resumes; every look is kept for a replay."""
        self._looks.append(self._clock.look() if self._clock else self._now())
        return self._looks[-1]

    def _now(self) -> float:
        return round(self._elapsed_before + time.monotonic() - self._since, 3)

    def append(self, event: AnyEvent) -> None:
        """Write one event, then fold it in; Ctrl-C waits until both are done."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        elapsed = self._clock.stamp(event) if self._clock else self._now()
        times = {"at": now, "elapsed": elapsed, "looks": tuple(self._looks)}
        event = event.model_copy(update=times)
        line = event.model_dump_json(exclude_defaults=False).encode() + b"\n"
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            start = os.lseek(self._fd, 0, os.SEEK_CUR)
            try:
                written = os.write(self._fd, line)
                if written < len(line):
                    raise OSError(28, "no space left for a whole event")
            except OSError as error:
                os.ftruncate(self._fd, start)
                os.lseek(self._fd, start, os.SEEK_SET)
                raise SetupError(
                    f"cannot write the journal ({error.strerror}): free some disk, then --resume"
                ) from error
            if isinstance(event, _DURABLE):
                os.fsync(self._fd)
            self.journal.apply(event)
            self._looks.clear()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if self._observe:
            self._observe(event, self.journal)

    def close(self) -> None:
        os.close(self._fd)


def load(run: Path | str) -> Journal:
    """Read a run folder. Lines that cannot be read are named in `Journal.problems`."""
    journal = Journal()
    for number, line in _lines(Path(run)):
        try:
            journal.apply(_EVENTS.validate_json(line))
        except (ValidationError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            journal.problems.append(f"events.jsonl line {number} is left out: {reason}")
    return journal


def read_events(run: Path) -> Iterator[AnyEvent]:
    """The events of a run in order. Raises SetupError for a line that cannot be read."""
    for number, line in _lines(run):
        try:
            yield _EVENTS.validate_json(line)
        except ValidationError as error:
            reason = str(error).splitlines()[0]
            raise SetupError(f"events.jsonl line {number} cannot be read: {reason}") from None


def find_runs(folder: Path | str) -> list[Path]:
    """Run folders at or below `folder`, by name; broken ones too, nothing inside of runs."""
    runs = []
    for root, folders, files in os.walk(folder):
        folders.sort()
        if {"run.json", "events.jsonl"} & set(files):
            runs.append(Path(root))
            folders.clear()  # workspaces are large, and programs may write what looks like a run
    return runs


def read_run_json(run: Path) -> dict[str, Any]:
    """`run.json` of a run folder; SetupError when it is none or of a newer version."""
    try:
        content: Any = json.loads((run / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{run} is not a run folder: it has no readable run.json") from error
    kinds = {"format": int, "version": str, "command": str, "competition": str, "seed": int}
    kinds["hashes"] = dict
    if not isinstance(content, dict) or any(
        not isinstance(content.get(name), kind) for name, kind in kinds.items()
    ):
        raise SetupError(f"{run} is not a run folder of rdagent: its run.json is damaged")
    if content["format"] > FORMAT:
        raise SetupError(
            f"{run} was made by rdagent {content['version']}: update rdagent to read it"
        )
    return dict(content)


def _lines(run: Path) -> Iterator[tuple[int, bytes]]:
    try:
        content = (run / "events.jsonl").read_bytes()
    except OSError as error:
        raise SetupError(f"{run} is not a run folder: it has no readable events.jsonl") from error
    *complete, _ = content.split(b"\n")
    yield from ((n, line) for n, line in enumerate(complete, 1) if line.strip())


def _complete_bytes(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1
