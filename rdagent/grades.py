"""Grades of a run's submissions on test answers: made, kept in `grades.jsonl`, read back.

Only commands use this, after the fact: the loop cannot import it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from rdagent.errors import RDAgentError, SetupError
from rdagent.events import Delivered
from rdagent.journal import Journal, load
from rdagent.records import Competition, Experiment, Record, Score
from rdagent.runs import played_competition


class Grade(Record):
    """A line of `grades.jsonl`: one graded file."""

    graded: int | Literal["delivery"]
    """The round, or what was delivered."""
    submission: str
    """File, relative to the run folder."""
    hash: str
    """SHA-256 of the file's content; empty when it was missing."""
    score: float | None
    error: str | None
    """Why there is no score; None when there is one."""
    metric: str
    higher_is_better: bool
    graded_at: str
    """UTC, ISO 8601."""


class Line(Record):
    """A round, or the delivery, with what the host and the test answers say of it."""

    graded: int | Literal["delivery"]
    what: str
    """The hypothesis, or what is delivered."""
    host: Score | None
    failed: str | None = None
    """Why the round has no host score."""
    grade: Grade | None = None
    """None: not graded, or the file changed since."""


class RunSummary(Record):
    """One run as `mle_summary` shows it."""

    run: str
    """Folder, relative to the one that was asked for."""
    competition: str | None = None
    problem: str | None = None
    """What kept it from being read or graded."""
    metric: str | None = None
    higher_is_better: bool | None = None
    rounds: int = 0
    """Finished ones; round 0 counts."""
    valid_submissions: int = 0
    """Rounds whose submission passed the host's gates; round 0 counts."""
    failed_rounds: int = 0
    best_round: int | None = None
    best_score: float | None = None
    """The host's, on hidden rows of train."""
    best_low: float | None = None
    best_high: float | None = None
    best_test: float | None = None
    """Test score of the best round by the host's score, not of the luckiest one."""
    delivery: str | None = None
    """What `best/` holds, such as `refit of round 3`."""
    delivery_test: float | None = None
    failed_gradings: int = 0
    lines: tuple[Line, ...] = ()
    """Rounds in order, then the delivery."""


def grade(
    run: Path, root: Path, stage: Callable[[str], None] = lambda text: None
) -> tuple[Grade, ...]:
    """Grade every round's submission and the delivery of `run`, and replace its `grades.jsonl`.

    Args:
        run: the run folder.
        root: folder of the competitions, whose `eval/` holds the answers.
        stage: told which file is graded.

    Raises:
        RDAgentError, OSError: the run cannot be graded at all; `grades.jsonl` stays as it was.
    """
    from rdagent.graders.eval_folder import EvalFolderGrader
    from rdagent.runs import write_atomically

    journal = load(run)
    competition = played_competition(journal, root)
    grader = EvalFolderGrader(competition=competition)
    grades = []
    for graded, name in submissions(run, journal).items():
        stage(f"grading {run.name}: {name}")
        score, error = None, None
        content = _hash(run / name)
        try:
            score = grader.grade(run / name) if content else None
        except (RDAgentError, OSError, ValueError) as problem:
            error = f"{problem}" or type(problem).__name__
        if score is None and error is None:
            if content:
                raise SetupError(f"there are no answers for {competition.id} in {root / 'eval'}")
            error = f"{name} is missing"
        grades.append(_line(graded, name, content, score, error, competition))
    text = "".join(g.model_dump_json() + "\n" for g in grades)
    write_atomically(run / "grades.jsonl", text)
    return tuple(grades)


def _line(
    graded: int | Literal["delivery"],
    name: str,
    content: str,
    score: Score | None,
    error: str | None,
    competition: Competition,
) -> Grade:
    return Grade(
        graded=graded,
        submission=name,
        hash=content,
        score=score.value if score else None,
        error=error,
        metric=score.metric if score else competition.metric,
        higher_is_better=(score or competition).higher_is_better,
        graded_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def submissions(run: Path, journal: Journal) -> dict[int | Literal["delivery"], str]:
    """What there is to grade -> its file relative to `run`; missing files are named too."""
    found: dict[int | Literal["delivery"], str] = {}
    for experiment in journal.finished:
        name = f"submissions/{experiment.id}.csv"
        if experiment.score or (run / name).exists():
            found[experiment.id] = name
    if delivered := delivery(run, journal):
        found["delivery"] = f"deliveries/{delivered.n}/submission.csv"
    return found


def delivery(run: Path, journal: Journal) -> Delivered | None:
    """What `best/` points at, else the last one that the journal knows."""
    name = (run / "best").resolve().name
    there = [d for d in journal.deliveries if str(d.n) == name]
    return [*journal.deliveries, *there][-1] if journal.deliveries else None


def read_grades(run: Path) -> tuple[Grade, ...]:
    """Grades whose file is still what was graded; unreadable lines are left out."""
    try:
        lines = (run / "grades.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    grades = []
    for line in lines:
        try:
            grades.append(Grade.model_validate_json(line))
        except ValidationError:
            continue
    return tuple(g for g in grades if _hash(run / g.submission) == g.hash)


def summarise(run: Path, folder: Path, grades: tuple[Grade, ...], problem: str = "") -> RunSummary:
    """The run's rounds beside their grades; a broken run is a summary with a `problem`."""
    name = run.relative_to(folder).as_posix() if run != folder else run.absolute().name
    try:
        journal = load(run)
    except (RDAgentError, OSError) as error:
        return RunSummary(run=name, problem=problem or str(error))
    lines = _lines(run, journal, grades)
    tests = {line.graded: line.grade.score for line in lines if line.grade}
    best, known = journal.best(), journal.started.competition if journal.started else {}
    score = best.score if best else None
    return RunSummary(
        run=name,
        competition=journal.competition_id,
        problem="; ".join(filter(None, [problem, *journal.problems])) or None,
        metric=grades[0].metric if grades else known.get("metric"),
        higher_is_better=grades[0].higher_is_better if grades else known.get("higher_is_better"),
        rounds=len(journal.finished),
        valid_submissions=sum(_valid(e, run) for e in journal.finished),
        failed_rounds=sum(line.failed is not None for line in lines),
        best_round=best.id if best else None,
        best_score=score.value if score else None,
        best_low=score.low if score else None,
        best_high=score.high if score else None,
        best_test=tests.get(best.id) if best else None,
        delivery=next((line.what for line in lines if line.graded == "delivery"), None),
        delivery_test=tests.get("delivery"),
        failed_gradings=sum(bool(line.grade and line.grade.error) for line in lines),
        lines=lines,
    )


def _lines(run: Path, journal: Journal, grades: tuple[Grade, ...]) -> tuple[Line, ...]:
    graded = {(g.graded, g.submission): g for g in grades}
    files = submissions(run, journal)
    lines = [
        Line(
            graded=e.id,
            what=e.hypothesis.statement,
            host=e.score,
            failed=e.error,
            grade=graded.get((e.id, files.get(e.id, ""))),
        )
        for e in journal.finished
    ]
    if delivered := delivery(run, journal):
        kind = {"floor": "floor", "members": "fold models", "refit": "refit"}[delivered.kind]
        lines.append(
            Line(
                graded="delivery",
                what=f"{kind} of round {delivered.experiment}",
                host=delivered.score,
                grade=graded.get(("delivery", files["delivery"])),
            )
        )
    return tuple(lines)


def write_summaries(folder: Path, summaries: list[RunSummary]) -> None:
    """`summary.json` with every line, and `summary.csv` with one line a run, in `folder`."""
    from rdagent.runs import write_atomically

    rows = [s.model_dump(mode="json") for s in summaries]
    text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / "summary.json", text)
    table = io.StringIO()
    columns = [name for name in RunSummary.model_fields if name != "lines"]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "summary.csv", table.getvalue())


def _valid(experiment: Experiment, run: Path) -> bool:
    return experiment.score is not None and (run / f"submissions/{experiment.id}.csv").is_file()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
