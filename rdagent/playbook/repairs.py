"""Deterministic repairs of a plan: lighter after a limit, another library where one is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rdagent.playbook.families import PARAMS

if TYPE_CHECKING:
    from rdagent.playbook.shape import Shape

Plan = dict[str, Any]
INSTEAD = {"lightgbm": "boosting", "xgboost": "boosting", "catboost": "boosting"}
FEWEST_ROWS = 500


def lighter(plan: Plan, s: Shape) -> Plan | None:
    """The same idea for a fraction of the time; None when it cannot get lighter.

    First no search, two inner folds, fewer trees and epochs; then ever fewer rows.
    """
    members = [{**m, "params": {k: _less(k, v) for k, v in m["params"].items()}}
               for m in plan["members"]]  # fmt: skip
    if "inner_folds" not in plan:
        return {**plan, "members": members, "seeds": 1, "inner_folds": 2}
    rows = (plan.get("max_rows") or s.rows) // 4
    if rows < FEWEST_ROWS:
        return None
    return {**plan, "members": members, "max_rows": rows}


def _less(name: str, value: Any) -> Any:
    """A grid shrinks to its first value; counts to two fifths."""
    value = value[:1] if isinstance(value, list) else value
    if name in ("trees", "epochs"):
        if isinstance(value, list):
            return [max(1, round(value[0] * 0.4))]
        return max(1, round(value * 0.4)) if value else value
    return 0 if name == "shifts" else value


def without_package(plan: Plan, log: str) -> Plan | None:
    """Members of a library that is missing become scikit-learn's counterpart."""
    found = re.search(r"ModuleNotFoundError: No module named '(\w+)", log)
    family = INSTEAD.get(found.group(1)) if found else None
    if found is None or family is None:
        return None
    missing = found.group(1)
    members = [
        m if m["family"] != missing
        else {**m, "name": m["name"].replace(missing, family), "family": family,
              "params": m["params"] | PARAMS[family]}
        for m in plan["members"]
    ]  # fmt: skip
    return {**plan, "members": members}
