"""Any model that litellm knows, with our own patience: retries, limits, prices."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from rdagent.errors import SetupError
from rdagent.llm import checks
from rdagent.llm.calls import (
    GROUPS,
    MAX_CHARS,
    STAGES,
    Call,
    Completion,
    GaveUpError,
    Message,
    NoReplyError,
    Usage,
    estimate_tokens,
)
from rdagent.llm.faults import Fault, judge
from rdagent.llm.schema import response_format
from rdagent.llm.stream import Answer, CutError, SlowError, collect

_PATIENCE = 3
"""Times the timeout that all attempts of one call may take together."""
_LONGEST_WAIT = 60.0
_LONGEST_ASKED = 600.0
"""Seconds before the next attempt: of our own choice, and where the provider asks for them."""
_CUTS = 2
"""Streams in a row that end without a word, after which a model is asked without."""
_MILLION = 1_000_000
_FINISH: dict[str | None, Literal["stop", "length", "other"]] = {
    "stop": "stop", "tool_calls": "stop", "length": "length",
}  # fmt: skip


class Stage(BaseModel):
    """What one stage asks with; a field that is None takes the setting for all stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None


def read_stages(text: str | None) -> dict[str, Stage]:
    """`LITELLM_CHAT_MODEL_MAP`, read. SetupError in one sentence, which repeats no value."""
    name = "LITELLM_CHAT_MODEL_MAP"
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise SetupError(f"{name} is no JSON ({error}): correct it") from None
    if not isinstance(found, dict):
        raise SetupError(f'{name} must be an object such as {{"coding": {{"model": "..."}}}}')
    known = (*dict.fromkeys(GROUPS.values()), *STAGES)
    for key in found:
        if key not in known:
            raise SetupError(f"{name}: {key!r} is no stage; there are {', '.join(known)}")
    try:
        return {key: Stage.model_validate(value) for key, value in found.items()}
    except ValidationError as error:
        what = ".".join(map(str, error.errors()[0]["loc"])) or "a stage"
        fields = ", ".join(Stage.model_fields)
        raise SetupError(f"{name}: {what} does not fit; a stage has {fields}") from None


class LiteLLM(BaseModel):
    """A provider of completions (`calls.Provider`), configured."""

    kind: Literal["litellm"] = "litellm"
    model: str
    stages: dict[str, Stage] = {}
    """By prompt name, or by group (`coding`, `running`)."""
    temperature: float | None = None
    """None, here and below: the provider's own."""
    max_tokens: int | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    max_retry: int = 10
    retry_wait: float = 1.0
    """Seconds before the first retry, doubled for each one after it."""
    timeout: float = 600.0
    """Seconds that a reply may pause, in its beginning and between its pieces."""
    price_input: float | None = None
    """US dollars for a million tokens; None: as litellm knows it."""
    price_output: float | None = None
    price_cached: float | None = None
    _without_schema: set[str] = PrivateAttr(default_factory=set)
    _without_stream: set[str] = PrivateAttr(default_factory=set)
    _answered: set[str] = PrivateAttr(default_factory=set)
    """Models that have answered: what they refuse later is the question's fault."""
    _cuts: dict[str, int] = PrivateAttr(default_factory=dict)
    """Model -> its last streams in a row that ended without a word."""

    def warm(self) -> None:
        """Start to load litellm in the background; it takes seconds."""
        threading.Thread(target=checks.library, daemon=True, name="litellm").start()

    def check(self, *, max_cost: bool = False) -> None:
        """Whether the models can be asked at all, found out without a token.

        Raises SetupError naming the variable to set: an unknown provider, no key, or with
        `max_cost` no price.
        """
        checks.library()
        for name in self.models:
            checks.check_model(name)
            if max_cost and self.price(name, Usage(input=_MILLION, output=_MILLION)) is None:
                checks.no_price(name)

    @property
    def models(self) -> list[str]:
        """All that may be asked."""
        return sorted({self.model, *(s.model for s in self.stages.values() if s.model)})

    def stage(self, prompt_name: str) -> Stage:
        """The settings of a prompt: its own, its group's, then those for all."""
        everything = {
            "model": self.model, "temperature": self.temperature,
            "max_tokens": self.max_tokens, "reasoning_effort": self.reasoning_effort,
        }  # fmt: skip
        for key in (GROUPS.get(prompt_name), prompt_name):
            if key in self.stages:
                everything |= self.stages[key].model_dump(exclude_none=True)
        return Stage.model_validate(everything)

    def model_for(self, prompt_name: str) -> str:
        return self.stage(prompt_name).model or self.model

    def price(self, model: str, usage: Usage, raw: Any = None) -> float | None:
        """US dollars for `usage`; `raw` is litellm's own object, which knows more of caches."""
        if self.price_input is not None and self.price_output is not None:
            cached = self.price_input if self.price_cached is None else self.price_cached
            fresh = usage.input - usage.cached
            money = fresh * self.price_input + usage.cached * cached
            return (money + usage.output * self.price_output) / _MILLION
        return checks.price(model, usage, raw)

    def complete(self, call: Call) -> Completion:
        """The reply, after as many attempts as it takes and time allows.

        Raises:
            ReplyError: this question cannot be answered (too long, filtered, too slow).
            ProviderError: no attempt succeeded; `setup` where the user has to mend something.
            LimitError: `call.may_go_on` allows no further attempt.
        """
        model = self.model_for(call.prompt_name)
        end = time.monotonic() + call.seconds
        checks.library()  # its import may take seconds, which are not the provider's
        patience = _PATIENCE * self.timeout
        lost = Usage()
        retries = 0
        while True:
            began = time.monotonic()
            answer = self._attempt(model, call, min(patience, end - began))
            patience -= time.monotonic() - began
            if answer.error is None:
                self._answered.add(model)
                self._cuts.pop(model, None)
                return self._completion(model, call, answer, lost)
            if answer.began:
                lost += self._usage(model, call, answer)
            fault = judge(answer.error, model, checks.provider_of(model))
            if self._adapt(model, call, fault, answer):
                call.may_go_on(lost)
                continue
            if patience <= 0 and answer.began and isinstance(answer.error, SlowError):
                raise NoReplyError(f"{fault.sentence}: set CHAT_TIMEOUT higher", usage=lost)
            self._give_up(model, fault, lost)
            backoff = min(self.retry_wait * 2**retries, _LONGEST_WAIT)
            wait = backoff if fault.retry_after is None else fault.retry_after
            late = wait > _LONGEST_ASKED or time.monotonic() + wait >= end
            if retries >= self.max_retry or patience <= 0 or late:
                often = f" after {retries + 1} attempts" if retries else ""
                asks = f", to be asked again in {wait:.0f} s" if fault.retry_after and late else ""
                raise GaveUpError(f"{fault.sentence}{often}{asks}", usage=lost)
            call.may_go_on(lost)
            retries += 1
            call.tell(f"{fault.sentence}: asking again in {wait:.0f} s")
            time.sleep(wait)

    def _give_up(self, model: str, fault: Fault, lost: Usage) -> None:
        if fault.kind == "question" or (fault.kind == "refused" and model in self._answered):
            raise NoReplyError(fault.sentence, usage=lost)
        if fault.kind != "wait":
            raise GaveUpError(fault.sentence, setup=True, usage=lost)

    def _adapt(self, model: str, call: Call, fault: Fault, answer: Answer) -> bool:
        """Whether to ask at once again, without what this model does not take."""
        if isinstance(answer.error, CutError) and model not in self._without_stream:
            # A server that ignores `stream`, or never says that it ends, answers in one piece.
            # One slip is no reason: in one piece the whole reply has to come within the timeout.
            self._cuts[model] = self._cuts.get(model, 0) + 1
            if self._cuts[model] < _CUTS and (answer.text or answer.reasoning):
                return False
            self._without_stream.add(model)
            return True
        if fault.kind != "refused":
            return False
        if self._takes_schema(model, call):
            self._without_schema.add(model)
            return True
        if "stream" in fault.sentence.lower() and model not in self._without_stream:
            self._without_stream.add(model)
            return True
        return False

    def _takes_schema(self, model: str, call: Call) -> bool:
        wanted = call.reply_schema is not None and model not in self._without_schema
        return wanted and checks.supports_schema(model)

    def _attempt(self, model: str, call: Call, total: float) -> Answer:
        if total <= 0:
            return Answer(error=SlowError("no time is left"))
        request = self._request(model, call, total)
        return collect(lambda: checks.library().completion(**request), self.timeout, total)

    def _request(self, model: str, call: Call, total: float) -> dict[str, Any]:
        import httpx

        stage = self.stage(call.prompt_name)
        limit = min(self.timeout, total)
        request: dict[str, Any] = {
            "model": model,
            "messages": _cacheable(model, call.messages),
            "temperature": stage.temperature,
            "max_tokens": call.max_tokens or stage.max_tokens or checks.room(model),
            "reasoning_effort": stage.reasoning_effort,
            "seed": self.seed,
            "timeout": httpx.Timeout(limit, connect=min(30.0, limit)),
            "drop_params": True,
            # litellm's own retries know nothing of our time and our ledger.
            "max_retries": 0,
            "num_retries": 0,
            "api_key": checks.placeholder_key(model),
        }
        if checks.own_server(model):  # else litellm drops what it thinks unknown there
            request["allowed_openai_params"] = ["reasoning_effort"]
        if model not in self._without_stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        if call.reply_schema is not None and self._takes_schema(model, call):
            request["response_format"] = response_format(call.prompt_name, call.reply_schema)
        return {name: value for name, value in request.items() if value is not None}

    def _completion(self, model: str, call: Call, answer: Answer, lost: Usage) -> Completion:
        return Completion(
            text=answer.text[:MAX_CHARS], reasoning=answer.reasoning[:MAX_CHARS],
            finish=_FINISH.get(answer.finish, "other"),
            usage=lost + self._usage(model, call, answer), model=model,
        )  # fmt: skip

    def _usage(self, model: str, call: Call, answer: Answer) -> Usage:
        """What an answer cost, by the provider's count or, where it broke off, by ours."""
        raw = answer.usage
        if raw is None or not raw.total_tokens:
            text = answer.text + answer.reasoning
            raw = None
            usage = Usage(input=estimate_tokens(call.messages), output=estimate_tokens(text))
        else:
            prompt, completion = raw.prompt_tokens_details, raw.completion_tokens_details
            usage = Usage(
                input=raw.prompt_tokens, output=raw.completion_tokens,
                cached=getattr(prompt, "cached_tokens", None) or 0,
                reasoning=getattr(completion, "reasoning_tokens", None) or 0,
            )  # fmt: skip
        return usage.model_copy(update={"money": self.price(model, usage, raw)})


def _cacheable(model: str, messages: list[Message]) -> list[dict[str, Any]]:
    """The messages, the stable first one marked where a provider caches only what is marked."""
    marked: list[dict[str, Any]] = [dict(m) for m in messages]
    if marked[0]["role"] == "system" and checks.marks_cache(model):
        part = {"type": "text", "text": messages[0]["content"]}
        marked[0]["content"] = [{**part, "cache_control": {"type": "ephemeral"}}]
    return marked
