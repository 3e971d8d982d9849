"""What a run has learned, in as many characters as a prompt has for it.

Everything is a pure function of the finished experiments, so it survives a resume and costs
the same at round 500 as at round 5: cards of single experiments, what lines taught, lessons
with their evidence, errors with what mended them.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from typing import NamedTuple

from rdagent.excerpts import alike, exception, quote, signature
from rdagent.records import Attempt, Experiment

RECENT = 4
BEST = 3
"""Latest and best experiments that come first in a history."""
LOOKED_AT = 60
"""Latest experiments whose errors are remembered: what a question costs must not grow."""


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
    return f"{text}; a full run takes {run_seconds(e):.0f} s"


def run_seconds(e: Experiment) -> float:
    """Seconds of one full run of the attempt that counts, all folds together."""
    runs = e.attempts[e.attempt].executions if e.attempts else ()
    return sum(x.seconds for x in runs if x.kind == "fold")


def card(e: Experiment, best: int | None, room: int = 150) -> str:
    """One experiment on one line."""
    how = "baseline" if e.id == 0 else e.hypothesis.operator
    origin = f" of {', '.join(map(str, e.parents))}" if e.parents else ""
    if e.score is None:
        result = f"failed: {clip(last_error(e), 80)}"
    else:
        result = f"{e.score.value:.5g}{' (the best)' if e.id == best else ''}"
    return f"{e.id} ({how}{origin}) {result}: {clip(e.hypothesis.statement, room)}"


def history(experiments: tuple[Experiment, ...], limit: int) -> tuple[str, set[int]]:
    """The best and the latest in turn, then the others, newest first; and the ids shown."""
    order = ranked(experiments)
    best, latest = order[:BEST], list(reversed(experiments))[:RECENT]
    turns = [e for pair in itertools.zip_longest(best, latest) for e in pair if e]
    unique = list({e.id: e for e in (*turns, *reversed(experiments))}.values())
    room = max(60, min(150, limit // max(1, min(len(unique), 8)) - 40))
    cards = (card(e, order[0].id if order else None, room) for e in unique)
    shown = fit(map(quote, cards), limit - 60)  # quoted: programs word their errors
    ids = {e.id for e in unique[: len(shown.splitlines())]}
    failed = sum(1 for e in experiments if e.error)
    rest = f"({len(experiments)} experiments in all, {failed} failed)"
    return (f"{shown}\n{rest}" if shown else rest), ids


def siblings(
    experiments: tuple[Experiment, ...], parents: tuple[int, ...], shown: set[int], limit: int
) -> str:
    """What was tried from the same parents (none: the drafts), newest first, but for `shown`."""
    mine = [e for e in experiments if e.parents == parents and e.id and e.id not in shown]
    return fit((quote(card(e, None, 90)) for e in reversed(mine)), limit)


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
    return fit((f"* {n}. {clip(known[n], 180)} ({pro[n]}, {con[n]})" for n in order), limit)


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
    return fit((f"* {clip(x, 180)}" for x in found), limit)


class Mended(NamedTuple):
    """An error of this run, and the versions of the program before and after it was gone."""

    error: str
    before: str
    after: str

    def told(self, room: int) -> str:
        """The error, and the lines that came in its place."""
        change = diff(self.before, self.after).splitlines()
        added = " / ".join(x[1:].strip() for x in change if x[:1] == "+" and x[1:].strip())
        return f"{clip(self.error, room // 2)} -> mended by: {clip(added, room // 2)}"


def mended(experiments: tuple[Experiment, ...]) -> list[Mended]:
    """Errors after which the next version failed otherwise or not at all, newest first."""
    found = []
    for e in reversed(experiments[-LOOKED_AT:]):
        for before, after in zip(e.attempts, e.attempts[1:], strict=False):
            error = error_of(before)
            if error and alike(error, error_of(after)) <= 0.8:
                one, two = (a.program.files["main.py"] for a in (before, after))
                found.append(Mended(error, one, two))
    return found


def mended_like(experiments: tuple[Experiment, ...], error: str, limit: int) -> str:
    """The two errors most like `error`, with the change that mended each; quoted."""
    near = sorted(mended(experiments), key=lambda m: alike(m.error, error), reverse=True)
    near = [m for m in near if alike(m.error, error) > 0.6][:2]
    told = dict.fromkeys(m.told(limit // max(1, len(near)) - 20) for m in near)
    return fit(quote("\n".join(told)).splitlines(), limit) if near else ""


def pitfalls(experiments: tuple[Experiment, ...], limit: int) -> str:
    """Errors of this run, each kind once, newest first; for whoever writes the next program."""
    kinds: dict[str, str] = {}
    for m in mended(experiments):
        if (kind := signature(m.error)) not in kinds:
            kinds[kind] = m.told(300)
    for e in reversed(experiments[-LOOKED_AT:]):
        if e.error and e.attempts:
            error = last_error(e)
            kinds.setdefault(signature(error), f"{clip(error, 160)} -> never mended")
    return fit(quote("\n".join(kinds.values())).splitlines(), limit)


def last_error(e: Experiment) -> str:
    """What an experiment that failed failed of, in one line."""
    return (error_of(e.attempts[-1]) if e.attempts else "") or e.error or ""


def error_of(attempt: Attempt) -> str:
    """The error in one line: the exception where there was one, else what the host says."""
    log = attempt.executions[-1].log if attempt.executions else ""
    raised = exception(log) if attempt.error and "exit code" in attempt.error else ""
    return raised or attempt.error or ""


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
