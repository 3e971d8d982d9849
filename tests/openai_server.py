"""A real HTTP server on the loopback interface that speaks the OpenAI chat protocol.

    with OpenAIServer(["first answer", Reply(status=429), Reply("cut", cut="reset")]) as server:
        ... server.url ... server.requests[0].body["messages"] ...

Answers come one a request (the last one again and again), or from `reply(body, n)`.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass(frozen=True)
class Reply:
    """One answer, or one way in which a provider fails."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    """Body of an answer whose status is no 200: fields of its `error` object."""
    finish: str | None = "stop"
    reasoning: str = ""
    refusal: str = ""
    tool_call: str = ""
    """Arguments of a tool call that stands in place of the text."""
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 10}
    )
    chunk: int = 400
    """Characters of text an event of the stream."""
    pause: float = 0.0
    """Seconds before each event of the stream."""
    delay: float = 0.0
    """Seconds before the first byte."""
    keep_alive: float = 0.0
    """Seconds between comments that are sent for ever in place of an answer."""
    cut: Literal["", "end", "reset"] = ""
    """After the text, before the stream says that it ends: the connection ends or breaks."""
    streams: bool = True
    """False: answers in one piece, also where a stream was asked for."""


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answer = str | Reply


class OpenAIServer:
    """Serves `/v1/chat/completions` until the `with` block ends."""

    def __init__(self, replies: Sequence[Answer] | Callable[[dict[str, Any], int], Answer]) -> None:
        self.requests: list[Request] = []
        self._replies = replies
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.block_on_close = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> OpenAIServer:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            n = len(self.requests) - 1
        if callable(self._replies):
            found = self._replies(request.body, n)
        else:
            found = self._replies[min(n, len(self._replies) - 1)]
        return Reply(found) if isinstance(found, str) else found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: object) -> None:
                """Nothing: tests read what they need from `requests`."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = server._answer(Request(self.path, dict(self.headers), body))
                server._closed.wait(reply.delay)
                try:
                    server._send(self, reply, body)
                except OSError:  # the client has gone
                    self.close_connection = True

        return Handler

    def _send(self, http: BaseHTTPRequestHandler, reply: Reply, body: dict[str, Any]) -> None:
        if reply.status != 200:
            fault = {"message": "no", "type": "error", "code": None, **reply.error}
            self._send_json(http, reply, {"error": fault})
        elif body.get("stream") and reply.streams:
            self._stream(http, reply, str(body["model"]))
        else:
            choice = {"index": 0, "finish_reason": reply.finish, "message": _message(reply)}
            whole = {**_frame(str(body["model"]), "chat.completion"), "choices": [choice]}
            self._send_json(http, reply, {**whole, "usage": _usage(reply)})

    def _send_json(self, http: BaseHTTPRequestHandler, reply: Reply, content: object) -> None:
        payload = json.dumps(content).encode()
        http.send_response(reply.status)
        for name, value in reply.headers.items():
            http.send_header(name, value)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(payload)))
        http.end_headers()
        http.wfile.write(payload)

    def _stream(self, http: BaseHTTPRequestHandler, reply: Reply, model: str) -> None:
        http.close_connection = True
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Connection", "close")
        http.end_headers()
        while reply.keep_alive and not self._closed.wait(reply.keep_alive):
            http.wfile.write(b": still here\n\n")
        frame = _frame(model, "chat.completion.chunk")
        for delta in _deltas(reply):
            time.sleep(reply.pause)
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            http.wfile.write(_event({**frame, "choices": [choice]}))
        if reply.cut == "reset":  # closed at once and without a word: the client gets an error
            http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http.wfile.flush()
            http.connection.close()
        if reply.cut:
            return
        end = {"index": 0, "delta": {}, "finish_reason": reply.finish}
        http.wfile.write(_event({**frame, "choices": [end]}))
        if reply.usage is not None:
            http.wfile.write(_event({**frame, "choices": [], "usage": _usage(reply)}))
        http.wfile.write(b"data: [DONE]\n\n")


def _frame(model: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": model}


def _event(content: object) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def _usage(reply: Reply) -> dict[str, Any] | None:
    if reply.usage is None:
        return None
    tokens = reply.usage["prompt_tokens"] + reply.usage["completion_tokens"]
    return {**reply.usage, "total_tokens": tokens}


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    function = {"name": "answer", "arguments": reply.tool_call}
    return [{"index": 0, "id": "call_1", "type": "function", "function": function}]


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.refusal:
        message |= {"content": None, "refusal": reply.refusal}
    if reply.tool_call:
        message |= {"content": None, "tool_calls": _tool_calls(reply)}
    return message


def _deltas(reply: Reply) -> list[dict[str, Any]]:
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    deltas = [first]
    if reply.reasoning:
        deltas.append({"reasoning_content": reply.reasoning})
    if reply.refusal:
        deltas.append({"refusal": reply.refusal})
    if reply.tool_call:
        deltas.append({"tool_calls": _tool_calls(reply)})
    starts = range(0, len(reply.text), reply.chunk)
    return deltas + [{"content": reply.text[i : i + reply.chunk]} for i in starts]
