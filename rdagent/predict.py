"""Predict new rows with what a run delivered, without training.

rdagent predict log/<run> --data <folder with the test file>
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent import cli
from rdagent.errors import InvalidSubmissionError, SetupError

if TYPE_CHECKING:
    import pandas as pd

    from rdagent.interfaces import Runner
    from rdagent.records import Competition, Job
    from rdagent.settings import Settings
    from rdagent.views import View


def predict(
    run: Path,
    data: Path,
    output: Path,
    settings: Settings,
    stage: Callable[[str], None] = lambda text: None,
) -> int:
    """Write the delivered program's predictions for the test file in `data` to `output`.

    Args:
        run: a run folder, or its name below the log folder.
        data: folder with a test file, headed as in the competition, and whatever further
            files the program reads.
        output: the submission file; replaced when it is there.
        stage: told what is going on.

    Returns:
        Number of predicted rows.

    Raises:
        SetupError: nothing is delivered, `data` does not fit, or the program fails on it.
    """
    from rdagent.competition.tables import read_table
    from rdagent.journal import load, read_run_json
    from rdagent.predictions import combine
    from rdagent.runs import find_run, played_competition, write_atomically
    from rdagent.settings import make_runner
    from rdagent.views import predict_view, read_key

    run, data, output = find_run(settings, run), data.absolute(), output.absolute()
    members = _delivered(run)
    competition = played_competition(load(run), settings.data_root)
    if not output.parent.is_dir() or output.is_dir():
        raise SetupError(f"cannot write {output}: give --output a file in a folder that exists")
    if (data / competition.test_file).is_file():
        read_table(data / competition.test_file)  # names the line of what cannot be read
    runner = make_runner(settings)
    with tempfile.TemporaryDirectory(prefix="rdagent-", ignore_cleanup_errors=True) as folder:
        view = predict_view(competition, data, Path(folder) / "views")
        _check_columns(view, competition)
        key, frames, seed = read_key(view), [], int(read_run_json(run)["seed"])
        for n, member in enumerate(members, 1):
            stage(f"predicting with model {n} of {len(members)}")
            job = _job(member, view, Path(folder) / str(n), seed, settings)
            frames.append(_run(job, runner, competition, key))
        predictions = combine(frames, competition)
    if competition.id_column:
        predictions.insert(0, competition.id_column, key["id"])
    try:
        write_atomically(output, predictions.to_csv(index=False))
    except OSError as error:
        raise SetupError(f"cannot write {output}: {error.strerror}") from error
    return len(predictions)


def _delivered(run: Path) -> list[Path]:
    """Folders of the delivered programs with their models: the refit, or each fold's."""
    best = (run / "best").resolve()
    if not (best / "workspace_input" / "main.py").is_file():
        raise SetupError(
            f"{run.name} has delivered nothing yet: wait for round 0, or go on with --resume"
        )
    members = [p for p in best.glob("members/*") if (p / "workspace_input/main.py").is_file()]
    return sorted(members, key=lambda p: int(p.name)) or [best]


def _check_columns(view: View, competition: Competition) -> None:
    """New rows need every column that the test set had when the program was made."""
    from rdagent.competition.tables import columns_of

    there = {*columns_of(view.path / competition.test_file), *competition.target_columns}
    known = columns_of(competition.data_dir / competition.test_file)
    if lacking := [column for column in known if column not in there]:
        raise SetupError(
            f"the new rows lack columns that the program was trained with: {', '.join(lacking)}"
        )


def _job(member: Path, view: View, workdir: Path, seed: int, settings: Settings) -> Job:
    """A fresh workspace with a copy of the delivered program and its models."""
    from rdagent.evaluate import SIGTERM_GRACE
    from rdagent.records import Job

    inputs = workdir / "workspace_input"
    shutil.copytree(member / "workspace_input", inputs)
    (inputs / "models").mkdir(exist_ok=True)
    timeout = settings.full_timeout
    return Job(
        kind="predict",
        seed=seed,
        view=view.path,
        workdir=workdir,
        timeout=timeout,
        resources=settings.resources,
        env={**settings.program_env, "DS_DEADLINE": f"{max(timeout - SIGTERM_GRACE, 1):.0f}"},
    )


def _run(job: Job, runner: Runner, competition: Competition, key: pd.DataFrame) -> pd.DataFrame:
    """Predictions of one model, in the order of the test file."""
    from rdagent.evaluate import failure
    from rdagent.gates import read_submission

    models = job.workdir / "workspace_input" / "models"
    before = _contents(models)
    execution = runner.run(job)
    error = failure(execution, job.timeout)
    if error:
        last = " ".join(execution.log.split())[-300:]
        raise SetupError(f"the delivered program {error} on these rows; its last words: {last}")
    if _contents(models) != before:
        raise SetupError(
            "the delivered program changed its models/ instead of only predicting: "
            "its predictions would not be those of the model that was scored"
        )
    try:
        frame = read_submission(job.workdir / "submission.csv", competition, key)
    except InvalidSubmissionError as problem:
        raise SetupError(f"the delivered program's predictions are invalid: {problem}") from None
    return frame


def _contents(folder: Path) -> dict[str, str]:
    import hashlib

    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(folder).as_posix()] = digest
    return found


def build_parser() -> cli.Parser:
    """The flags."""
    parser = cli.Parser(
        "rdagent predict",
        "Predict new rows with the program that a run delivered, without training.",
    )
    parser.add_argument("run", type=Path, help="run folder, or its name below LOG_TRACE_PATH")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder with the new rows, in a test file as the competition's",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("submission.csv"),
        metavar="FILE",
        help="where the predictions go",
    )
    return parser


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Predict; 0 when the file is written."""
    flags = build_parser().parse_args(argv)
    from rich.console import Console

    from rdagent.settings import load_settings

    with Console(stderr=True).status("loading") as status:
        rows = predict(flags.run, flags.data, flags.output, load_settings(), status.update)
    print(f"{rows} predictions written to {flags.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
