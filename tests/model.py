"""A model behind the loopback server: which prompt it is asked, and what it says in a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from openai_server import Answer, Reply

ASKED = {
    "Before work starts": "understand",
    "Find the next experiment": "propose",
    "# What to write": "write",
    "ran well on the small sample": "repair_full",
    "The program below failed": "repair",
    "The program below scored": "tune",
    "Explain the outcome": "review",
    "Your reply was cut off": "go_on",
    "That reply cannot be used": "correct",
}
CARD = {
    "task": "y from kind", "data": "rows", "metric": "AUC", "submission": "a probability",
    "traps": ["noise"],
    "claims": {"kind": "binary", "metric": "AUC", "higher_is_better": True, "targets": ["y"]},
}  # fmt: skip


def asked(body: dict[str, Any]) -> str:
    """The prompt's name, found in the last message."""
    last = body["messages"][-1]["content"]
    return next(name for words, name in ASKED.items() if words in last)


def idea(statement: str = "The share of each kind tells the label.", **ratings: float) -> str:
    """A proposal with one hypothesis."""
    rated = {"alignment": 8, "impact": 7, "novelty": 6, "feasibility": 9, "risk": 2, **ratings}
    one = {"challenge": 1, "statement": statement, "reason": "It is so.", "component": "Model",
           "plan": "Count the labels of each kind.", "ratings": rated}  # fmt: skip
    challenges = [{"statement": "Few columns.", "evidence": "There are two."}]
    return json.dumps({"challenges": challenges, "hypotheses": [one]})


def lesson(text: str = "", **fields: Any) -> str:
    return json.dumps({"observations": "seen", "reason": "so", "lesson": text,
                       "suggestion": "Smooth the shares.", **fields})  # fmt: skip


class Model:
    """Answers by prompt name, in order, the last one again and again; has its own defaults."""

    def __init__(self, **answers: Answer | Sequence[Answer] | Callable[..., Answer]) -> None:
        self.answers: dict[str, Any] = {
            "understand": json.dumps(CARD), "review": lesson(), "tune": "NOTHING",
            "correct": "I have nothing else.",
            "propose": [idea(f"Columns{n} beat{n} rows{n} by{n} far.") for n in range(100)],
        }  # fmt: skip
        self.answers |= answers
        self.count: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any], n: int) -> Answer:
        name = asked(body)
        if name not in self.answers:
            return Reply(status=400, error={"message": f"the test has no answer to {name}"})
        found = self.answers[name]
        at = self.count[name]
        self.count[name] += 1
        if callable(found):
            return found(body, at)
        return (
            found
            if isinstance(found, str) or not isinstance(found, Sequence)
            else found[min(at, len(found) - 1)]
        )
