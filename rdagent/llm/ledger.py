"""Every question to an LLM and what it cost: `llm.jsonl`, a line at its start and its end."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rdagent.errors import LimitError, ReplyError, SetupError
from rdagent.llm.calls import Call, Completion, Usage, estimate_tokens
from rdagent.llm.secrets import redact

_INLINE = 500
"""Characters of a text that still stands in its line; longer ones are in `texts/`."""
_FIRST_REPLY = 1_000
"""Tokens that a reply is expected to have before there was one."""


@dataclass(frozen=True)
class Tally:
    """What a number of calls came to."""

    calls: int = 0
    corrections: int = 0
    """Calls that asked again because a reply did not fit."""
    failed: int = 0
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.calls + other.calls,
            self.corrections + other.corrections,
            self.failed + other.failed,
            self.seconds + other.seconds,
            self.usage + other.usage,
        )


class Account:
    """The totals of a run: by stage (prompt name) and by experiment (None: the run's own)."""

    def __init__(self) -> None:
        self.stages: dict[str, Tally] = {}
        self.experiments: dict[int | None, Tally] = {}
        self.longest_reply = 0
        self.largest = Usage()
        """Of the call that took most tokens."""
        self.last_id = 0
        self._open: dict[int, dict[str, Any]] = {}
        self._asked: Counter[tuple[int | None, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self.stages)

    @property
    def total(self) -> Usage:
        return self.tally.usage

    @property
    def tally(self) -> Tally:
        return sum(self.stages.values(), Tally())

    def spent(self, experiment: int | None) -> Usage:
        return self.experiments.get(experiment, Tally()).usage

    def asked(self, experiment: int | None, prompt_name: str) -> int:
        """Calls so far: the order number of the next one."""
        return self._asked[experiment, prompt_name]

    def model_of(self, number: int) -> str:
        """That a call in flight asks."""
        return str(self._open[number]["model"])

    @property
    def in_flight(self) -> Usage:
        """What the calls that have not ended yet are expected to come to."""
        return sum((Usage(**start["expected"]) for start in self._open.values()), Usage())

    def apply(self, line: dict[str, Any]) -> None:
        """Fold one line of `llm.jsonl` in."""
        if line["type"] == "start":
            self.last_id = max(self.last_id, line["id"])
            self._open[line["id"]] = line
            self._asked[line["experiment"], line["prompt_name"]] += 1
            return
        start = self._open.pop(line["id"])
        usage = Usage(**line["usage"])
        self.longest_reply = max(self.longest_reply, usage.output)
        self.largest = max(self.largest, usage, key=lambda u: u.tokens)
        corrected, failed = int(start["kind"] == "correct"), int(line["error"] is not None)
        one = Tally(1, corrected, failed, line["seconds"], usage)
        _add(self.stages, start["prompt_name"], one)
        _add(self.experiments, start["experiment"], one)

    def close_unfinished(self) -> None:
        """Calls of an agent that was killed: what went in is paid for, what came is unknown."""
        for number, start in list(self._open.items()):
            usage = {"input": start["expected"]["input"], "money": start["input_money"]}
            self.apply({"id": number, "type": "end", "usage": usage, "seconds": 0, "error": "cut"})


K = TypeVar("K")


def _add(tallies: dict[K, Tally], key: K, one: Tally) -> None:
    tallies[key] = tallies.get(key, Tally()) + one


def read_account(run: Path) -> Account:
    """The totals of a run folder; empty where no LLM was asked. Nothing is written."""
    account = Account()
    for number, line in enumerate(_lines(run / "llm.jsonl"), 1):
        try:
            account.apply(json.loads(line))
        except (ValueError, KeyError, TypeError):
            raise SetupError(
                f"line {number} of {run.name}/llm.jsonl cannot be read: mend or remove it"
            ) from None
    account.close_unfinished()
    return account


class Ledger:
    """The one writer of a run's `llm.jsonl`; safe to use from several threads."""

    def __init__(
        self, run: Path, *, max_cost: float | None = None, max_tokens: int | None = None
    ) -> None:
        """Open or create the ledger below `run`.

        Args:
            max_cost: US dollars over the whole run, resumes included.
            max_tokens: tokens in and out, likewise.
        """
        self.max_cost, self.max_tokens = max_cost, max_tokens
        self.account = read_account(run)
        self._refusal: str | None = None
        self._asked, self._answered = "", set[str]()
        self._texts = run / "texts"
        self._lock = threading.Lock()
        path = run / "llm.jsonl"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        complete = sum(len(line) for line in _lines(path))
        os.ftruncate(self._fd, complete)  # a line that a kill left incomplete
        os.lseek(self._fd, 0, os.SEEK_END)

    @property
    def calls(self) -> int:
        return self.account.tally.calls

    @property
    def total(self) -> Usage:
        with self._lock:
            return self.account.total

    def spent(self, experiment: int | None) -> Usage:
        with self._lock:
            return self.account.spent(experiment)

    def exhausted(self) -> str | None:
        """Why no further question, as large as the largest so far, may be asked; None: it may."""
        with self._lock:
            return self._refusal or self._over(self.account.largest)

    def answered(self) -> bool:
        """Whether the model that was asked last has replied since the ledger was opened."""
        with self._lock:
            return self._asked in self._answered

    def reserve(
        self, call: Call, model: str, price: Callable[[Usage], float | None]
    ) -> tuple[int, Call]:
        """Note that a call starts: its id, and the call with its order number.

        What is in flight counts as spent. A reply can be longer than any before it, so the
        caps may be passed by what one reply (a thread) has more.

        Raises:
            LimitError: the call would pass a cap.
        """
        entry = Usage(input=estimate_tokens(call.messages))
        with self._lock:
            reply = call.max_tokens or self.account.longest_reply or _FIRST_REPLY
            expected = entry.model_copy(update={"output": reply})
            expected = expected.model_copy(update={"money": price(expected)})
            if reason := self._over(expected):
                self._refusal = reason
                raise LimitError(reason)
            self._asked = redact(model)
            number = self.account.last_id + 1
            call = replace(call, n=self.account.asked(call.experiment, call.prompt_name))
            messages = [{"role": m["role"], **self._keep(m["content"])} for m in call.messages]
            self._append({
                "type": "start", "id": number, "prompt_name": call.prompt_name, "kind": call.kind,
                "experiment": call.experiment, "n": call.n, "model": self._asked,
                "messages": messages, "expected": expected.model_dump(),
                "input_money": price(entry),
            })  # fmt: skip
        return number, call

    def check(self, lost: Usage) -> None:
        """LimitError where another attempt at a call in flight, after some that broke off and
        cost `lost`, would pass a cap."""
        with self._lock:  # what is in flight holds this call as it was reserved
            reason = self._over(lost)
        if reason:
            raise LimitError(reason)

    def settle(self, number: int, completion: Completion, seconds: float) -> None:
        """Note the reply of call `number`."""
        with self._lock:
            self._answered.add(self.account.model_of(number))
            self._append({
                "type": "end", "id": number, "model": redact(completion.model), "error": None,
                "finish": completion.finish, "reply": self._keep(completion.text),
                "reasoning": self._keep(completion.reasoning) if completion.reasoning else None,
                "usage": completion.usage.model_dump(), "seconds": round(seconds, 3),
            })  # fmt: skip

    def fail(self, number: int, error: BaseException, usage: Usage, seconds: float) -> None:
        """Note that call `number` ended without a reply; `usage` is what it cost all the same."""
        with self._lock:
            if isinstance(error, ReplyError):  # of this question; the model is there
                self._answered.add(self.account.model_of(number))
            self._append({
                "type": "end", "id": number,
                "error": redact(str(error) or type(error).__name__),
                "raised": "setup" if getattr(error, "setup", False) else type(error).__name__,
                "usage": usage.model_dump(), "seconds": round(seconds, 3),
            })  # fmt: skip

    def close(self) -> None:
        os.close(self._fd)

    def _over(self, expected: Usage) -> str | None:
        """Why a call that is expected to come to this cannot be paid; None: it can."""
        spent = self.account.total
        after = spent + self.account.in_flight + expected
        if self.max_tokens is not None and after.tokens > self.max_tokens:
            return (
                f"--max-tokens {self.max_tokens} is used up: {spent.tokens} tokens are spent "
                f"and the next question takes about {expected.tokens}"
            )
        if self.max_cost is None:
            return None
        if after.money is None:
            return f"--max-cost {self.max_cost:g} cannot be kept: some calls have no known price"
        if after.money > self.max_cost:
            return (
                f"--max-cost {self.max_cost:g} is used up: ${spent.money or 0:.4f} are spent "
                f"and the next question takes about ${expected.money or 0:.4f}"
            )
        return None

    def _append(self, line: dict[str, Any]) -> None:
        line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = json.dumps(line).encode() + b"\n"
        start = os.lseek(self._fd, 0, os.SEEK_CUR)
        try:
            if os.write(self._fd, data) < len(data):
                raise OSError(28, "no space left for a whole line of llm.jsonl")
        except OSError:
            os.ftruncate(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)
            raise
        self.account.apply(line)

    def _keep(self, text: str) -> dict[str, str]:
        """The text itself, or the name of the file in `texts/` that holds it."""
        text = redact(text)
        if len(text) <= _INLINE:
            return {"text": text}
        data = text.encode("utf-8", "backslashreplace")
        name = hashlib.sha256(data).hexdigest()[:32]
        path = self._texts / f"{name}.txt"
        if not path.exists():
            self._texts.mkdir(exist_ok=True)
            fresh = path.with_suffix(".part")
            fresh.write_bytes(data)
            fresh.rename(path)
        return {"hash": name}


def _lines(path: Path) -> Iterator[bytes]:
    """The complete lines, in order."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
