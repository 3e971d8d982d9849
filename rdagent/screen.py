"""The live view in the terminal; a line an event where there is no terminal."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rdagent.events import (
    AnyEvent,
    Delivered,
    ExperimentFinished,
    ExperimentStarted,
    Noted,
    Proposed,
    RunStarted,
)
from rdagent.journal import Journal
from rdagent.records import Cost, Experiment
from rdagent.report import against, how, show

if TYPE_CHECKING:
    from rdagent.llm import Ledger

SHOWN = 12
"""Rounds that the live table holds; older ones scroll into the report."""


class Screen:
    """Use as a context manager; implements `play.Observer`."""

    def __init__(self, command: str = "data_science", console: Console | None = None) -> None:
        self._command = command
        self.folder: Path | None = None
        self._ledger: Ledger | None = None
        self.console = console or Console(highlight=False, emoji=False)
        self._journal = Journal()
        self._stage, self._since = "starting", time.monotonic()
        self._spinner = Spinner("dots")
        self._live = Live(console=self.console, refresh_per_second=8, get_renderable=self._render)

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._live.is_started:
            self._stage = ""
            self._live.stop()

    def say(self, text: Text | str = "") -> None:
        """A line above the live view, never broken: commands in it can be copied."""
        self.console.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        self.say(Text(f"! {text}", style="yellow"))

    def opened(self, folder: Path) -> None:
        """Where the run lies."""
        self.folder = folder
        self.say(Text(f"run: {os.path.relpath(folder)}", style="dim"))

    def stage(self, text: str) -> None:
        """What the agent does now."""
        self._stage, self._since = text, time.monotonic()

    def account(self, ledger: Ledger) -> None:
        """What the LLM takes, for the status line and the summary."""
        self._ledger = ledger

    def event(self, event: AnyEvent, journal: Journal) -> None:
        self._journal = journal
        match event:
            case RunStarted():
                c = event.competition
                direction = "higher" if c["higher_is_better"] else "lower"
                self.say(
                    Text.assemble(
                        (c["id"], "bold"),
                        f"  {c['task']}, {c['metric']} ({direction} is better), "
                        f"{event.split['scheme']} folds: {event.split['folds']}",
                    )
                )
            case Noted():
                if event.kind == "warning":
                    self.warn(event.text)
                else:
                    self.say(Text(f"  {event.text}", style="dim"))
            case ExperimentStarted() if not self.console.is_terminal:
                name = _round(journal.experiments[event.id], journal)
                self.say(Text(f"{name}: {event.operator} ..."))
            case Proposed() if not self.console.is_terminal:
                self.say(Text(f"  {event.hypothesis.statement}"))
            case ExperimentFinished() if not self.console.is_terminal:
                self.say(Text(f"  {_outcome(journal.experiments[event.id])}"))
            case Delivered() if not self.console.is_terminal:
                self.say(Text(f"  best/ holds experiment {event.experiment} ({event.kind})"))
            case _:
                pass

    def summary(self, journal: Journal, folder: Path) -> None:
        """What came out, where it is, what to try next."""
        if self._live.is_started:
            self._live.stop()
        out = self.say
        last = journal.deliveries[-1]
        best = journal.experiments[last.experiment]
        chosen = journal.chosen
        final = chosen is not None and chosen.experiment == best.id and last.score is not None
        part = "on rows that no search saw" if final else "on the search rows"
        if last.score and last.score.source == "self-reported":
            part = "self-reported by the program"
        out()
        out(Text.assemble(("Best: ", "bold"), f"experiment {best.id}: {best.hypothesis.statement}"))
        metric = best.score.metric if best.score else ""
        band = " (value [95 % band])" if last.score and last.score.low is not None else ""
        out(Text.assemble(("Score: ", "bold"), f"{metric} {show(last.score)}{band}, {part}"))
        floor = journal.experiments[0].score
        if floor:
            out(Text(f"       the baseline of round 0 has {show(floor)}, search rows", style="dim"))
        here = Path(os.path.relpath(folder))
        out(Text.assemble(("Submission: ", "bold"), str(here / "best" / "submission.csv")))
        out(Text.assemble(("Report: ", "bold"), str(here / "best" / "report.md")))
        if self._ledger:
            from rdagent.players import totals

            out(Text.assemble(("LLM: ", "bold"), totals(self._ledger)))
        out(Text.assemble(("Ended: ", "bold"), journal.ended or "not yet"))
        out(Text("\nWhat next:", style="bold"))
        more = journal.rounds + 5
        llm = "an LLM researcher: set CHAT_MODEL and its key, see the README"
        for what, command in (
            ("grade it", f"mle_summary grade {here}"),
            ("go on", f"python -m rdagent.{self._command} --resume {here} --loop-n {more}"),
            ("new rows", f"rdagent predict {here} --data FOLDER"),
            ("your own data", "set DS_LOCAL_DATA_PATH to the folder that holds your competitions"),
            ("what else", "" if self._ledger else llm),
        ):
            if command:
                out(Text(f"  {what:14} {command}"))

    def stopped(self) -> None:
        """The last words after a second Ctrl-C."""
        if self._live.is_started:
            self._live.stop()
        if self.folder:
            here = os.path.relpath(self.folder)
            self.warn(f"Stopped at once. Go on: python -m rdagent.{self._command} --resume {here}")

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._journal.finished:
            parts.append(self._table())
        if self._stage:
            # One line, never two: the live view above it must not move.
            self._spinner.update(text=Text(self._status()[: self.console.width - 4]))
            parts.append(Padding(self._spinner, (0, 0, 0, 1)))
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1), expand=False)
        paid = any(e.cost.money != 0 for e in self._journal.finished)
        names = ["#", "how", "hypothesis", "score", "against the best", "s"]
        for name in (*names, "$") if paid else names:
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        room = max(12, self.console.width - (79 if paid else 72))  # what the other columns leave
        for e in self._journal.finished[-SHOWN:]:
            good = bool(e.feedback and e.feedback.accepted)
            table.add_row(
                str(e.id),
                how(e),
                _short(e.hypothesis.statement, room),
                _short(f"failed: {e.error}" if e.error else show(e.score), 26),
                Text(against(e)),
                f"{e.cost.seconds:.0f}",
                *([_money(e.cost)] if paid else []),
                style="red" if e.error else "bold green" if good else "",
            )
        return table

    def _status(self) -> str:
        journal, spent = self._journal, time.monotonic() - self._since
        flying = [e for e in journal.experiments.values() if e.id >= len(journal.finished)]
        parts = []
        if flying:
            parts.append(_round(flying[-1], journal))
        parts.append(f"{self._stage} {spent:.0f} s")
        if self._ledger and (used := self._ledger.total).input:
            parts.append(f"{used.tokens:,} tokens ({used.cached / used.input:.0%} cached)")
        if flying and flying[-1].hypothesis.statement:
            parts.append(flying[-1].hypothesis.statement[:60])
        best = journal.best()
        if best and best.score:
            parts.append(f"best {best.score.value:.4g}")
        if journal.started:
            parts.append(f"about {_clock(self._left())} left")
        return " | ".join(parts)

    def _left(self) -> float:
        """Seconds to the end: by rounds played so far, never more than the budget."""
        journal = self._journal
        left = journal.budget.timeout - journal.elapsed
        if journal.budget.loop_n and journal.rounds:
            a_round = journal.elapsed / (journal.rounds + 0.5)
            left = min(left, a_round * (journal.budget.loop_n - journal.rounds + 0.7))
        return max(0.0, left)


def _round(e: Experiment, journal: Journal) -> str:
    """An experiment under way, as `--loop-n` counts."""
    if e.warm_up or not e.id:
        return "warm-up" if e.warm_up else "round 0"
    of = f"/{journal.budget.loop_n}" if journal.budget.loop_n else ""
    return f"round {journal.rounds + 1}{of}"


def _money(cost: Cost) -> str:
    """US dollars, where there is a price."""
    return "?" if cost.money is None else f"{cost.money:.2f}"


def _outcome(e: Experiment) -> str:
    if e.error:
        return f"failed: {e.error}"
    new = "  <- new best" if e.feedback and e.feedback.accepted else ""
    money = f", ${_money(e.cost)}" if e.cost.money != 0 else ""
    return f"{show(e.score)}, against the best: {against(e)}, {e.cost.seconds:.0f} s{money}{new}"


def _short(text: str, room: int) -> Text:
    return Text(text if len(text) <= room else text[: room - 1] + "…")


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}h{rest // 60:02}m" if hours else f"{rest // 60}m{rest % 60:02}s"
