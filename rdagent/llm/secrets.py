"""Keys never reach a log, an event, an error message or a screen: `redact` comes first."""

from __future__ import annotations

import os
import re
from functools import lru_cache

HIDDEN = "[hidden]"
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIALS|_PWD$|_AUTH$", re.IGNORECASE)
_MIN = 8
"""Characters of a value from which it counts as a secret: shorter ones are switches and numbers."""
_KEY_WORDS = re.compile(
    r"\b(?:(?:sk|pk|rk|xai|nvapi)-|gsk_|hf_|ghp_|AIza|AKIA)"
    r"(?=[\w.…-]{0,200}?(?:[\d*…]|\.{3}))[\w*.…-]{8,}"
)
"""Such as `sk-proj-1a2b3c`, also half-masked; words without a digit are none."""
_USERINFO = re.compile(r"(?<=://)[^\s/@'\"`]+(?=@)")
_BEARER = re.compile(r"(?i)\b(bearer|api[-_ ]?key['\"]?\s*[:=])(\s*['\"]?)[\w.+/=~-]{12,}")
_MASKED = re.compile(r"(?<![\w-])([\w-]{0,200}?)(?:\*{3,}|\.{3,}|…|[xX]{4,})([\w-]{0,200})")
"""What providers leave of a key; bounded, for texts may be one word of two million letters."""


def redact(text: str) -> str:
    """`text` without the values of secret variables and without what looks like a key.

    Providers echo keys half-masked (`abcd****wxyz`): what is left of a known key goes as well.
    """
    secrets = _secrets()
    for value in secrets:
        text = text.replace(value, HIDDEN)
    text = _USERINFO.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _KEY_WORDS.sub(HIDDEN, text)
    if not secrets:
        return text

    def hide(match: re.Match[str]) -> str:
        head, tail = match[1], match[2]
        known = any(
            (len(head) > 2 and value.startswith(head)) or (len(tail) > 2 and value.endswith(tail))
            for value in secrets
        )
        return HIDDEN if known else match[0]

    return _MASKED.sub(hide, text)


def is_secret(name: str, value: str) -> bool:
    """Whether an environment variable holds a key or the like."""
    return bool(_NAMES.search(name)) and len(value) >= _MIN and not value.isdigit()


def _secrets() -> tuple[str, ...]:
    return _longest_first(frozenset(v for k, v in os.environ.items() if is_secret(k, v)))


@lru_cache(maxsize=4)
def _longest_first(values: frozenset[str]) -> tuple[str, ...]:
    """A value that is part of another must not spoil it."""
    return tuple(sorted(values, key=len, reverse=True))
