"""Events fold to a state; a torn file loses nothing but its torn end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdagent.errors import SetupError
from rdagent.events import (
    Budget,
    Executed,
    ExperimentFinished,
    ExperimentStarted,
    Proposed,
    RunStarted,
    Scored,
    Understood,
    Written,
)
from rdagent.journal import JournalWriter, find_runs, load
from rdagent.records import Card, Cost, Execution, Feedback, Hypothesis, Program, Score

IDEA = Hypothesis(statement="try it", reason="why not", component="Model", operator="draft")
PROGRAM = Program(files={"main.py": "print('ü')\n"})


def score(value: float) -> Score:
    return Score(value=value, metric="accuracy", higher_is_better=True, folds=(0,))


def start(writer: JournalWriter) -> None:
    about = {"id": "toy", "task": "binary", "metric": "accuracy", "higher_is_better": True}
    writer.append(RunStarted(competition=about, split={"folds": 1}, budget=Budget(loop_n=4)))


def play(writer: JournalWriter, id: int, value: float | None, *, accepted: bool) -> None:
    writer.append(ExperimentStarted(id=id, operator="draft"))
    writer.append(Proposed(id=id, hypothesis=IDEA))
    writer.append(Written(id=id, program=PROGRAM))
    writer.append(Executed(id=id, execution=Execution(kind="fold", fold=0, seconds=1.5)))
    writer.append(
        ExperimentFinished(
            id=id,
            score=None if value is None else score(value),
            error="it failed" if value is None else None,
            feedback=Feedback(accepted=accepted, observations="", reason=""),
            cost=Cost(seconds=2),
        )
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    writer = JournalWriter(tmp_path)
    start(writer)
    play(writer, 0, 0.5, accepted=True)
    play(writer, 1, None, accepted=False)
    play(writer, 2, 0.9, accepted=True)
    play(writer, 3, 0.7, accepted=False)
    writer.close()
    return tmp_path


def test_a_run_reads_back_as_it_was_written(run: Path) -> None:
    journal = load(run)
    assert journal.competition_id == "toy"
    assert [e.id for e in journal.finished] == [0, 1, 2, 3]
    assert journal.rounds == 3 and journal.next_id == 4
    best = journal.best()
    assert best is not None and best.id == 2 and best.program == PROGRAM
    assert [e.id for e in journal.ranked()] == [2, 3, 0]
    assert journal.experiments[1].error == "it failed" and journal.experiments[1].score is None
    assert journal.program_seconds == pytest.approx(6.0)
    assert journal.progress == pytest.approx(0.75)


def test_an_experiment_in_flight_is_done_again_under_its_id(run: Path) -> None:
    writer = JournalWriter(run)
    writer.append(ExperimentStarted(id=4, operator="improve", parents=(2,)))
    writer.append(Proposed(id=4, hypothesis=IDEA))
    writer.close()
    assert load(run).next_id == 4
    writer = JournalWriter(run)
    play(writer, 4, 0.95, accepted=True)
    writer.close()
    assert len(load(run).experiments[4].attempts) == 1


def test_a_journal_of_an_older_version_is_read(run: Path) -> None:
    """Before there was an LLM, events had neither a warm-up nor a chosen attempt."""
    path, now = run / "events.jsonl", load(run)
    old = [json.loads(line) for line in path.read_text().splitlines()]
    dropped = sum(
        event.pop(name, "absent") != "absent" for event in old for name in ("warm_up", "chosen")
    )
    assert dropped == 8
    path.write_text("".join(json.dumps(event) + "\n" for event in old))
    assert load(run).problems == [] and load(run).finished == now.finished


def test_the_attempt_that_counts_may_be_an_earlier_one(run: Path) -> None:
    writer, tuned = JournalWriter(run), Program(files={"main.py": "print('tuned')\n"})
    writer.append(ExperimentStarted(id=4, operator="improve", parents=(2,), warm_up=True))
    writer.append(Proposed(id=4, hypothesis=IDEA))
    for program, value in ((PROGRAM, 0.8), (tuned, 0.6)):
        writer.append(Written(id=4, program=program))
        writer.append(Executed(id=4, execution=Execution(kind="fold", fold=0, seconds=1)))
        writer.append(Scored(id=4, score=score(value)))
    nothing = Feedback(accepted=False, observations="", reason="")
    writer.append(
        ExperimentFinished(id=4, score=score(0.8), chosen=0, feedback=nothing, cost=Cost())
    )
    writer.append(Executed(id=4, execution=Execution(kind="refit", seconds=1)))
    card = Card(task="t", data="d", metric="m", submission="s")
    writer.append(Understood(card=card))
    writer.close()
    journal = load(run)
    experiment = journal.experiments[4]
    assert experiment.program == PROGRAM and experiment.score == score(0.8)
    assert [a.score for a in experiment.attempts] == [score(0.8), score(0.6)]
    assert [[e.kind for e in a.executions] for a in experiment.attempts] == [
        ["fold", "refit"],
        ["fold"],
    ]
    assert [e.id for e in journal.ranked()] == [2, 4, 3, 0]
    assert journal.card == card and journal.rounds == 3


def test_a_snapshot_does_not_move(run: Path) -> None:
    writer = JournalWriter(run)
    before = writer.journal.snapshot()
    play(writer, 4, 0.99, accepted=True)
    writer.close()
    assert before.next_id == 4 and 4 not in before.experiments
    assert [e.id for e in before.ranked()] == [2, 3, 0]


def test_a_second_writer_is_refused_while_the_first_lives(run: Path) -> None:
    first = JournalWriter(run)
    with pytest.raises(SetupError, match="another agent"):
        JournalWriter(run)
    first.close()
    JournalWriter(run).close()


def test_a_foreign_line_is_named_and_the_rest_is_shown(run: Path) -> None:
    path = run / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:1], b'{"type": "from the future"}\n', *lines[1:]]))
    journal = load(run)
    assert [e.id for e in journal.finished] == [0, 1, 2, 3]
    assert len(journal.problems) == 1 and "line 2" in journal.problems[0]
    with pytest.raises(SetupError, match="line 2"):  # a writer would give ids twice
        JournalWriter(run)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.floats(0, 1))
def test_cut_at_any_byte_it_recovers_a_prefix_and_can_go_on(cut: float, run: Path) -> None:
    path = run / "events.jsonl"
    whole = path.read_bytes()
    torn = run.parent / f"{run.name}-torn"
    torn.mkdir(exist_ok=True)
    (torn / "events.jsonl").write_bytes(whole[: int(cut * len(whole))])
    ids = [e.id for e in load(torn).finished]
    assert ids == list(range(len(ids)))
    writer = JournalWriter(torn)
    kept = (torn / "events.jsonl").read_bytes()
    assert whole.startswith(kept) and (not kept or kept.endswith(b"\n"))
    writer.append(ExperimentStarted(id=writer.journal.next_id, operator="draft"))
    writer.close()
    assert load(torn).problems == []


def test_runs_are_found_at_and_below_a_folder_but_not_inside_of_runs(run: Path) -> None:
    (run / "run.json").write_text("{}")
    fake = run / "workspaces" / "0"
    fake.mkdir(parents=True)
    (fake / "run.json").write_text("{}")
    assert find_runs(run) == [run]
    assert find_runs(run.parent).count(run) == 1 and fake not in find_runs(run.parent)


def test_elapsed_time_adds_up_over_resumes(run: Path) -> None:
    before = load(run).elapsed
    writer = JournalWriter(run)
    assert writer.elapsed >= before
    writer.close()


def test_a_full_disk_is_a_sentence_and_tears_nothing(run: Path) -> None:
    path = run / "events.jsonl"
    size = path.stat().st_size
    code = f"""
import resource, signal
from pathlib import Path
from rdagent.events import Noted
from rdagent.journal import JournalWriter
from rdagent.errors import SetupError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = JournalWriter(Path({str(run)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 50}, resource.RLIM_INFINITY))
try:
    writer.append(Noted(kind="hint", text="x" * 1000))
except SetupError as error:
    print("SENTENCE", error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SENTENCE cannot write the journal" in out.stdout
    assert path.stat().st_size == size
    assert load(run).problems == []
