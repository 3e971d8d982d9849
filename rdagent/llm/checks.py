"""litellm made quiet, and what it knows of a model without asking it: provider, key, schema."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any

from rdagent.errors import SetupError
from rdagent.llm.calls import Usage
from rdagent.llm.faults import base_variable, key_variable

_OWN_SERVERS = {"hosted_vllm", "lm_studio", "llamafile", "xinference"}
"""Need an address and no key."""
_KEYLESS = {"ollama", "ollama_chat", "bedrock", "sagemaker", "vertex_ai", "github_copilot"}
"""Run without a key, or find it in places of their own (a profile, a role, a login)."""
_ROOM = 16_000
"""Tokens of a long program with some thoughts before it."""


@cache
def library() -> Any:
    """litellm itself, made quiet: it prints, logs, retries and phones home by default."""
    os.environ |= {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices at import
        "LITELLM_MODE": "PRODUCTION",  # else it reads .env by itself
        "LITELLM_LOG": "CRITICAL",  # its debug log shows requests
    }
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.disable_streaming_logging = True
    litellm.disable_hf_tokenizer_download = True
    setattr(litellm, "REPEATED_STREAMING_CHUNK_LIMIT", 10**9)  # noqa: B010  (dashes are no loop)
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


@cache
def provider_of(model: str) -> str:
    """The provider's name; SetupError where litellm knows none for this model."""
    try:
        return str(library().get_llm_provider(model)[1])
    except Exception:
        raise SetupError(
            f"CHAT_MODEL={model}: litellm does not know whose model that is; write "
            f"provider/model, or openai/{model} for a server that speaks OpenAI's protocol"
        ) from None


def check_model(model: str) -> None:
    """SetupError naming the variable that is missing to ask `model`."""
    provider = provider_of(model)
    if provider in _KEYLESS or placeholder_key(model):
        return
    if provider in _OWN_SERVERS:
        if not os.environ.get(base_variable(provider)):
            variable = base_variable(provider)
            raise SetupError(f"{model} needs {variable}: the address of your server, with /v1")
        return
    missing = library().validate_environment(model)["missing_keys"]
    if not missing and os.environ.get(key_variable(provider)) == "":
        missing = [key_variable(provider)]  # set, but to nothing
    if provider == "azure" and os.environ.get("AZURE_AD_TOKEN"):
        missing = [name for name in missing if name != "AZURE_API_KEY"]
    missing = [name for name in missing if not os.environ.get(name)]
    if missing:
        word = " or " if provider == "gemini" else ", "
        raise SetupError(f"{model} cannot be asked: set {word.join(missing)} in .env")


def no_price(model: str) -> None:
    """Say that money cannot be counted."""
    raise SetupError(
        f"--max-cost: nobody knows the price of {model}: set DS_PRICE_INPUT and DS_PRICE_OUTPUT "
        "(dollars per million tokens), or use --max-tokens"
    )


def own_server(model: str) -> bool:
    """Whether a server of the user's own answers, of which litellm knows nothing."""
    elsewhere = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
    provider = provider_of(model)
    return provider in _OWN_SERVERS or (provider == "openai" and bool(elsewhere))


def placeholder_key(model: str) -> str | None:
    """A server of one's own behind OpenAI's variables wants no key; the client insists on one."""
    openai = provider_of(model) == "openai" and own_server(model)
    return "none" if openai and not os.environ.get("OPENAI_API_KEY") else None


@cache
def supports_schema(model: str) -> bool:
    """Whether replies can be held to a JSON schema."""
    # litellm would ask the Ollama server about each model; all of them can.
    if provider_of(model).startswith("ollama"):
        return True
    return bool(library().supports_response_schema(model=model))


@cache
def marks_cache(model: str) -> bool:
    """Whether the provider caches only what the request marks (Anthropic's models)."""
    if provider_of(model) == "anthropic":
        return True
    from litellm.utils import supports_prompt_caching

    return "claude" in model and bool(supports_prompt_caching(model))


@cache
def room(model: str) -> int | None:
    """Tokens to ask for where no setting says; None: the provider has a default that will do.

    Anthropic's models must be told, and litellm tells them 4,096: half a program.
    """
    if "claude" not in model:
        return None
    try:
        return min(int(library().get_max_tokens(model)), _ROOM)
    except Exception:  # a model newer than litellm
        return None


def price(model: str, usage: Usage, raw: Any = None) -> float | None:
    """US dollars for `usage` by litellm's list; `raw` is its own object, which knows more of
    caches. None: it knows no price."""
    if provider_of(model).startswith("ollama"):
        return 0.0  # nobody is paid; litellm would ask the server each time
    known = library()  # before the next import: this one is made quiet
    from litellm.types.utils import Usage as Raw

    raw = raw or Raw(
        prompt_tokens=usage.input,
        completion_tokens=usage.output,
        prompt_tokens_details={"cached_tokens": usage.cached},
    )
    try:
        return float(sum(known.cost_per_token(model=model, usage_object=raw)))
    except Exception:  # its way to say that
        return None
