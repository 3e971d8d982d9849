"""CoSTEER: hypotheses become programs, and errors mend them.

A reply is checked before anything runs: patches apply, the program compiles, is new, and
holds no labels; what does not fit goes back with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from rdagent import memory
from rdagent.briefing import (
    describe,
    duration,
    previous_model,
    quoted,
    runs,
    source,
    time_left,
)
from rdagent.competition.weights import list_weights
from rdagent.excerpts import quote
from rdagent.gates.leaks import scan_program
from rdagent.gates.syntax import broken
from rdagent.llm.patches import apply
from rdagent.llm.programs import CodeReply
from rdagent.records import Program

if TYPE_CHECKING:
    from rdagent.briefing import Desk
    from rdagent.records import (
        Attempt,
        Competition,
        Context,
        Execution,
        Experiment,
        Hypothesis,
    )

LONGEST = 24_000
"""Characters of a program; longer ones make every later question dear."""
LINES = 300
WRITE, REPAIR, TUNE = 1_200, 1_600, 1_250
"""Characters of these questions that are always there, beside the contract and the hypothesis."""
PREVIOUS = 8_000
"""Characters of the user's own code that are quoted."""


class TuneReply(CodeReply):
    """Code, or NOTHING."""

    @classmethod
    def read(cls, text: str) -> Self:
        if text.strip().strip("`*.").upper() == "NOTHING":
            return cls(note="", code=None, patches=())
        return super().read(text)


def write(
    desk: Desk, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
) -> Program:
    """The program of a hypothesis. Raises what `LLM.ask` raises."""
    known = [p for p in parents if p.program]
    operator = hypothesis.operator if known else "draft"
    base = source(known[0]) if known else None
    rules, how = contract(context, desk), str(hypothesis.plan.get("how", ""))
    previous = _previous(context) if operator == "draft" else None
    fixed = WRITE + len(rules + how + hypothesis.statement + hypothesis.reason)
    fixed += 300 if known and context.finetune else 0
    room = desk.shares(
        context, fixed, pitfalls=1, **({"weights": 1} if previous else {}),
        **({"parents": 2} if known else {}),
    )  # fmt: skip
    reply = desk.ask(
        "write", context, CodeReply, _check(context, base, [source(p) for p in known]),
        contract=rules, operator=operator, time=time_left(context), plan=how,
        lines=LINES * max(1, len(known)),
        complexity=hypothesis.plan.get("complexity", "normal"), hypothesis=hypothesis,
        model=previous_model(context) if known else "",
        pitfalls=memory.pitfalls(context.experiments, min(room["pitfalls"], 800)),
        previous=previous and {**previous, "weights": _weights(context, room["weights"])},
        parents=[_parent(p, room["parents"] // len(known)) for p in known],
    )  # fmt: skip
    return _program(reply, base)


def repair(desk: Desk, context: Context, experiment: Experiment) -> Program | None:
    """The last version mended; `repair_full` asks where the full run failed."""
    attempt = experiment.attempts[-1]
    code = attempt.program.files["main.py"]
    last = attempt.executions[-1] if attempt.executions else None
    log, rules = last.log if last else "", contract(context, desk)
    error = memory.clip(attempt.error or "it failed", 500)
    fixed = REPAIR + len(rules + error + experiment.hypothesis.statement)
    room = desk.shares(context, fixed, output=5, before=2, mended=2)
    reply = desk.ask(
        "repair_full" if is_full(attempt) else "repair", context, CodeReply,
        _check(context, code, [a.program.files["main.py"] for a in experiment.attempts]),
        contract=rules, where=_where(attempt), hypothesis=experiment.hypothesis,
        error=quote(error),
        output=quoted(log, code, room["output"]),
        before=_before(experiment, room["before"]),
        mended=memory.mended_like(
            context.experiments, memory.error_of(attempt), room["mended"]
        ),
        timeout=f"{context.timeout:.0f}", runs=runs(context),
        seconds=", ".join(_took(e) for e in attempt.executions), sampled=context.sampled, code=code,
    )  # fmt: skip
    return _program(reply, code)


def _took(e: Execution) -> str:
    return f"{'small sample' if e.fold is None else f'fold {e.fold}'} {e.seconds:.0f} s"


def tune(desk: Desk, context: Context, experiment: Experiment) -> Program | None:
    """A variant of a program that scored; None where the model sees nothing worth a try."""
    attempt = experiment.attempts[experiment.attempt]
    code = attempt.program.files["main.py"]
    folds = [e for e in attempt.executions if e.kind == "fold"]
    allowed, rules = min(context.timeout, context.seconds_left / 2), contract(context, desk)
    fixed = TUNE + len(rules + experiment.hypothesis.statement)
    room = desk.shares(context, fixed, output=1)
    log = folds[-1].log if folds else ""

    def check(reply: TuneReply) -> str | None:
        return None if _nothing(reply) else changed(reply)

    changed = _check(context, code, [a.program.files["main.py"] for a in experiment.attempts])
    reply = desk.ask(
        "tune", context, TuneReply, check, contract=rules,
        score=f"{experiment.score.metric} {experiment.score.value:.5g}" if experiment.score else "",
        seconds=f"{sum(e.seconds for e in folds):.0f}",
        timeout=f"{context.timeout:.0f}", allowed=f"{allowed:.0f}", runs=runs(context),
        output=quoted(log, code, min(room["output"], 1000)), code=code,
        statement=experiment.hypothesis.statement, best=_best(context),
    )  # fmt: skip
    return None if _nothing(reply) else _program(reply, code)


def _best(context: Context) -> str:
    best = next(iter(memory.ranked(context.experiments)), None)
    return f"{best.score.value:.5g}" if best and best.score else "none"


def contract(context: Context, desk: Desk) -> str:
    """What every program has to keep to, in the words of this competition."""
    c = context.competition
    sample = c.sample_file or "sample_submission.csv"
    each = min(context.timeout, max(context.seconds_left, 1.0)) / max(context.folds, 1)
    return desk.prompts.render(
        "contract", files=", ".join(dict.fromkeys([c.train_file, c.test_file, sample])),
        train=c.train_file, test=c.test_file, sample=sample, submission=submission(c),
        folds=context.folds, sampled=context.sampled, hidden=context.hidden, metric=c.metric,
        deadline=f", at least about {duration(each)}" if each < 7200 else "",
    )  # fmt: skip


def submission(c: Competition) -> str:
    """What a row of the submission holds."""
    columns = ", ".join(c.prediction_columns[:6])
    if len(c.prediction_columns) > 6:
        columns += f" ... ({len(c.prediction_columns)} columns)"
    ids = f"{c.id_column}, then " if c.id_column else ""
    if c.output == "label":
        what = f"a label of {', '.join(c.target_columns[:3])} as {c.train_file} spells it"
        if c.task == "ranking":
            what = "labels, best first, separated by spaces"
    elif c.output == "probability":
        what = "probabilities from 0 to 1" + (", each row summing to one" if c.exclusive else "")
    else:
        what = "finite numbers"
    return f"{ids}{columns}: {what}"


def is_full(attempt: Attempt) -> bool:
    """It failed after its debug run, which is the first fold where the data is small."""
    return len(attempt.executions) > 1


def _where(attempt: Attempt) -> str:
    last = attempt.executions[-1] if attempt.executions else None
    if last is None or (last.exit_code is None and not last.seconds):
        return "before it ran"
    if last.kind == "debug":
        return "on the small sample"
    if len(attempt.executions) == 1:
        return "in its first run"
    if attempt.problem and not last.error:
        return "when its predictions were scored"
    return f"on fold {last.fold}" if last.fold is not None else "in its run"


def _before(experiment: Experiment, room: int) -> str:
    """What the earlier versions failed of, the newest first; quoted, for programs wrote it."""
    lines = [
        f"version {n}: {memory.clip(memory.error_of(a), 160)}"
        for n, a in enumerate(experiment.attempts[:-1], 1)
    ]
    return memory.fit(quote("\n".join(reversed(lines))).splitlines(), room)


def _previous(context: Context) -> dict[str, Any] | None:
    """The user's model: its code, its weights, its latest checkpoint."""
    c = context.competition
    if c.prev_model is None or not context.finetune:
        return None
    parts, left = [], PREVIOUS
    for name in c.prev_model.code:
        text = (c.prev_model.path / name).read_text("utf-8", errors="replace").strip()
        parts.append(f"# prev_model/{name}\n{memory.cut(text, left)}")
        left -= len(text)
        if left < 500:
            break
    return {
        "checkpoint": f"workspace_input/prev_model/{c.prev_model.checkpoint}",
        "code": "\n\n".join(parts),
    }


def _weights(context: Context, room: int) -> str:
    return list_weights(context.competition, min(room, 1200))


def _parent(e: Experiment, room: int) -> dict[str, Any]:
    return {
        "id": e.id,
        "statement": memory.clip(e.hypothesis.statement, min(room // 3, 200)),
        "outcome": describe(e, min(room * 2 // 3, 400)),
        "code": source(e),
    }


def _nothing(reply: CodeReply) -> bool:
    return reply.code is None and not reply.patches


def _program(reply: CodeReply, base: str | None) -> Program:
    """The program that a reply stands for. Raises ValueError saying what is wrong with it."""
    if reply.code is not None:
        text = reply.code
    elif base is None:
        raise ValueError("there is no program to patch: give the whole program in one block")
    else:
        text = apply(reply.patches, base)
    return Program(files={"main.py": text.strip() + "\n"})


def _check(
    context: Context, base: str | None, known: list[str]
) -> Callable[[CodeReply], str | None]:
    """Why a reply is no use: it does not apply, does not compile, is not new, or leaks."""
    before = {text.strip() for text in known}

    def check(reply: CodeReply) -> str | None:
        try:
            program = _program(reply, base)
        except ValueError as error:
            return str(error)
        code = program.files["main.py"]
        if len(code) > LONGEST:
            return f"the program has {len(code):,} characters: at most {LONGEST:,}"
        if code.strip() in before:
            return "this is a program that was tried already, unchanged: change something"
        if "submission" not in code:
            return "the program never writes submission.csv: give the whole program"
        if problem := broken(program, context.sandbox.python):
            return f"the program does not compile: {problem}"
        return scan_program(program, context.competition)

    return check
