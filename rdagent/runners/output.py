"""What a program prints: drained, capped, and made harmless to look at."""

from __future__ import annotations

import re

KEPT = 1_000_000
"""Bytes kept of the beginning, and as many of the end."""
SHOWN = 8_000
"""Characters of `Execution.log`."""

# Terminal control sequences: CSI (colours, cursor), OSC and its like (titles, links), others.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
# Direction marks can make a line read as another; line separators split JSON lines.
_DECEIVING = (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = dict.fromkeys(
    [*(c for c in range(32) if chr(c) not in "\n\t"), *range(0x7F, 0xA0), *_DECEIVING], "\ufffd"
)


def neutralise(text: str) -> str:
    """Text without escape sequences and control characters; of `\\r` lines, what stayed visible."""
    text = _ESCAPES.sub("", text)
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(lines).translate(_CONTROLS)


class Output:
    """The beginning and the end of a stream of any length, in bounded memory."""

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self.kept - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        self.tail += chunk
        if len(self.tail) > 2 * self.kept:
            del self.tail[: -self.kept]

    def text(self) -> str:
        """All that was kept, neutralised; a line says how much was left out."""
        tail = self.tail[-self.kept :]
        left_out = self.total - len(self.head) - len(tail)
        if not left_out:
            return neutralise((self.head + tail).decode(errors="replace"))
        return (
            neutralise(self.head.decode(errors="replace"))
            + f"\n[... {left_out:,} bytes left out ...]\n"
            + neutralise(tail.decode(errors="replace"))
        )


def shorten(text: str, limit: int = SHOWN) -> str:
    """A quarter of `limit` from the beginning, the rest from the end, where errors stand."""
    if len(text) <= limit:
        return text
    note = f"\n[... {len(text) - limit:,} characters left out ...]\n"
    head = limit // 4
    return text[:head] + note + text[-(limit - head - len(note)) :]
