"""Play a recorded run once more, without its provider and without running its programs.

rdagent replay log/RUN
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent import cli

if TYPE_CHECKING:
    from rdagent.journal import Journal
    from rdagent.play import Observer
    from rdagent.records import Operator
    from rdagent.settings import Settings


@dataclass(frozen=True)
class RecordedPolicy:
    """What was chosen then; whoever has ideas gets the same task again."""

    choices: dict[int, tuple[Operator, tuple[int, ...]]]
    """By experiment."""

    def choose(self, journal: Journal) -> tuple[Operator, tuple[int, ...]]:
        return self.choices[journal.next_id]


def replay(
    run: Path, settings: Settings | None = None, observer: Observer | None = None
) -> tuple[Journal, Path]:
    """The same run in a new folder: replies from `llm.jsonl`, executions from the journal.

    The new journal is the old one but for times. Programs' files come from the recorded
    workspaces, which have to be there; a run that was killed is replayed as it ended.

    Raises:
        SetupError: it is no run, or its competition or workspaces are not here.
    """
    from rdagent import play
    from rdagent.errors import SetupError
    from rdagent.events import ExperimentStarted, RunStarted
    from rdagent.journal import load, read_events, read_run_json
    from rdagent.llm.recorded import Recorded
    from rdagent.loop import HINTS
    from rdagent.runners.recorded import RecordedRunner
    from rdagent.runs import RunFolder, find_run
    from rdagent.settings import load_settings, make_runner, recorded_settings

    settings = settings or load_settings()
    path = find_run(settings, run)
    about, events, journal = read_run_json(path), list(read_events(path)), load(path)
    first = next((e for e in events if isinstance(e, RunStarted)), None)
    if first is None or first.sandbox is None:
        raise SetupError(f"{path.name} does not say where its programs ran: it cannot be replayed")
    starts = [e for e in events if isinstance(e, ExperimentStarted)]
    workspaces = RunFolder(path, settings.workspace_path).workspace(0, 0, "").parents[1]
    asked = (path / "llm.jsonl").exists()
    budget = journal.budget
    return play.run(
        about["competition"], command=about["command"], seed=about["seed"],
        loop_n=journal.rounds, timeout=budget.timeout,
        max_cost=budget.max_cost, max_tokens=budget.max_tokens,
        hints=tuple(n.text for n in journal.notes
                    if n.kind == "hint" and not n.text.startswith(HINTS)),
        settings=recorded_settings(settings, about["settings"]), observer=observer,
        policy=RecordedPolicy(choices={e.id: (e.operator, e.parents) for e in starts}),
        provider=Recorded(path, {e.id: e.at for e in starts}) if asked else None,
        runner=RecordedRunner(workspaces, events, first.sandbox, make_runner(settings)),
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
