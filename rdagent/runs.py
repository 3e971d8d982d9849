"""Run folders: made, reopened, found. The layout is in the README; nothing here decides."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rdagent import __version__
from rdagent.competition import content_hashes, load_competition
from rdagent.errors import SetupError
from rdagent.journal import FORMAT, Journal, read_run_json
from rdagent.records import Competition
from rdagent.settings import Settings


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its things; `WORKSPACE_PATH` may put the bulky ones elsewhere."""

    path: Path
    workspace_path: Path | None = None

    @property
    def _bulky(self) -> Path:
        return self.workspace_path / self.path.name if self.workspace_path else self.path

    @property
    def views(self) -> Path:
        return self._bulky / "views"

    def workspace(self, experiment: int, attempt: int, execution: str) -> Path:
        return self._bulky / "workspaces" / str(experiment) / str(attempt) / execution

    def predictions(self, experiment: int) -> Path:
        """Predictions of hidden rows: row, fold, prediction columns."""
        return self.path / "predictions" / f"{experiment}.csv"

    def submission(self, experiment: int) -> Path:
        """Real test rows in the sample's order."""
        return self.path / "submissions" / f"{experiment}.csv"

    @property
    def best(self) -> Path:
        return self.path / "best"


def create_run(
    settings: Settings, competition: Competition, *, command: str, seed: int
) -> RunFolder:
    """A new run folder with its `run.json`; SetupError when it cannot be written."""
    started = datetime.now(UTC)
    root = settings.trace_path.absolute()
    if root.resolve().is_relative_to(competition.data_dir.resolve()):
        raise SetupError(
            f"the log folder {root} lies inside the competition: its runs would be taken for data; "
            "set LOG_TRACE_PATH to a folder elsewhere"
        )
    for name, place in (("LOG_TRACE_PATH", root), ("WORKSPACE_PATH", settings.workspace_path)):
        try:
            if place:
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"cannot write the folder {place} ({error.strerror}): "
                f"set {name} to a folder you may write"
            ) from error
    for n in range(1000):
        suffix = f"-{n}" if n else ""
        path = root / f"{started:%Y-%m-%d_%H-%M-%S}-{competition.id}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise SetupError(
                f"cannot write the log folder {root} ({error.strerror}): "
                "set LOG_TRACE_PATH to a folder you may write"
            ) from error
        break
    content = {
        "format": FORMAT,
        "version": __version__,
        "id": path.name,
        "command": command,
        "competition": competition.id,
        "seed": seed,
        "created": started.isoformat(timespec="seconds"),
        "settings": settings.public(),
        "hashes": content_hashes(competition),
    }
    write_atomically(path / "run.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    for name in ("predictions", "submissions", "deliveries"):
        (path / name).mkdir()
    return RunFolder(path, settings.workspace_path)


def reopen_run(
    settings: Settings, run: Path, *, competition_id: str | None, command: str
) -> tuple[RunFolder, Competition, dict[str, Any]]:
    """An existing run and its competition; SetupError if it is another's or the data changed."""
    path = find_run(settings, run)
    content = read_run_json(path)
    known = content["competition"]
    if competition_id and competition_id != known:
        raise SetupError(
            f"{path.name} plays {known}, not {competition_id}: resume it with --competition {known}"
        )
    if content["command"] != command:
        raise SetupError(
            f"{path.name} was started by {content['command']}: "
            f"resume it with python -m rdagent.{content['command']} --resume {path}"
        )
    competition = load_competition(known, settings.data_root, finetune=command == "finetune")
    now, before = content_hashes(competition), content["hashes"]
    changed = sorted(n for n in now.keys() | before.keys() if now.get(n) != before.get(n))
    if changed:
        raise SetupError(
            f"the data of {known} changed since {path.name} started ({', '.join(changed[:3])}): "
            "start a new run, or put the old files back"
        )
    return RunFolder(path, settings.workspace_path), competition, content


def find_run(settings: Settings, run: Path) -> Path:
    """The run folder that a user means: a path, or a name below the log folder."""
    for path in (run, settings.trace_path / run):
        if (path / "run.json").is_file():
            return path.absolute()
    raise SetupError(f"there is no run {run}: give a folder below {settings.trace_path}")


def played_competition(journal: Journal, root: Path) -> Competition:
    """The competition as the run understood it, with its folders as they are here.

    Raises:
        SetupError: the journal does not say which it was, or `root` does not hold it.
    """
    if journal.started is None:
        raise SetupError("events.jsonl has no readable start: nothing says what was played")
    known = journal.started.competition
    data = root.absolute() / str(known["id"])
    if not data.is_dir():
        raise SetupError(
            f"there is no competition {known['id']} in {root}: set DS_LOCAL_DATA_PATH "
            "to the folder that holds it"
        )
    answers = data.parent / "eval" / data.name
    here = {"data_dir": data, "eval_dir": answers if answers.is_dir() else None}
    return Competition.model_validate({**known, **here, "prev_model": None})


def write_atomically(path: Path, text: str) -> None:
    """The file appears whole, by rename, or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
