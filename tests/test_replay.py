"""A recorded run plays once more, without its provider and without running its programs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from model import Model, lesson
from openai_server import OpenAIServer, Reply
from scripted import make_toy
from test_llm_runs import BROKEN, GOOD, KEY, WEAK, environment, fenced, patch, play

from rdagent.errors import SetupError
from rdagent.journal import load
from rdagent.replay import main, replay
from rdagent.settings import load_settings

pytestmark = pytest.mark.timeout(120)
__all__ = ["environment"]

RECORDING = Path(__file__).parent / "recording"
"""A run of a mind that answered through a real server, without what a replay does not need."""


def events(run: Path) -> list[dict[str, Any]]:
    """What a run's journal says, but for times."""
    found = []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        for name in ("at", "elapsed"):
            del event[name]
        if "cost" in event:
            event["cost"].pop("seconds")
        found.append(event)
    return found


def calls(run: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (run / "llm.jsonl").read_text().splitlines()]
    return [
        (x["prompt_name"], x["experiment"], x["kind"], x["messages"])
        for x in lines if x["type"] == "start"
    ]  # fmt: skip


def test_a_replay_gives_the_same_journal(tmp_path: Path) -> None:
    ideas = Model().answers["propose"]
    model = Model(
        write=[fenced(BROKEN), fenced(GOOD)], correct=fenced(GOOD + "# mended"),
        repair=[Reply(status=500), patch("csv.DictReeder", "csv.DictReader")],
        repair_full=patch("csv.DictReeder", "csv.DictReader"),
        review=[lesson("Shares beat halves."), lesson("", confirms=[1])],
        propose=[Reply("<think>Hm.</think>" + ideas[0]), "junk", *ideas[1:]],
    )  # fmt: skip
    model.answers["correct"] = ideas[7]
    with OpenAIServer(model) as server:
        journal, recorded = play(tmp_path, server, 3, drafts=1, hints=("Look at kind.",))
    print([(e.error, len(e.attempts)) for e in journal.finished])
    assert any(len(e.attempts) == 2 for e in journal.finished)
    asked = len(server.requests)
    shutil.move(recorded, tmp_path / "moved")
    _, again = replay(tmp_path / "moved", load_settings({}, _here(tmp_path), Path("none")))
    assert len(server.requests) == asked
    assert events(again) == events(tmp_path / "moved")
    assert calls(again) == calls(tmp_path / "moved")
    assert (again / "best" / "submission.csv").read_text() == (
        tmp_path / "moved" / "best" / "submission.csv"
    ).read_text()


def test_a_run_that_was_killed_replays_as_it_ended(tmp_path: Path) -> None:
    with OpenAIServer(Model(write=[fenced(WEAK), Reply(status=401)])) as server:
        play(tmp_path, server, 1)
    (recorded,) = (tmp_path / "log").iterdir()
    lines = (recorded / "events.jsonl").read_text().splitlines(keepends=True)
    cut = next(n for n, x in enumerate(lines) if '"proposed","id":1' in x.replace(" ", ""))
    (recorded / "events.jsonl").write_text("".join(lines[: cut + 1]))  # killed while it wrote
    with OpenAIServer(Model(write=fenced(GOOD))) as server:
        play(tmp_path, server, 1, resume=recorded)
    _, again = replay(recorded, load_settings({}, _here(tmp_path), Path("none")))
    resumed = [e for e in events(recorded) if e["type"] != "run_resumed"]
    best, then = load(again).best(), load(recorded).best()
    assert best and then and (best.id, best.score) == (then.id, then.score)
    assert len(events(again)) < len(resumed)  # what was begun in vain is no part of it


def test_a_shortened_recording_of_a_live_run_still_replays(tmp_path: Path) -> None:
    """Prompts may change; replies, executions and what the host makes of them do not."""
    settings = load_settings({}, {"LOG_TRACE_PATH": str(tmp_path / "log")}, Path("none"))
    (run,) = RECORDING.iterdir()
    journal, again = replay(run, settings)
    assert journal.best() is not None and journal.ended
    assert events(again) == events(run)


def test_the_command_replays_and_says_what_came_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = RECORDING.iterdir()
    os.environ["LOG_TRACE_PATH"] = str(tmp_path / "log")
    assert main([str(run)]) == 0
    assert "Best:" in capsys.readouterr().out


def test_a_recording_that_lacks_what_it_needs(tmp_path: Path) -> None:
    make_toy(tmp_path)
    with OpenAIServer(Model(write=fenced(GOOD))) as server:
        _, recorded = play(tmp_path, server, 1)
    settings = load_settings({}, _here(tmp_path), Path("none"))
    text = (recorded / "events.jsonl").read_text()
    (recorded / "events.jsonl").write_text(text.replace('{"kind":"refit"', '{"kind":"proof"'))
    with pytest.raises(SetupError, match="the recording has no refit run of experiment 1"):
        replay(recorded, settings)
    with pytest.raises(SetupError, match="there is no run"):
        replay(tmp_path / "nothing", settings)
    assert KEY not in "".join(p.read_text() for p in recorded.glob("*.json*"))


def _here(root: Path) -> dict[str, str]:
    return {"DS_LOCAL_DATA_PATH": str(root), "LOG_TRACE_PATH": str(root / "log")}
