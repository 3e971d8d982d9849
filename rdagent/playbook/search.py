"""Which line to follow: a pure function of what was tried and how it scored."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rdagent.playbook.catalogue import Entry, Facts, applicable, member
from rdagent.playbook.families import MOVES, NAMES, PLAN_MOVES, WORDS

if TYPE_CHECKING:
    from rdagent.records import Experiment

Plan = dict[str, Any]
SEEDED = {"network", "boosting", "extra_trees", "forest", "lightgbm", "xgboost", "catboost",
          "finetuned", "torch"}  # fmt: skip
"""Families whose fits differ by seed."""
MOST_MEMBERS = 5
"""Members a blend holds at most."""


def plan_of(experiment: Experiment) -> Plan:
    """The playbook's own plan of an experiment; empty where somebody else proposed it."""
    plan = experiment.hypothesis.plan
    return plan if "members" in plan else {}


def configuration(plan: Plan) -> str:
    """What makes two plans the same program."""
    parts = {k: v for k, v in plan.items() if k not in ("entry", "move")}
    return json.dumps(parts, sort_keys=True)


def draft_plan(entry: Entry, f: Facts) -> Plan:
    return {"entry": entry.name, "members": [member(entry, f)], "seeds": 1, **entry.plan}


def next_draft(f: Facts, experiments: tuple[Experiment, ...]) -> tuple[Entry, Plan] | None:
    """The first entry not yet tried, families that were not tried before those that were."""
    plans = [plan_of(e) for e in experiments]
    tried = {plan.get("entry") for plan in plans if not plan.get("move")}
    families = {m["family"] for plan in plans for m in plan.get("members", [])}
    done = {configuration(plan) for plan in plans if plan}
    waiting = [
        (entry, plan)
        for entry in applicable(f)
        if entry.name not in tried and configuration(plan := draft_plan(entry, f)) not in done
    ]
    called_for = [x for x in waiting if (x[0].small or 0) < 10]  # what the data itself asks for
    fresh = [x for x in waiting if x[0].family not in families]
    return next(iter(called_for or fresh or waiting), None)


def next_move(
    f: Facts, parent: Experiment, experiments: tuple[Experiment, ...]
) -> tuple[Plan, str] | None:
    """The most promising step from a parent that was not tried, and a sentence about it."""
    plan = plan_of(parent)
    done = {configuration(plan_of(e)) for e in experiments if plan_of(e)}
    moves = [(m, new) for m, new in _moves(f, plan) if configuration(new) not in done]
    if not moves:
        return None
    gains = _gains(experiments)
    move, new = max(moves, key=lambda x: _promise(x[0], plan.get("move"), gains))
    before, after = move["from"], move["to"]
    words = WORDS.get(move["parameter"], str(move["parameter"]))
    text = f"{words[:1].upper()}{words[1:]}: {_say(after)} instead of {_say(before)}"
    return new | {"move": move}, text


def _moves(f: Facts, plan: Plan) -> Iterator[tuple[Plan, Plan]]:
    """Every single step: (what it changes, the plan after it), the most promising first."""
    for i, m in enumerate(plan["members"]):
        params = m["params"]
        for place, (name, ladder) in enumerate(MOVES[m["family"]].items()):
            now = params.get(name, ladder[0])
            if not _fits(f, m, name):
                continue
            for value in _neighbours(ladder, now):
                changed = {**m, "params": params | {name: value}}
                members = [changed if j == i else other for j, other in enumerate(plan["members"])]
                move = {"family": m["family"], "parameter": name, "from": now, "to": value}
                move |= {"up": _index(ladder, value) > _index(ladder, now), "place": place}
                yield move, {**plan, "members": members}
    for name, ladder in PLAN_MOVES.items():
        now = plan.get(name, ladder[0])
        seeded = any(m["family"] in SEEDED for m in plan["members"])
        if (name == "seeds" and not seeded) or (
            name == "row_stats" and (len(f.s.numeric) < 4 or f.s.image or f.previous)
        ):
            continue
        for value in _neighbours(ladder, now):
            move = {"family": "", "parameter": name, "from": now, "to": value, "up": True}
            yield move | {"place": 2 if name == "seeds" else 5}, {**plan, name: value}


def _fits(f: Facts, m: Plan, name: str) -> bool:
    """Whether a parameter means anything for this data and member."""
    family, value = m["family"], f.s.problem == "value"
    if name == "shifts" or (family == "torch" and name == "moves"):
        return f.s.image is not None and not value
    if name == "target":
        return value and f.s.nonnegative and m["params"]["loss"] != "quantile"
    if name == "balanced":
        return f.s.problem == "class" and f.c.output == "label" and f.s.minority < 0.7
    if name == "C":
        return not value or family == "kernel"
    if name == "interactions":
        return 2 <= len(f.s.numeric) <= 30 and not f.s.text
    if name == "scale":
        return bool(f.s.numeric)
    if family == "finetuned":
        assert f.previous is not None
        epochs = f.previous.how == "epochs"
        return {"epochs": epochs, "keep": f.previous.network, "trees": not epochs}.get(name, True)
    if family == "torch":
        return bool(m["params"]["epochs"])
    return True


def _neighbours(ladder: list[Any], now: Any) -> list[Any]:
    """One step up and one step down; the first step where the value is not on the ladder."""
    at = _index(ladder, now)
    if at < 0:
        return [x for x in (ladder[len(ladder) // 2],) if x != now]
    return [ladder[i] for i in (at + 1, at - 1) if 0 <= i < len(ladder)]


def _index(ladder: list[Any], value: Any) -> int:
    """Place on the ladder, -1 off it."""
    plain = [json.dumps(x) for x in ladder]
    return plain.index(json.dumps(value)) if json.dumps(value) in plain else -1


def _gains(experiments: tuple[Experiment, ...]) -> dict[tuple[str, str, bool], float]:
    """How each kind of step did: +1 a gain, -1 a loss, older ones at half."""
    by_id = {e.id: e for e in experiments}
    gains: dict[tuple[str, str, bool], float] = {}
    for e in experiments:
        move = plan_of(e).get("move")
        parent = by_id.get(e.parents[0]) if len(e.parents) == 1 else None
        if not move or parent is None or parent.score is None:
            continue
        won = -1.0
        if e.score is not None:
            sign = 1 if e.score.higher_is_better else -1
            won = 1.0 if sign * (e.score.value - parent.score.value) > 0 else -1.0
        key = (move["family"], move["parameter"], move["up"])
        gains[key] = 0.5 * gains.get(key, 0.0) + won  # what happened last counts most
    return gains


def _promise(
    move: Plan, last: Plan | None, gains: dict[tuple[str, str, bool], float]
) -> tuple[float, float]:
    """A step that helped is taken again, one that failed waits; else the catalogue's order."""
    known = gains.get((move["family"], move["parameter"], move["up"]), 0.0)
    # Where one direction failed the other is no better than a parameter not yet touched.
    known += 0.3 * min(gains.get((move["family"], move["parameter"], not move["up"]), 0.0), 0.0)
    on = last is not None and all(move[k] == last[k] for k in ("family", "parameter", "up"))
    down = 0.5 if not move["up"] else 0.0
    return known + (1.0 if on and known > 0 else 0.0), -(move["place"] + down)


def chosen(experiment: Experiment, name: str) -> Plan:
    """What a member's own search settled on, in most executions; their logs say it."""
    found: list[str] = []
    for attempt in experiment.attempts[experiment.attempt :][:1]:
        for execution in attempt.executions:
            if execution.kind != "debug":
                found += re.findall(rf"^chosen {name} (\{{.*\}})$", execution.log, re.M)
    return dict(json.loads(Counter(found).most_common(1)[0][0])) if found else {}


def others_worth_blending(
    parents: tuple[Experiment, ...], ranked: list[Experiment]
) -> tuple[Experiment, ...]:
    """The best of every family that no parent has, unless it was clearly worse when it ran."""
    families = {m["family"] for e in parents for m in plan_of(e).get("members", [])}
    found = []
    for e in ranked:
        own = {m["family"] for m in plan_of(e)["members"]}
        clearly_worse = e.comparison is not None and e.comparison.high < 0
        if len(own) == 1 and not own & families and not clearly_worse:
            families |= own
            found.append(e)
    return tuple(found)


def merge_plan(parents: tuple[Experiment, ...]) -> Plan | None:
    """One program that blends the parents' members, each once, two of a family at most."""
    members: list[Plan] = []
    seen: Counter[str] = Counter()
    for parent in parents:
        for m in plan_of(parent).get("members", []):
            look = json.dumps([m["family"], m["params"]], sort_keys=True)
            if seen[look] or seen[m["family"]] == 2 or len(members) == MOST_MEMBERS:
                continue
            seen.update((look, m["family"]))
            # Searched already: the blend's time goes into seeds.
            members.append({**m, "params": m["params"] | chosen(parent, m["name"])})
    if any(m["family"] == "finetuned" for m in members):  # what it grew out of adds little
        members = [m for m in members if m["family"] != "as_it_is"]
    if len(members) < 2:
        return None
    counts: dict[str, int] = {}
    named = []
    for m in members:
        family = str(m["family"])
        number = counts[family] = counts.get(family, 0) + 1
        name = NAMES.get(family, family) + (f"_{number}" if number > 1 else "")
        named.append({**m, "name": name})
    plans = [plan_of(parent) for parent in parents]
    seeds = 3 if any(m["family"] in SEEDED for m in members) else 1
    merged: Plan = {"entry": "blend", "members": named, "seeds": seeds}
    for key in ("ratios", "row_stats"):
        if any(plan.get(key) for plan in plans):
            merged[key] = True
    limits = [plan["max_rows"] for plan in plans if plan.get("max_rows")]
    return merged | ({"max_rows": min(limits)} if limits else {})


def _say(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return " or ".join(str(x) for x in value)
    return str(value)
