"""Test scores of every round and of the delivery of every run, from the answers in `eval/`.

mle_summary grade <folder that holds the runs>     mle_summary show <folder>
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent import cli
from rdagent.errors import RDAgentError, SetupError

if TYPE_CHECKING:
    from rich.table import Table

    from rdagent.grades import Line, RunSummary

PATIENCE = 2.0
"""Seconds of work after which the screen says what is going on."""


def grade(folder: Path, root: Path) -> list[RunSummary]:
    """Grade every run at or below `folder` on the answers below `root`, oldest first.

    Writes `grades.jsonl` into each run, `summary.json` and `summary.csv` into the folder.

    Raises:
        SetupError: there is no run, or the folder cannot be written.
    """
    from rdagent import grades

    runs, summaries = _runs(folder), []
    with _progress() as tell:
        for n, run in enumerate(runs, 1):
            found: tuple[grades.Grade, ...] = ()
            problem = ""
            try:
                tell(f"grading run {n} of {len(runs)}")
                found = grades.grade(run, root, tell)
            except (RDAgentError, OSError) as error:
                problem = f"not graded: {error}"
            except Exception as error:  # whatever is wrong with one run must not stop the rest
                problem = f"not graded: {type(error).__name__}: {error}"
            summaries.append(grades.summarise(run, folder, found, problem))
    try:
        grades.write_summaries(folder, summaries)
    except OSError as error:
        raise SetupError(f"cannot write a summary into {folder}: {error.strerror}") from error
    return summaries


def show(folder: Path) -> list[RunSummary]:
    """What `grades.jsonl` of every run says; nothing is graded, nothing is written."""
    from rdagent import grades

    return [grades.summarise(run, folder, grades.read_grades(run)) for run in _runs(folder)]


def _runs(folder: Path) -> list[Path]:
    from rdagent.journal import find_runs

    runs = find_runs(folder)
    if not runs:
        what = "no run in" if folder.is_dir() else "no folder"
        raise SetupError(f"there is {what} {folder}: give the folder that holds the runs")
    return runs


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says on stderr what is going on, once it has been going on for a while."""
    from rich.console import Console

    status, since = Console(stderr=True).status(""), time.monotonic()

    def tell(what: str) -> None:
        if time.monotonic() - since > PATIENCE:
            status.update(what)
            status.start()

    try:
        yield tell
    finally:
        status.stop()


def details(summary: RunSummary) -> Table:
    """Every finished round of one run, and its delivery, beside the test scores."""
    from rich.table import Table

    from rdagent.report import show as banded

    table = Table("round", "hypothesis", "host score (95 % band)", "test score", title=summary.run)
    for line in summary.lines:
        host = f"failed: {line.failed}" if line.failed else banded(line.host)
        best = " (best)" if line.graded == summary.best_round else ""
        table.add_row(f"{line.graded}{best}", line.what, host, _test(line))
    return table


def overview(summaries: list[RunSummary]) -> Table:
    """One line a run."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from rdagent.report import show as banded

    table = Table(
        box=SIMPLE_HEAD,
        caption="Round 0, the baseline, counts as a round. Host scores are those of hidden rows "
        "with their 95 % band, test scores those of the answers in eval/.",
    )
    for name, width in {
        "run": 8, "competition": 8, "rounds": 7, "best by host": 15,
        "its test": 7, "delivered": 9, "its test ": 7, "failed": 9,
    }.items():  # fmt: skip
        table.add_column(name, min_width=width, overflow="fold")
    for s in summaries:
        better = {True: "higher", False: "lower", None: "?"}[s.higher_is_better]
        lines = {line.graded: line for line in s.lines}
        best = lines.get(s.best_round) if s.best_round is not None else None
        failed = {"round": s.failed_rounds, "grading": s.failed_gradings}
        table.add_row(
            s.run,
            f"{s.competition}\n{s.metric} ({better})" if s.competition else "?",
            f"{s.rounds}\n{s.valid_submissions} valid",
            f"round {best.graded}\n{banded(best.host).replace(' [', chr(10) + '[')}"
            if best
            else "",
            _test(best).partition(":")[0] if best else "",
            s.delivery or "nothing",
            _test(lines["delivery"]).partition(":")[0] if s.delivery else "",
            "\n".join(f"{n} {what}{'s' * (n > 1)}" for what, n in failed.items() if n),
        )
    return table


def _test(line: Line) -> str:
    """A test score, or why there is none."""
    if line.grade is None:
        return "" if line.failed else "not graded"
    return f"failed: {line.grade.error}" if line.grade.score is None else f"{line.grade.score:.5g}"


def build_parser() -> cli.Parser:
    """The flags."""
    parser = cli.Parser(
        "mle_summary",
        "Grade the submission of every round, and the delivery, of every run on the answers "
        "in eval/ of DS_LOCAL_DATA_PATH (unset: the bundled examples).",
    )
    parser.add_argument(
        "action",
        choices=("grade", "show"),
        help="grade: grade anew, write grades.jsonl into each run, summary.json and summary.csv "
        "into the folder, and print; show: print what was graded before",
    )
    parser.add_argument(
        "folder", type=Path, help="the folder that holds the runs (LOG_TRACE_PATH), or one run"
    )
    return parser


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Grade or show; 0 when there was a run to print."""
    flags = build_parser().parse_args(argv)
    if flags.action == "show":
        summaries = show(flags.folder)
    else:
        from rdagent.settings import load_settings

        root = load_settings().data_root
        if not root.is_dir():
            raise SetupError(f"there is no data folder {root}: correct DS_LOCAL_DATA_PATH")
        summaries = grade(flags.folder, root)
    console = cli.console()
    for summary in summaries:
        if summary.lines:
            console.print(details(summary))
    console.print(overview(summaries))
    for summary in summaries:
        if summary.problem:
            console.print(f"{summary.run}: {summary.problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
