"""What of a program's output goes back to the model: the last error, or the last lines, as data."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import NamedTuple

_MAX_LINE = 300
_MAX_LOG = 200_000
"""Characters looked at, from the end."""
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[@-Z\\-_])"
)
_HEADER = re.compile(r"^\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):\s*$")
_FRAME = re.compile(r'^\s*File "([^"\n]{1,500})", line (\d{1,9})(?:, in (.{1,200}))?$')
_LINK = re.compile(
    r"^\s*(?:During handling of the above exception|The above exception was the dir)"
)
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]{0,200})(?::\s?(.*))?$")
_ERROR_NAME = re.compile(r"(?:Error|Exception|Interrupt|Exit|Iteration|Expired|Warning|Found)$")
_PROGRESS = re.compile(r"\d{1,3}%\s?\||\d+/\d+ \[[^\]]*[=>.━ ]+|[━█▏▎▍▌▋▊▉#=]{8,}")
_LIBRARY = re.compile(r"^.*(?:site-packages|dist-packages|lib/python3\.\d+)/")
_FOLLOWING = 12
"""Lines of one exception's message."""
_INVISIBLE = {
    "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0",
    *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0)),
}  # fmt: skip
"""Show as nothing though Unicode calls them letters or marks."""
_TOKENS = re.compile(
    r"<(?=[|｜]|/?(?:s|think|thinking|start_of_turn|end_of_turn|tool_call|tool_response|bos|eos"
    r"|unk|pad|SYS)>|<SYS|</SYS)|\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_|AVAILABLE_TOOLS|THINK))", re.I
)  # fmt: skip
"""Where a chat template's own token begins; a server may read it even inside a message."""


class Frame(NamedTuple):
    path: str
    line: int
    name: str
    source: str


class Raised(NamedTuple):
    """One traceback of a chain."""

    frames: tuple[Frame, ...]
    exception: str
    link: str
    """The sentence that ties it to the one before, empty for the first."""


class Part(NamedTuple):
    """A piece of an excerpt: least weight is kept first; `short` where `text` does not fit."""

    weight: int
    place: int
    text: str
    short: str


def relevant(log: str, program: str, limit: int = 2000) -> str:
    """What a coder needs of a log, at most `limit` characters.

    The last traceback with its causes, frames of `main.py` with the lines around them from
    `program`, of the libraries' frames the last alone, and a few lines printed before and
    after; without a traceback the last lines, progress bars and repetitions collapsed.
    """
    lines = _plain_lines(log)
    chain, start, end = _last_chain(lines)
    if not chain:
        return _tail(lines, limit)
    parts: list[Part] = []
    for i, raised in enumerate(chain):
        weight, place = (0 if i == len(chain) - 1 else 100), 1000 * (i + 1)
        parts.append(Part(weight + 2, place, raised.link, ""))
        parts += _shown_frames(raised.frames, program, weight + 3, place)
        parts.append(Part(weight, place + 999, _clipped(raised.exception, limit // 2), ""))
    parts.append(Part(50, 0, _tail(lines[max(0, start - 30) : start], limit // 5, 6), ""))
    parts.append(Part(51, 10**9, _tail(lines[end:][-30:], limit // 5, 4), ""))
    kept, left = [], limit
    for part in sorted(parts):
        text = next((x for x in (part.text, part.short) if x and len(x) + 1 <= left), "")
        if text:
            kept.append((part.place, text))
            left -= len(text) + 1
    return "\n".join(text for _, text in sorted(kept))


def exception(log: str) -> str:
    """The line of the last exception in a log, such as `KeyError: 'x'`; empty without one."""
    return _exception(_plain_lines(log))


def _exception(lines: list[str]) -> str:
    chain, _, _ = _last_chain(lines)
    if chain and chain[-1].exception:
        return chain[-1].exception
    named = [x for x in lines if (m := _EXCEPTION.match(x)) and _ERROR_NAME.search(m[1])]
    return named[-1] if named else ""


def signature(error: str) -> str:
    """Exception type and message without what differs by chance: numbers, names, paths.

    A sentence that is no exception is its own message. Empty for an empty text.
    """
    lines = _plain_lines(error)
    text = _exception(lines) or " ".join(x.strip() for x in lines)
    text = re.sub(r"^[\w.]*\.(?=\w+(?::|$))", "", text[:1000])
    text = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`", "'_'", text)
    text = re.sub(r"(?<![\w'])(?:[\w.~-]*/){1,40}[\w.-]*", "PATH", text)
    text = re.sub(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "0", text, flags=re.I)
    text = re.sub(r"[-+]?\d+(?:[.,_]\d+)*(?:e[-+]?\d+)?", "0", text, flags=re.I)
    text = re.sub(r"(?:0|'_')(?:\s*,\s*(?:0|'_'))+", "LIST", text)
    return " ".join(text.split())[:300]


def alike(a: str, b: str) -> float:
    """How much two errors look alike: 1 the same but for names and numbers, 0 not at all."""
    first, second = signature(a), signature(b)
    if not first or not second:
        return 0.0
    same = difflib.SequenceMatcher(None, first.split(), second.split(), autojunk=False).ratio()
    kinds = [x.split(":")[0] if re.match(r"\w+:|\w+$", x) else "" for x in (first, second)]
    return same if kinds[0] == kinds[1] else same / 2


def quote(text: str) -> str:
    """Output as inert data: every line begins with `| `, and none of it can end that.

    Control, invisible and direction-changing characters go; a chat template's tokens are
    broken by a space.
    """
    lines = _TOKENS.sub(lambda found: found[0] + " ", _visible(text)).split("\n")
    return "\n".join(f"| {line}".rstrip() for line in lines) if text else ""


def _visible(text: str) -> str:
    """Text without control and invisible characters; every kind of line end becomes \\n."""
    text = "\n".join(_ANSI.sub("", text).expandtabs(4).splitlines())
    return "".join(
        x
        for x in text
        if x == "\n"
        or (x.isascii() and x.isprintable())
        or (
            x not in _INVISIBLE
            and unicodedata.category(x) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        )
    )


def _plain_lines(log: str) -> list[str]:
    """Lines as a terminal would show them: what a carriage return overwrote is gone."""
    lines = log[-_MAX_LOG:].replace("\r\n", "\n").split("\n")
    shown = [next((x for x in reversed(line.split("\r")) if x.strip()), "") for line in lines]
    return [line.rstrip() for line in _visible("\n".join(shown)).split("\n")]


def _last_chain(lines: list[str]) -> tuple[list[Raised], int, int]:
    """The last traceback with its causes, its first line and the line after it."""
    chain: list[Raised] = []
    start = end = i = 0
    while i < len(lines):
        header = bool(_HEADER.match(lines[i]))
        if not header and not (_FRAME.match(lines[i]) and _syntax_error(lines, i)):
            i += 1
            continue
        between = [x.strip() for x in lines[end:i] if x.strip(' "')]
        linked = bool(chain) and len(between) == 1 and bool(_LINK.match(between[0]))
        raised, after = _read_raised(lines, i + header, between[0] if linked else "")
        if raised:
            chain, start = ([*chain, raised], start) if linked else ([raised], i)
            end = after
        i = max(after, i + 1)
    return chain, start, end


def _syntax_error(lines: list[str], i: int) -> bool:
    """A program that does not parse has no header above its one frame."""
    return any(re.match(r"(?:Syntax|Indentation|Tab)Error: ", x) for x in lines[i + 1 : i + 5])


def _read_raised(lines: list[str], i: int, link: str) -> tuple[Raised | None, int]:
    frames: list[Frame] = []
    while i < len(lines):
        found = _FRAME.match(lines[i])
        if found:
            source = lines[i + 1].strip() if i + 1 < len(lines) else ""
            frames.append(Frame(found[1], int(found[2]), found[3] or "", source))
        elif lines[i] and not lines[i].startswith(" "):
            break
        i += 1
    if i >= len(lines) or _HEADER.match(lines[i]):
        return None, i
    message = [lines[i]]
    for line in lines[i + 1 : i + _FOLLOWING]:
        if not line or _HEADER.match(line) or _LINK.match(line):
            break
        message.append(line)
    return Raised(tuple(frames), "\n".join(message), link), i + len(message)


def _own(frame: Frame) -> bool:
    return frame.path.endswith(".py") and not _LIBRARY.match(frame.path)


def _shown_frames(frames: tuple[Frame, ...], program: str, weight: int, place: int) -> list[Part]:
    """Frames of the program, the innermost first, and the last of all; repetitions once."""
    shown: dict[str, Part] = {}
    for i, frame in reversed(list(enumerate(frames))):
        if (_own(frame) or i == len(frames) - 1) and len(shown) < 20:
            text, short = _frame(frame, program, 2), _frame(frame, program, 0)
            rank = weight + (1 if not _own(frame) else 2 * len(shown))
            shown.setdefault(text, Part(rank, place + 500 - len(shown), text, short))
    return list(shown.values())


def _frame(frame: Frame, program: str, around: int) -> str:
    """A frame with so many lines of the program before and after."""
    path = _LIBRARY.sub("", frame.path)
    main = _own(frame) and path.rsplit("/", 1)[-1] == "main.py"
    place = f'File "{"main.py" if main else path}", line {frame.line}'
    place += f", in {frame.name}" if frame.name else ""
    source = program.split("\n")
    if not main or not 1 <= frame.line <= len(source):
        return f"{place}\n    {_cut(frame.source)}" if frame.source else place
    first = max(1, frame.line - around)
    numbered = [
        f"{'>' if n == frame.line else ' '} {n:4} {_cut(source[n - 1].rstrip())}"
        for n in range(first, min(len(source), frame.line + around) + 1)
    ]
    return "\n".join([place, *numbered])


def _tail(lines: list[str], limit: int, count: int = 10**6) -> str:
    """The last lines that fit, collapsed; older ones go first."""
    kept: list[str] = []
    left = limit + 1  # the last line has no line end
    for line in reversed(_collapsed(lines[-5000:])[-count:]):
        if len(line) + 1 > left:
            break
        left -= len(line) + 1
        kept.append(line)
    return "\n".join(reversed(kept))


def _collapsed(lines: list[str]) -> list[str]:
    """Of a progress bar the last state, of lines that differ in numbers the first and last."""
    kept: list[str] = []
    runs: list[list[str]] = []
    previous = None
    for line in (_cut(x) for x in lines if x.strip()):
        key = "progress" if _PROGRESS.search(line) else re.sub(r"\d+", "0", line)
        if key == previous:
            runs[-1].append(line)
        else:
            runs.append([line])
        previous = key
    for run in runs:
        if _PROGRESS.search(run[0]):
            kept.append(run[-1])
        elif len(run) < 4:
            kept += dict.fromkeys(run)
        elif run[0] == run[-1]:
            kept += [run[0], f"... ({len(run) - 1} times more)"]
        else:
            kept += [run[0], f"... ({len(run) - 2} lines like it)", run[-1]]
    return kept


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 83]} ... {line[-78:]}"


def _clipped(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]} ... {text[len(text) - (limit - head - 5) :]}"
