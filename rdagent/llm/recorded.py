"""A provider that gives the replies of a recorded run once more, without a network."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from rdagent.errors import LimitError, ProviderError
from rdagent.llm.calls import Call, Completion, GaveUpError, NoReplyError, Usage

_CUT = "cut"
"""What a call raised that was in flight when its agent was killed."""


class Recorded:
    """The replies in `llm.jsonl` of `run`, matched by experiment, prompt name and order."""

    def __init__(
        self, run: Path, *, since: str, until: str, experiments: Collection[int],
        ended: Callable[[], None],
    ) -> None:  # fmt: skip
        """Only what was asked from `since` to `until`, for one of `experiments` or for none.

        `ended` is called where the recording
        has no reply, and may end the replay as the run ended.
        """
        self._lines: dict[tuple[int | None, str], list[dict[str, Any]]] = defaultdict(list)
        self._given: dict[tuple[int | None, str], int] = defaultdict(int)
        self._texts, self._lock, self._ended = run / "texts", threading.Lock(), ended
        self._models: dict[str, str] = {}
        self._prices = _Prices()
        for line in _calls(run / "llm.jsonl"):
            experiment = line["experiment"]
            self._models[line["prompt_name"]] = line["model"]
            self._prices.learn(line)
            known = experiment is None or experiment in experiments
            if known and since <= line["at"] < until:
                self._lines[experiment, line["prompt_name"]].append(line)

    def complete(self, call: Call) -> Completion:
        """The recorded reply; what failed fails again. ProviderError where there is none."""
        key = (call.experiment, call.prompt_name)
        with self._lock:
            number = self._given[key]
            self._given[key] = number + 1
        if number >= len(self._lines[key]):
            self._ended()
            of = f"experiment {call.experiment}" if call.experiment is not None else "the start"
            raise ProviderError(f"the recording has no further reply to {call.prompt_name} of {of}")
        line = self._lines[key][number]
        if line["error"] is not None:
            self._fail(call, line["raised"], line["error"], Usage(**line["usage"]))
        return Completion(
            text=self._text(line["reply"]), finish=line["finish"], usage=Usage(**line["usage"]),
            model=line["model"],
            reasoning=self._text(line["reasoning"]) if line["reasoning"] else "",
        )  # fmt: skip

    def model_for(self, prompt_name: str) -> str:
        return self._models.get(prompt_name, "recorded")

    def price(self, model: str, usage: Usage) -> float | None:
        """What was expected then: `--max-cost` ends the replay where it ended the run."""
        return self._prices.of(model, usage)

    def _fail(self, call: Call, raised: str, text: str, usage: Usage) -> None:
        """Raise what was raised then."""
        if raised == "LimitError":  # a cap fell between two attempts
            call.may_go_on(usage)
            raise LimitError(text)
        if raised in ("ReplyError", "NoReplyError"):
            raise NoReplyError(text, usage=usage)
        if raised in ("ProviderError", "GaveUpError", "setup"):
            raise GaveUpError(text, setup=raised == "setup", usage=usage)
        if raised in ("KeyboardInterrupt", _CUT):
            self._ended()
            raise KeyboardInterrupt
        raise type(raised, (Exception,), {})(text)  # a fault of the program's, under its name

    def _text(self, kept: dict[str, str]) -> str:
        if "text" in kept:
            return kept["text"]
        return (self._texts / f"{kept['hash']}.txt").read_text("utf-8", errors="replace")


def copy_rest(run: Path, folder: Path, until: str) -> None:
    """The calls of `run` before `until` that its replay in `folder` has not asked.

    What an agent asked in vain before it was killed is paid for all the same.
    """
    replayed = folder / "llm.jsonl"
    known = {call["id"] for call in _calls(replayed)}
    rest = {call["id"] for call in _calls(run / "llm.jsonl") if call["at"] < until} - known
    with replayed.open("ab") as file:
        for line in (run / "llm.jsonl").read_bytes().splitlines(keepends=True):
            if json.loads(line)["id"] in rest:
                file.write(line)


class _Prices:
    """What the recorded calls were expected to cost; others, by the same price for a token."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], float | None] = {}
        self._each: dict[str, tuple[float, float] | None] = {}

    def learn(self, line: dict[str, Any]) -> None:
        """Take a call's start line in."""
        model, expected = line["model"], Usage(**line["expected"])
        money, entry = expected.money, line["input_money"]
        self._known[model, expected.input, expected.output] = money
        self._known[model, expected.input, 0] = entry
        known = money is not None and entry is not None
        output = max(expected.output, 1)
        self._each[model] = (entry / expected.input, (money - entry) / output) if known else None

    def of(self, model: str, usage: Usage) -> float | None:
        key = (model, usage.input, usage.output)
        if key in self._known:
            return self._known[key]
        each = self._each.get(model, (0.0, 0.0))
        return usage.input * each[0] + usage.output * each[1] if each else None


def _calls(path: Path) -> Iterator[dict[str, Any]]:
    """Calls in the order in which they began, start and end in one."""
    calls: dict[int, dict[str, Any]] = {}
    for text in path.read_text("utf-8").splitlines():
        line = json.loads(text)
        if line["type"] == "start":
            calls[line["id"]] = {**line, "error": _CUT, "raised": _CUT, "usage": {}}
        elif line["id"] in calls:
            started = calls[line["id"]]
            same = {name: started[name] for name in ("at", "model")}
            calls[line["id"]] = {**started, **line, **same}
    yield from (calls[id] for id in sorted(calls))
