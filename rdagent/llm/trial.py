"""Ask a model for one word: whether it answers, how fast, and what that costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rdagent.errors import ProviderError
from rdagent.llm.calls import Call, Usage
from rdagent.records import Record

if TYPE_CHECKING:
    from rdagent.llm.litellm import LiteLLM

_FEW = 16
"""Tokens of the reply: a model that thinks needs some for one word."""


class Trial(Record):
    """What one short question to a model came to."""

    model: str
    usage: Usage
    seconds: float


def try_model(provider: LiteLLM, model: str | None = None, seconds: float = 60) -> Trial:
    """Ask `model` (None: the provider's main one) for one word, without retries or ledger.

    Raises ProviderError, SetupError or ReplyError with one sentence when it does not answer.
    """
    model = model or provider.model
    alone = provider.model_copy(update={"model": model, "stages": {}, "max_retry": 0})
    alone.check()
    question = [{"role": "user", "content": "Answer with the word ok."}]
    started = time.monotonic()
    try:
        found = alone.complete(Call("trial", question, seconds=seconds, max_tokens=_FEW))
    except ProviderError as error:
        if "max_tokens" not in str(error):
            raise
        # Some models refuse a limit within which they cannot even think.
        found = alone.complete(Call("trial", question, seconds=seconds))
    return Trial(model=model, usage=found.usage, seconds=time.monotonic() - started)
