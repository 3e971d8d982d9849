"""Collect a streamed reply without ever hanging on it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rdagent.llm.calls import MAX_CHARS


class SlowError(Exception):
    """A reply, or its next piece, did not come in time."""


class CutError(Exception):
    """A stream ended before it said so."""


@dataclass
class Answer:
    """What came, whole or not."""

    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    """The provider's word for why it stopped; None: it did not say."""
    usage: Any = None
    """litellm's usage object, where there is one."""
    began: bool = False
    """Something came at all: the provider worked and wants money."""
    error: BaseException | None = None


_END = object()


def collect(start: Callable[[], Any], idle: float, total: float) -> Answer:
    """Run `start` (a call of litellm, streaming or not) and put its reply together.

    A thread does the reading: a provider that sends nothing, comments for ever, or a byte a
    minute cannot hold up the one who waits. A reply of more than MAX_CHARS is cut there.

    Args:
        idle: seconds that may pass before the next piece.
        total: seconds in all.
    """
    answer, pieces = Answer(), _Reader(start)
    deadline = time.monotonic() + total
    parts: list[str] = []
    thoughts: list[str] = []
    size = 0
    while True:
        patience = min(idle, deadline - time.monotonic())
        try:
            piece = pieces.get(timeout=max(patience, 0.001))
        except queue.Empty:
            late = time.monotonic() >= deadline
            what = f"it takes over {total:.0f} s" if late else f"nothing came for {idle:.0f} s"
            answer.error = SlowError(what)
            break
        if piece is _END:
            answer.error = pieces.error
            break
        answer.began = True
        answer.usage = getattr(piece, "usage", None) or answer.usage
        text, reasoning, finish = _read(piece)
        parts.append(text)
        thoughts.append(reasoning)
        answer.finish = finish or answer.finish
        size += len(text) + len(reasoning)
        if size >= MAX_CHARS or time.monotonic() >= deadline:
            answer.error = None if size >= MAX_CHARS else SlowError(f"it takes over {total:.0f} s")
            break
    answer.text, answer.reasoning = "".join(parts), "".join(thoughts)
    finished = size >= MAX_CHARS or pieces.finished
    pieces.stop()
    if answer.error is None and not finished:
        answer.error = CutError("the stream broke off")
    return answer


class _Reader(threading.Thread):
    """Reads in the background; whoever waits for it can leave at any time."""

    def __init__(self, start: Callable[[], Any]) -> None:
        super().__init__(daemon=True, name="llm-reader")
        self.error: BaseException | None = None
        self.finished = True
        self._begin = start
        self._source: Any = None
        self._pieces: queue.Queue[Any] = queue.Queue()
        self._left = threading.Event()
        self.get = self._pieces.get
        self.start()

    def run(self) -> None:
        try:
            self._source = self._begin()
            if not hasattr(self._source, "__next__"):
                self._pieces.put(self._source)
                return
            for piece in self._source:
                if self._left.is_set():
                    break
                self._pieces.put(piece)
            # litellm ends every stream with "stop", also one that the provider never ended;
            # it keeps what it was told in one of these, by provider.
            kept = ("received_finish_reason", "intermittent_finish_reason")
            self.finished = any(getattr(self._source, name, "stop") for name in kept)
        except BaseException as error:
            self.error = error
        finally:
            if self._left.is_set():
                self._close()
            self._pieces.put(_END)

    def stop(self) -> None:
        """Leave; the connection is closed as soon as that is possible."""
        self._left.set()
        if self.is_alive():
            threading.Thread(target=self._close, daemon=True).start()

    def _close(self) -> None:
        inner = getattr(self._source, "completion_stream", None)
        try:
            inner.close()  # type: ignore[union-attr]
        except Exception:
            return  # of no consequence: nobody reads it any more


def _read(piece: Any) -> tuple[str, str, str | None]:
    """Text, reasoning and finish of a chunk, or of a whole response."""
    if not getattr(piece, "choices", None):
        return "", "", None
    choice = piece.choices[0]
    message = getattr(choice, "delta", None) or getattr(choice, "message", None)
    text = getattr(message, "content", None) or ""
    if not text:
        # A tool call in place of text: its arguments may well be the reply.
        calls = getattr(message, "tool_calls", None) or ()
        text = "".join(getattr(c.function, "arguments", None) or "" for c in calls)
    reasoning = getattr(message, "reasoning_content", None) or ""
    return text, reasoning, choice.finish_reason
