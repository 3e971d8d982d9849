"""One structured question, one typed answer: the dialogue with a provider, and its account."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from rdagent import prompts
from rdagent.errors import RDAgentError, ReplyError
from rdagent.llm import replies
from rdagent.llm.calls import (
    MAX_CHARS,
    Call,
    Completion,
    GaveUpError,
    Kind,
    Message,
    NoReplyError,
    Provider,
    Usage,
    estimate_tokens,
)
from rdagent.llm.ledger import Ledger
from rdagent.llm.secrets import redact

T = TypeVar("T", bound=BaseModel)

TRIES = 3
CONTINUATIONS = 4
_QUOTED = 3_000
"""Characters of a reply that does not fit which are shown to its author again."""
_QUOTED_PROGRAM = 12_000
"""The same of a program, which cannot be mended unseen."""
_PROGRAM = re.compile(r"```|~~~|<{5}|\bimport ")
_LONGEST_CONTINUED = 200_000
"""Characters of a cut-off reply beyond which it is not continued: each time repeats them all."""
_LONGEST_OVERLAP = 400
_SURE_OVERLAP = 20
"""Characters that no two texts share at a seam by chance."""


@dataclass
class Client:
    """Asks a provider and writes the ledger; implements `interfaces.LLM`."""

    provider: Provider
    ledger: Ledger
    seconds_left: Callable[[], float] = lambda: math.inf
    """Of the run; no question outlasts them."""
    render: Callable[..., str] = prompts.render
    tell: Callable[[str], None] = field(default=lambda text: None)
    """Told when the provider makes us wait."""

    def ask(
        self,
        prompt_name: str,
        messages: list[Message],
        reply: type[T],
        *,
        experiment: int | None = None,
        check: Callable[[T], str | None] = lambda reply: None,
    ) -> T:
        """See `interfaces.LLM.ask`."""
        problem = ""
        dialogue = list(messages)
        kind: Kind = "ask"
        for _ in range(TRIES):
            text, problem = self._whole_reply(
                Call(prompt_name, dialogue, schema_of(reply), experiment, kind=kind)
            )
            shown = _QUOTED
            if not problem:
                try:
                    answer = replies.read(text, reply)
                except ValueError as error:
                    problem = str(error)
                else:
                    problem = check(answer) or ""
                    if not problem:
                        return answer
                shown = _QUOTED_PROGRAM if _is_program(text, reply) else _QUOTED
            kind = "correct"
            dialogue = [  # the last reply only: those before it are mended or no use
                *messages,
                {"role": "assistant", "content": _clip(text, shown) or "(nothing)"},
                {"role": "user", "content": self.render("correct", problem=problem)},
            ]
        raise ReplyError(
            redact(f"{prompt_name}: none of {TRIES} replies could be used; the last one: {problem}")
        )

    def _whole_reply(self, call: Call) -> tuple[str, str]:
        """The reply's text, continued where it was cut off, and why it is no reply (or "")."""
        completion = self._complete(call)
        text = completion.text
        for _ in range(CONTINUATIONS):
            cut_off = completion.finish == "length" and text.strip()
            if not cut_off or len(text) > _LONGEST_CONTINUED:
                break
            dialogue = [
                *call.messages,
                {"role": "assistant", "content": text},
                {"role": "user", "content": self.render("go_on")},
            ]
            # Without the schema: the rest of a JSON object is no JSON object.
            rest = Call(call.prompt_name, dialogue, experiment=call.experiment, kind="go_on")
            completion = self._complete(rest)
            text = join(text, completion.text)
        if len(text) >= MAX_CHARS:
            return text, f"it is far too long (over {MAX_CHARS:,} characters)"
        if completion.finish == "length":
            if not text.strip():
                return text, "it was cut off while you were thinking: think less, then answer"
            return text, "it is too long and was cut off: answer shorter"
        return text, "" if text.strip() else "it is empty"

    def _complete(self, call: Call) -> Completion:
        """One call with its two lines in the ledger."""
        model = self.provider.model_for(call.prompt_name)
        number, call = self.ledger.reserve(call, model, lambda u: self.provider.price(model, u))
        lost = Usage()

        def may_go_on(so_far: Usage) -> None:
            nonlocal lost
            lost = so_far
            self.ledger.check(lost)

        call = replace(call, seconds=self.seconds_left(), tell=self.tell, may_go_on=may_go_on)
        started = time.monotonic()
        try:
            found = self.provider.complete(call)
        except BaseException as error:
            if isinstance(error, (GaveUpError, NoReplyError)):
                lost = error.usage
            elif not isinstance(error, RDAgentError):  # Ctrl-C: what went in will be paid for
                entry = Usage(input=estimate_tokens(call.messages))
                lost += entry.model_copy(update={"money": self.provider.price(model, entry)})
            self.ledger.fail(number, error, lost, time.monotonic() - started)
            raise
        text, thoughts = replies.strip_reasoning(found.text)
        reasoning = "\n".join(filter(None, (found.reasoning, thoughts)))
        found = found.model_copy(update={"text": text, "reasoning": reasoning})
        self.ledger.settle(number, found, time.monotonic() - started)
        return found


def schema_of(reply: type[BaseModel]) -> dict[str, Any] | None:
    """The JSON schema of a reply; None where the reply reads its own kind of text."""
    return None if hasattr(reply, "read") else reply.model_json_schema()


def join(text: str, rest: str) -> str:
    """A cut-off reply and what came when it was told to go on, without what both hold.

    Models repeat the line that was cut, or open the code fence again.
    """
    first, _, after = rest.lstrip().partition("\n")
    if text.count("```") % 2 and first.startswith("```") and after:
        rest = after
    cut_line = text[text.rfind("\n") + 1 :]
    for length in range(min(len(text), len(rest), _LONGEST_OVERLAP), 0, -1):
        whole_line = length == len(cut_line) and len(cut_line.strip()) > 3
        if length < _SURE_OVERLAP and not whole_line:
            continue
        if text.endswith(rest[:length]):
            return text + rest[length:]
    return text + rest


def _is_program(text: str, reply: type[BaseModel]) -> bool:
    """Whether a reply that does not fit holds code to be mended."""
    return schema_of(reply) is None and bool(_PROGRAM.search(text))


def _clip(text: str, most: int) -> str:
    """Head and tail of what is longer than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {len(text) - most} characters ...]\n{text[-half:]}"
