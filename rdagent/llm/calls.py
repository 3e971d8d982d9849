"""What goes to a provider and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rdagent.errors import ProviderError, ReplyError
from rdagent.records import Record

STAGES = ("understand", "propose", "write", "repair", "repair_full", "tune", "review")
"""Prompt names that ask an LLM."""
GROUPS = {"write": "coding", "repair": "coding", "repair_full": "running", "tune": "running"}
"""Prompt name -> the group whose settings it takes where it has none of its own."""
MAX_CHARS = 2_000_000
"""Characters of one reply; what is longer is cut, and fits nothing."""

Kind = Literal["ask", "correct", "go_on"]
"""A question, the same question after a reply that did not fit, the rest of a cut-off reply."""
Message = dict[str, str]


class Usage(Record):
    """Tokens and money of one call, or of many together."""

    input: int = 0
    """All tokens in, those from the provider's cache among them."""
    output: int = 0
    """All tokens out, reasoning among them."""
    cached: int = 0
    reasoning: int = 0
    money: float | None = 0.0
    """US dollars; None: nobody knows the price."""

    @property
    def tokens(self) -> int:
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        known = self.money is not None and other.money is not None
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            reasoning=self.reasoning + other.reasoning,
            money=(self.money or 0) + (other.money or 0) if known else None,
        )


def estimate_tokens(text: str | list[Message]) -> int:
    """Roughly how many tokens; for what is in flight, and where a provider does not say."""
    chars = len(text) if isinstance(text, str) else sum(len(m["content"]) for m in text)
    return chars // 4 + 1


class Completion(Record):
    """One reply, however many attempts it took."""

    text: str
    reasoning: str = ""
    finish: Literal["stop", "length", "other"] = "stop"
    """length: the provider cut it off."""
    usage: Usage = Usage()
    """Also of attempts that broke off and are paid for all the same."""
    model: str = ""


@dataclass(frozen=True)
class Call:
    """One request to a provider."""

    prompt_name: str
    messages: list[Message]
    reply_schema: dict[str, Any] | None = None
    """JSON schema of the reply; None: free text."""
    experiment: int | None = None
    n: int = 0
    """Order number within (experiment, prompt name), from 0."""
    kind: Kind = "ask"
    seconds: float = float("inf")
    """What is left of the run; the provider gives up by then."""
    max_tokens: int | None = None
    """Overrides the setting."""
    tell: Callable[[str], None] = lambda text: None
    """Told when the provider makes us wait."""
    may_go_on: Callable[[Usage], None] = lambda lost: None
    """Asked before each further attempt, with what those that broke off cost so far; raises
    LimitError where the caps allow no other."""


class Provider(Protocol):
    """Where completions come from."""

    def complete(self, call: Call) -> Completion:
        """The reply. Raises ReplyError (this question has no answer), ProviderError, and
        what `call.may_go_on` raises."""
        ...

    def model_for(self, prompt_name: str) -> str:
        """The model that answers this prompt."""
        ...

    def price(self, model: str, usage: Usage) -> float | None:
        """US dollars for these tokens; None: nobody knows."""
        ...


class GaveUpError(ProviderError):
    """The provider was tried until it made no sense any more."""

    def __init__(self, message: str, *, setup: bool = False, usage: Usage | None = None) -> None:
        super().__init__(message, setup=setup)
        self.usage = usage or Usage()
        """Of the attempts that broke off."""


class NoReplyError(ReplyError):
    """This question gets no reply, however often it is asked."""

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or Usage()
