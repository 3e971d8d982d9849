"""A recorded run plays once more, without its provider and without running its programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from model import Model, idea, lesson
from openai_server import OpenAIServer, Reply
from scripted import make_toy
from test_llm_runs import BROKEN, GOOD, KEY, WEAK, environment, fenced, patch, play

from rdagent.errors import SetupError
from rdagent.journal import Journal
from rdagent.play import Silent
from rdagent.replay import main, replay
from rdagent.settings import load_settings

pytestmark = pytest.mark.timeout(120)
__all__ = ["environment"]

RECORDING = Path(__file__).parent / "recording"
"""A run of a mind that answered through a real server, without what a replay does not need."""


def events(run: Path) -> list[dict[str, Any]]:
    """What a run's journal says, but for dates: also the clock is the recorded one."""
    found = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    for event in found:
        del event["at"]
    return found


def again(root: Path, recorded: Path) -> Path:
    """The folder of the replay; `root` holds the competition."""
    return replay(recorded, load_settings({}, _here(root), Path("none")))[1]


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
    found = again(tmp_path, tmp_path / "moved")
    assert len(server.requests) == asked
    assert events(found) == events(tmp_path / "moved")
    assert calls(found) == calls(tmp_path / "moved")
    assert (found / "best" / "submission.csv").read_text() == (
        tmp_path / "moved" / "best" / "submission.csv"
    ).read_text()


def test_a_run_that_was_killed_replays_without_what_was_in_vain(tmp_path: Path) -> None:
    with OpenAIServer(Model(write=[fenced(WEAK), Reply(status=401)])) as server:
        play(tmp_path, server, 1)
    (recorded,) = (tmp_path / "log").iterdir()
    lines = (recorded / "events.jsonl").read_text().splitlines(keepends=True)
    cut = next(n for n, x in enumerate(lines) if '"proposed","id":1' in x.replace(" ", ""))
    (recorded / "events.jsonl").write_text("".join(lines[: cut + 1]))  # killed while it wrote
    with OpenAIServer(Model(write=fenced(GOOD))) as server:
        play(tmp_path, server, 1, resume=recorded)
        play(tmp_path, server, 2, resume=recorded)
    found, then = again(tmp_path, recorded), events(recorded)
    now = events(found)
    first = next(n for n, e in enumerate(then) if e.get("id") == 1)
    resumed = next(n for n, e in enumerate(then) if e["type"] == "run_resumed")
    for event in now + then:
        event.pop("n", None)  # this kill was feigned: later deliveries were on the disk already
    assert now == then[:first] + then[resumed:]
    assert calls(found) == calls(recorded)  # what was asked in vain is paid for


def test_a_run_that_its_time_ended(tmp_path: Path) -> None:
    """Proposals that take two seconds: what is left of the search decides, and is shown."""
    slow = [Reply(x, pause=2) for x in Model().answers["propose"]]
    model = Model(write=lambda body, n: fenced(f"{GOOD}# {n}"), propose=slow)
    with OpenAIServer(model) as server:
        journal, recorded = play(tmp_path, server, None, timeout=25.0)
    assert journal.ended == "the time for search is used" and journal.rounds
    found = again(tmp_path, recorded)
    assert events(found) == events(recorded) and calls(found) == calls(recorded)


def test_a_run_that_ctrl_c_ended(tmp_path: Path) -> None:
    """While a program runs, and while the LLM is asked."""
    endless = GOOD + "import time\ntime.sleep(60)\n"
    for name, model in {
        "program": Model(write=[fenced(GOOD), fenced(endless)]),
        "question": Model(write=fenced(GOOD), propose=[idea(), Reply(idea("Other."), pause=60)]),
    }.items():
        root = tmp_path / name
        stopper = Stopper(name)
        with OpenAIServer(model) as server:
            journal, recorded = play(root, server, None, observer=stopper)
        assert journal.ended == "stopped by the user" and journal.rounds == 1
        assert events(again(root, recorded)) == events(recorded)


class Stopper(Silent):
    """Presses Ctrl-C in round 2, once its program runs or its idea is asked for."""

    def __init__(self, when: str) -> None:
        self.words = {"program": "fold 2", "question": "proposing"}[when]
        self.round = 0

    def event(self, event: Any, journal: Journal) -> None:
        if event.type == "experiment_started":
            self.round = event.id

    def stage(self, text: str) -> None:
        if self.round == 2 and text.startswith(("debug run", "fold 1", self.words)):
            self.round = 0
            threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()


@pytest.mark.parametrize("limit", [{"max_cost": 0.02}, {"max_tokens": 12_000}])
def test_a_run_that_used_up_its_money(limit: dict[str, Any], tmp_path: Path) -> None:
    model = Model(write=lambda body, n: fenced(f"{GOOD}# {n}"))
    prices = {"DS_PRICE_INPUT": "1", "DS_PRICE_OUTPUT": "4"}
    with OpenAIServer(model) as server:
        journal, recorded = play(tmp_path, server, None, env=prices, **limit)
    assert "is used up" in (journal.ended or "") and journal.rounds > 0
    found = again(tmp_path, recorded)
    assert events(found) == events(recorded) and calls(found) == calls(recorded)


@pytest.mark.parametrize("status", [400, 503])
def test_what_failed_fails_in_the_same_way(status: int, tmp_path: Path) -> None:
    """A question that has no answer costs a round; a provider that is gone, the LLM."""
    model = Model(write=fenced(GOOD), propose=[idea(), Reply(status=status)])
    with OpenAIServer(model) as server:
        _, recorded = play(tmp_path, server, 3)
    assert events(again(tmp_path, recorded)) == events(recorded)


def test_advice_of_every_sitting_is_given_again(tmp_path: Path) -> None:
    make_toy(tmp_path)
    (tmp_path / "toy" / "hints.md").write_text("Look at kind.")
    with OpenAIServer(Model(write=lambda body, n: fenced(f"{GOOD}# {n}"))) as server:
        _, recorded = play(tmp_path, server, 1, hints=("Forget x.",))
        (recorded / "grades.jsonl").touch()
        (tmp_path / "toy" / "hints.md").write_text("Smooth.")
        journal, _ = play(tmp_path, server, 2, resume=recorded, hints=("Remember x.",))
    assert sum(n.kind == "steered after grading" for n in journal.notes) == 2
    (tmp_path / "toy" / "hints.md").write_text("Too late.")
    found = again(tmp_path, recorded)
    assert events(found) == events(recorded) and calls(found) == calls(recorded)


def test_data_that_changed_since(tmp_path: Path) -> None:
    with OpenAIServer(Model(write=fenced(GOOD))) as server:
        _, recorded = play(tmp_path, server, 1)
    train = tmp_path / "toy" / "train.csv"
    train.write_text(train.read_text().replace(",1\n", ",0\n", 1))
    with pytest.raises(SetupError, match="the data of toy changed"):
        again(tmp_path, recorded)


def test_a_shortened_recording_of_a_live_run_still_replays(tmp_path: Path) -> None:
    """Prompts may change; replies, executions and what the host makes of them do not."""
    settings = load_settings({}, {"LOG_TRACE_PATH": str(tmp_path / "log")}, Path("none"))
    (run,) = RECORDING.iterdir()
    journal, found = replay(run, settings)
    assert journal.best() is not None and journal.ended
    assert events(found) == events(run)


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
