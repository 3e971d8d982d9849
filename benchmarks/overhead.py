"""Our own seconds a round: all that is not the program, its process, or the scoring.

    python benchmarks/overhead.py [--rounds 10 100 1000]

An instant scripted researcher proposes a program that only copies a file. The runner and
the grader are real and timed from outside; what remains of a round is ours. Also prints
what users wait for before anything happens: `import rdagent` and `--help`, beside a bare
interpreter in the same minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from rdagent.events import AnyEvent, ExperimentFinished, ExperimentStarted
from rdagent.journal import Journal
from rdagent.play import run
from rdagent.records import (
    Context,
    Execution,
    Experiment,
    Feedback,
    Hypothesis,
    Job,
    Program,
    Sandbox,
)
from rdagent.settings import Settings, make_runner

COPY = """
import shutil
shutil.copy("workspace_input/sample_submission.csv", "submission.csv")
# {id}
"""


class Instant:
    """A researcher that answers at once."""

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        return self.propose(context, ()), Program(files={"main.py": COPY.format(id=0)})

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        return Hypothesis(
            statement="copy", reason="fast", component="Workflow", operator=context.operator
        )

    def write(self, context: Context, hypothesis: Hypothesis, parents: Any) -> Program:
        return Program(files={"main.py": COPY.format(id=len(context.experiments))})

    def understand(self, context: Context) -> None:
        return None

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        return None

    def tune(self, context: Context, experiment: Experiment) -> Program | None:
        return None

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        return Feedback(accepted=False, observations="copied", reason="")


class Clock:
    """Sums the seconds spent in what it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return fn(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - start


class TimedRunner:
    """The real runner, timed."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.inner = clock, make_runner(Settings())
        self.warning = self.inner.warning

    def probe(self) -> Sandbox:
        return self.inner.probe()

    def run(self, job: Job) -> Execution:
        result: Execution = self.clock.time(self.inner.run, job)
        return result


class Rounds:
    """Notes at the end of each round what was ours, what was scoring, and the memory."""

    def __init__(self, programs: Clock, scoring: Clock) -> None:
        self.programs, self.scoring = programs, scoring
        self.rows: list[tuple[float, float, float, float]] = []

    def opened(self, folder: Path) -> None:
        """Nothing to show."""

    def stage(self, text: str) -> None:
        """Nothing to show."""

    def spent(self, text: str) -> None:
        """Nothing to show."""

    def event(self, event: AnyEvent, journal: Journal) -> None:
        if isinstance(event, ExperimentStarted):
            self.start = time.perf_counter()
            self.before = (self.programs.seconds, self.scoring.seconds)
        elif isinstance(event, ExperimentFinished) and event.id:
            wall = time.perf_counter() - self.start
            program = self.programs.seconds - self.before[0]
            score = self.scoring.seconds - self.before[1]
            memory = psutil.Process().memory_info().rss / 2**20
            self.rows.append((wall - program - score, score, program, memory))


def write_competition(root: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    folder = root / "toy"
    folder.mkdir()
    x = rng.normal(size=(rows + 200, 5)).round(4)
    frame = pd.DataFrame(x, columns=[f"f{i}" for i in range(5)])
    frame.insert(0, "id", range(len(frame)))
    frame["y"] = (x[:, 0] + rng.normal(size=len(x)) > 0).astype(int)
    frame[:rows].to_csv(folder / "train.csv", index=False)
    frame[rows:].drop(columns="y").to_csv(folder / "test.csv", index=False)
    frame[rows:][["id"]].assign(y=0.5).to_csv(folder / "sample_submission.csv", index=False)
    (folder / "competition.toml").write_text('metric = "roc_auc"\ntarget = "y"\n')


def measure(rounds: int, rows: int) -> Rounds:
    from unittest.mock import patch  # only to time the grader from outside

    from rdagent.graders.hidden import HiddenGrader

    programs, scoring = Clock(), Clock()
    watch = Rounds(programs, scoring)
    score, compare = HiddenGrader.score, HiddenGrader.compare
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("rdagent.play.make_runner", lambda settings: TimedRunner(programs)),
        patch.object(HiddenGrader, "score", lambda *a, **k: scoring.time(score, *a, **k)),
        patch.object(HiddenGrader, "compare", lambda *a, **k: scoring.time(compare, *a, **k)),
    ):
        root = Path(folder)
        write_competition(root, rows)
        settings = Settings(DS_LOCAL_DATA_PATH=root, LOG_TRACE_PATH=root / "log")
        run("toy", loop_n=rounds, settings=settings, observer=watch, researcher=Instant())
    return watch


def startup() -> None:
    def best_of(*command: str) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    bare = best_of("-c", "pass")
    print(f"bare interpreter                    {bare:6.3f} s")
    for what, command in (
        ("import rdagent", ("-c", "import rdagent")),
        ("rdagent.finetune --help", ("-m", "rdagent.finetune", "--help")),
    ):
        took = best_of(*command)
        print(f"{what:35} {took:6.3f} s, {took - bare:.3f} s more than the bare interpreter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rows", type=int, nargs="+", default=[12_000, 600])
    flags = parser.parse_args()
    startup()
    for rows in flags.rows:
        programs = "one program" if rows >= 10_000 else "five programs (folds)"
        print(f"\n{rows} labelled rows, {programs} a round; medians of the ten rounds before")
        print("round  ours s  scoring s  program s  memory MB")
        watch = measure(max(flags.rounds), rows)
        for n in flags.rounds:
            ours, score, program, memory = np.median(watch.rows[max(0, n - 10) : n], axis=0)
            print(f"{n:5}  {ours:6.4f}  {score:9.4f}  {program:9.4f}  {memory:9.0f}", flush=True)


if __name__ == "__main__":
    main()
