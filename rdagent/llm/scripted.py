"""A provider that says what it is told to: for tests and demos, without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from rdagent.errors import ProviderError
from rdagent.llm.calls import Call, Completion, Usage, estimate_tokens

Answers = Callable[[Call], str | Completion] | Mapping[str, Sequence[str | Completion]]


class Scripted:
    """Replies by prompt name, in order: `Scripted({"propose": ["first", "second"]})`, or from a
    function of the call."""

    def __init__(self, answers: Answers) -> None:
        self.calls: list[Call] = []
        self._answers = answers
        self._given: dict[str, int] = {}
        self._lock = threading.Lock()

    def complete(self, call: Call) -> Completion:
        with self._lock:
            self.calls.append(call)
            n = self._given.get(call.prompt_name, 0)
            self._given[call.prompt_name] = n + 1
        if callable(self._answers):
            found = self._answers(call)
        elif n < len(texts := self._answers.get(call.prompt_name, ())):
            found = texts[n]
        else:
            raise ProviderError(f"the script has {n} replies to {call.prompt_name} and no more")
        if isinstance(found, Completion):
            return found
        usage = Usage(input=estimate_tokens(call.messages), output=estimate_tokens(found))
        return Completion(text=found, usage=usage, model="scripted")

    def model_for(self, prompt_name: str) -> str:
        return "scripted"

    def price(self, model: str, usage: Usage) -> float | None:
        return 0.0
