"""A whole run: rounds, repairs, what lies in the run folder, what is delivered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from scripted import FLOOR, HONEST, WRITE, Scripted, make_toy, play_toy

from rdagent.errors import SetupError
from rdagent.journal import load
from rdagent.play import run
from rdagent.settings import load_settings

GOOD = HONEST + WRITE
NOISY = HONEST + "import random\nout = {id: random.Random(id).random() for id in out}\n" + WRITE
CRASH = "print('working')\nraise ValueError('no such luck')\n"


def test_a_run_delivers_its_best_program_refitted(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, NOISY, GOOD, CRASH)
    assert [bool(e.feedback and e.feedback.accepted) for e in journal.finished][2:] == [True, False]
    best = journal.best()
    assert best is not None and best.id == 2 and best.score is not None
    assert best.score.value > 0.6 and best.score.folds == (0, 1, 2, 3, 4)
    assert journal.experiments[3].error and "exit code 1" in journal.experiments[3].error
    assert "no such luck" in journal.experiments[3].attempts[-1].executions[-1].log
    last = journal.deliveries[-1]
    assert (last.kind, last.experiment) == ("refit", 2)
    assert (folder / "best").is_symlink() and not (folder / "best").readlink().is_absolute()
    delivered = pd.read_csv(folder / "best" / "submission.csv")
    sample = pd.read_csv(tmp_path / "toy" / "sample_submission.csv")
    assert list(delivered["id"]) == list(sample["id"])
    # Refitted: the share of each kind over all labelled rows, not a fold's.
    train = pd.read_csv(tmp_path / "toy" / "train.csv")
    test = pd.read_csv(tmp_path / "toy" / "test.csv")
    expected = test["kind"].map(train.groupby("kind")["y"].mean())
    assert delivered["y"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    assert (folder / "best" / "workspace_input" / "main.py").read_text() == GOOD
    assert (folder / "best" / "workspace_input" / "models" / "shares.json").exists()
    report = (folder / "best" / "report.md").read_text()
    assert "idea 2" in report and "What to distrust" in report and "no such luck" not in report


def test_what_a_run_keeps(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, GOOD)
    about = json.loads((folder / "run.json").read_text())
    assert about["competition"] == "toy" and "train.csv" in str(about["hashes"])
    texts = [p.read_text() for p in (folder / "run.json", folder / "events.jsonl")]
    assert all(str(tmp_path) not in text for text in texts), "a run folder can be moved"
    assert (folder / "folds.csv").stat().st_mode & 0o777 == 0o600
    predictions = pd.read_csv(folder / "predictions" / "1.csv")
    assert sorted(predictions["row"]) == list(range(300)) and set(predictions["fold"]) == set(
        range(5)
    )
    assert len(pd.read_csv(folder / "submissions" / "1.csv")) == 100
    assert load(folder).ended == journal.ended == "1 of 1 rounds played"


def test_a_program_is_repaired_until_it_runs(tmp_path: Path) -> None:
    no_submission, bad = "print('done')\n", HONEST + "out = dict.fromkeys(out, 7)\n" + WRITE
    journal, _ = play_toy(tmp_path, [CRASH, no_submission, bad, GOOD])
    experiment = journal.experiments[1]
    assert experiment.error is None and len(experiment.attempts) == 4
    errors = [a.error or "" for a in experiment.attempts]
    assert "exit code 1" in errors[0] and "submission.csv" in errors[1] and errors[2]


def test_a_program_clearly_below_the_best_stops_after_its_first_fold(tmp_path: Path) -> None:
    inverse = HONEST + "out = {id: 1 - y for id, y in out.items()}\n" + WRITE
    journal, _ = play_toy(tmp_path, GOOD, inverse)
    worse = journal.experiments[2]
    assert worse.score is not None and worse.score.folds == (0,)
    assert worse.comparison is not None and worse.comparison.high < 0
    assert journal.best() == journal.finished[1]


def test_a_refit_that_disagrees_with_the_folds_is_not_delivered(tmp_path: Path) -> None:
    """All labelled rows make it flip: the fold models are delivered, and the report says so."""
    flip = 'int(r["y"]) ^ (len(rows("train.csv")) == 300)'
    flips = HONEST.replace('int(r["y"])', flip)
    assert flips != HONEST
    journal, folder = play_toy(tmp_path, flips + WRITE)
    last = journal.deliveries[-1]
    assert last.kind == "members" and "folds' mean" in last.reason
    assert sorted(p.name for p in (folder / "best" / "members").iterdir()) == list("01234")
    assert last.reason in (folder / "best" / "report.md").read_text()


def test_an_idea_that_breaks_its_researcher_costs_a_round_and_not_the_run(tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, GOOD, loop_n=2)  # there is no second program to write
    assert journal.rounds == 2
    assert journal.experiments[2].error == "IndexError: list index out of range"
    assert journal.deliveries[-1].experiment == 1


def test_a_machine_where_nothing_runs_is_a_sentence(tmp_path: Path) -> None:
    make_toy(tmp_path)
    with pytest.raises(SetupError):
        play_toy(tmp_path, GOOD, python=tmp_path / "no-such-python")


def test_time_that_runs_out_ends_the_search_and_still_delivers(tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(60)\n"
    make_toy(tmp_path)
    settings = load_settings(
        {"local_data_path": tmp_path, "trace_path": tmp_path / "log"}, {}, tmp_path / "no.env"
    )
    started = time.monotonic()
    journal, folder = run(
        "toy", loop_n=9, timeout=12, settings=settings, researcher=Scripted(GOOD, slow, slow)
    )
    assert time.monotonic() - started < 17
    assert journal.ended == "the time for search is used"
    assert journal.best() == journal.finished[1]
    assert (folder / "best" / "submission.csv").exists()


# -- stopping and going on ---------------------------------------------------------------

PLAY = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from scripted import play_toy
from test_loop import GOOD, LINGERS, SLOW
rounds = [LINGERS, SLOW, GOOD]
try:
    journal, folder = play_toy(Path({root!r}), *rounds, resume={resume})
    print("ENDED", journal.ended, [e.id for e in journal.finished])
except KeyboardInterrupt:
    print("INTERRUPTED")
"""
SLOW = "import time\ntime.sleep(20)\n" + GOOD
LINGERS = GOOD + 'import time\ntime.sleep(3 * (len(rows("train.csv")) == 300))  # the refit\n'


def _agent(root: Path, resume: str = "None") -> subprocess.Popen[str]:
    code = PLAY.format(tests=str(Path(__file__).parent), root=str(root), resume=resume)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def _wait_for_round(root: Path, id: int) -> Path:
    for _ in range(600):
        for events in root.glob("log/*/events.jsonl"):
            if f'"type":"written","id":{id}' in events.read_text().replace(" ", "") or (
                id in load(events.parent).experiments
                and load(events.parent).experiments[id].attempts
            ):
                return events.parent
        time.sleep(0.1)
    raise AssertionError(f"round {id} never started")


def test_ctrl_c_delivers_the_best_so_far_and_the_run_can_go_on(tmp_path: Path) -> None:
    make_toy(tmp_path)
    agent = _agent(tmp_path)
    folder = _wait_for_round(tmp_path, 2)
    agent.send_signal(signal.SIGINT)
    out, _ = agent.communicate(timeout=60)
    assert "ENDED stopped by the user [0, 1]" in out
    assert load(folder).deliveries[-1].kind == "refit"
    rounds = [LINGERS, FLOOR, FLOOR + "# again\n"]
    journal, same = play_toy(tmp_path, *rounds, resume=folder, loop_n=3)
    assert same == folder and [e.id for e in journal.finished] == [0, 1, 2, 3]


def test_a_second_ctrl_c_stops_at_once_and_the_run_can_go_on(tmp_path: Path) -> None:
    make_toy(tmp_path)
    agent = _agent(tmp_path)
    folder = _wait_for_round(tmp_path, 2)
    agent.send_signal(signal.SIGINT)
    time.sleep(1)
    agent.send_signal(signal.SIGINT)
    out, _ = agent.communicate(timeout=20)
    assert "INTERRUPTED" in out
    assert load(folder).ended is None and load(folder).deliveries[-1].kind == "members"
    journal, _ = play_toy(tmp_path, LINGERS, FLOOR, resume=folder, loop_n=2)
    assert [e.id for e in journal.finished] == [0, 1, 2]
    assert journal.deliveries[-1].kind == "refit"


def test_ctrl_c_before_anything_is_there_leaves_a_run_that_can_go_on(tmp_path: Path) -> None:
    make_toy(tmp_path)
    agent = _agent(tmp_path)
    folder = _wait_for_round(tmp_path, 0)
    agent.send_signal(signal.SIGINT)
    out, _ = agent.communicate(timeout=20)
    assert "INTERRUPTED" in out and load(folder).ended is None
    journal, _ = play_toy(tmp_path, GOOD, resume=folder, loop_n=1)
    assert [e.id for e in journal.finished] == [0, 1]


def test_killed_at_once_the_run_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    make_toy(tmp_path)
    agent = _agent(tmp_path)
    folder = _wait_for_round(tmp_path, 2)
    agent.kill()
    agent.communicate(timeout=60)
    assert (folder / "best" / "submission.csv").exists(), "the floor and round 1 were delivered"
    finished = [e.model_dump() for e in load(folder).finished]
    journal, _ = play_toy(tmp_path, LINGERS, FLOOR, FLOOR + "#\n", resume=folder, loop_n=3)
    assert [e.model_dump() for e in journal.finished][:2] == finished
    assert [e.id for e in journal.finished] == [0, 1, 2, 3]
    assert journal.deliveries[-1].kind == "refit"


def test_a_run_that_has_played_its_rounds_says_how_to_go_on(tmp_path: Path) -> None:
    _, folder = play_toy(tmp_path, GOOD)
    with pytest.raises(SetupError, match="go on with --loop-n 6"):
        play_toy(tmp_path, GOOD, resume=folder)


def test_changed_data_is_not_resumed(tmp_path: Path) -> None:
    _, folder = play_toy(tmp_path, GOOD)
    with (tmp_path / "toy" / "train.csv").open("a") as file:
        file.write("99999,1,0.5,1\n")
    with pytest.raises(SetupError, match=r"changed since .* \(train.csv\)"):
        play_toy(tmp_path, GOOD, GOOD + "#\n", resume=folder)


def test_a_moved_run_resumes(tmp_path: Path) -> None:
    _, folder = play_toy(tmp_path, GOOD)
    moved = folder.rename(tmp_path / "elsewhere")
    journal, _ = play_toy(tmp_path, GOOD, FLOOR, resume=moved)
    assert [e.id for e in journal.finished] == [0, 1, 2]


def test_where_no_row_can_be_hidden_the_programs_own_word_ranks_and_is_called_so(
    tmp_path: Path,
) -> None:
    """What an archive holds of a row nobody can tell: the floor has no score, and is delivered."""
    with zipfile.ZipFile(make_toy(tmp_path) / "images.zip", "w") as archive:
        archive.writestr("1.png", b"1234")
    says = GOOD + 'Path("scores.csv").write_text(",roc_auc\\nensemble,0.7\\n")\n'
    journal, folder = play_toy(tmp_path, GOOD, says, says.replace("0.7", "0.6"))
    assert journal.experiments[0].error is None and "no score" in journal.experiments[0].marks[0]
    assert "scores.csv" in (journal.experiments[1].error or "")
    best = journal.best()
    assert best is not None and best.id == 2 and best.score is not None
    assert best.score.source == "self-reported" and best.score.value == 0.7
    assert "program's own word" in (folder / "best" / "report.md").read_text()
    assert [d.kind for d in journal.deliveries] == ["floor", "members", "refit"]


def test_a_best_that_was_not_delivered_before_the_kill_is_delivered_on_resume(
    tmp_path: Path,
) -> None:
    _, folder = play_toy(tmp_path, GOOD)
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    end = max(n for n, e in enumerate(events) if '"type":"experiment_finished"' in e)
    (folder / "events.jsonl").write_text("".join(events[: end + 1]))
    journal, _ = play_toy(tmp_path, GOOD, FLOOR, resume=folder)
    assert [(d.experiment, d.kind) for d in journal.deliveries][:2] == [
        (0, "floor"),
        (1, "members"),
    ]
    assert [e.id for e in journal.finished] == [0, 1, 2]


def test_a_final_part_of_one_class_ends_the_run_all_the_same(tmp_path: Path) -> None:
    """In time, the last rows may hold one class: an AUC of them is undefined, not fatal."""
    folder = make_toy(tmp_path)
    for name in ("train.csv", "test.csv"):
        frame = pd.read_csv(folder / name)
        first = "2020-01-01" if name == "train.csv" else "2021-01-01"
        frame.insert(1, "day", pd.date_range(first, periods=len(frame)).strftime("%Y-%m-%d"))
        if name == "train.csv":
            frame.loc[frame.index[-60:], "y"] = 0
        frame.to_csv(folder / name, index=False)
    journal, run_folder = play_toy(tmp_path, GOOD)
    assert journal.started is not None and journal.started.split["scheme"] == "time"
    assert journal.chosen is not None and journal.chosen.experiment == 1
    assert journal.chosen.score is None and journal.ended == "1 of 1 rounds played"
    assert journal.deliveries[-1].experiment == 1
    assert (run_folder / "best" / "report.md").exists()


def test_columns_called_as_the_hosts_own_are_no_trouble(tmp_path: Path) -> None:
    """A target `fold`, a relative WORKSPACE_PATH, and ids that the sample spells its own way."""
    folder = make_toy(tmp_path)
    for name in ("train.csv", "sample_submission.csv"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(",y\n", ",fold\n", 1))
    good = GOOD.replace('["y"]', '["fold"]').replace('["id", "y"]', '["id", "fold"]')
    workspaces = Path(os.path.relpath(tmp_path / "elsewhere"))
    settings = {"workspace_path": workspaces, "trace_path": tmp_path / "log"}
    journal, run_folder = play_toy(tmp_path, good, good + "#\n", **settings)
    assert journal.experiments[2].error is None and journal.deliveries[-1].kind == "refit"
    assert (tmp_path / "elsewhere" / run_folder.name / "workspaces").is_dir()
    assert not (run_folder / "workspaces").exists()


def test_the_public_api_plays_and_loads(tmp_path: Path) -> None:
    import rdagent

    _, folder = play_toy(tmp_path, GOOD)
    assert rdagent.load(folder).best() is not None
    assert all(getattr(rdagent, name) is not None for name in rdagent.__all__)
