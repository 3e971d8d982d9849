"""`report.md` of a delivery: what was tried, what worked, how sure it is, what to distrust."""

from __future__ import annotations

from rdagent.events import Delivered
from rdagent.journal import Journal
from rdagent.records import Competition, Experiment, Score

KINDS = {
    "floor": "the baseline of round 0: the folds' mean",
    "members": "the fold models together: mean of their predictions (labels: their vote)",
    "refit": "the chosen program, run again on all labelled rows",
}


def show(score: Score | None) -> str:
    """`0.9612 [0.9441, 0.9758]`, or a dash."""
    if score is None:
        return "-"
    band = f" [{score.low:.4g}, {score.high:.4g}]" if score.low is not None else ""
    return f"{score.value:.4g}{band}"


def render_report(
    run: str, c: Competition, journal: Journal, delivered: Delivered,
    spent: str = "", costs: str = "",
) -> str:  # fmt: skip
    """The whole report as Markdown; the journal may still be running.

    What the LLM took, where there is one: `spent` in a line, `costs` as a table of its stages.
    """
    chosen = journal.experiments[delivered.experiment]
    parts = [
        f"# {c.id}: {chosen.hypothesis.statement}",
        _headline(run, c, journal, delivered, spent or _spent(journal)),
        "## What was tried",
        _table(journal),
        "## What worked, and why",
        _lessons(journal),
        "## What to distrust",
        "\n".join(f"* {doubt}" for doubt in doubts(c, journal, delivered)),
        "## How it was measured",
        _method(c, journal),
    ]
    parts += ["## What the LLM took", costs] if costs else []
    return "\n\n".join(parts) + "\n"


def _headline(
    run: str, c: Competition, journal: Journal, delivered: Delivered, spent: str
) -> str:  # fmt: skip
    better = "higher" if c.higher_is_better else "lower"
    part = "final part, which no search saw" if _is_final(journal, delivered) else "search part"
    before = " (measured before the refit)" if delivered.kind == "refit" else ""
    lines = [
        f"* Score: **{show(delivered.score)}** {c.metric} ({better} is better), {part}{before}",
        f"* Delivered: experiment {delivered.experiment}: {KINDS[delivered.kind]}"
        + (f". No refit: {delivered.reason}" if delivered.reason else ""),
        f"* Run: `{run}`, {journal.rounds} rounds in {journal.elapsed / 60:.1f} minutes, "
        f"{journal.program_seconds / 60:.1f} of them inside programs",
        "* Submission: `submission.csv`; program: `workspace_input/main.py` "
        "(run as `python ./workspace_input/main.py` with the data in `workspace_input/`)",
    ]
    if spent:
        lines.insert(3, f"* LLM: {spent}")
    return "\n".join(lines)


def _spent(journal: Journal) -> str:
    """What an LLM took in the rounds of a run that goes on without its account; or nothing."""
    tokens = sum(e.cost.tokens for e in journal.finished)
    known = [e.cost.money for e in journal.finished if e.cost.money is not None]
    money = f"${sum(known):.2f}" if len(known) == len(journal.finished) else "price unknown"
    return f"{tokens:,} tokens, {money}" if tokens else ""


def _is_final(journal: Journal, delivered: Delivered) -> bool:
    chosen = journal.chosen
    host = delivered.score is not None and delivered.score.source == "host"
    return host and chosen is not None and chosen.experiment == delivered.experiment


def _table(journal: Journal) -> str:
    rows = [
        "| # | how | hypothesis | search score | against the best before | s |",
        "|" + "---|" * 6,
    ]
    for e in journal.finished:
        outcome = f"failed: {_cell(e.error)}" if e.error else show(e.score)
        if e.feedback and e.feedback.accepted:
            outcome = f"**{outcome}**"
        origin = f" of {', '.join(map(str, e.parents))}" if e.parents else ""
        rows.append(
            f"| {e.id} | {how(e)}{origin} | {_cell(e.hypothesis.statement)} | {outcome} "
            f"| {_cell(against(e))} | {e.cost.seconds:.0f} |"
        )
    return "\n".join(rows)


def how(e: Experiment) -> str:
    """What kind of round it was."""
    return "floor" if not e.id else "warm-up" if e.warm_up else e.hypothesis.operator


def against(e: Experiment) -> str:
    """The paired difference with its band, and what it is worth."""
    if e.comparison is None:
        return "-"
    c = e.comparison
    word = "better" if c.low > 0 else "worse" if c.high < 0 else "within noise"
    return f"{c.delta:+.4g} [{c.low:+.4g}, {c.high:+.4g}] {word}"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")[:200]


def _lessons(journal: Journal) -> str:
    said = [
        (e.id, " ".join(f"{e.feedback.observations} {e.feedback.reason}".split()))
        for e in journal.finished
        if e.feedback
    ]
    lines = [f"* {id}. {text}" for id, text in said if text]
    return "\n".join(lines) or "Nothing was tried yet beyond the baseline."


def doubts(c: Competition, journal: Journal, delivered: Delivered) -> list[str]:
    """Reasons not to take the score at face value."""
    chosen, found = journal.experiments[delivered.experiment], []
    score = delivered.score
    if score is None or score.source == "self-reported":
        found.append("The score is the program's own word: the host could hide no rows here.")
    elif score.low is not None and score.high is not None:
        found.append(
            f"Between {score.low:.4g} and {score.high:.4g} is as good a guess as "
            f"{score.value:.4g}: a 95 % band from resampled rows, not from new data."
        )
    near = journal.chosen.finalists if journal.chosen else ()
    if _is_final(journal, delivered) and len(near) > 1:
        found.append(
            f"{len(near)} finalists were compared on all hidden rows, the final part among them: "
            "that flatters the chosen one a little."
        )
    elif not _is_final(journal, delivered) and score and score.source == "host":
        found.append(
            "The search part also ranked the experiments, which flatters the best a little."
        )
    if c.metric_proxy_for:
        found.append(f"The metric {c.metric_proxy_for} is not known here: {c.metric} stands in.")
    if c.prev_model and c.prev_model.trained_on_train != "no":
        found.append("If prev_model was trained on these rows, the score flatters it.")
    found += [f"Experiment {chosen.id}: {mark}." for mark in chosen.marks]
    found += [n.text for n in journal.notes if n.kind in ("warning", "steered after grading")]
    if any(f.rerun for f in near):
        found.append(
            "The last choice was a near tie, run again under another seed: "
            + ", ".join(f"experiment {f.experiment} {f.value:.4g}" for f in near)
        )
    return found or ["Nothing in particular."]


def _method(c: Competition, journal: Journal) -> str:
    decided = [f"* {n.text}" for n in journal.notes if n.kind == "decision"]
    return "\n".join(
        [
            "Programs never see the labels they are scored on: the host hides rows, checks the "
            "submission and computes the score itself. 70 % of the hidden rows rank experiments, "
            "30 % are kept for the final score."
            if journal.started and journal.started.split.get("folds")
            else "No rows could be hidden: scores are self-reported.",
            *decided,
        ]
    )
