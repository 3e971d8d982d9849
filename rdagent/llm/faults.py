"""What a provider's error means: wait, tell the user, or give this question up."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

from rdagent.llm.secrets import redact
from rdagent.llm.stream import CutError, SlowError

_QUOTA = ("insufficient_quota", "insufficient balance", "credit balance", "billing_not_active")
_FILTERED = ("safety system", "content management policy", "content_policy", "content_filter")
_NO_MODEL = re.compile(r"model\b.{0,120}\b(not found|does not exist|not exist)", re.IGNORECASE)
_JSON_MESSAGE = re.compile(r"""["'](?:message|error)["']:\s*["']([^"]+?)["'](?=[,}])""")
_RETRY_IN = re.compile(r"(?:retry in |retryDelay\W+)([\d.]+)\s*s", re.IGNORECASE)
_KEYS = {
    "gemini": "GEMINI_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "perplexity": "PERPLEXITYAI_API_KEY",
    "ollama_chat": "OLLAMA_API_KEY",
    "bedrock": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "vertex_ai": "GOOGLE_APPLICATION_CREDENTIALS",
}


class Fault(NamedTuple):
    """Why an attempt brought no reply."""

    kind: Literal["wait", "setup", "question", "refused"]
    """wait: it may pass; setup: the user can mend it; question: this prompt cannot be answered;
    refused: something in the request is not to its taste."""
    sentence: str
    retry_after: float | None = None
    """Seconds that the provider asks us to wait."""


def key_variable(provider: str) -> str:
    """The variable that holds a provider's key."""
    return _KEYS.get(provider, f"{provider.upper().replace('-', '_')}_API_KEY")


def base_variable(provider: str) -> str:
    """The variable that holds a provider's address; users know two for OpenAI."""
    if provider == "openai" and os.environ.get("OPENAI_BASE_URL"):
        return "OPENAI_BASE_URL"
    name = "ollama" if provider == "ollama_chat" else provider
    return f"{name.upper().replace('-', '_')}_API_BASE"


def judge(error: BaseException, model: str, provider: str) -> Fault:
    """What `error` of an attempt to ask `model` means; sentences hold no secret."""
    if isinstance(error, (SlowError, CutError)):
        return Fault("wait", f"{model}: {error}")
    status = getattr(error, "status_code", None)
    name, detail = type(error).__name__, _detail(error)
    words = f"{detail} {_body(error)}".lower()
    delay = _retry_after(error, words)
    base = os.environ.get(base_variable(provider), "")
    where = redact(f"{base_variable(provider)}={base}" if base else "the provider's address")
    if name == "ContextWindowExceededError" or status == 413:
        return Fault("question", f"the prompt is too long for {model} ({detail})")
    if name == "ContentPolicyViolationError" or any(word in words for word in _FILTERED):
        return Fault("question", f"{model} filters this prompt ({detail})")
    if status in (401, 403):
        key = key_variable(provider)
        return Fault("setup", f"{model} refuses the key: correct {key} ({detail})")
    if status == 402 or (delay is None and any(word in words for word in _QUOTA)):
        return Fault("setup", f"the account behind {key_variable(provider)} is empty ({detail})")
    if status == 404 or (_NO_MODEL.search(detail) and status != 429):
        sentence = f"{where} knows no model {model}: correct CHAT_MODEL or the address ({detail})"
        return Fault("setup", sentence)
    if "no module named" in words:  # a provider whose own library is an extra, such as boto3
        return Fault("setup", f"{model}: a package is missing, install it with pip ({detail})")
    if status in (408, 409, 425, 429) or (isinstance(status, int) and status >= 500):
        if "connection error" in words:
            return Fault("wait", f"{model} cannot be reached at {where}")
        return Fault("wait", f"{model} answers with {status} ({detail})", delay)
    return Fault("refused", f"{model} refuses the request ({detail})")


def _detail(error: BaseException) -> str:
    """The provider's own words on one line, without litellm's names around them."""
    text = str(getattr(error, "message", None) or error or type(error).__name__)
    text = text.split("Traceback (most recent", 1)[0]
    if found := _JSON_MESSAGE.search(text):
        text = found[1]
    text = re.sub(r"(litellm\.)?\b\w+(Error|Exception)( -|:) ", "", text)
    return redact(" ".join(text.split()))[:300].strip() or type(error).__name__


def _body(error: BaseException) -> str:
    """What the provider sent; litellm keeps it only in the error that it translated."""
    inner = error.__context__ or error.__cause__
    return str(getattr(inner, "body", "") or "")


def _retry_after(error: BaseException, words: str) -> float | None:
    headers: Mapping[str, Any] = getattr(error, "litellm_response_headers", None) or {}
    headers = headers or getattr(getattr(error, "response", None), "headers", None) or {}
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        found = _RETRY_IN.search(words)
        return _number(found[1]) if found else None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        return max(parsedate_to_datetime(str(value)).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return max(number, 0.0) if math.isfinite(number) else None
