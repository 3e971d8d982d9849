"""The competition in the LLM's words, and where the data says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from rdagent.competition import read_test, read_train
from rdagent.competition.tables import names_of
from rdagent.memory import clip
from rdagent.metrics.names import find_metric
from rdagent.records import Card

if TYPE_CHECKING:
    from rdagent.briefing import Desk
    from rdagent.records import Competition, Context


class Claims(BaseModel):
    """What the model reads in description and columns; checked, never believed."""

    kind: str | None = None
    metric: str | None = None
    higher_is_better: bool | None = None
    targets: list[str] = []
    group: str | None = None
    time: str | None = None


class Understanding(BaseModel):
    """The reply."""

    task: str
    data: str
    metric: str
    submission: str
    traps: list[str] = []
    claims: Claims = Claims()


def understand(desk: Desk, context: Context) -> tuple[Card, tuple[str, ...]]:
    """The card that later questions carry, and a sentence for each claim that did not hold."""
    reply = desk.ask("understand", context, Understanding)
    card = Card(
        task=clip(reply.task, 160),
        data=clip(reply.data, 160),
        metric=clip(reply.metric, 160),
        submission=clip(reply.submission, 160),
        traps=tuple(clip(trap, 160) for trap in reply.traps[:3]),
    )
    return card, settle(reply.claims, context)


def settle(claims: Claims, context: Context) -> tuple[str, ...]:
    """Claims against what the host worked out: the data decides, and each difference is told."""
    c = context.competition
    view = c.model_copy(update={"data_dir": context.train_preview})
    train, test = read_train(view), read_test(view)
    found = []
    targets = [x for x in claims.targets if x in names_of(train)]
    if targets and set(targets) != set(c.target_columns):
        found.append(
            f"The LLM takes {', '.join(targets)} for the target; it stays "
            f"{', '.join(c.target_columns)}. If that is wrong, set target in competition.toml "
            "and start anew"
        )
    if claims.kind and claims.kind != c.task and claims.kind in _KINDS:
        labels = train[c.target_columns[0]].nunique()
        found.append(
            f"The LLM takes the task for {claims.kind}; {c.target_columns[0]} has {labels} "
            f"values in the sample: it stays {c.task}"
        )
    found += _metric(claims, c)
    for name, column, known in (
        ("group", claims.group, c.group_column),
        ("time", claims.time, c.time_column),
    ):
        if column and column != known and column in train and column in test:
            if name == "group" and set(train[column]) & set(test[column]):
                continue  # train and test share values: no group, whatever anybody says
            found.append(
                f"The LLM takes {column} for the {name} column; the rows were hidden without it. "
                f"If it is right, set {name} = {column!r} in competition.toml and start anew"
            )
    return tuple(found)


_KINDS = ("binary", "multiclass", "multilabel", "regression", "ranking")


def _metric(claims: Claims, c: Competition) -> list[str]:
    read = find_metric(f"Metric: {claims.metric}") if claims.metric else None
    asked = c.metric_proxy_for or c.metric
    if read is None or asked == "grade.py":
        return []
    if read != asked:
        return [
            f"The LLM takes the metric for {read}; this run ranks by {c.metric}. If it is right, "
            f"set metric = {read!r} in competition.toml and start anew"
        ]
    if claims.higher_is_better not in (None, c.higher_is_better):
        better = "higher" if c.higher_is_better else "lower"
        return [f"The LLM has the direction of {c.metric} wrong: {better} is better"]
    return []
