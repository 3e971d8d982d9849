"""What a run has learned, in as many characters as a prompt has for it.

Everything is a pure function of the finished experiments, so it survives a resume and costs
the same at round 500 as at round 5: cards of single experiments, what lines taught, lessons
with their evidence, errors with what mended them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from rdagent.excerpts import alike, quote, signature
from rdagent.records import Experiment

RECENT = 4
"""Latest experiments that are always shown."""
BEST = 3
"""Best ones that are always shown."""


def clip(text: str, limit: int) -> str:
    """`text` on one line, cut at `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: max(0, limit - 4)].rstrip() + " ..."


def fit(lines: Iterable[str], limit: int) -> str:
    """As many whole lines as `limit` characters hold."""
    kept, used = [], 0
    for line in lines:
        used += len(line) + 1
        if used > limit:
            break
        kept.append(line)
    return "\n".join(kept)


def outcome(e: Experiment) -> str:
    """Score with band, difference to the best before it, seconds; or why it failed."""
    if e.error:
        return f"failed: {clip(e.error, 160)}"
    if e.score is None:
        return "no score"
    s = e.score
    band = f" [{s.low:.4g}, {s.high:.4g}]" if s.low is not None else ""
    text = f"{s.metric} {s.value:.5g}{band}"
    if (c := e.comparison) is not None:
        word = "better" if c.low > 0 else "worse" if c.high < 0 else "within noise"
        text += f", {c.delta:+.3g} [{c.low:+.3g}, {c.high:+.3g}] against the best then: {word}"
    new = " (new best)" if e.id and e.feedback and e.feedback.accepted else ""
    return f"{text}, {e.cost.programs:.0f} s{new}"


def card(e: Experiment, room: int = 110) -> str:
    """One experiment on one line."""
    how = "baseline" if e.id == 0 else e.hypothesis.operator
    origin = f" of {', '.join(map(str, e.parents))}" if e.parents else ""
    return f"* {e.id} ({how}{origin}) {clip(e.hypothesis.statement, room)} -> {outcome(e)}"


def history(experiments: tuple[Experiment, ...], limit: int) -> str:
    """The best and the latest, best first; what is left out is counted."""
    shown = fit((card(e) for e in _remembered(experiments)), limit - 60)
    failed = sum(1 for e in experiments if e.error)
    rest = f"({len(experiments)} experiments so far, {failed} failed; the best first)"
    return f"{shown}\n{rest}" if shown else rest


def siblings(experiments: tuple[Experiment, ...], parents: tuple[int, ...], limit: int) -> str:
    """What was tried from the same parents (none: the drafts), newest first, and is not among
    what `history` shows already."""
    shown = {e.id for e in _remembered(experiments)}
    mine = [e for e in experiments if e.parents == parents and e.id and e.id not in shown]
    return fit((card(e, 130) for e in reversed(mine)), limit)


def _remembered(experiments: tuple[Experiment, ...]) -> list[Experiment]:
    best = ranked(experiments)[:BEST]
    latest = [e for e in experiments[-RECENT:] if e not in best]
    return [*best, *reversed(latest), *(e for e in experiments[:1] if e not in (*best, *latest))]


def lines(experiments: tuple[Experiment, ...], limit: int) -> str:
    """What each line learned: a draft and all that grew out of it; the best line first."""
    root: dict[int, int] = {}
    for e in experiments:  # parents come before their children
        root[e.id] = root.get(e.parents[0], e.parents[0]) if e.parents else e.id
    order = list(dict.fromkeys(root[e.id] for e in ranked(experiments) if e.id))
    told = []
    for first in order if len(experiments) > RECENT + BEST else ():
        mine = [e for e in experiments if root[e.id] == first]
        best = ranked(tuple(mine))[0]
        learned = [e.feedback.reason for e in mine if e.feedback and e.parents]
        what = f"; {clip(learned[-1], 110)}" if learned and learned[-1] else ""
        value = f"{best.score.value:.5g}" if best.score else "no score"
        told.append(f"* from {first}: {len(mine)} tries, best {value} ({best.id}){what}")
    return fit(told, limit) if len(told) > 1 else ""


def lessons(experiments: tuple[Experiment, ...], limit: int) -> str:
    """Lessons by weight of evidence, numbered by the experiment that taught them."""
    known = {e.id: e.feedback.lesson for e in experiments if e.feedback and e.feedback.lesson}
    pro, con = dict.fromkeys(known, 1), dict.fromkeys(known, 0)
    for e in experiments:
        for count, numbers in (
            (pro, e.feedback.confirms if e.feedback else ()),
            (con, e.feedback.refutes if e.feedback else ()),
        ):
            for number in set(numbers) & known.keys():
                count[number] += 1
    # Well supported first; of two alike the newer one, which knew more.
    order = sorted(known, key=lambda n: (pro[n] - con[n], n), reverse=True)
    return fit((f"* {n}. {clip(known[n], 240)} ({pro[n]}, {con[n]})" for n in order), limit)


def untried(experiments: tuple[Experiment, ...], limit: int) -> str:
    """Hypotheses that were proposed beside the chosen ones, and suggestions of reviews."""
    tried = [e.hypothesis.statement for e in experiments]
    found: list[str] = []
    for e in reversed(experiments):
        ideas = [e.feedback.suggestion] if e.feedback and e.feedback.suggestion else []
        ideas += [str(x) for x in e.hypothesis.plan.get("others", ())]
        found += [x for x in ideas if not any(similar(x, y) for y in (*tried, *found))]
        if len(found) >= 6:
            break
    return fit((f"* {clip(x, 160)}" for x in found), limit)


class Mended(NamedTuple):
    """An error of this run, and the change after which it was gone."""

    error: str
    change: str
    experiment: int


def mended(experiments: tuple[Experiment, ...]) -> list[Mended]:
    """Errors after which the next version of the program failed otherwise or not at all."""
    found = []
    for e in experiments:
        for before, after in zip(e.attempts, e.attempts[1:], strict=False):
            error = error_of(before.error, before.executions[-1].log if before.executions else "")
            if not error or (after.error and alike(error, error_of(after.error, "")) > 0.8):
                continue
            change = diff(before.program.files["main.py"], after.program.files["main.py"])
            found.append(Mended(error, change, e.id))
    return found


def mended_like(experiments: tuple[Experiment, ...], error: str, limit: int) -> str:
    """The two errors most like `error`, with the change that mended each."""
    scored = [(alike(m.error, error), m.experiment, m) for m in mended(experiments)]
    near = sorted((s for s in scored if s[0] > 0.6), key=lambda s: s[:2], reverse=True)
    near = list({m.change: (like, n, m) for like, n, m in reversed(near)}.values())[-2:]
    share = limit // 2 - 40
    return "\n".join(
        f"{clip(m.error, share // 3)}\n{quote(cut(m.change, share * 2 // 3))}" for *_, m in near
    )


def pitfalls(experiments: tuple[Experiment, ...], limit: int) -> str:
    """Errors of this run, each kind once, newest first; for whoever writes the next program."""
    kinds: dict[str, str] = {}
    for m in reversed(mended(experiments)):
        added = [x[1:].strip() for x in m.change.splitlines() if x[:1] == "+" and x[1:].strip()]
        line = f"* {clip(m.error, 130)}; mended by: {clip(' / '.join(added), 160)}"
        kinds.setdefault(signature(m.error), line)
    for e in reversed(experiments):
        if e.error and e.attempts:
            error = last_error(e)
            kinds.setdefault(signature(error), f"* {clip(error, 160)}; never mended")
    return fit(kinds.values(), limit)


def last_error(e: Experiment) -> str:
    """What an experiment that failed failed of, in one line."""
    last = e.attempts[-1] if e.attempts else None
    log = last.executions[-1].log if last and last.executions else ""
    return error_of((last.error if last else None) or e.error, log)


def error_of(error: str | None, log: str) -> str:
    """The error in one line: the exception where there was one, else what the host says."""
    raised = [x for x in log.splitlines() if x[:1].isalpha() and x.partition(":")[0].isidentifier()]
    names = [x for x in raised if x.partition(":")[0].endswith(("Error", "Exception", "Interrupt"))]
    return names[-1] if error and names and "exit code" in error else error or ""


def diff(before: str, after: str) -> str:
    """Changed lines with one line around them."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
    return "\n".join(list(lines)[2:])


def cut(text: str, limit: int) -> str:
    """The head of a text of several lines."""
    return text if len(text) <= limit else text[: max(0, limit - 6)].rstrip() + "\n[...]"


def similar(a: str, b: str) -> bool:
    """Two hypotheses that say the same in nearly the same words."""
    one, two = (set(x.lower().split()) for x in (a, b))
    return bool(one) and len(one & two) / len(one | two) > 0.75


def ranked(experiments: tuple[Experiment, ...]) -> list[Experiment]:
    """Scored experiments, best first; those stopped after the first fold behind the others."""
    scored = [(e.score, e) for e in experiments if e.score is not None]
    most = max((len(s.folds) for s, _ in scored), default=0)
    scored.sort(
        key=lambda x: (len(x[0].folds) < most, x[0].value * (-1 if x[0].higher_is_better else 1))
    )
    return [e for _, e in scored]
