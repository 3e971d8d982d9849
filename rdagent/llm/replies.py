"""A model's text -> a typed reply, or one sentence that tells the model what to mend."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rdagent.llm.json_text import objects
from rdagent.llm.patches import Patch, apply
from rdagent.llm.programs import CodeReply

__all__ = ["CodeReply", "Patch", "apply", "cleaned", "read", "strip_reasoning"]

T = TypeVar("T", bound=BaseModel)

_MAX_NAMED = 5
"""Wrong fields named at once: more would not be mended in one go."""
_MAX_DEPTH = 3
"""Wrappers around an answer that are taken off: {"arguments": {"answer": {...}}}."""
_MAX_ANSWERS = 60
_TAGS = r"think|thinking|thought|thoughts|reasoning|reflection|seed:think"
_OPENING = re.compile(rf"^[ \t]*(?:<({_TAGS})>|(\[THINK\])|(◁think▷))", re.M | re.I)
_END = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]|◁/think▷", re.I)
_CLOSING = re.compile(rf"""(?<!["'`\\?*])(?:</(?:{_TAGS})>|\[/THINK\]|◁/think▷)(?!["'`\\])""", re.I)
_CHANNEL = re.compile(
    r"<\|channel\|>(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.S
)
_FENCE = re.compile(r"^[ \t]*(?:`{3}|~{3})", re.M)
_REFUSAL = re.compile(
    r"^\W*(?:i(?:['’]m| am) (?:very )?sorry|sorry|i apologi[sz]e|i (?:can(?:no|['’])t"
    r"|am (?:un|not )able|won['’]t|must decline)|i['’]m (?:un|not )able|unfortunately,? i"
    r"|as an ai)\b", re.I,
)  # fmt: skip


def read(text: str, reply: type[T]) -> T:
    """The text as a `reply`; a class with a classmethod `read(text)` reads it itself.

    Raises:
        ValueError: one sentence on what was wrong, in words a model can act on.
    """
    text = cleaned(text)
    own = getattr(reply, "read", None)
    fields = ", ".join(_properties(reply.model_json_schema()))
    wanted = "the program" if own else f"one JSON object with the fields {fields}"
    if not text.strip():
        raise ValueError(f"the reply is empty: answer with {wanted}")
    try:
        answer: T = own(text) if own else _from_json(text, reply, wanted)
        return answer
    except RecursionError:
        raise ValueError("the reply is nested too deeply") from None
    except ValueError as error:
        if _REFUSAL.match(text) and not re.search(r"```|<<<<|[{]", text):
            raise ValueError(
                f"the reply refuses, but this is ordinary data science: answer with {wanted}"
            ) from None
        if isinstance(error, ValidationError):  # from a `read` of its own
            raise ValueError(_in_words(error)) from None
        raise


def strip_reasoning(text: str) -> tuple[str, str]:
    """(answer, reasoning) of a text with <think>...</think> or the like, also half of it.

    An opening tag counts at a line's start and before any fence: programs may hold one too.
    """
    channels = _CHANNEL.findall(text)
    if channels:
        said = [body for name, body in channels if name.lower() == "final"]
        thought = [body for name, body in channels if name.lower() != "final"]
        return "\n".join(said).strip(), "\n".join(thought).strip()
    fence = _FENCE.search(text)
    kept, reasoning, position = "", [], 0
    while found := _OPENING.search(text, position, fence.start() if fence else len(text)):
        kept += text[position : found.start()]
        closing = _END.search(text, found.end())
        reasoning.append(text[found.end() : closing.start() if closing else len(text)])
        position = closing.end() if closing else len(text)
        if fence and fence.start() < position:  # thoughts may hold fences too
            fence = _FENCE.search(text, position)
    if not reasoning and (closing := _CLOSING.search(text)):  # the prompt opened it
        reasoning, position = [text[: closing.start()]], closing.end()
    if not reasoning:
        return text, ""
    return (kept + text[position:]).strip(), "\n".join(x.strip() for x in reasoning)


def cleaned(text: str) -> str:
    """Line ends as \\n; no byte-order mark, NUL, or half of a character pair."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").lstrip("\ufeff")


def _from_json(text: str, reply: type[T], wanted: str) -> T:
    failed: list[tuple[int, str]] = []
    names = set(_properties(reply.model_json_schema()))
    for found, _ in zip(_unwrapped(objects(text), names), range(_MAX_ANSWERS), strict=False):
        try:
            return reply.model_validate(found)
        except ValidationError:
            pass
        try:
            return reply.model_validate(_mended(found, reply))
        except ValidationError as error:
            failed.append((error.error_count(), _in_words(error)))
    if failed:
        raise ValueError(min(failed)[1])
    raise ValueError(f"the reply holds no JSON object that can be read: answer with {wanted}")


def _unwrapped(found: Any, names: set[str], depth: int = 0) -> Any:
    """Answers among values, also those inside a wrapper such as {"arguments": {...}}."""
    for value in found:
        if isinstance(value, str) and value.lstrip().startswith("{"):  # arguments as a text
            value = next(objects(value), None)
        if isinstance(value, dict):
            if names & {_plain(str(key)) for key in value} or not names:
                yield value
            elif depth < _MAX_DEPTH:
                yield from _unwrapped(value.values(), names, depth + 1)
        elif isinstance(value, list) and depth < _MAX_DEPTH:
            if len(names) == 1 and value:  # the list alone, without its name
                yield {next(iter(names)): value}
            yield from _unwrapped(value, names, depth + 1)


def _properties(schema: dict[str, Any]) -> list[str]:
    return list(schema.get("properties", {}))


def _plain(name: str) -> str:
    """A field's name as we would write it: `Risk Level` -> `risk_level`."""
    return re.sub(r"[\s-]+", "_", name.strip()).lower()


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


def _mended(value: Any, reply: type[BaseModel]) -> Any:
    """Small slips set right: names in other case, null for a default, one text for a list."""
    schema = reply.model_json_schema()
    known = {x for part in (schema, *schema.get("$defs", {}).values()) for x in _properties(part)}
    value = _renamed(value, known)
    try:
        reply.model_validate(value)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            value = _replaced(value, problem["loc"], _slip(problem))
    return value


def _renamed(value: Any, known: set[str]) -> Any:
    if isinstance(value, dict):
        keys = {key: _plain(str(key)) for key in value}
        return {
            (new if key not in known and new in known and new not in value else key): _renamed(
                value[key], known
            )
            for key, new in keys.items()
        }
    return [_renamed(x, known) for x in value] if isinstance(value, list) else value


_DROP = object()
_KEEP = object()


def _slip(problem: Any) -> Any:
    """What stands better at a place that does not fit."""
    kind, given = problem["type"], problem["input"]
    if given is None and kind != "missing":
        return _DROP
    if kind in ("list_type", "tuple_type") and isinstance(given, str | int | float):
        return [given]
    if kind == "string_type" and isinstance(given, list):
        return "; ".join(str(x) for x in given)
    if kind == "string_type" and isinstance(given, int | float):
        return str(given)
    if kind == "literal_error" and isinstance(given, str):
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        same = [x for x in allowed if _letters(x) == _letters(given)]
        return same[0] if same else _KEEP
    if kind in ("int_parsing", "float_parsing"):  # "7/10", "8 (high)"
        number = re.match(r"\s*(-?\d+(?:\.\d+)?)\s*(?:/\s*\d+|\(|$)", str(given))
        return number[1] if number else _KEEP
    return _KEEP


def _replaced(value: Any, place: tuple[int | str, ...], new: Any) -> Any:
    if new is _KEEP or not place:
        return value
    parent = value
    try:
        for step in place[:-1]:
            parent = parent[step]
        if new is _DROP:
            del parent[place[-1]]
        else:
            parent[place[-1]] = new
    except (KeyError, IndexError, TypeError):  # the place names a union's branch, not a key
        pass
    return value


def _in_words(error: ValidationError) -> str:
    """`ratings.risk is missing; component must be 'Model' or ..., not 'x'`: up to five."""
    problems = error.errors(include_url=False)
    words = [_problem(problem) for problem in problems[:_MAX_NAMED]]
    if len(problems) > _MAX_NAMED:
        words.append(f"and {len(problems) - _MAX_NAMED} more")
    return "; ".join(words)


def _problem(problem: Any) -> str:
    name = ".".join(str(x) for x in problem["loc"]) or "the answer"
    kind = problem["type"]
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        return f"{name} is not a field"
    if kind == "value_error":
        return f"{name}: {str(problem['ctx']['error'])[:300]}"
    message = str(problem["msg"]).removeprefix("Input should be ").split(", unable")[0]
    given = repr(problem["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{name} must be {message}, not {given}"[:400]
