"""A program in a model's reply: a fenced block, bare code, a JSON wrapper, or patches."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from rdagent.llm.json_text import objects
from rdagent.llm.patches import Patch, find_patches, left_out

_MAX_CODE = 200_000
"""Characters of a program; past that it holds data instead of learning from it."""
_MAX_PARSES = 24
"""Python is parsed at most so often per reply."""
_MAX_NOTE = 500
_OPEN = re.compile(r"^([ \t]*)(`{3,}+|~{3,}+)([^\n`]*)$")
_OTHERS = {
    "bash", "sh", "shell", "zsh", "console", "powershell", "json", "jsonc", "text", "txt", "output",
    "log", "diff", "patch", "csv", "yaml", "yml", "toml", "ini", "markdown", "md", "sql", "html",
    "xml", "r", "plaintext", "none", "traceback",
}  # fmt: skip
"""Fences that hold something else than a program."""
_CODE_KEYS = {
    "code", "main_py", "mainpy", "program", "source", "content", "python", "script", "patch",
    "patches", "new_code", "file_content", "text", "input",
}  # fmt: skip
_MARKED = re.compile(r"^[ \t]*(?:`{3}|~{3}|<{5,}|-{5,} ?SEARCH)", re.M)
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+[A-Za-z_]", re.M)


class Block(NamedTuple):
    """A fenced block: language, content, character where it begins, whether it parses."""

    language: str
    content: str
    start: int
    parses: bool


class CodeReply(BaseModel):
    """A whole program, or patches to the one that is there: never both."""

    model_config = ConfigDict(frozen=True)

    note: str
    """What stands before the code, at most 500 characters."""
    code: str | None = None
    patches: tuple[Patch, ...] = ()

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError with one sentence where the text holds no usable program."""
        found = find_patches(text)
        if found:
            return cls(note=_note(text[: found.start]), patches=found.patches)
        parser = _Parser()
        block = _best([x for x in _blocks(text, parser) if x.language not in _OTHERS])
        note = ""
        if block and not _wraps(block.content):
            code, note = block.content, _note(text[: block.start])
        elif _IMPORT.search(text) and parser.parses(text):
            code = text
        elif wrapped := _wrapped(text):
            if _MARKED.search(wrapped):  # a fence or patches inside the wrapper
                return cls.read(wrapped)
            code = wrapped
        else:
            code = _bare(text, parser)
        _check(code)
        return cls(note=note, code=code.strip("\n") + "\n")


class _Parser:
    """Tells whether text is Python; gives up after so many tries."""

    def __init__(self) -> None:
        self.left = _MAX_PARSES

    def tree(self, code: str) -> ast.Module | SyntaxError | None:
        if self.left <= 0 or len(code) > _MAX_CODE:
            return None
        self.left -= 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd escapes in it are no news to the user
                return ast.parse(code)
        except SyntaxError as error:
            return error
        except (ValueError, RecursionError, MemoryError):
            return None

    def parses(self, code: str) -> bool:
        return isinstance(self.tree(code), ast.Module)


def _check(code: str) -> None:
    if len(code) > _MAX_CODE:
        raise ValueError(
            f"the program has {len(code)} characters, more than {_MAX_CODE}: make it shorter"
        )
    if missing := left_out(code):
        raise ValueError(
            f"the program leaves code out ({missing!r}): give the whole program, every line of it, "
            "or SEARCH/REPLACE blocks"
        )
    if "submission" not in code and not _IMPORT.search(code):
        raise ValueError(
            "the code is a fragment that never writes submission.csv: give the whole program, "
            "or SEARCH/REPLACE blocks"
        )


def _note(text: str) -> str:
    """Prose before the code, without the fence that opens it and a file name below that."""
    lines = text.strip().split("\n")
    for i in range(max(0, len(lines) - 2), len(lines)):
        if _OPEN.match(lines[i]):
            lines = lines[:i]
            break
    text = "\n".join(lines).strip()
    return text if len(text) <= _MAX_NOTE else text[: _MAX_NOTE - 4].rstrip() + " ..."


def _best(blocks: list[Block]) -> Block | None:
    """The last block that is a whole program, else the longest; one that parses comes first."""

    def rank(block: Block) -> tuple[bool, bool, int]:
        whole = "submission.csv" in block.content and bool(_IMPORT.search(block.content))
        return whole, block.parses, block.start if whole else len(block.content)

    return max((x for x in blocks if x.content.strip()), key=rank, default=None)


def _blocks(text: str, parser: _Parser) -> Iterator[Block]:
    """Fenced blocks; one of Python ends at the first fence after which it parses.

    So a program may hold fences in its own strings. One that parses nowhere ends at the next.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    i = 0
    while i < len(lines):
        opened = _OPEN.match(lines[i])
        if not opened:
            i += 1
            continue
        name = re.match(r"[{. \t]*([\w+#]*)", opened[3])
        language = name[1].lower() if name else ""
        ends = _ends(lines, i + 1, opened[2])
        end, content, parses = _block_end(lines, i, ends, language, opened[1], parser)
        yield Block(language, content, starts[i], parses)
        i = end + 1


def _ends(lines: list[str], start: int, fence: str) -> Iterator[int]:
    """Lines that may close a fence; the end of the text closes it too."""
    closing = re.compile(rf"^[ \t]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    for i in range(start, len(lines)):
        if closing.match(lines[i]):
            yield i
    yield len(lines)


def _block_end(
    lines: list[str], opened: int, ends: Iterator[int], language: str, indent: str, parser: _Parser
) -> tuple[int, str, bool]:
    """(line of the closing fence, content, whether it parses)."""
    first: tuple[int, str, bool] | None = None
    for _, end in zip(range(8), ends, strict=False):
        content = "\n".join(lines[opened + 1 : end])
        if indent:  # a block inside a list
            content = textwrap.dedent(content)
        if language in _OTHERS:
            return end, content, False
        if parser.parses(content):
            return end, content, True
        first = first or (end, content, False)
        if parser.left <= 0:
            break
    assert first is not None  # the end of the text always closes
    return first


def _bare(text: str, parser: _Parser) -> str:
    """A program without a fence between prose: from its first import to where Python ends."""
    found = _IMPORT.search(text)
    code = text[found.start() :] if found else ""
    for _ in range(3):
        tree = parser.tree(code)
        if isinstance(tree, ast.Module) and "submission" in code:
            return code
        if not isinstance(tree, SyntaxError) or not tree.lineno:
            break
        code = "\n".join(code.split("\n")[: tree.lineno - 1])
    raise ValueError(
        "the reply holds no program: answer with one ```python block that holds the whole program"
    )


def _wraps(content: str) -> bool:
    return content.lstrip().startswith(("{", "["))


def _wrapped(text: str) -> str | None:
    """The program inside a JSON object such as {"code": "..."} or a call of a tool."""
    for _, value in zip(range(8), objects(text), strict=False):
        texts = sorted(_texts(value, 0), key=len, reverse=True)
        if texts:
            return texts[0]
    return None


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Programs under keys that name code, at any depth; arguments may be JSON in a text."""
    if isinstance(value, list) and depth < 4:
        for child in value[:20]:
            yield from _texts(child, depth + 1)
    if not isinstance(value, dict) or depth >= 4:
        return
    for key, child in value.items():
        if isinstance(child, str) and _wraps(child):
            child = next(objects(child), None)
        if not isinstance(child, str):
            yield from _texts(child, depth + 1)
        elif re.sub(r"\W", "_", str(key)).lower() in _CODE_KEYS and (
            _MARKED.search(child) or _IMPORT.search(child) or "submission" in child
        ):
            yield child
