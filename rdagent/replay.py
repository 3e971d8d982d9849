"""Play a recorded run once more, without its provider and without running its programs.

rdagent replay log/RUN
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent import cli

if TYPE_CHECKING:
    from rdagent.events import AnyEvent, Noted
    from rdagent.journal import Journal
    from rdagent.play import Observer
    from rdagent.records import Operator
    from rdagent.settings import Settings


class RecordingEndedError(BaseException):
    """An agent that was killed did nothing further; nobody between must catch it."""


class Sitting:
    """A recorded run from its start, or a resume, to its end or a kill.

    It is the replay's clock and its policy. The agent is shown the times that it saw then, so
    it decides the same; and it is stopped where it was stopped then.
    """

    def __init__(self, events: list[AnyEvent], until: str) -> None:
        """`until`: when the next one began; empty for the last."""
        self.events, self.until = events, until
        self._next = self._looks = 0
        self._now, self._stopped = events[0].elapsed, False

    @property
    def over(self) -> bool:
        """Everything that was written then is written again."""
        return self._next == len(self.events)

    def choose(self, journal: Journal) -> tuple[Operator, tuple[int, ...]]:
        """What was chosen then; whoever has ideas gets the same task again."""
        for event in self.events[self._next :]:
            if event.type == "experiment_started":
                return event.operator, event.parents
        return "draft", ()  # it is stopped before anything comes of it

    def look(self) -> float:
        looks = () if self.over else self.events[self._next].looks
        if self._looks < len(looks):  # a version that looks more often sees the last time again
            self._now = looks[self._looks]
        self._looks += 1
        return self._now

    def stamp(self, event: AnyEvent) -> float:
        left = range(self._next, len(self.events))
        found = next((n for n in left if _same(self.events[n], event)), None)
        if found != self._next:
            self.stop()
        if found is not None:
            self._next, self._looks, self._now = found + 1, 0, self.events[found].elapsed
        return self._now

    def stop(self) -> None:
        """Nothing came here then: end it as it ended, by Ctrl-C or a kill, if it did."""
        from rdagent.events import RunFinished
        from rdagent.loop import STOPPED

        last = self.events[-1]
        if not isinstance(last, RunFinished):
            if self.over:
                raise RecordingEndedError
        elif last.reason == STOPPED and not self._stopped:
            self._stopped = True
            raise KeyboardInterrupt

    @property
    def hints(self) -> list[Noted]:
        """The advice that it began with."""
        return [n for n in self._notes if n.kind in ("hint", "steered after grading")]

    @property
    def warning(self) -> str | None:
        """The runner's: the first note of all but those about the competition."""
        first = self.events[0]
        known = getattr(first, "split", {}).get("warnings", ())
        told = [n for n in self._notes if n.kind != "decision" and n.text not in known]
        return told[0].text if told and told[0].kind == "warning" else None

    @property
    def _notes(self) -> list[Noted]:
        return list(takewhile(lambda e: e.type == "noted", self.events[1:]))  # type: ignore[arg-type]


def sittings(events: list[AnyEvent]) -> list[Sitting]:
    """A run's sittings, without experiments that were in flight at their end and began anew."""
    parts: list[list[AnyEvent]] = []
    begun: dict[int, int] = {}
    for event in events:
        if event.type in ("run_started", "run_resumed"):
            parts.append([])
        if event.type == "experiment_started":
            begun[event.id] = len(parts)
        parts[-1].append(event)
    ends = [*(part[0].at for part in parts[1:]), ""]
    return [
        Sitting([e for e in part if begun.get(getattr(e, "id", -1), 0) <= n], end)
        for n, (part, end) in enumerate(zip(parts, ends, strict=True), 1)
    ]


def _same(one: AnyEvent, other: AnyEvent) -> bool:
    """Whether both say that the same thing happened, whatever came of it."""
    return _what(one) == _what(other)


def _what(event: AnyEvent) -> tuple[object, ...]:
    ran = getattr(event, "execution", None)
    which = (ran.kind, ran.fold, ran.seed) if ran else getattr(event, "kind", None)
    return (event.type, getattr(event, "id", None), which)


def replay(
    run: Path, settings: Settings | None = None, observer: Observer | None = None
) -> tuple[Journal, Path]:
    """The same run in a new folder: replies from `llm.jsonl`, executions from the journal.

    The new journal is the old one but for the dates, without what was begun in vain before a
    kill. Programs' files come from the recorded workspaces, which have to be there.

    Raises:
        SetupError: it is no run, its competition or workspaces are not here, or its data changed.
    """
    from rdagent.errors import SetupError
    from rdagent.journal import load, read_events, read_run_json
    from rdagent.llm.recorded import copy_rest
    from rdagent.runs import create_run, find_run, reopen_run
    from rdagent.settings import load_settings, recorded_settings

    here = settings or load_settings()
    path = find_run(here, run)
    events = list(read_events(path))
    if not events or events[0].type != "run_started" or events[0].sandbox is None:
        raise SetupError(f"{path.name} does not say where its programs ran: it cannot be replayed")
    command = read_run_json(path)["command"]
    _, competition, about = reopen_run(here, path, competition_id=None, command=command)
    then = recorded_settings(here, about["settings"])
    folder = create_run(then, competition, command=command, seed=about["seed"])
    for sitting in sittings(events):
        if any(n.kind == "steered after grading" for n in sitting.hints):
            (folder.path / "grades.jsonl").touch()
        try:
            _play(sitting, path, folder.path, events, here, then, command, observer)
        except (RecordingEndedError, SetupError):  # also one that ended that sitting then
            if not sitting.over:
                raise
        if sitting.until and (path / "llm.jsonl").exists():
            copy_rest(path, folder.path, sitting.until)
    return load(folder.path), folder.path


def _play(
    sitting: Sitting, path: Path, folder: Path, events: list[AnyEvent], here: Settings,
    then: Settings, command: str, observer: Observer | None,
) -> None:  # fmt: skip
    """One sitting of the run in `path`, in the new `folder`."""
    from rdagent import play
    from rdagent.llm.recorded import Recorded
    from rdagent.runners.recorded import RecordedRunner
    from rdagent.runs import RunFolder
    from rdagent.settings import make_runner

    started, first = events[0], sitting.events[0]
    assert started.type == "run_started" and started.sandbox is not None
    assert first.type in ("run_started", "run_resumed")
    provider = Recorded(
        path, since=first.at if first is not started else "", until=sitting.until or "~",
        experiments={e.id for e in sitting.events if e.type == "experiment_started"},
        ended=sitting.stop,
    ) if (path / "llm.jsonl").exists() else None  # fmt: skip
    runner = RecordedRunner(
        RunFolder(path, here.workspace_path).workspace(0, 0, "").parents[1], sitting.events,
        started.sandbox, make_runner(here), sitting.warning, sitting.stop,
    )  # fmt: skip
    budget = first.budget
    play.run(
        resume=folder, command=command, loop_n=budget.loop_n, timeout=budget.timeout,
        max_cost=budget.max_cost, max_tokens=budget.max_tokens,
        hints=tuple(n.text for n in sitting.hints), settings=then, observer=observer,
        policy=sitting, provider=provider, runner=runner, clock=sitting,
    )  # fmt: skip


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Replay with the live view."""
    parser = cli.Parser(
        "rdagent replay",
        "Play a recorded run once more in a new run folder, in seconds: replies and executions "
        "are the recorded ones, everything else is done anew.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, or its name")
    flags = parser.parse_args(argv)
    from rdagent.screen import Screen

    with Screen("data_science") as screen:
        journal, folder = replay(flags.run, observer=screen)
        screen.summary(journal, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
