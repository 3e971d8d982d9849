"""A provider that gives the replies of a recorded run once more, without a network."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rdagent.errors import ProviderError, ReplyError
from rdagent.llm.calls import Call, Completion, GaveUpError, Usage


class Recorded:
    """The replies in `llm.jsonl` of `run`, matched by experiment, prompt name and order."""

    def __init__(self, run: Path, started: Mapping[int, str] | None = None) -> None:
        """`started` tells when each experiment began for the last time: what an agent that was
        killed asked before that is no part of the run."""
        self._lines: dict[tuple[int | None, str], list[dict[str, Any]]] = defaultdict(list)
        self._given: dict[tuple[int | None, str], int] = defaultdict(int)
        self._texts, self._lock = run / "texts", threading.Lock()
        self.models: dict[str, str] = {}
        for line in _calls(run / "llm.jsonl"):
            experiment = line["experiment"]
            if line["at"] >= (started or {}).get(experiment, ""):
                self._lines[experiment, line["prompt_name"]].append(line)
                self.models[line["prompt_name"]] = line["model"]

    def complete(self, call: Call) -> Completion:
        """The recorded reply; what failed fails again. ProviderError where there is none."""
        key = (call.experiment, call.prompt_name)
        with self._lock:
            number = self._given[key]
            self._given[key] = number + 1
        if number >= len(self._lines[key]):
            of = f"experiment {call.experiment}" if call.experiment is not None else "the start"
            raise ProviderError(f"the recording has no further reply to {call.prompt_name} of {of}")
        line = self._lines[key][number]
        usage = Usage(**line["usage"])
        if line["error"] is not None:
            if "finish" not in line and line.get("reply_error"):
                raise ReplyError(line["error"])
            raise GaveUpError(line["error"], usage=usage)
        return Completion(
            text=self._text(line["reply"]), finish=line["finish"], usage=usage, model=line["model"],
            reasoning=self._text(line["reasoning"]) if line["reasoning"] else "",
        )  # fmt: skip

    def model_for(self, prompt_name: str) -> str:
        return self.models.get(prompt_name, "recorded")

    def price(self, model: str, usage: Usage) -> float | None:
        return 0.0  # replaying costs nothing; what it cost then is in the recorded usage

    def _text(self, kept: dict[str, str]) -> str:
        if "text" in kept:
            return kept["text"]
        return (self._texts / f"{kept['hash']}.txt").read_text("utf-8", errors="replace")


def _calls(path: Path) -> Iterator[dict[str, Any]]:
    """Calls that ended, in the order in which they began, start and end in one."""
    starts: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    for text in path.read_text("utf-8").splitlines():
        line = json.loads(text)
        if line["type"] == "start":
            starts[line["id"]] = line
        elif line["id"] in starts:
            started = starts[line["id"]]
            ended[line["id"]] = {**started, **line, "at": started["at"], "model": started["model"]}
    yield from (ended[id] for id in sorted(ended))
