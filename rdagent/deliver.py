"""What the user gets: `best/`, the last choice, the refit.

During the run `best/` follows the search part. At the end the top few meet on all hidden
rows, the final part gives the reported score, and the chosen program is run again on all
labelled rows. `best` is a link that swaps by rename: it always points at a whole delivery.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rdagent.choice import SAFETY, choose, rerun
from rdagent.events import Delivered, Executed
from rdagent.players import cost_table, totals
from rdagent.predictions import combine, distance, write_submission
from rdagent.records import Experiment
from rdagent.report import render_report
from rdagent.runs import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from rdagent.loop import Agent

ALIKE = {"label": 0.05, "probability": 0.05, "value": 0.2}
"""Distance (see `predictions.distance`) below which a refit agrees whatever the folds do: a
quarter more rows move any model, also one that does the same under every seed."""


def deliver_folds(agent: Agent, experiment: Experiment, reason: str = "") -> None:
    """The mean (or vote) of the folds' test predictions, the fold programs as `members/`."""
    kind: Literal["floor", "members"] = "members" if experiment.id else "floor"
    attempt = experiment.attempt
    members = [
        agent.folder.workspace(experiment.id, attempt, view.name)
        for view in agent.evaluator.fold_views
    ]
    if not all(member.is_dir() for member in members):
        text = f"The workspaces of experiment {experiment.id} are gone: best/ stays as it was"
        agent.note("warning", text)
        return
    _publish(agent, experiment, kind, agent.folder.submission(experiment.id), members, reason)


def deliver_last(agent: Agent) -> None:
    """The last choice and the refit, in the time that was kept for them."""
    chosen = choose(agent)
    if chosen is None:
        return
    last = agent.journal.deliveries[-1] if agent.journal.deliveries else None
    if last and last.kind == "refit" and last.experiment == chosen.id:
        # Resumed, and nothing better came: only what was tried is news.
        write_atomically(agent.folder.best / "report.md", _report(agent, last))
        return
    problem = refit(agent, chosen)
    if problem:
        agent.note("decision", f"Refit not delivered: {problem}. The fold models are.")
        deliver_folds(agent, chosen, problem)


def refit(agent: Agent, chosen: Experiment) -> str | None:
    """Run the chosen program on all labelled rows and deliver that; else say why not."""
    evaluator, attempt = agent.evaluator, chosen.attempt
    if evaluator.grader is None:  # nothing was hidden: it has been trained on all rows already
        workdir = agent.folder.workspace(chosen.id, attempt, "full")
        _publish(agent, chosen, "refit", agent.folder.submission(chosen.id), [workdir], "")
        return None
    folds = [e for e in chosen.attempts[attempt].executions if e.kind == "fold"]
    longest = max((e.seconds for e in folds), default=0.0)
    left = min(evaluator.full_timeout, agent.seconds_left() - SAFETY)
    if left < longest * 1.25:  # all labelled rows are a quarter more than a fold's
        return f"it takes about {longest * 1.25:.0f} s and {max(left, 0):.0f} s are left"
    evaluator.stage(f"refit of experiment {chosen.id} on all labelled rows")
    assert chosen.program is not None
    execution, frame = evaluator.execute(
        chosen.id, attempt, chosen.program, evaluator.views["full"],
        kind="refit", seed=evaluator.seed, timeout=left,
    )  # fmt: skip
    agent.append(Executed(id=chosen.id, execution=execution))
    if frame is None:
        return f"the refit {execution.error}"
    if problem := _disagrees(agent, chosen, frame):
        return problem
    workdir = agent.folder.workspace(chosen.id, attempt, "full")
    submission = workdir / "delivered.csv"
    test = evaluator.of_source(frame, evaluator.views["full"], "test")
    write_submission(submission, agent.competition, test)
    _publish(agent, chosen, "refit", submission, [workdir], "")
    return None


def _disagrees(agent: Agent, chosen: Experiment, refitted: pd.DataFrame) -> str | None:
    """A refit further from the folds' mean than twice the furthest fold is not trusted."""
    evaluator, attempt = agent.evaluator, chosen.attempt
    folds = evaluator.tests(chosen.id, attempt)
    if len(folds) < len(evaluator.fold_views):
        return "the fold models that it has to agree with are gone"
    mean = combine(folds, agent.competition)
    if len(folds) > 1:
        spread = max(distance(fold, mean, agent.competition) for fold in folds)
    else:
        again = evaluator.tests(chosen.id, attempt, "-rerun")
        if not again:
            rerun(agent, chosen)
            again = evaluator.tests(chosen.id, attempt, "-rerun")
        spread = distance(again[0], mean, agent.competition) if again else 0.0
    mine = evaluator.of_source(refitted, evaluator.views["full"], "test")
    far = distance(mine, mean, agent.competition)
    limit = max(2 * spread, ALIKE[agent.competition.output])
    if far > limit:
        return f"its predictions lie {far:.3g} from the folds' mean, more than {limit:.3g}"
    return None


def _publish(
    agent: Agent, experiment: Experiment, kind: Literal["floor", "members", "refit"],
    submission: Path, sources: list[Path], reason: str,
) -> None:  # fmt: skip
    """Build `deliveries/<n>` aside, rename it, swap the `best` link, then drop the old one."""
    root = agent.folder.path / "deliveries"
    n = 1 + max((int(p.name) for p in root.iterdir() if p.name.isdigit()), default=0)
    building = root / f".{n}.tmp"
    shutil.rmtree(building, ignore_errors=True)
    assert experiment.program is not None
    _write_program(building, experiment)
    if kind == "refit":
        copy_models(sources[0], building)
    else:
        for k, source in enumerate(sources):
            _write_program(building / "members" / str(k), experiment)
            copy_models(source, building / "members" / str(k))
    shutil.copyfile(submission, building / "submission.csv")
    score = experiment.score
    if agent.journal.chosen and agent.journal.chosen.experiment == experiment.id:
        score = agent.journal.chosen.score
    delivered = Delivered(n=n, experiment=experiment.id, kind=kind, score=score, reason=reason)
    about = {"kind": kind, "experiment": experiment.id, "reason": reason}
    (building / "delivery.json").write_text(json.dumps(about) + "\n", encoding="utf-8")
    (building / "report.md").write_text(_report(agent, delivered), encoding="utf-8")
    building.rename(root / str(n))
    link = agent.folder.path / ".best.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("deliveries") / str(n))
    link.replace(agent.folder.best)
    agent.append(delivered)
    for old in root.iterdir():
        if old.name != str(n):
            shutil.rmtree(old, ignore_errors=True)


def _report(agent: Agent, delivered: Delivered) -> str:
    ledger = agent.players.ledger
    return render_report(
        agent.folder.path.name, agent.competition, agent.journal, delivered,
        spent=totals(ledger) if ledger and ledger.calls else "",
        costs=cost_table(ledger) if ledger else "",
    )  # fmt: skip


def _write_program(folder: Path, experiment: Experiment) -> None:
    assert experiment.program is not None
    for name, text in experiment.program.files.items():
        path = folder / "workspace_input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def copy_models(source: Path, target: Path) -> None:
    """Regular files of `models/`; links and pipes that a program left there stay behind."""
    models = source / "workspace_input" / "models"
    copies = target / "workspace_input" / "models"
    copies.mkdir(parents=True, exist_ok=True)
    for folder, _, names in os.walk(models):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                copy = copies / path.relative_to(models)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
